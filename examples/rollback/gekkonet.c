/* gekkonet.c: the events of GekkoNet over a VM of librlua. docs/NETCODE.md explains.
 *
 * The VM keeps the states, so what GekkoNet keeps as a state is a few words: the label of a
 * snapshot and its checksum. GekkoNet saves after a frame; its number is the label, from -1 on. A
 * label means nothing on another machine: where spectators may join late, an image follows.
 *
 * Usage: gekkonet duel.lua */
#include "gekkonet_loop.h"

enum { WINDOW = 8, NAMES_BYTES = 64 << 10 };

typedef struct Saved {
    uint64_t session; /* whose label it is; in a game a random number */
    int64_t label;
    uint64_t sum, image_bytes; /* of the image behind this; 0: none */
} Saved;

typedef struct Game {
    Duel duel;
    uint64_t session;
    bool watched; /* spectators may join */
    size_t snapshots;
} Game;

static int images;

/* GekkoNet tells nobody what is confirmed; but what is a prediction window before a frame that is
 * saved is. Not one that only advances: it may run ahead. */
static void save(Game *game, const struct GekkoSave *event) {
    Duel *duel = &game->duel;
    Saved saved = {game->session, event->frame, duel->sum, 0};
    must(duel->L, rlua_snap_frame(duel->L, event->frame));
    duel_confirm(duel, event->frame - WINDOW + 1);
    if (game->watched || event->portable) {
        size_t length;
        must(duel->L, rlua_save_buffer(duel->L, event->state + sizeof saved,
                                       DUEL_BYTES + NAMES_BYTES, &length));
        saved.image_bytes = length;
        images++;
    }
    memcpy(event->state, &saved, sizeof saved);
    *event->state_len = (unsigned int)(sizeof saved + saved.image_bytes);
    *event->checksum = duel_fold(duel->sum);
}

static void load(Game *game, const struct GekkoLoad *event) {
    Duel *duel = &game->duel;
    Saved saved;
    CHECK(event->state_len >= sizeof saved);
    memcpy(&saved, event->state, sizeof saved);
    if (saved.session == game->session) {
        must(duel->L, rlua_rollback_to(duel->L, saved.label));
    } else {
        CHECK(saved.image_bytes == event->state_len - sizeof saved);
        CHECK(duel_load(duel, event->state + sizeof saved, saved.image_bytes, game->snapshots));
    }
    duel->frame = (int)saved.label + 1;
    duel->sums[duel->frame] = duel->sum = saved.sum;
}

static void advance(Game *game, const struct GekkoAdvance *event) {
    CHECK(event->frame == game->duel.frame && event->input_len == PLAYERS);
    duel_step(&game->duel, event->inputs);
}

static void handle(Game *game, const GekkoGameEvent *event) {
    switch (event->type) {
    case GekkoSaveEvent: save(game, &event->data.save); break;
    case GekkoLoadEvent: load(game, &event->data.load); break;
    case GekkoAdvanceEvent: advance(game, &event->data.adv); break;
    case GekkoEmptyGameEvent: break;
    }
}

/* One turn of the game loop. */
static void update(GekkoSession *session, Game *game) {
    int count, at;
    GekkoGameEvent **events = gekko_update_session(session, &count);
    for (at = 0; at < count; at++) handle(game, events[at]);
}

static GekkoSession *start(GekkoSessionType type, GekkoConfig config, Game *game,
                           const char *script, size_t snapshots) {
    static uint64_t sessions;
    GekkoSession *session = NULL;
    duel_open(&game->duel, script, snapshots);
    game->snapshots = snapshots;
    game->session = ++sessions;
    game->watched = config.max_spectators > 0;
    gekko_create(&session, type);
    config.num_players = PLAYERS;
    config.input_size = 1;
    config.state_size = sizeof(Saved) + (game->watched ? DUEL_BYTES + NAMES_BYTES : 0);
    gekko_start(session, &config);
    return session;
}

