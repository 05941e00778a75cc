/* limits.c: a VM that runs out of its memory fails with LUA_ERRMEM and stays usable.
 * Method: the smallest limit that opens the libraries is found, in steps of 64 bytes; for every
 * limit from there to three times that, in the same steps, a script fills the memory. Below the
 * smallest, opening must fail in order. Nothing may crash, and a rollback must undo the fill.
 * RLUA_TEST_SCALE multiplies the step. */
#include "harness.h"

enum { STEP_BYTES = 64 };

static const char *const FILLS[] = {
    "local t = {} while true do t[#t + 1] = {} end",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} while true do t[#t + 1] = ('%d'):format(#t) end",
    "local t = {} while true do local n = #t t[n + 1] = function() n = n + 1 return n end end",
    "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    "local t = {} while true do t[#t + 1] = setmetatable({}, {__gc = function() end}) end",
    "local t = {} while true do t['key' .. #t] = true t[#t + 1] = 1.5 end",
    "local function deep(n) return 1 + deep(n + 1) end deep(1)",
};

/* Can a small chunk run? It needs some memory itself. */
static int probe(lua_State *L) {
    int status = rlua_dostring(L, "x = (x or 0) + 1");
    CHECK(status == RLUA_OK || status == RLUA_ERR_MEM);
    lua_settop(L, 0);
    return status == RLUA_OK;
}

/* Loads and runs a chunk; either may run out of memory, and one of them must. */
static void fill(lua_State *L, const char *chunk) {
    int status = luaL_loadstring(L, chunk);
    if (status == LUA_OK) status = lua_pcall(L, 0, 0, 0);
    CHECK_EQ(status, LUA_ERRMEM);
    CHECK_STR(lua_tostring(L, -1), "not enough memory");
    lua_settop(L, 0);
}

static void collect(lua_State *L) {
    int i;
    for (i = 0; i < 3; i++) CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
}

static void check_limit(size_t limit, const char *chunk) {
    lua_State *L = rlua_new_rollback(limit, 1);
    int usable;
    size_t used;
    CHECK(L != NULL);
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    collect(L);
    usable = probe(L);
    collect(L);
    CHECK_OK(rlua_snap(L));
    used = info_of(L).used_bytes;
    fill(L, chunk);
    CHECK(info_of(L).peak_bytes <= limit);
    collect(L);
    if (usable && !probe(L)) FAIL("limit %zu: no memory for a small chunk after\n%s", limit, chunk);
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(info_of(L).used_bytes, used);
    if (usable) CHECK(probe(L));
    lua_close(L);
}

/* 1: the libraries open under this limit. */
static int opens(size_t limit) {
    lua_State *L = rlua_new_rollback(limit, 0);
    int status;
    if (!L) {
        CHECK(strlen(rlua_last_error(NULL)) > 8);
        return 0;
    }
    status = rlua_openlibs(L, RLUA_LIB_ALL);
    CHECK(status == RLUA_OK || status == RLUA_ERR_MEM);
    CHECK_OK(rlua_check(L));
    lua_close(L);
    return status == RLUA_OK;
}

static size_t smallest_limit(size_t step) {
    size_t limit = step;
    while (!opens(limit)) {
        limit += step;
        CHECK(limit < 1 * MIB);
    }
    return limit;
}

TEST(every_limit_from_the_smallest_to_three_times_that) {
    size_t step = STEP_BYTES * (size_t)test_scale();
    size_t smallest = smallest_limit(step), limit, limits = 0;
    for (limit = smallest; limit <= 3 * smallest; limit += step) {
        check_limit(limit, FILLS[0]);
        check_limit(limit, FILLS[1 + limits++ % (COUNT_OF(FILLS) - 1)]);
    }
    printf("     the libraries open in %zu bytes; %zu limits filled\n", smallest, limits);
    CHECK(limits >= 2 * smallest / step);
}

TEST(a_larger_vm_uses_what_it_was_given) {
    lua_State *L = open_vm(4 * MIB, 1);
    fill(L, FILLS[0]);
    CHECK(info_of(L).peak_bytes > 3 * MIB);
    CHECK(info_of(L).peak_bytes <= 4 * MIB);
    collect(L);
    CHECK(info_of(L).used_bytes < 256 * KIB);
    CHECK(probe(L));
    lua_close(L);
}

TEST(one_string_can_take_most_of_the_memory) {
    lua_State *L = open_vm(8 * MIB, 1);
    int round;
    for (round = 0; round < 20; round++) {
        run(L, "s = nil collectgarbage() s = ('x'):rep(3 * 1024 * 1024)");
        CHECK_EVAL(L, "#s", "3145728");
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(memory_errors_again_and_again) {
    lua_State *L = open_vm(256 * KIB, 1);
    int round;
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 40; round++) {
        fill(L, FILLS[(size_t)round % COUNT_OF(FILLS)]);
        collect(L);
        CHECK(probe(L));
        if (round % 5 == 4) CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

TEST(memory_error_inside_pcall_and_coroutines) {
    lua_State *L = open_vm(256 * KIB, 1);
    CHECK_OK(rlua_snap(L));
    run(L, "local function fill() local t = {} while true do t[#t + 1] = {} end end\n"
           "for i = 1, 5 do local ok, e = pcall(fill) assert(not ok and e == 'not enough memory')"
           " end\n"
           "for i = 1, 5 do local ok, e = coroutine.resume(coroutine.create(fill)) "
           "assert(not ok and e == 'not enough memory') end");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Requests whose size, rounded up, comes to the limit of 4 GiB itself, or within a few bytes of
 * it. A process that dies here dies from a script, through any pcall. */
static void check_alive(lua_State *L) {
    collect(L);
    CHECK(probe(L));
    CHECK_OK(rlua_check(L));
}

TEST(requests_of_about_4_gib_are_refused_in_order) {
    lua_State *L = luaL_newstate();
    size_t below;
    CHECK(L != NULL);
    luaL_openlibs(L);
    check_alive(L);
    for (below = 0; below <= 64; below += 4) {
        void *block = rlua_alloc(L, 4 * GIB - below);
        if (block) FAIL("a block of 4 GiB less %zu bytes was given", below);
    }
    check_alive(L);
    run(L, "local file = assert(io.open('/dev/null'))\n"
           "for below = 0, 64 do\n"
           "    local ok, e = pcall(file.read, file, 4294967296 - below)\n"
           "    assert(not ok and e == 'not enough memory', e)\n"
           "end file:close()");
    check_alive(L);
    lua_close(L);
}

TEST(concatenated_strings_of_about_4_gib_are_refused_in_order) {
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    run(L, "local parts = ('part .. '):rep(127)\n"
           "local concat = load('local part, last = ... return ' .. parts .. 'last')\n"
           "local part = ('x'):rep(32 * 1024 * 1024)\n"
           "for _, below in ipairs {0, 24, 32, 40, 48} do\n"
           "    local ok, e = pcall(concat, part, part:sub(below + 1))\n"
           "    assert(not ok and e == 'not enough memory', e)\n"
           "    collectgarbage()\n"
           "end");
    check_alive(L);
    lua_close(L);
}

/* Blocks of together nearly 4 GiB that nobody touches, again and again: what the library does for
 * them must not take the machine's memory. */
TEST(nearly_all_of_4_gib_can_be_asked_for_again) {
    size_t limit = 4 * GIB / (size_t)test_scale(), spare = limit / 64;
    lua_State *L = rlua_new_rollback(limit, 0);
    int round;
    CHECK(L != NULL);
    for (round = 0; round < 3; round++) {
        lua_newuserdatauv(L, limit / 2, 0);
        lua_newuserdatauv(L, limit / 2 - spare, 0);
        CHECK(rlua_alloc(L, 2 * spare) == NULL);
        CHECK_OK(rlua_check(L));
        lua_settop(L, 0);
        collect(L);
        CHECK(info_of(L).used_bytes < 256 * KIB);
    }
    lua_close(L);
}
