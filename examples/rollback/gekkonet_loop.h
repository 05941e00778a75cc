/* gekkonet_loop.h: the events of GekkoNet as its header declares them, and a loop that gives them
 * in GekkoNet's order. It stands in for the library in the tests: no sockets; the far player's
 * inputs come late. A host written against it handles the same structs.
 *
 * As GekkoNet does: a state is saved *after* a frame, under that frame's number, so the first save
 * is of frame -1; a rollback loads the frame before the first wrong one. With limited saving only
 * confirmed frames are saved. With run-ahead the session simulates frames to show, and loads the
 * present again in the next update. A stress session runs check_distance frames again each time.
 * A spectator that joins late is sent a state: a portable save, or one of a rollback's. */
#ifndef RLUA_EXAMPLE_GEKKONET_LOOP_H
#define RLUA_EXAMPLE_GEKKONET_LOOP_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "duel.h"

typedef enum GekkoSessionType { GekkoGameSession, GekkoStressSession } GekkoSessionType;

typedef struct GekkoConfig {
    unsigned char num_players;
    unsigned char max_spectators;
    unsigned char max_input_prediction_window;
    unsigned int spectator_delay;
    unsigned int input_size;
    unsigned int state_size;
    bool limited_saving;
    bool desync_detection;
    unsigned int check_distance;
} GekkoConfig;

typedef enum GekkoGameEventType {
    GekkoEmptyGameEvent = -1,
    GekkoAdvanceEvent,
    GekkoSaveEvent,
    GekkoLoadEvent
} GekkoGameEventType;

typedef struct GekkoGameEvent {
    GekkoGameEventType type;
    union GekkoEventData {
        struct GekkoAdvance {
            int frame;
            unsigned int input_len;
            unsigned char *inputs;
            bool rolling_back;
            bool running_ahead;
        } adv;
        struct GekkoSave {
            int frame;
            bool portable;
            unsigned int *checksum;
            unsigned int *state_len;
            unsigned char *state;
        } save;
        struct GekkoLoad {
            int frame;
            unsigned int state_len;
            unsigned char *state;
        } load;
    } data;
} GekkoGameEvent;

enum { GEKKO_EVENTS = 128, GEKKO_STATES = 32 };

typedef struct GekkoEntry {
    int frame;
    unsigned int checksum, len;
    unsigned char *state; /* of state_size bytes */
} GekkoEntry;

typedef struct GekkoSession {
    GekkoSessionType type;
    GekkoConfig config;
    unsigned char runahead;
    int frame, last_saved; /* the frame that is simulated next; the newest saved frame */
    bool ahead;            /* the game shows frames that the session has not reached */
    unsigned char near[FRAMES + 64], used[FRAMES + 64][PLAYERS];
    int waited, received; /* turns since the last frame; far inputs below `received` are here */
    int rollbacks;
    GekkoEntry states[GEKKO_STATES], portable;
    unsigned int checksums[FRAMES + 64]; /* the stress session's first run of each frame */
    bool known[FRAMES + 64];
    int mismatches;
    GekkoGameEvent events[GEKKO_EVENTS], *pointers[GEKKO_EVENTS];
    int count;
} GekkoSession;

static inline bool gekko_create(GekkoSession **session, GekkoSessionType type) {
    *session = calloc(1, sizeof **session);
    CHECK(*session);
    (*session)->type = type;
    (*session)->last_saved = -2;
    (*session)->portable.frame = -2;
    return true;
}

static inline bool gekko_destroy(GekkoSession **session) {
    int at;
    for (at = 0; at < GEKKO_STATES; at++) free((*session)->states[at].state);
    free((*session)->portable.state);
    free(*session);
    *session = NULL;
    return true;
}

static inline void gekko_start(GekkoSession *session, GekkoConfig *config) {
    int at;
    session->config = *config;
    CHECK(config->num_players == PLAYERS && config->input_size == 1);
    for (at = 0; at < GEKKO_STATES; at++) session->states[at].state = malloc(config->state_size);
    session->portable.state = malloc(config->state_size);
}

static inline void gekko_set_runahead(GekkoSession *session, unsigned char runahead) {
    session->runahead = runahead;
}

static inline void gekko_add_local_input(GekkoSession *session, int player, void *input) {
    if (player == 0) memcpy(&session->near[session->frame], input, 1);
    else CHECK(session->type == GekkoStressSession);
}

static inline GekkoGameEvent *gekko_loop_event(GekkoSession *session, GekkoGameEventType type) {
    GekkoGameEvent *event = &session->events[session->count];
    CHECK(session->count < GEKKO_EVENTS);
    memset(event, 0, sizeof *event);
    event->type = type;
    session->pointers[session->count++] = event;
    return event;
}

/* Where the state after `frame` is kept: a ring, of which limited saving needs two places. */
static inline GekkoEntry *gekko_loop_entry(GekkoSession *session, int frame) {
    int room = session->config.limited_saving ? 2
               : session->type == GekkoStressSession
                   ? (int)session->config.check_distance + 2
                   : session->config.max_input_prediction_window + 2;
    return &session->states[(frame + room) % room];
}

