/* misuse.c: a wrong call is answered with a status and a sentence, and changes nothing.
 * Method: every function is called with what a careless host passes: NULL, a state of its own
 * allocator, a closed VM, an address that is none, sizes and counts out of range. What happens
 * when the system has no memory is in nomemory.c. */
#include "harness.h"

/* Every function that takes a state, called with harmless arguments otherwise. */
enum { CALLS = 57 };

static int host_function(lua_State *L, void *ud) {
    (void)L;
    (void)ud;
    return 0;
}

static int call_number(int number, lua_State *L) {
    rlua_Info info;
    size_t count = 0, length = 0;
    const char *text = NULL;
    lua_State *thread;
    int more = 0;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    switch (number) {
        case 0: return rlua_info(L, &info);
        case 1: return rlua_check(L);
        case 2: return rlua_snap(L);
        case 3: return rlua_rollback(L, 1);
        case 4: return rlua_snap_frame(L, 5);
        case 5: return rlua_rollback_to(L, 5);
        case 6: return rlua_discard_before(L, 5);
        case 7: return rlua_snapshot_count(L, &count);
        case 8: return rlua_set_max_snapshots(L, 3);
        case 9: return rlua_openlibs(L, RLUA_LIB_ALL);
        case 10: return rlua_loadbuffer(L, "", 0, "=x", NULL);
        case 11: return rlua_dostring(L, "");
        case 12: return rlua_dofile(L, "/nowhere/at/all.lua");
        case 13: return rlua_call(L, 0, 0, 0);
        case 14: return rlua_resume(L, NULL, 0, &more);
        case 15: return rlua_getglobal(L, "x");
        case 16: return rlua_setglobal(L, "x");
        case 17: return rlua_getfield(L, 1, "x");
        case 18: return rlua_setfield(L, 1, "x");
        case 19: return rlua_geti(L, 1, 1);
        case 20: return rlua_seti(L, 1, 1);
        case 21: return rlua_gettable(L, 1);
        case 22: return rlua_settable(L, 1);
        case 23: return rlua_next(L, 1, &more);
        case 24: return rlua_tolstring(L, 1, &text, &length);
        case 25: return rlua_pushlstring(L, "x", 1);
        case 26: return rlua_pushinteger(L, 1);
        case 27: return rlua_pushnumber(L, 1.0);
        case 28: return rlua_pushboolean(L, 1);
        case 29: return rlua_pushnil(L);
        case 30: return rlua_createtable(L, 0, 0);
        case 31: return rlua_gc(L, LUA_GCCOLLECT, 0);
        case 32: return rlua_pushfunction(L, host_function, NULL, "f");
        case 33: return rlua_recover(L);
        case 34: return rlua_pushvalue(L, 1);
        case 35: return rlua_newuserdata(L, 1, 0, NULL);
        case 36: return rlua_newthread(L, &thread);
        case 37: return rlua_pushcclosure(L, luaopen_base, 0);
        case 38: return rlua_loadfile(L, "/nowhere/at/all.lua", NULL);
        case 39: return rlua_requiref(L, "x", luaopen_base, 0);
        case 40: return rlua_len(L, 1);
        case 41: return rlua_concat(L, 0);
        case 42: return rlua_compare(L, 1, 1, LUA_OPEQ, &more);
        case 43: return rlua_arith(L, LUA_OPADD);
        case 44: return rlua_pushtostring(L, 1);
        case 45: return rlua_traceback(L, L, NULL, 0);
        case 46: return rlua_rawget(L, 1);
        case 47: return rlua_rawgeti(L, 1, 1);
        case 48: return rlua_rawset(L, 1);
        case 49: return rlua_rawseti(L, 1, 1);
        case 50: return rlua_getsubtable(L, 1, "x");
        case 51: return rlua_newmetatable(L, "x", NULL);
        case 52: return rlua_getmetatable(L, "x");
        case 53: return rlua_setmetatable(L, "x");
        case 54: return rlua_settop(L, 0);
        case 55: return rlua_toclose(L, 1);
        case 56: return rlua_xmove(L, L, 0);
        default: return -1;
    }
}

