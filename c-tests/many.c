/* many.c: ten thousand VMs live in one process, and the next one that cannot be made is an
 * error. Method: all are open at once, each with its own number and snapshot; they are closed
 * in another order. A child with little address space opens VMs until one is refused.
 * RLUA_TEST_SCALE divides the number. */
#include "harness.h"

#include <sys/resource.h>

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

static long address_space_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    CHECK_EQ(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void open_until_refused(void *unused) {
    struct rlimit limit;
    int count, i, round;
    (void)unused;
    limit.rlim_cur = limit.rlim_max = (rlim_t)(address_space_bytes() + (long)GIB);
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    for (round = 0; round < 2; round++) {
        for (count = 0; count < VMS; count++) {
            vms[count] = rlua_new_rollback(64 * MIB, 1);
            if (!vms[count]) break;
            set_number(vms[count], count);
            CHECK_OK(rlua_snap(vms[count]));
        }
        CHECK(count >= 8 && count < 32);
        CHECK(strlen(rlua_last_error(NULL)) > 8);
        for (i = 0; i < count; i++) {
            CHECK_EQ(global_int(vms[i], "n"), i);
            lua_close(vms[i]);
        }
    }
}

TEST(the_vm_that_does_not_fit_is_null_and_a_sentence) {
    CHECK_EQ(in_child(open_until_refused, NULL), 0);
}