static inline void gekko_loop_save(GekkoSession *session, int frame, GekkoEntry *entry) {
    struct GekkoSave *save = &gekko_loop_event(session, GekkoSaveEvent)->data.save;
    entry->frame = frame;
    entry->len = session->config.state_size;
    save->frame = frame;
    save->portable = entry == &session->portable;
    save->checksum = &entry->checksum;
    save->state_len = &entry->len;
    save->state = entry->state;
    if (!save->portable) session->last_saved = frame;
}

static inline void gekko_loop_load(GekkoSession *session, int frame) {
    struct GekkoLoad *load = &gekko_loop_event(session, GekkoLoadEvent)->data.load;
    GekkoEntry *entry = gekko_loop_entry(session, frame);
    CHECK(entry->frame == frame);
    load->frame = frame;
    load->state_len = entry->len;
    load->state = entry->state;
}

static inline void gekko_loop_advance(GekkoSession *session, int frame, bool again, bool ahead) {
    struct GekkoAdvance *adv = &gekko_loop_event(session, GekkoAdvanceEvent)->data.adv;
    unsigned char *used = session->used[frame];
    int known = frame < session->received ? frame : session->received - 1;
    used[0] = session->near[frame < session->frame ? frame : session->frame];
    used[1] = known < 0 ? 0 : duel_input(1, known);
    adv->frame = frame;
    adv->input_len = PLAYERS;
    adv->inputs = used;
    adv->rolling_back = again;
    adv->running_ahead = ahead;
}

/* Runs the frames after `from` again, up to the present. */
static inline void gekko_loop_again(GekkoSession *session, int from) {
    int confirmed = session->received - 1, frame;
    int to_save = confirmed < session->frame - 1 ? confirmed : session->frame - 1;
    gekko_loop_load(session, from);
    for (frame = from + 1; frame < session->frame; frame++) {
        gekko_loop_advance(session, frame, true, false);
        if (!session->config.limited_saving || frame == to_save) {
            gekko_loop_save(session, frame, gekko_loop_entry(session, frame));
        }
        if (session->config.max_spectators && frame == confirmed) {
            gekko_loop_save(session, frame, &session->portable);
        }
    }
    session->rollbacks++;
    session->ahead = false;
}

static inline void gekko_loop_compare(GekkoSession *session) {
    int distance = (int)session->config.check_distance, frame = session->frame - distance;
    if (frame <= 0) return;
    for (; frame < session->frame; frame++) {
        unsigned int checksum = gekko_loop_entry(session, frame)->checksum;
        if (session->known[frame] && session->checksums[frame] != checksum) session->mismatches++;
        if (!session->known[frame]) session->checksums[frame] = checksum;
        session->known[frame] = true;
    }
    gekko_loop_again(session, session->frame - distance);
}

static inline void gekko_loop_receive(GekkoSession *session) {
    int wrong = session->received;
    session->waited++;
    while (session->received < FRAMES + 63 &&
           session->received + duel_lateness(session->received) <=
               session->frame + session->waited) {
        session->received++;
    }
    while (wrong < session->received && session->used[wrong][1] == duel_input(1, wrong)) wrong++;
    if (wrong < session->received && wrong < session->frame) {
        gekko_loop_again(session, session->config.limited_saving ? session->last_saved : wrong - 1);
    } else if (session->config.limited_saving && session->frame - session->last_saved - 1 >
                                                     session->config.max_input_prediction_window) {
        gekko_loop_again(session, session->last_saved);
    }
}

/* What a spectator that joins now is sent: a confirmed state, of a rollback's saves or a portable
 * one. */
static inline void gekko_loop_join(GekkoSession *session, bool portable, GekkoGameEvent *event) {
    int frame = session->received - 1 < session->last_saved ? session->received - 1
                                                            : session->last_saved;
    GekkoEntry *entry = portable ? &session->portable : gekko_loop_entry(session, frame);
    CHECK(entry->frame >= 0 && entry->frame < session->received);
    event->type = GekkoLoadEvent;
    event->data.load.frame = entry->frame;
    event->data.load.state_len = entry->len;
    event->data.load.state = entry->state;
}

static inline GekkoGameEvent **gekko_update_session(GekkoSession *session, int *count) {
    unsigned char ahead;
    int window = session->config.max_input_prediction_window;
    session->count = 0;
    if (session->last_saved == -2) gekko_loop_save(session, -1, gekko_loop_entry(session, -1));
    if (session->type == GekkoStressSession) {
        session->received = session->frame + 1;
        gekko_loop_compare(session);
    } else {
        gekko_loop_receive(session);
    }
    if (session->ahead) gekko_loop_load(session, session->frame - 1);
    session->ahead = false;
    if (session->type == GekkoStressSession || session->frame - session->received < window) {
        gekko_loop_advance(session, session->frame, false, session->runahead > 0);
        if (!session->config.limited_saving) {
            gekko_loop_save(session, session->frame, gekko_loop_entry(session, session->frame));
        }
        session->frame++;
        session->waited = 0;
    }
    for (ahead = 0; ahead < session->runahead && session->frame + ahead < FRAMES; ahead++) {
        gekko_loop_advance(session, session->frame + ahead, false, ahead + 1 < session->runahead);
        session->ahead = true;
    }
    *count = session->count;
    return session->pointers;
}

#endif