static void check_all_refused(lua_State *L, int expected) {
    int number;
    for (number = 0; number < CALLS; number++) {
        int status = call_number(number, L);
        if (status != expected)
            FAIL("call number %d answered %d (%s)", number, status, rlua_strerror(status));
        CHECK(strlen(rlua_last_error(L)) > 8);
    }
}

#ifdef RLUA_ASSERT
static void pop_what_is_not_there(void *ud) {
    lua_State *L = rlua_new_rollback(1 * MIB, 0);
    (void)ud;
    freopen("/dev/null", "w", stderr);
    lua_pop(L, 5);
}

TEST(assertions_of_lua_are_on) {
    CHECK_EQ(in_child(pop_what_is_not_there, NULL), -SIGABRT);
}
#endif

TEST(null_for_the_state) {
    check_all_refused(NULL, RLUA_NULL_ARG);
    CHECK_STATUS(rlua_pushvalue(NULL, 1), RLUA_NULL_ARG);
}

TEST(null_for_an_argument) {
    lua_State *L = open_vm(1 * MIB, 2);
    int top;
    lua_newtable(L);
    lua_pushinteger(L, 5);
    top = lua_gettop(L);
    CHECK_REFUSED(rlua_info(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_snapshot_count(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_loadbuffer(L, NULL, 5, "=x", NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_dostring(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_getglobal(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_setglobal(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_getfield(L, 1, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_setfield(L, 1, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_next(L, 1, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_tolstring(L, 2, NULL, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_pushlstring(L, NULL, 5), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_pushfunction(L, NULL, NULL, "f"), RLUA_NULL_ARG);
    CHECK_EQ(lua_gettop(L), top);
    CHECK_EQ(lua_tointeger(L, -1), 5);
    lua_close(L);
}

TEST(null_for_open) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    CHECK_REFUSED(rlua_open(&config, NULL), RLUA_NULL_ARG);
}

TEST(null_for_lua_close_is_no_crash) {
    lua_close(NULL);
}

TEST(null_and_unknown_numbers_for_the_texts) {
    int status;
    CHECK(rlua_version() != NULL && strchr(rlua_version(), '.') != NULL);
    CHECK(rlua_last_error(NULL) != NULL);
    for (status = -3; status < 80; status++)
        CHECK(rlua_strerror(status) != NULL && strlen(rlua_strerror(status)) > 1);
    CHECK(strcmp(rlua_strerror(RLUA_OK), rlua_strerror(RLUA_BUSY)) != 0);
    CHECK(strcmp(rlua_strerror(RLUA_NULL_ARG), rlua_strerror(RLUA_BUSY)) != 0);
}

typedef struct HostMemory {
    size_t used;
    int inside; /* what rlua_snap said when asked from inside the allocator */
    lua_State *state;
} HostMemory;

static void *host_alloc(void *ud, void *block, size_t old_size, size_t new_size) {
    HostMemory *memory = (HostMemory *)ud;
    void *result;
    if (!block) old_size = 0;
    if (memory->state) memory->inside = rlua_snap(memory->state);
    if (new_size == 0) {
        free(block);
        memory->used -= old_size;
        return NULL;
    }
    result = realloc(block, new_size);
    if (result) memory->used += new_size - old_size;
    return result;
}

TEST(a_state_with_the_hosts_allocator) {
    HostMemory memory = {0, 0, NULL};
    lua_State *L = lua_newstate(host_alloc, &memory);
    size_t used;
    CHECK(L != NULL);
    luaL_openlibs(L);
    lua_newtable(L);
    lua_pushinteger(L, 5);
    lua_gc(L, LUA_GCCOLLECT);
    used = memory.used;
    check_all_refused(L, RLUA_NOT_ROLLBACK);
    CHECK_EQ(memory.used, used);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_EQ(lua_tointeger(L, 2), 5);
    memory.state = L;
    run(L, "s = ('x'):rep(1000)");
    CHECK(memory.inside == RLUA_NOT_ROLLBACK || memory.inside == RLUA_BUSY);
    memory.state = NULL;
    lua_close(L);
    CHECK_EQ(memory.used, 0);
}

TEST(a_thread_of_a_state_with_the_hosts_allocator) {
    HostMemory memory = {0, 0, NULL};
    lua_State *L = lua_newstate(host_alloc, &memory), *thread = lua_newthread(L);
    check_all_refused(thread, RLUA_NOT_ROLLBACK);
    lua_close(thread); /* as the manual allows: closes the whole state */
    CHECK_EQ(memory.used, 0);
}

TEST(a_closed_vm) {
    lua_State *L = open_vm(1 * MIB, 2), *thread = lua_newthread(L);
    CHECK_OK(rlua_snap(L));
    lua_close(L);
    check_all_refused(L, RLUA_NOT_ROLLBACK);
    check_all_refused(thread, RLUA_NOT_ROLLBACK);
    lua_close(L); /* twice, by mistake: refused as well */
}

TEST(addresses_that_are_no_state) {
    static const uintptr_t addresses[] = {1, 8, 4096, 0xdeadbeef, (uintptr_t)1 << 32,
                                          (uintptr_t)0x7fffffff0000, UINTPTR_MAX & ~7ull};
    char on_the_stack[4096], *on_the_heap = (char *)malloc(4096);
    size_t i;
    memset(on_the_stack, 0xa5, sizeof on_the_stack);
    memset(on_the_heap, 0x5a, 4096);
    for (i = 0; i < COUNT_OF(addresses); i++)
        check_all_refused((lua_State *)addresses[i], RLUA_NOT_ROLLBACK);
    check_all_refused((lua_State *)(void *)on_the_stack, RLUA_NOT_ROLLBACK);
    check_all_refused((lua_State *)(void *)on_the_heap, RLUA_NOT_ROLLBACK);
    check_all_refused((lua_State *)(uintptr_t)host_function, RLUA_NOT_ROLLBACK);
    free(on_the_heap);
}

static void check_usable_or_refused(size_t memory_size, size_t max_snapshots) {
    lua_State *L = rlua_new_rollback(memory_size, max_snapshots);
    if (!L) {
        CHECK(strlen(rlua_last_error(NULL)) > 8);
        return;
    }
    CHECK(info_of(L).limit_bytes <= 4 * GIB);
    if (rlua_openlibs(L, RLUA_LIB_ALL) == RLUA_OK) {
        int status = rlua_dostring(L, "x = 1");
        CHECK(status == RLUA_OK || status == RLUA_ERR_MEM);
        if (max_snapshots) CHECK_OK(rlua_snap(L));
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(absurd_sizes_give_a_vm_or_a_sentence) {
    static const size_t sizes[] = {0, 1, 2, 8, 63, 64, 4095, 4096, 4097, 8192, 16384,
                                   4 * GIB - 1, 4 * GIB, 4 * GIB + 1, 1024 * GIB,
                                   SIZE_MAX / 2, SIZE_MAX - 4096, SIZE_MAX - 1, SIZE_MAX};
    static const size_t snapshots[] = {0, 1, 1000000, SIZE_MAX / 8, SIZE_MAX};
    size_t i, k;
    for (i = 0; i < COUNT_OF(sizes); i++)
        for (k = 0; k < COUNT_OF(snapshots); k++)
            check_usable_or_refused(sizes[i], snapshots[k]);
}

TEST(one_byte_is_too_small_and_said_so) {
    CHECK(rlua_new_rollback(1, 1) == NULL);
    CHECK(strlen(rlua_last_error(NULL)) > 8);
}

TEST(zero_is_the_maximum) {
    lua_State *L = rlua_new_rollback(0, 1);
    CHECK(L != NULL);
    CHECK(info_of(L).limit_bytes >= 2 * GIB);
    CHECK(info_of(L).committed_bytes < 1 * MIB);
    lua_close(L);
}

static void check_bad_config(const rlua_Config *config, int expected) {
    lua_State *untouched = (lua_State *)(uintptr_t)8, *L = untouched;
    CHECK_REFUSED(rlua_open(config, &L), expected);
    CHECK(L == NULL || L == untouched);
}

TEST(configurations_that_make_no_sense) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    check_bad_config(&config, RLUA_BAD_CONFIG);
    config.size = 3;
    check_bad_config(&config, RLUA_BAD_CONFIG);
    config.size = 3 * sizeof(size_t) + 4; /* half a field */
    check_bad_config(&config, RLUA_BAD_CONFIG);
    config.size = 4097; /* more than any version has: not initialised */
    check_bad_config(&config, RLUA_BAD_CONFIG);
    config.size = sizeof config;
    config.reserved = 1;
    check_bad_config(&config, RLUA_BAD_CONFIG);
    CHECK(strstr(rlua_last_error(NULL), "reserved") != NULL);
    config.reserved = 0;
    config.tracker = 4;
    check_bad_config(&config, RLUA_BAD_CONFIG);
    config.tracker = 99;
    check_bad_config(&config, RLUA_BAD_CONFIG);
    config.tracker = -1;
    check_bad_config(&config, RLUA_BAD_CONFIG);
}

TEST(open_with_every_field) {
    rlua_Config config;
    lua_State *L = NULL;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 1 * MIB;
    config.max_snapshots = 3;
    config.seed = 42;
    config.tracker = RLUA_TRACKER_COMPARE;
    CHECK_OK(rlua_open(&config, &L));
    CHECK_EQ(info_of(L).limit_bytes, 1 * MIB);
    CHECK_EQ(info_of(L).max_snapshots, 3);
    CHECK_EQ(info_of(L).tracker, RLUA_TRACKER_COMPARE);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 1));
    lua_close(L);
}

/* A host that was compiled with an older or a newer header. */
TEST(a_config_of_another_size) {
    struct { rlua_Config config; char more[32]; } given;
    lua_State *L = NULL;
    memset(&given, 0, sizeof given);
    given.config.size = 3 * sizeof(size_t); /* up to max_snapshots */
    given.config.memory_size = 1 * MIB;
    given.config.max_snapshots = 3;
    given.config.tracker = 99; /* beyond its end */
    CHECK_OK(rlua_open(&given.config, &L));
    CHECK_EQ(info_of(L).max_snapshots, 3);
    lua_close(L);
    given.config.size = sizeof given;
    given.config.tracker = 0;
    CHECK_OK(rlua_open(&given.config, &L)); /* the library is older; nothing it misses is set */
    lua_close(L);
    given.more[31] = 1;
    check_bad_config(&given.config, RLUA_BAD_CONFIG);
    CHECK(strstr(rlua_last_error(NULL), "does not know") != NULL);
}

TEST(info_of_another_size) {
    lua_State *L = open_vm(1 * MIB, 1);
    struct { rlua_Info info; char guard[16]; } out;
    size_t i;
    memset(&out, 0x5a, sizeof out);
    out.info.size = 0;
    CHECK_REFUSED(rlua_info(L, &out.info), RLUA_BAD_CONFIG);
    out.info.size = 2 * sizeof(size_t); /* an older host's struct: filled as far as it goes */
    CHECK_OK(rlua_info(L, &out.info));
    CHECK(out.info.used_bytes > 1000);
    CHECK_EQ(out.info.size, 2 * sizeof(size_t));
    CHECK_EQ(out.info.tracker, 0x5a5a5a5a);
    out.info.size = sizeof out; /* a newer host's: what we do not know is left alone */
    CHECK_OK(rlua_info(L, &out.info));
    CHECK_EQ(out.info.max_snapshots, 1);
    for (i = 0; i < sizeof out.guard; i++) CHECK_EQ(out.guard[i], 0x5a);
    lua_close(L);
}

TEST(errors_leave_everything_as_it_was) {
    lua_State *L = open_vm(1 * MIB, 2);
    rlua_Info before, after;
    lua_pushstring(L, "on the stack");
    run(L, "n = 1");
    CHECK_OK(rlua_snap_frame(L, 10));
    run(L, "n = 2");
    before = info_of(L);
    CHECK_REFUSED(rlua_rollback(L, 0), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback(L, 2), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback_to(L, 11), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_snap_frame(L, 9), RLUA_BAD_FRAME);
    CHECK_REFUSED(rlua_snapshot_count(L, NULL), RLUA_NULL_ARG);
    after = info_of(L);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_STR(lua_tostring(L, 1), "on the stack");
    CHECK_EQ(global_int(L, "n"), 2);
    lua_close(L);
}

TEST(the_sentence_says_what_was_asked_and_what_there_is) {
    lua_State *L = open_vm(1 * MIB, 8);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
    CHECK_REFUSED(rlua_rollback(L, 77), RLUA_NO_SNAPSHOT);
    CHECK(strstr(rlua_last_error(L), "77") != NULL);
    CHECK(strstr(rlua_last_error(L), "2") != NULL);
    lua_close(L);
}
