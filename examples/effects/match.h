/* match.h: a game for the examples of side effects: a script, inputs that arrive late, a host that
 * predicts, and the rollbacks that follow.
 *
 * Frame f (from 1 on) is simulated from the snapshot labelled f. Its input arrives LATENESS frames
 * later; until then the host assumes that it is the newest that is known. A wrong guess is a
 * rollback to f, and the frames since run again. Older frames are confirmed.
 *
 * Not here: what the examples show. */
#ifndef RLUA_EXAMPLE_MATCH_H
#define RLUA_EXAMPLE_MATCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rlua.h"

#include "lauxlib.h"
#include "lualib.h"

enum { FRAMES = 300, LATENESS = 5 };

typedef struct Match {
    lua_State *L;
    int64_t frame;     /* the frame that is simulated next, or now */
    int64_t confirmed; /* this frame and those below it cannot change any more */
    int again;         /* the frame that is simulated now was simulated before */
    int lateness;
    int guess[FRAMES + 1]; /* the input that each frame was simulated with */
    int rollbacks, simulated;
    void *host; /* the example's */
} Match;

/* The input that arrives for a frame: a button held for a while, now and then. */
static inline int real_input(int64_t frame) {
    return frame > 0 && (frame * 7 % 23 < 6 || frame * 5 % 31 == 3);
}

static inline void must(lua_State *L, int status) {
    if (status == RLUA_OK) return;
    fprintf(stderr, "%s; %s\n", rlua_strerror(status), rlua_last_error(L));
    exit(1);
}

static inline void check_that(int condition, const char *text) {
    if (condition) return;
    fprintf(stderr, "this is false: %s\n", text);
    exit(1);
}
#define CHECK(condition) check_that(condition, #condition)

/* The highest label ever captured: read before the snap, it tells whether a frame runs again. */
static inline int64_t highest_frame(lua_State *L) {
    rlua_Info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    must(L, rlua_info(L, &info));
    return info.highest_frame;
}

static inline void simulate(Match *match, int input) {
    lua_State *L = match->L;
    match->guess[match->frame] = input;
    match->again = match->frame <= highest_frame(L);
    must(L, rlua_snap_frame(L, match->frame)); /* after a rollback: replaces the newest */
    lua_getglobal(L, "frame");
    lua_pushinteger(L, match->frame);
    lua_pushboolean(L, input);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
    match->frame++;
    match->simulated++;
}

/* The input of `frame` is known now. */
static inline void arrive(Match *match, int64_t frame) {
    int64_t end = match->frame;
    if (match->guess[frame] == real_input(frame)) return;
    must(match->L, rlua_rollback_to(match->L, frame));
    match->frame = frame;
    match->rollbacks++;
    while (match->frame < end) simulate(match, real_input(frame));
}

/* Plays the match. `confirm(match, frame)` is called once for each frame, in order, when its
 * simulation is final. It may be NULL. */
static inline void play(Match *match, void (*confirm)(Match *match, int64_t frame)) {
    while (match->confirmed < FRAMES) {
        int64_t known = match->confirmed + 1;
        if (match->frame <= FRAMES) simulate(match, real_input(match->frame - match->lateness));
        if (match->frame <= FRAMES && match->frame <= known + match->lateness - 1) continue;
        arrive(match, known);
        match->confirmed = known;
        if (confirm) confirm(match, known);
    }
}

/* A match with the script loaded and `functions` as globals. With a `lateness` of 0 every input is
 * known in time: what happens then is what is right. */
static inline Match *open_match(int lateness, const char *script, const luaL_Reg *functions,
                                void *host) {
    Match *match = calloc(1, sizeof *match);
    lua_State *L = rlua_new_rollback(8u << 20, LATENESS + 2);
    CHECK(match && L);
    match->L = L;
    match->frame = 1;
    match->lateness = lateness;
    match->host = host;
    luaL_openlibs(L);
    for (; functions->name; functions++) {
        lua_pushlightuserdata(L, match);
        lua_pushcclosure(L, functions->func, 1);
        lua_setglobal(L, functions->name);
    }
    if (luaL_dostring(L, script) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
    return match;
}

static inline Match *match_of(lua_State *L) {
    return lua_touserdata(L, lua_upvalueindex(1));
}

static inline void close_match(Match *match) {
    lua_close(match->L);
    free(match);
}

#endif
