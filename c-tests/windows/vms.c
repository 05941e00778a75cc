/* vms.c: many VMs on Windows, and addresses that somebody else has.
 * Method: all are open at once, and each goes back to a number of its own. */
#include "harness.h"

enum { VMS = 2000 };

static lua_State *vms[VMS];

static void set_number(lua_State *L, int number) {
    lua_pushinteger(L, number);
    lua_setglobal(L, "n");
}

TEST(two_thousand_vms_at_once) {
    int count = VMS / (int)test_scale(), i;
    for (i = 0; i < count; i++) {
        vms[i] = rlua_new_rollback(1 * MIB, 1);
        if (!vms[i]) FAIL("VM number %d: %s", i, rlua_last_error(NULL));
        set_number(vms[i], i);
        CHECK_OK(rlua_snap(vms[i]));
        set_number(vms[i], -1);
    }
    for (i = 0; i < count; i++) {
        CHECK_OK(rlua_rollback(vms[i], 1));
        CHECK_EQ(global_int(vms[i], "n"), i);
        lua_close(vms[i]);
    }
}

/* A slot where something else lies is passed over. */
TEST(an_address_that_is_taken_is_left_alone) {
    lua_State *first = rlua_new_rollback(1 * MIB, 1), *second;
    uintptr_t slot = (uintptr_t)first >> 32;
    char *next = (char *)((slot + 1) << 32);
    char *taken = (char *)VirtualAlloc(next, 65536, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    CHECK(taken == next);
    memset(taken, 7, 65536);
    second = rlua_new_rollback(3 * MIB, 1);
    CHECK(second != NULL && (uintptr_t)second >> 32 != slot + 1);
    luaL_openlibs(second);
    CHECK(taken[0] == 7 && taken[65535] == 7);
    lua_close(first);
    lua_close(second);
    CHECK(VirtualFree(taken, 0, MEM_RELEASE));
}

TEST(memory_of_closed_vms_goes_back) {
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    int i, count = 40 / (int)test_scale();
    for (i = 0; i < count; i++) { /* together more than a commit limit has */
        lua_State *L = rlua_new_rollback(256 * MIB, 1);
        CHECK(L != NULL);
        luaL_openlibs(L);
        run(L, "t = string.rep('x', 64 * 1024 * 1024) .. 'y'");
        CHECK_EVAL(L, "#t", "67108865");
        lua_close(L);
    }
    CHECK(GlobalMemoryStatusEx(&status));
}
