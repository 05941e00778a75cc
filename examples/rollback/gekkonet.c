/* gekkonet.c: the events of GekkoNet over a VM of librlua. docs/NETCODE.md explains.
 *
 * The VM keeps the states, so what GekkoNet keeps as a state is two words: the label of a snapshot
 * and its checksum. GekkoNet saves after a frame; its number is the label, from -1 on.
 *
 * Usage: gekkonet duel.lua */
#include "gekkonet_loop.h"

typedef struct Saved {
    int64_t label;
    uint64_t sum;
} Saved;

enum { WINDOW = 8 };

static int portable_asked; /* saves that were to go to another machine */

/* GekkoNet tells nobody what is confirmed; but what is a prediction window before a frame that is
 * saved is. Not one that only advances: it may run ahead. */
static void save(Duel *duel, const struct GekkoSave *event) {
    Saved saved;
    /* A label means nothing elsewhere. GekkoNet takes an empty state as none. */
    if (event->portable) {
        *event->state_len = 0;
        portable_asked++;
        return;
    }
    saved.label = event->frame;
    saved.sum = duel->sum;
    must(duel->L, rlua_snap_frame(duel->L, event->frame));
    duel_confirm(duel, event->frame - WINDOW + 1);
    memcpy(event->state, &saved, sizeof saved);
    *event->state_len = sizeof saved;
    *event->checksum = duel_fold(duel->sum);
}

static void load(Duel *duel, const struct GekkoLoad *event) {
    Saved saved;
    CHECK(event->state_len == sizeof saved);
    memcpy(&saved, event->state, sizeof saved);
    must(duel->L, rlua_rollback_to(duel->L, saved.label));
    duel->frame = (int)saved.label + 1;
    duel->sum = saved.sum;
}

static void advance(Duel *duel, const struct GekkoAdvance *event) {
    CHECK(event->frame == duel->frame && event->input_len == PLAYERS);
    duel_step(duel, event->inputs);
}

/* One turn of the game loop. */
static void update(GekkoSession *session, Duel *duel) {
    int count, at;
    GekkoGameEvent **events = gekko_update_session(session, &count);
    for (at = 0; at < count; at++) {
        switch (events[at]->type) {
        case GekkoSaveEvent: save(duel, &events[at]->data.save); break;
        case GekkoLoadEvent: load(duel, &events[at]->data.load); break;
        case GekkoAdvanceEvent: advance(duel, &events[at]->data.adv); break;
        case GekkoEmptyGameEvent: break;
        }
    }
}

static GekkoSession *start(GekkoSessionType type, GekkoConfig config) {
    GekkoSession *session = NULL;
    gekko_create(&session, type);
    config.num_players = PLAYERS;
    config.input_size = 1;
    config.state_size = sizeof(Saved);
    gekko_start(session, &config);
    return session;
}

/* Inputs come late; every state and every sound are in the end as if they had not.
 *
 * `snapshots`: as many states as GekkoNet keeps, window + 2, or 2 with limited saving. */
static void late(const char *name, const char *script, GekkoConfig config, unsigned char runahead,
                 size_t snapshots) {
    static Duel duel, right;
    GekkoSession *session = start(GekkoGameSession, config);
    gekko_set_runahead(session, runahead);
    duel_undelayed(&right, script);
    duel_open(&duel, script, snapshots);
    /* A window more than FRAMES: by then the last of their inputs has arrived. */
    while (session->frame < FRAMES + WINDOW) {
        unsigned char input = duel_input(0, session->frame);
        gekko_add_local_input(session, 0, &input);
        update(session, &duel);
    }
    duel_confirm(&duel, FRAMES);
    CHECK(memcmp(duel.sums, right.sums, (FRAMES + 1) * sizeof *right.sums) == 0);
    CHECK(duel.sounds == right.sounds && right.sounds > 100);
    CHECK(session->rollbacks > FRAMES / 20);
    must(duel.L, rlua_check(duel.L));
    printf("%s: %d rollbacks, %d frames again or ahead\n", name, session->rollbacks,
           duel.simulated - session->frame);
    gekko_destroy(&session);
    lua_close(duel.L);
}

static int stress(const char *script, const char *change) {
    static Duel duel;
    GekkoConfig config = {.check_distance = 10};
    GekkoSession *session = start(GekkoStressSession, config);
    int mismatches;
    duel_open(&duel, script, config.check_distance + 2);
    must(duel.L, rlua_dostring(duel.L, change));
    while (session->frame < 300) {
        unsigned char inputs[PLAYERS];
        inputs[0] = duel_input(0, session->frame);
        inputs[1] = duel_input(1, session->frame);
        gekko_add_local_input(session, 0, &inputs[0]);
        gekko_add_local_input(session, 1, &inputs[1]);
        update(session, &duel);
    }
    CHECK(session->rollbacks == 300 - (int)config.check_distance - 1);
    mismatches = session->mismatches;
    gekko_destroy(&session);
    lua_close(duel.L);
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
    CHECK(portable_asked == 0);
    late("with a spectator", argv[1], watched, 0, WINDOW + 2);
    CHECK(portable_asked > 0);
    CHECK(stress(argv[1], "") == 0);
    CHECK(stress(argv[1], "local f = advance function advance(...) return f(...) ~ counter() end"));
    puts("6 passed, 0 failed");
    return 0;
}
