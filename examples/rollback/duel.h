/* duel.h: the game of duel.lua and its host, without any rollback library: open, run a frame, hear
 * it. Frame f is simulated from the state before it; `sum` is the checksum of that state.
 *
 * Not here: who saves and loads (ggpo.c, gekkonet.c). */
#ifndef RLUA_EXAMPLE_DUEL_H
#define RLUA_EXAMPLE_DUEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rlua.h"

#include "lauxlib.h"
#include "lualib.h"

enum { PLAYERS = 2, FRAMES = 1500, FRAMES_PER_SECOND = 60, DUEL_BYTES = 512 << 10 };

typedef struct Duel {
    lua_State *L;
    int frame;    /* the frame that is simulated next, or now */
    uint64_t sum; /* checksum of the state before it */
    int simulated;
    /* Outside the VM, so it does not go back. As the last run of each frame had it: */
    uint64_t sums[FRAMES + 64];
    unsigned noted[FRAMES + 64]; /* sounds that the frame asked for, one bit each */
    /* Of confirmed frames: */
    int confirmed; /* frames below it are final */
    int sounds;
    int counter; /* for a script that cheats */
} Duel;

static inline void must(lua_State *L, int status) {
    if (status == RLUA_OK) return;
    fprintf(stderr, "%s; %s\n", rlua_strerror(status),
            status >= RLUA_ERR_RUN ? lua_tostring(L, -1) : rlua_last_error(L));
    exit(1);
}

static inline void check_that(bool condition, const char *text, int line) {
    if (condition) return;
    fprintf(stderr, "line %d: this is false: %s\n", line, text);
    exit(1);
}
#define CHECK(condition) check_that((condition) != 0, #condition, __LINE__)

static inline int duel_sound(lua_State *L, void *ud) {
    Duel *duel = ud;
    duel->noted[duel->frame] |= 1u << (lua_tointeger(L, 1) & 31);
    return 0;
}

/* Something that a frame must not read: it does not roll back. */
static inline int duel_counter(lua_State *L, void *ud) {
    Duel *duel = ud;
    return rlua_pushinteger(L, ++duel->counter) == RLUA_OK ? 1 : RLUA_RAISE;
}

/* A secret of those who exchange images; in a game they agree on it when they meet. */
static const uint8_t duel_key[32] = "what the peers agreed on";

static inline rlua_Config duel_config(size_t max_snapshots) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = DUEL_BYTES;
    config.max_snapshots = max_snapshots;
    config.image_key = duel_key;
    return config;
}

/* `max_snapshots`: how many states can be loaded, 0 for a match without rollback. */
static inline void duel_open(Duel *duel, const char *script, size_t max_snapshots) {
    rlua_Config config = duel_config(max_snapshots);
    memset(duel, 0, sizeof *duel);
    must(NULL, rlua_open(&config, &duel->L));
    must(duel->L, rlua_openlibs(duel->L, RLUA_LIB_ALL));
    must(duel->L, rlua_pushfunction(duel->L, duel_sound, duel, "sound"));
    must(duel->L, rlua_setglobal(duel->L, "sound"));
    must(duel->L, rlua_pushfunction(duel->L, duel_counter, duel, "counter"));
    must(duel->L, rlua_setglobal(duel->L, "counter"));
    must(duel->L, rlua_dofile(duel->L, script));
    lua_settop(duel->L, 0);
}

/* The match as an image has it, in place of the own one. False, and nothing has changed, where it
 * is no such image. Its frame and its sum are the caller's to bring. */
static inline bool duel_load(Duel *duel, const void *image, size_t length, size_t max_snapshots) {
    const rlua_Name names[] = {{"sound", NULL, duel_sound, duel},
                               {"counter", NULL, duel_counter, duel},
                               {NULL, NULL, NULL, NULL}};
    rlua_Config config = duel_config(max_snapshots);
    lua_State *L;
    config.names = names;
    if (rlua_load_buffer(&config, image, length, &L) != RLUA_OK) {
        fprintf(stderr, "%s\n", rlua_last_error(NULL));
        return false;
    }
    if (duel->L) lua_close(duel->L);
    duel->L = L;
    return true;
}

/* Runs a frame. The checksum is the frame's own result: a call between frames would leave garbage
 * in the state, and peers do not save equally often. */
static inline void duel_step(Duel *duel, const unsigned char buttons[PLAYERS]) {
    lua_State *L = duel->L;
    int second = duel->frame / FRAMES_PER_SECOND, part = duel->frame % FRAMES_PER_SECOND;
    CHECK(duel->frame >= 0 && duel->frame < FRAMES + 63);
    CHECK(duel->sum == duel->sums[duel->frame]); /* goes back with the frame */
    duel->noted[duel->frame] = 0;
    must(L, rlua_set_time(L, second, (uint32_t)part * (1000000000u / FRAMES_PER_SECOND)));
    must(L, rlua_getglobal(L, "advance"));
    must(L, rlua_pushinteger(L, buttons[0]));
    must(L, rlua_pushinteger(L, buttons[1]));
    must(L, rlua_call(L, 2, 1, 0));
    duel->sum = (uint64_t)lua_tointeger(L, -1);
    lua_settop(L, 0);
    duel->sums[++duel->frame] = duel->sum;
    duel->simulated++;
}

/* Frames below `frame` are final: their sounds are played, and their snapshots can go. */
static inline void duel_confirm(Duel *duel, int frame) {
    for (; duel->confirmed < frame; duel->confirmed++) {
        unsigned bits = duel->noted[duel->confirmed];
        for (; bits; bits &= bits - 1) duel->sounds++;
    }
}

/* The game in words, from the snapshot that was just taken as `label`. What the script does for it
 * is taken back, so that looking leaves no trace. */
static inline void duel_describe(Duel *duel, int64_t label, char *text, size_t size) {
    lua_State *L = duel->L;
    must(L, rlua_getglobal(L, "describe"));
    must(L, rlua_call(L, 0, 1, 0));
    snprintf(text, size, "%s", lua_tostring(L, -1));
    must(L, rlua_rollback_to(L, label));
}

/* A checksum in 32 bits, where a library has no more room. */
static inline uint32_t duel_fold(uint64_t sum) { return (uint32_t)(sum ^ sum >> 32); }

/* What a player holds: something else every few frames. */
static inline unsigned char duel_input(int player, int frame) {
    uint32_t word = (uint32_t)(frame / (5 - 2 * player) * 2 + player) * 2654435761u;
    return (word ^ word >> 15) * 2246822519u >> 27;
}

/* The frames after which the input of the far player arrives: between 2 and 6; now and then so many
 * that the near player has to wait. */
static inline int duel_lateness(int frame) {
    uint32_t word = (uint32_t)frame * 2654435761u;
    return 2 + (int)((word ^ word >> 13) % 5) + (frame % 97 == 96 ? 12 : 0);
}

/* The match with every input known in time: what is right. */
static inline void duel_undelayed(Duel *duel, const char *script) {
    duel_open(duel, script, 0);
    while (duel->frame < FRAMES) {
        unsigned char buttons[PLAYERS];
        buttons[0] = duel_input(0, duel->frame);
        buttons[1] = duel_input(1, duel->frame);
        duel_step(duel, buttons);
    }
    duel_confirm(duel, FRAMES);
    lua_close(duel->L);
}

#endif
