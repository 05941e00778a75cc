/* match.c: see match.h. */
#define _POSIX_C_SOURCE 200809L
#include "match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MEMORY_BYTES = 64 << 20,
    FRAME_BUDGET = 2000000, /* a mod that never returns ends here */
    SLOT = RING - 1
};

static void must(lua_State *L, int status) {
    if (status == RLUA_OK) return;
    fprintf(stderr, "playground: %s; %s\n", rlua_strerror(status),
            status >= RLUA_ERR_RUN ? lua_tostring(L, -1) : rlua_last_error(L));
    exit(1);
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Below `end`; splitmix64, by Steele, Lea and Flood. */
static int below(Match *match, int end) {
    uint64_t word = match->random += 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    return (int)((word ^ word >> 31) % (uint64_t)end);
}

/* Looking takes nothing and leaves nothing: what the script does for it is rolled back. */
static void look(Peer *peer) {
    lua_State *L = peer->L;
    int player;
    must(L, rlua_snap_frame(L, peer->at));
    must(L, rlua_set_budget(L, FRAME_BUDGET));
    must(L, rlua_getglobal(L, "picture"));
    if (rlua_call(L, 0, 1, 0) == RLUA_OK && lua_isstring(L, -1)) {
        snprintf(peer->picture, sizeof peer->picture, "%s", lua_tostring(L, -1));
    }
    must(L, rlua_getglobal(L, "score"));
    if (rlua_call(L, 0, 2, 0) == RLUA_OK) {
        peer->score[0] = (int)lua_tointeger(L, -2);
        peer->score[1] = (int)lua_tointeger(L, -1);
    }
    for (player = 0; player < PLAYERS; player++) {
        must(L, rlua_getglobal(L, "bot"));
        must(L, rlua_pushinteger(L, player + 1));
        peer->wish[player] = 0;
        if (rlua_call(L, 1, 1, 0) != RLUA_OK) continue;
        peer->wish[player] = (unsigned char)lua_tointeger(L, -1);
    }
    must(L, rlua_rollback_to(L, peer->at));
}

static void call_game(lua_State *L, const char *function, int arguments, lua_Integer argument) {
    must(L, rlua_getglobal(L, function));
    if (arguments) must(L, rlua_pushinteger(L, argument));
    must(L, rlua_call(L, arguments, 0, 0));
}

/* A mod that fails is dropped, in this frame, and so by both peers. */
static void fail(Match *match, Peer *peer, const char *what) {
    lua_State *L = peer->L;
    const char *text = lua_tostring(L, -1);
    snprintf(match->message, sizeof match->message, "%s: %s", what, text ? text : "?");
    lua_settop(L, 0);
    must(L, rlua_set_budget(L, FRAME_BUDGET));
    call_game(L, "drop_mod", 0, 0);
}

static void swap_mod(Match *match, Peer *peer, const Mod *mod) {
    lua_State *L = peer->L;
    char name[sizeof mod->name + 1];
    snprintf(name, sizeof name, "@%s", mod->name);
    call_game(L, "reset_rules", 0, 0);
    if (rlua_loadbuffer(L, mod->text, mod->length, name, "t") != RLUA_OK ||
        rlua_call(L, 0, 0, 0) != RLUA_OK) {
        fail(match, peer, "mod dropped");
    }
}

/* Runs the frame `peer->at`. The far input is a guess where it is not here: the newest that is. */
static void simulate(Match *match, Peer *peer) {
    lua_State *L = peer->L;
    int64_t frame = peer->at, known = frame < peer->received ? frame : peer->received - 1;
    int player = (int)(peer - match->peers), mod;
    unsigned char *used = peer->used[frame & SLOT];
    used[player] = peer->own[frame & SLOT];
    used[1 - player] = known < 0 ? 0 : peer->far[known & SLOT];
    must(L, rlua_set_time(L, frame / FRAMES_PER_SECOND,
                          (uint32_t)(frame % FRAMES_PER_SECOND) * FRAME_US * 1000u));
    must(L, rlua_set_budget(L, FRAME_BUDGET));
    for (mod = 0; mod < peer->mods_known; mod++) {
        if (match->mods[mod].at == frame) swap_mod(match, peer, &match->mods[mod]);
    }
    if (player == 1 && frame == match->cheat) call_game(L, "cheat", 0, 0);
    must(L, rlua_getglobal(L, "advance"));
    must(L, rlua_pushinteger(L, used[0]));
    must(L, rlua_pushinteger(L, used[1]));
    if (rlua_call(L, 2, 1, 0) == RLUA_OK) {
        peer->sums[(frame + 1) & SLOT] = (uint64_t)lua_tointeger(L, -1);
        lua_settop(L, 0);
    } else {
        fail(match, peer, "mod dropped");
        peer->sums[(frame + 1) & SLOT] = peer->sums[frame & SLOT] + 1;
    }
    peer->at = frame + 1;
}

static rlua_Checksum *whole(Peer *peer, int64_t frame) {
    return &peer->whole[frame / WHOLE_FRAMES % (RING / WHOLE_FRAMES + 1)];
}

/* Runs frames up to the state `frame`, with a snapshot before each. */
static void run_to(Match *match, Peer *peer, int64_t frame) {
    while (peer->at < frame) {
        must(peer->L, rlua_snap_frame(peer->L, peer->at));
        if (peer->at % WHOLE_FRAMES == 0) {
            must(peer->L, rlua_checksum(peer->L, whole(peer, peer->at)));
        }
        simulate(match, peer);
    }
}

static void open_peer(Match *match, Peer *peer, const char *game) {
    rlua_Config config;
    memset(peer, 0, sizeof *peer);
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = MEMORY_BYTES;
    config.max_snapshots = HISTORY;
    config.seed = match->seed;
    must(NULL, rlua_open(&config, &peer->L));
    must(peer->L, rlua_openlibs(peer->L, RLUA_LIB_SANDBOX));
    must(peer->L, rlua_dofile(peer->L, game));
    lua_settop(peer->L, 0);
    call_game(peer->L, "new_match", 1, (lua_Integer)match->seed);
    look(peer);
}

void match_open(Match *match, const char *game, uint64_t seed) {
    memset(match, 0, sizeof *match);
    match->seed = match->random = seed;
    match->desync = match->cheat = -1;
    open_peer(match, &match->peers[0], game);
    open_peer(match, &match->peers[1], game);
}

void match_close(Match *match) {
    int mod;
    lua_close(match->peers[0].L);
    lua_close(match->peers[1].L);
    for (mod = 0; mod < match->mod_count; mod++) free(match->mods[mod].text);
}

void match_restart(Match *match, const char *game) {
    Line line = match->line;
    uint64_t seed = match->seed;
    match_close(match);
    match_open(match, game, seed);
    match->line = line;
}

static void send(Match *match, int from) {
    Peer *peer = &match->peers[from];
    Packet *packet = match->packets;
    int64_t frame;
    int jitter = match->line.jitter_ms ? below(match, match->line.jitter_ms * 1000) : 0;
    int lost = below(match, 100) < match->line.loss_percent;
    if (lost || peer->frame == 0) return;
    while (packet->used) if (++packet == match->packets + PACKETS) return; /* lost, too */
    packet->used = true;
    packet->to = 1 - from;
    packet->due_us = match->tick * FRAME_US + match->line.latency_ms * 1000 + jitter;
    packet->newest = peer->frame - 1;
    packet->mods = peer->mods_known;
    for (frame = packet->newest; frame >= 0 && frame > packet->newest - RESENT; frame--) {
        packet->inputs[packet->newest - frame] = peer->own[frame & SLOT];
    }
}

/* Takes in what has arrived; returns the first frame that was run with a wrong guess. */
static int64_t receive(Match *match, int to) {
    Peer *peer = &match->peers[to];
    int64_t first = peer->received;
    int at;
    for (at = 0; at < PACKETS; at++) {
        Packet *packet = &match->packets[at];
        if (!packet->used || packet->to != to || packet->due_us > match->tick * FRAME_US) continue;
        for (; peer->received <= packet->newest; peer->received++) {
            int64_t back = packet->newest - peer->received;
            if (back >= RESENT) break; /* cannot be: its sender would have had to wait */
            peer->far[peer->received & SLOT] = packet->inputs[back];
        }
        if (packet->mods > peer->mods_known) peer->mods_known = packet->mods;
        packet->used = false;
    }
    while (first < peer->received && first < peer->frame &&
           peer->used[first & SLOT][1 - to] == peer->far[first & SLOT]) {
        first++;
    }
    return first;
}

static void correct(Match *match, Peer *peer, int64_t wrong, Rollback *rollback) {
    double begin = now_us(), loaded;
    rollback->frames = (int)(peer->frame - wrong);
    must(peer->L, rlua_rollback_to(peer->L, wrong));
    loaded = now_us();
    peer->at = wrong;
    run_to(match, peer, peer->frame);
    rollback->load_us = loaded - begin;
    rollback->run_us = now_us() - loaded;
    peer->rollbacks++;
    peer->again += rollback->frames;
}

/* States that are confirmed on both sides have to be the same. The newest is left for later: the
 * checksum of its VM is made when its frame runs. */
static void compare(Match *match) {
    int64_t both = INT64_MAX;
    int player;
    for (player = 0; player < PLAYERS; player++) {
        const Peer *peer = &match->peers[player];
        if (peer->received < both) both = peer->received;
        if (peer->frame < both) both = peer->frame;
    }
    for (; match->compared < both; match->compared++) {
        int64_t at = match->compared & SLOT;
        bool same = match->peers[0].sums[at] == match->peers[1].sums[at];
        if (match->compared % WHOLE_FRAMES == 0) {
            same = same && memcmp(whole(&match->peers[0], match->compared),
                                  whole(&match->peers[1], match->compared),
                                  sizeof(rlua_Checksum)) == 0;
        }
        if (match->desync < 0 && !same) match->desync = match->compared;
    }
}

void match_tick(Match *match, const unsigned char inputs[PLAYERS]) {
    int player;
    for (player = 0; player < PLAYERS; player++) {
        Peer *peer = &match->peers[player];
        Rollback *rollback = &peer->recent[match->tick % RECENT];
        int64_t wrong = receive(match, player);
        memset(rollback, 0, sizeof *rollback);
        if (wrong < peer->received && wrong < peer->frame) correct(match, peer, wrong, rollback);
        if (peer->frame < peer->received + WINDOW) {
            peer->own[peer->frame & SLOT] = inputs[player];
            run_to(match, peer, ++peer->frame);
        } else {
            peer->waited++;
        }
        send(match, player);
        look(peer);
    }
    compare(match);
    match->tick++;
}

void match_order(Match *match, const char *name, const char *text, size_t length) {
    Peer *peer = &match->peers[0];
    Mod *mod = &match->mods[match->mod_count];
    if (match->mod_count == MAX_MODS) return;
    /* To run frame `at`, player 2's peer needs the input of the frame that player 1 runs next: it
     * comes in a packet that tells of the mod. */
    mod->at = peer->frame + WINDOW;
    if (match->mod_count && mod[-1].at >= mod->at) mod->at = mod[-1].at + 1;
    snprintf(mod->name, sizeof mod->name, "%s", name);
    mod->text = malloc(length + 1);
    if (!mod->text) return;
    memcpy(mod->text, text, length);
    mod->length = length;
    peer->mods_known = ++match->mod_count;
    match->message[0] = 0;
}

const Mod *match_mod(const Match *match, const Peer *peer) {
    int mod = peer->mods_known;
    while (mod > 0 && match->mods[mod - 1].at >= peer->at) mod--;
    return mod > 0 && match->mods[mod - 1].length ? &match->mods[mod - 1] : NULL;
}

void match_cheat(Match *match) { match->cheat = match->peers[1].frame; }

int64_t match_oldest(const Match *match) {
    int64_t oldest = 0;
    int player;
    for (player = 0; player < PLAYERS; player++) {
        rlua_Info info;
        info.size = sizeof info;
        must(match->peers[player].L, rlua_info(match->peers[player].L, &info));
        if (info.oldest_frame > oldest) oldest = info.oldest_frame;
    }
    return oldest;
}

int64_t match_newest(const Match *match) {
    int64_t a = match->peers[0].frame, b = match->peers[1].frame;
    return a > b ? a : b;
}

void match_seek(Match *match, int64_t frame) {
    int64_t oldest = match_oldest(match);
    int player;
    for (player = 0; player < PLAYERS; player++) {
        Peer *peer = &match->peers[player];
        int64_t target = frame < oldest ? oldest : frame > peer->frame ? peer->frame : frame;
        if (target < peer->at) {
            must(peer->L, rlua_rollback_to(peer->L, target));
            peer->at = target;
        }
        while (peer->at < target) {
            int64_t next = peer->at + 1;
            uint64_t sum = peer->sums[next & SLOT];
            rlua_Checksum before = *whole(peer, peer->at);
            bool same;
            run_to(match, peer, next);
            same = peer->sums[next & SLOT] == sum &&
                   memcmp(&before, whole(peer, next - 1), sizeof before) == 0;
            if (!same) match->differing++;
        }
        look(peer);
    }
}

bool match_fork(Match *match) {
    int64_t frame = match->peers[0].at;
    int player;
    if (frame != match->peers[1].at || frame >= match->compared) return false;
    for (player = 0; player < PLAYERS; player++) {
        match->peers[player].frame = match->peers[player].received = frame;
    }
    while (match->mod_count && match->mods[match->mod_count - 1].at >= frame) {
        free(match->mods[--match->mod_count].text);
    }
    for (player = 0; player < PLAYERS; player++) {
        match->peers[player].mods_known = match->mod_count;
    }
    memset(match->packets, 0, sizeof match->packets);
    match->compared = frame;
    if (match->desync > frame) match->desync = -1;
    if (match->cheat >= frame) match->cheat = -1;
    return true;
}
