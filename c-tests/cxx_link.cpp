/* cxx_link.cpp: rlua.h alone is enough for a C++ host, and brings lua.h with C linkage.
 * Method: this file names no other header before it; that it links is most of the test. */
#include "rlua.h"

#include "harness.h"

TEST(lua_calls_link_with_rlua_h_alone) {
    lua_State *L = rlua_new_rollback(1 * MIB, 1);
    CHECK(L != nullptr);
    lua_pushinteger(L, 1);
    lua_setglobal(L, "n");
    CHECK_OK(rlua_snap(L));
    lua_pushinteger(L, 2);
    lua_setglobal(L, "n");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 1);
    lua_close(L);
}

TEST(config_and_info_are_plain_structs) {
    rlua_Config config = {};
    rlua_Info info = {};
    lua_State *L = nullptr;
    config.size = sizeof config;
    config.memory_size = 1 * MIB;
    config.max_snapshots = 2;
    info.size = sizeof info;
    CHECK_OK(rlua_open(&config, &L));
    CHECK_OK(rlua_info(L, &info));
    CHECK_EQ(info.max_snapshots, 2);
    CHECK_EQ(info.limit_bytes, 1 * MIB);
    lua_close(L);
}
