/* many.c: ten thousand VMs live in one process.
 * Method: all are open at once, each with its own number and snapshot; they are closed in
 * another order. RLUA_TEST_SCALE divides the number. The one that cannot be made: nomemory.c. */
#include "harness.h"

enum { VMS = 10000 };

static lua_State *vms[VMS];

static void set_number(lua_State *L, int number) {
    lua_pushinteger(L, number);
    lua_setglobal(L, "n");
}

TEST(ten_thousand_vms_at_once) {
    int count = VMS / (int)test_scale(), i;
    for (i = 0; i < count; i++) {
        vms[i] = rlua_new_rollback(1 * MIB, 1);
        if (!vms[i]) FAIL("VM number %d: %s", i, rlua_last_error(NULL));
        set_number(vms[i], i);
        CHECK_OK(rlua_snap(vms[i]));
        set_number(vms[i], -1);
    }
    for (i = 0; i < count; i++) {
        CHECK_EQ(global_int(vms[i], "n"), -1);
        CHECK_OK(rlua_rollback(vms[i], 1));
        CHECK_EQ(global_int(vms[i], "n"), i);
    }
    for (i = 0; i < count; i += 2) lua_close(vms[i]);
    for (i = 1; i < count; i += 2) {
        CHECK_EQ(global_int(vms[i], "n"), i);
        lua_close(vms[i]);
    }
}

TEST(vms_one_after_the_other_leave_nothing_behind) {
    int count = VMS / (int)test_scale(), i;
    for (i = 0; i < count; i++) {
        lua_State *L = rlua_new_rollback(0, 1);
        if (!L) FAIL("VM number %d: %s", i, rlua_last_error(NULL));
        CHECK_OK(rlua_snap(L));
        lua_close(L);
    }
}
