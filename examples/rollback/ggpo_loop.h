/* ggpo_loop.h: the callbacks of GGPO with GGPO's signatures (but for __cdecl, which is Windows'),
 * and a loop that calls them in GGPO's order. It stands in for the library in the tests: no
 * sockets; the far player's inputs come late. A host written against it calls the same functions.
 *
 * As GGPO does: the state before frame 0 is saved at its first input, every other after the frame
 * before it; states are kept in a ring; a rollback loads one and calls advance_frame for each frame
 * since; a buffer is freed when its place in the ring is needed, which in a rollback is the place
 * of a frame that is newer than the loaded one; the sync test copies buffers byte by byte. */
#ifndef RLUA_EXAMPLE_GGPO_LOOP_H
#define RLUA_EXAMPLE_GGPO_LOOP_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "duel.h"

enum { GGPO_MAX_PREDICTION_FRAMES = 8, GGPO_RING = GGPO_MAX_PREDICTION_FRAMES + 2 };

typedef enum { GGPO_ERRORCODE_SUCCESS = 0, GGPO_ERRORCODE_PREDICTION_THRESHOLD = 4 } GGPOErrorCode;
#define GGPO_SUCCEEDED(result) ((result) == GGPO_ERRORCODE_SUCCESS)

typedef int GGPOPlayerHandle;
typedef struct GGPOEvent {
    int code;
} GGPOEvent;

typedef struct GGPOSessionCallbacks {
    bool (*begin_game)(const char *game);
    bool (*save_game_state)(unsigned char **buffer, int *len, int *checksum, int frame);
    bool (*load_game_state)(unsigned char *buffer, int len);
    bool (*log_game_state)(char *filename, unsigned char *buffer, int len);
    void (*free_buffer)(void *buffer);
    bool (*advance_frame)(int flags);
    bool (*on_event)(GGPOEvent *info);
} GGPOSessionCallbacks;

typedef struct GGPOSaved {
    unsigned char *buffer;
    int len, checksum, frame;
} GGPOSaved;

typedef struct GGPOSession {
    GGPOSessionCallbacks callbacks;
    GGPOSaved ring[GGPO_RING];
    int head, frame;
    unsigned char used[FRAMES + 64][PLAYERS]; /* the inputs of the last run of each frame */
    int waited, received; /* turns since the last frame; far inputs below `received` are here */
    int rollbacks;
    /* The sync test's: */
    int distance, verified;
    bool replaying;
    GGPOSaved original[GGPO_RING]; /* copies of what was saved, after each frame since `verified` */
    int mismatches;
    const char *logs; /* where states are logged: two files beginning with this */
} GGPOSession;

static inline void ggpo_loop_save(GGPOSession *session) {
    GGPOSaved *saved = &session->ring[session->head];
    if (saved->buffer) session->callbacks.free_buffer(saved->buffer);
    memset(saved, 0, sizeof *saved);
    saved->frame = session->frame;
    session->callbacks.save_game_state(&saved->buffer, &saved->len, &saved->checksum,
                                       saved->frame);
    session->head = (session->head + 1) % GGPO_RING;
}

static inline void ggpo_loop_load(GGPOSession *session, int frame) {
    int at = 0;
    while (!session->ring[at].buffer || session->ring[at].frame != frame) CHECK(++at < GGPO_RING);
    session->callbacks.load_game_state(session->ring[at].buffer, session->ring[at].len);
    session->frame = frame;
    session->head = (at + 1) % GGPO_RING;
}

static inline GGPOErrorCode ggpo_start_session(GGPOSession **session, GGPOSessionCallbacks *cb,
                                               const char *game, int num_players, int input_size,
                                               unsigned short localport) {
    CHECK(num_players == PLAYERS && input_size == 1 && localport == 0);
    *session = calloc(1, sizeof **session);
    CHECK(*session);
    (*session)->callbacks = *cb;
    cb->begin_game(game);
    return GGPO_ERRORCODE_SUCCESS;
}

static inline GGPOErrorCode ggpo_start_synctest(GGPOSession **session, GGPOSessionCallbacks *cb,
                                                char *game, int num_players, int input_size,
                                                int frames) {
    ggpo_start_session(session, cb, game, num_players, input_size, 0);
    CHECK(frames < GGPO_RING);
    (*session)->distance = frames;
    return GGPO_ERRORCODE_SUCCESS;
}

