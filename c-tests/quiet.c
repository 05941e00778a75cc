/* quiet.c: a process in which nothing faults. The library then knows without a look that no
 * protected page was written, and that an untouched VM equals its newest snapshot: here nothing
 * else in the process faults, so that every such shortcut is taken, and none may lose a write.
 * Method: the host writes straight into two blocks of userdata, without a call, in patterns that
 * make pages hot and cold again, while the upper block comes and goes, and with it the end of the
 * used pages, and the VM snaps and goes back. A model in static memory, touched beforehand, tells
 * what must be there. */
#include "harness.h"

enum { PAGES = 48, SNAPSHOTS = 6, BYTES = PAGES * 4096 };

typedef struct Model {
    unsigned char *upper; /* NULL while there is none */
    unsigned char lower_bytes[BYTES], upper_bytes[BYTES];
} Model;

static Model models[SNAPSHOTS + 1]; /* oldest first, then the live blocks */
static size_t held;
static unsigned char *lower;
static unsigned random_state;

static unsigned random_below(unsigned n) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 12) % n;
}

static void write_byte(unsigned page) {
    Model *live = &models[held];
    unsigned at = page % PAGES * 4096 + random_below(4096);
    unsigned char value = (unsigned char)random_below(256);
    if (live->upper && random_below(2)) live->upper_bytes[at] = live->upper[at] = value;
    else live->lower_bytes[at] = lower[at] = value;
}

static void snap(lua_State *L) {
    CHECK_OK(rlua_snap(L));
    if (held == SNAPSHOTS) {
        memmove(&models[0], &models[1], sizeof models - sizeof *models);
    } else {
        models[held + 1] = models[held];
        held++;
    }
}

static void back(lua_State *L, size_t n) {
    const Model *live;
    CHECK_OK(rlua_rollback(L, n));
    held -= n - 1;
    models[held] = models[held - 1];
    live = &models[held];
    if (memcmp(lower, live->lower_bytes, BYTES) != 0) FAIL("rollback(%zu) lost a write", n);
    if (live->upper && memcmp(live->upper, live->upper_bytes, BYTES) != 0)
        FAIL("rollback(%zu) lost a write to the upper block", n);
}

static void make_or_drop_upper(lua_State *L) {
    Model *live = &models[held];
    if (live->upper) {
        live->upper = NULL;
        run(L, "upper = nil collectgarbage()");
    } else {
        live->upper = lua_newuserdatauv(L, BYTES, 0);
        memset(live->upper, 0, BYTES);
        memset(live->upper_bytes, 0, BYTES);
        lua_setglobal(L, "upper");
    }
}

/* Frames as games have them: the same few pages each time, sometimes others. */
static void frames(lua_State *L) {
    unsigned first = random_below(PAGES), count = random_below(6), frame, i;
    for (frame = random_below(12); frame > 0; frame--) {
        for (i = 0; i < count; i++) write_byte(first + 3 * i);
        if (random_below(4) == 0) write_byte(random_below(PAGES));
        snap(L);
    }
}

static void play(int tracker, unsigned seed) {
    int round, rounds = 1500 / (int)test_scale();
    rlua_Config config;
    lua_State *L = NULL;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 8 * MIB;
    config.max_snapshots = SNAPSHOTS;
    config.tracker = tracker;
    if (rlua_open(&config, &L) != RLUA_OK) NOT_RUN("tracker %d: %s", tracker, rlua_last_error(NULL));
    luaL_openlibs(L);
    lower = lua_newuserdatauv(L, BYTES, 0);
    memset(lower, 0, BYTES);
    memset(models, 0, sizeof models);
    held = 0;
    random_state = seed;
    for (round = 0; round < rounds; round++) {
        switch (random_below(8)) {
            case 0: make_or_drop_upper(L); break;
            case 1: case 2: frames(L); break;
            case 3: write_byte(random_below(PAGES)); break;
            case 4: if (held > 0) back(L, 1 + random_below((unsigned)held)); break;
            default: snap(L);
        }
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(compare_loses_no_write) { play(RLUA_TRACKER_COMPARE, 1); }

TEST(uffd_loses_no_write) {
    unsigned seed;
    for (seed = 1; seed <= 4; seed++) play(RLUA_TRACKER_UFFD, seed);
}

TEST(auto_loses_no_write) {
    unsigned seed;
    for (seed = 1; seed <= 4; seed++) play(RLUA_TRACKER_AUTO, seed);
}
