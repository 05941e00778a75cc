/* libretro_loop.h: what a core of libretro exports for its state, with libretro's signatures, and a
 * frontend that calls it as frontends do. It stands in for one in the tests: no sockets, no
 * picture; the far player's inputs come late.
 *
 * As frontends do: the size is asked once, and buffers of that size are kept. Netplay serializes
 * before each frame, and after a wrong guess unserializes and runs again. Run-ahead in one instance
 * serializes, runs frames to show, and unserializes at once. A state may be kept on disk. */
#ifndef RLUA_EXAMPLE_LIBRETRO_LOOP_H
#define RLUA_EXAMPLE_LIBRETRO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "duel.h"

enum {
    RETRO_DEVICE_JOYPAD = 1,
    RETRO_DEVICE_ID_JOYPAD_B = 0,
    RETRO_DEVICE_ID_JOYPAD_UP = 4,
    RETRO_DEVICE_ID_JOYPAD_DOWN = 5,
    RETRO_DEVICE_ID_JOYPAD_LEFT = 6,
    RETRO_DEVICE_ID_JOYPAD_RIGHT = 7,
    RETRO_ENVIRONMENT_GET_SAVESTATE_CONTEXT = 72 | 0x10000
};
enum retro_savestate_context {
    RETRO_SAVESTATE_CONTEXT_NORMAL = 0,
    RETRO_SAVESTATE_CONTEXT_RUNAHEAD_SAME_INSTANCE = 1,
    RETRO_SAVESTATE_CONTEXT_RUNAHEAD_SAME_BINARY = 2,
    RETRO_SAVESTATE_CONTEXT_ROLLBACK_NETPLAY = 3
};
typedef bool (*retro_environment_t)(unsigned cmd, void *data);
typedef int16_t (*retro_input_state_t)(unsigned port, unsigned device, unsigned index, unsigned id);

/* The core's. */
void retro_set_environment(retro_environment_t environment);
void retro_set_input_state(retro_input_state_t input_state);
void retro_init(void);
void retro_deinit(void);
void retro_run(void);
size_t retro_serialize_size(void);
bool retro_serialize(void *data, size_t size);
bool retro_unserialize(const void *data, size_t size);

enum { FRONTEND_WINDOW = 20 };

static struct {
    enum retro_savestate_context context;
    size_t size;
    int frame, received, rollbacks;
    bool delayed; /* far inputs come late */
    unsigned char used[FRAMES];
    void *states[FRONTEND_WINDOW]; /* before the frames */
} frontend;

static bool frontend_environment(unsigned cmd, void *data) {
    if (cmd != RETRO_ENVIRONMENT_GET_SAVESTATE_CONTEXT) return false;
    *(int *)data = frontend.context;
    return true;
}

static unsigned char frontend_buttons(unsigned port) {
    int frame = frontend.frame;
    if (port == 1 && frontend.delayed && frame >= frontend.received) frame = frontend.received - 1;
    return frame < 0 ? 0 : duel_input((int)port, frame);
}

static int16_t frontend_input(unsigned port, unsigned device, unsigned index, unsigned id) {
    static const struct {
        unsigned id;
        unsigned char bit;
    } buttons[] = {{RETRO_DEVICE_ID_JOYPAD_LEFT, 1}, {RETRO_DEVICE_ID_JOYPAD_RIGHT, 2},
                   {RETRO_DEVICE_ID_JOYPAD_UP, 4},   {RETRO_DEVICE_ID_JOYPAD_DOWN, 8},
                   {RETRO_DEVICE_ID_JOYPAD_B, 16}};
    size_t at;
    CHECK(port < PLAYERS && device == RETRO_DEVICE_JOYPAD && index == 0);
    for (at = 0; at < sizeof buttons / sizeof *buttons; at++) {
        if (buttons[at].id == id) return (frontend_buttons(port) & buttons[at].bit) != 0;
    }
    return 0;
}

static void frontend_open(enum retro_savestate_context context, bool delayed) {
    int at;
    memset(&frontend, 0, sizeof frontend);
    frontend.context = context;
    frontend.delayed = delayed;
    retro_set_environment(frontend_environment);
    retro_set_input_state(frontend_input);
    retro_init();
    frontend.size = retro_serialize_size();
    for (at = 0; at < FRONTEND_WINDOW; at++) {
        frontend.states[at] = malloc(frontend.size);
        CHECK(frontend.states[at]);
    }
}

static void frontend_close(void) {
    int at;
    retro_deinit();
    for (at = 0; at < FRONTEND_WINDOW; at++) free(frontend.states[at]);
}

static void frontend_run(void) {
    frontend.used[frontend.frame] = frontend_buttons(1);
    retro_run();
    frontend.frame++;
}

static void *frontend_state(int frame) { return frontend.states[frame % FRONTEND_WINDOW]; }

/* A turn of netplay: far inputs arrive, what was guessed wrongly runs again, then one frame more.
 * */
static void frontend_netplay(void) {
    int wrong = frontend.received, present = frontend.frame;
    while (frontend.received < FRAMES &&
           frontend.received + duel_lateness(frontend.received) <= frontend.frame) {
        frontend.received++;
    }
    while (wrong < frontend.received && wrong < present &&
           frontend.used[wrong] == duel_input(1, wrong)) {
        wrong++;
    }
    if (wrong < frontend.received && wrong < present) {
        CHECK(retro_unserialize(frontend_state(wrong), frontend.size));
        frontend.rollbacks++;
        for (frontend.frame = wrong; frontend.frame < present;) {
            CHECK(retro_serialize(frontend_state(frontend.frame), frontend.size));
            frontend_run();
        }
    }
    CHECK(retro_serialize(frontend_state(frontend.frame), frontend.size));
    frontend_run();
}

/* A turn with run-ahead: the frame, then `ahead` frames that are shown and taken back. */
static void frontend_runahead(int ahead) {
    int present;
    frontend_run();
    present = frontend.frame;
    CHECK(retro_serialize(frontend.states[0], frontend.size));
    while (ahead-- > 0 && frontend.frame < FRAMES) frontend_run();
    CHECK(retro_unserialize(frontend.states[0], frontend.size));
    frontend.frame = present;
}

#endif
