/* tracked.h: a VM that marks what it writes, for tests of the marks. */
#ifndef RLUA_TEST_TRACKED_H
#define RLUA_TEST_TRACKED_H

#include "harness.h"

/* Four snapshots, all libraries; with cards unless RLUA_TRACKER asks for something else. */
static inline lua_State *open_tracked(size_t memory_size, int32_t profile) {
    const char *asked = getenv("RLUA_TRACKER");
    rlua_Config config;
    lua_State *L;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = memory_size;
    config.max_snapshots = 4;
    config.profile = profile;
    config.tracker = asked && *asked ? RLUA_TRACKER_AUTO : RLUA_TRACKER_CARDS;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    return L;
}

#endif