static inline GGPOErrorCode ggpo_close_session(GGPOSession *session) {
    int at;
    for (at = 0; at < GGPO_RING; at++) {
        session->callbacks.free_buffer(session->ring[at].buffer);
        free(session->original[at].buffer);
    }
    free(session);
    return GGPO_ERRORCODE_SUCCESS;
}

static inline GGPOErrorCode ggpo_add_local_input(GGPOSession *session, GGPOPlayerHandle player,
                                                 void *values, int size) {
    if (!session->distance && session->frame - session->received >= GGPO_MAX_PREDICTION_FRAMES) {
        return GGPO_ERRORCODE_PREDICTION_THRESHOLD;
    }
    if (session->frame == 0) ggpo_loop_save(session);
    memcpy(&session->used[session->frame][player], values, (size_t)size);
    return GGPO_ERRORCODE_SUCCESS;
}

/* The far player's input: as it is when it is here, else as the newest that is. */
static inline GGPOErrorCode ggpo_synchronize_input(GGPOSession *session, void *values, int size,
                                                   int *disconnect_flags) {
    unsigned char *used = session->used[session->frame];
    int known = session->frame < session->received ? session->frame : session->received - 1;
    if (!session->distance) used[1] = known < 0 ? 0 : duel_input(1, known);
    memcpy(values, used, (size_t)size);
    *disconnect_flags = 0;
    return GGPO_ERRORCODE_SUCCESS;
}

static inline void ggpo_loop_log(GGPOSession *session, GGPOSaved *saved, const char *which) {
    char name[256];
    snprintf(name, sizeof name, "%s-%04d-%s.log", session->logs, saved->frame, which);
    session->callbacks.log_game_state(name, saved->buffer, saved->len);
}

/* Copies what was saved, and after `distance` frames runs them again and compares. */
static inline void ggpo_loop_verify(GGPOSession *session) {
    GGPOSaved *last = &session->ring[(session->head + GGPO_RING - 1) % GGPO_RING];
    GGPOSaved *copy = &session->original[session->frame - session->verified - 1];
    unsigned char *buffer = realloc(copy->buffer, (size_t)last->len);
    int frame = session->frame;
    CHECK(buffer);
    *copy = *last;
    copy->buffer = memcpy(buffer, last->buffer, (size_t)last->len);
    if (frame - session->verified < session->distance) return;
    ggpo_loop_load(session, session->verified);
    session->replaying = true;
    session->rollbacks++;
    while (session->frame < frame) {
        session->callbacks.advance_frame(0);
        copy = &session->original[session->frame - session->verified - 1];
        last = &session->ring[(session->head + GGPO_RING - 1) % GGPO_RING];
        if (copy->checksum == last->checksum) continue;
        if (session->mismatches++ == 0) {
            ggpo_loop_log(session, copy, "original");
            ggpo_loop_log(session, last, "replay");
        }
    }
    session->replaying = false;
    session->verified = frame;
}

static inline GGPOErrorCode ggpo_advance_frame(GGPOSession *session) {
    session->frame++;
    session->waited = 0;
    ggpo_loop_save(session);
    if (session->distance && !session->replaying) ggpo_loop_verify(session);
    return GGPO_ERRORCODE_SUCCESS;
}

/* A turn of the network: inputs arrive, and what was simulated with another guess runs again. */
static inline GGPOErrorCode ggpo_idle(GGPOSession *session, int timeout) {
    int frame = session->frame, wrong = session->received;
    (void)timeout;
    session->waited++;
    while (session->received < FRAMES &&
           session->received + duel_lateness(session->received) <= frame + session->waited) {
        session->received++;
    }
    while (wrong < session->received && wrong < frame &&
           session->used[wrong][1] == duel_input(1, wrong)) {
        wrong++;
    }
    if (wrong >= session->received || wrong >= frame) return GGPO_ERRORCODE_SUCCESS;
    ggpo_loop_load(session, wrong);
    session->rollbacks++;
    while (session->frame < frame) session->callbacks.advance_frame(0);
    return GGPO_ERRORCODE_SUCCESS;
}

#endif