/* A spectator that joins now, by the one state or the other, and gets confirmed inputs. */
static void watch(GekkoSession *session, const Duel *right) {
    static Game spectator;
    int portable;
    for (portable = 0; portable < 2; portable++) {
        GekkoGameEvent event;
        memset(&spectator, 0, sizeof spectator);
        gekko_loop_join(session, portable, &event);
        handle(&spectator, &event);
        while (spectator.duel.frame < FRAMES) {
            unsigned char inputs[PLAYERS];
            inputs[0] = duel_input(0, spectator.duel.frame);
            inputs[1] = duel_input(1, spectator.duel.frame);
            duel_step(&spectator.duel, inputs);
        }
        CHECK(spectator.duel.sum == right->sums[FRAMES]);
        CHECK(spectator.duel.simulated > FRAMES / 4 && spectator.duel.simulated < FRAMES);
        lua_close(spectator.duel.L);
    }
}

/* Inputs come late; every state and every sound are in the end as if they had not.
 *
 * `snapshots`: as many states as GekkoNet keeps, window + 2, or 2 with limited saving. */
static void late(const char *name, const char *script, GekkoConfig config, unsigned char runahead,
                 size_t snapshots) {
    static Game game;
    static Duel right;
    GekkoSession *session = start(GekkoGameSession, config, &game, script, snapshots);
    Duel *duel = &game.duel;
    duel_undelayed(&right, script);
    gekko_set_runahead(session, runahead);
    /* A window more than FRAMES: by then the last of their inputs has arrived. */
    while (session->frame < FRAMES + WINDOW) {
        unsigned char input = duel_input(0, session->frame);
        gekko_add_local_input(session, 0, &input);
        update(session, &game);
        if (session->frame == FRAMES / 2 && game.watched) watch(session, &right);
    }
    duel_confirm(duel, FRAMES);
    CHECK(memcmp(duel->sums, right.sums, (FRAMES + 1) * sizeof *right.sums) == 0);
    CHECK(duel->sounds == right.sounds && right.sounds > 100);
    CHECK(session->rollbacks > FRAMES / 20);
    CHECK((images > 0) == game.watched);
    must(duel->L, rlua_check(duel->L));
    printf("%s: %d rollbacks, %d frames again or ahead\n", name, session->rollbacks,
           duel->simulated - session->frame);
    gekko_destroy(&session);
    lua_close(duel->L);
}

static int stress(const char *script, const char *change) {
    static Game game;
    GekkoConfig config = {.check_distance = 10};
    GekkoSession *session =
        start(GekkoStressSession, config, &game, script, config.check_distance + 2);
    int mismatches;
    must(game.duel.L, rlua_dostring(game.duel.L, change));
    while (session->frame < 300) {
        unsigned char inputs[PLAYERS];
        inputs[0] = duel_input(0, session->frame);
        inputs[1] = duel_input(1, session->frame);
        gekko_add_local_input(session, 0, &inputs[0]);
        gekko_add_local_input(session, 1, &inputs[1]);
        update(session, &game);
    }
    CHECK(session->rollbacks == 300 - (int)config.check_distance - 1);
    mismatches = session->mismatches;
    gekko_destroy(&session);
    lua_close(game.duel.L);
    return mismatches;
}

int main(int argc, char **argv) {
    GekkoConfig config = {.max_input_prediction_window = WINDOW};
    GekkoConfig limited = {.max_input_prediction_window = WINDOW, .limited_saving = true};
    GekkoConfig watched = {.max_input_prediction_window = WINDOW, .max_spectators = 1};
    CHECK(argc == 2);
    late("late inputs", argv[1], config, 0, WINDOW + 2);
    late("limited saving", argv[1], limited, 0, 2);
    late("running ahead", argv[1], config, 2, WINDOW + 2);
    late("with spectators", argv[1], watched, 0, WINDOW + 2);
    CHECK(stress(argv[1], "") == 0);
    CHECK(stress(argv[1], "local f = advance function advance(...) return f(...) ~ counter() end"));
    puts("6 passed, 0 failed");
    return 0;
}
