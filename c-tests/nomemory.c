/* nomemory.c: where the system has no more memory, a call fails with a status and a sentence,
 * changes nothing, and the process lives.
 * Method: a forked child leaves itself little memory (what `ulimit -v` and `ulimit -d` do),
 * and asks for more. Not run under valgrind and sanitizers: their own memory would end first. */
#include "harness.h"

#include <sys/resource.h>

static void set_limit(int resource, rlim_t bytes) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(resource, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK_EQ(setrlimit(resource, &limit), 0);
}

/* RLIMIT_AS counts all that is mapped, also what is only reserved; RLIMIT_DATA what can be
 * written. */
static void leave(int resource, size_t spare_bytes) {
    long mapped = 0, data = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    CHECK_EQ(fscanf(file, "%ld %*d %*d %*d %*d %ld", &mapped, &data), 2);
    fclose(file);
    if (resource == RLIMIT_DATA) mapped = data;
    set_limit(resource, (rlim_t)(mapped * sysconf(_SC_PAGESIZE)) + spare_bytes);
}

static void reserve_too_much(void *unused) {
    static const size_t sizes[] = {1 * GIB, 1536 * MIB, 0};
    lua_State *small, *L;
    size_t i;
    (void)unused;
    leave(RLIMIT_AS, 128 * MIB);
    small = rlua_new_rollback(1 * MIB, 1);
    if (!small) FAIL("1 MiB fits, but: %s", rlua_last_error(NULL));
    for (i = 0; i < COUNT_OF(sizes); i++) {
        CHECK(rlua_new_rollback(sizes[i], 1) == NULL);
        CHECK(strlen(rlua_last_error(NULL)) > 8);
    }
    run(small, "x = 1");
    CHECK_OK(rlua_snap(small));
    run(small, "x = 2");
    CHECK_OK(rlua_rollback(small, 1));
    CHECK_EQ(global_int(small, "x"), 1);
    set_limit(RLIMIT_AS, RLIM_INFINITY);
    L = rlua_new_rollback(1 * GIB, 1);
    CHECK(L != NULL);
    lua_close(L);
    lua_close(small);
}

TEST(failure_to_reserve_is_null_and_a_sentence) {
    CHECK_EQ(in_child(reserve_too_much, NULL), 0);
}

static void stock_state(void *unused) {
    lua_State *L;
    (void)unused;
    leave(RLIMIT_AS, 64 * MIB);
    L = luaL_newstate(); /* a smaller limit or NULL: either is in order */
    if (L) {
        run(L, "x = 1");
        lua_close(L);
    } else {
        CHECK(strlen(rlua_last_error(NULL)) > 8);
    }
}

TEST(newstate_with_little_address_space_is_no_crash) {
    CHECK_EQ(in_child(stock_state, NULL), 0);
}

/* Snapshots need memory of the host's own; when there is none, a snap fails and no more. */
static void snap_without_memory(void *unused) {
    lua_State *L = open_vm(64 * MIB, 64);
    int i, status = RLUA_OK;
    (void)unused;
    run(L, "s = {} for i = 1, 24 do s[i] = ('x'):rep(1 << 20) .. i end n = 0");
    CHECK_OK(rlua_snap(L));
    leave(RLIMIT_AS, 72 * MIB);
    for (i = 1; i < 40 && status == RLUA_OK; i++) {
        run(L, "n = n + 1; for i = 1, 24 do s[i] = string.char(97 + n % 26):rep(1 << 20) .. i end "
               "collectgarbage()");
        status = rlua_snap(L);
    }
    CHECK_EQ(status, RLUA_NO_MEMORY);
    CHECK(strlen(rlua_last_error(L)) > 8);
    CHECK_EQ(global_int(L, "n"), i - 1);
    CHECK_EQ(snapshot_count(L), i - 1);
    CHECK_OK(rlua_rollback_to(L, 0));
    CHECK_EQ(global_int(L, "n"), 0);
    CHECK_EVAL(L, "s[24]:sub(-3)", "x24");
    set_limit(RLIMIT_AS, RLIM_INFINITY);
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_snap(L));
    lua_close(L);
}

TEST(snap_without_memory_changes_nothing) {
    CHECK_EQ(in_child(snap_without_memory, NULL), 0);
}

/* A script in a VM with room left, in a system with none, sees Lua's ordinary memory error. */
static void grow_without_memory(void *unused) {
    lua_State *L = open_vm(512 * MIB, 1);
    (void)unused;
    run(L, "n = 1");
    CHECK_OK(rlua_snap(L));
    leave(RLIMIT_DATA, 48 * MIB);
    CHECK_EQ(luaL_loadstring(L, "t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end"),
             LUA_OK);
    if (lua_pcall(L, 0, 0, 0) != LUA_ERRMEM) FAIL("%s", lua_tostring(L, -1));
    CHECK_STR(lua_tostring(L, -1), "not enough memory");
    lua_settop(L, 0);
    CHECK(info_of(L).used_bytes > 16 * MIB && info_of(L).used_bytes < 128 * MIB);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 1);
    set_limit(RLIMIT_DATA, RLIM_INFINITY); /* rlua_check() takes some outside, too */
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(growth_without_memory_is_a_lua_error) {
    CHECK_EQ(in_child(grow_without_memory, NULL), 0);
}

enum { VMS = 100 };

static void open_until_refused(void *unused) {
    lua_State *vms[VMS];
    int count, i, round;
    (void)unused;
    leave(RLIMIT_AS, 1 * GIB);
    for (round = 0; round < 3; round++) {
        for (count = 0; count < VMS; count++) {
            vms[count] = rlua_new_rollback(64 * MIB, 1);
            if (!vms[count]) break;
            lua_pushinteger(vms[count], count);
            lua_setglobal(vms[count], "n");
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
