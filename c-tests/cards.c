/* cards.c: who writes to a VM says so; what cannot say so is looked at.
 * Method: with cards, each way to write that passes no interpreter is used between two snapshots,
 * in a VM that nobody enters else; a rollback must undo it. What writes to Lua's memory and says
 * nothing must be found out by the audit. */
#include "harness.h"

/* Whether each capture compares everything, and ends the process where a mark is missing. */
static int is_checked(void) {
    const char *asked = getenv("RLUA_TRACKER");
    return asked && strcmp(asked, "checked") == 0;
}

static rlua_Config cards_config(size_t memory_size) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = memory_size;
    config.max_snapshots = 4;
    config.tracker = is_checked() ? RLUA_TRACKER_AUTO : RLUA_TRACKER_CARDS;
    return config;
}

static lua_State *open_cards(size_t memory_size) {
    rlua_Config config = cards_config(memory_size);
    lua_State *L;
    CHECK_OK(rlua_open(&config, &L));
    CHECK_EQ(info_of(L).tracker, RLUA_TRACKER_CARDS);
    luaL_openlibs(L);
    return L;
}

/* The second finds nothing new, so that the next one sees only what the test writes. */
static void settle_down(lua_State *L) {
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(info_of(L).dirty_pages, 0);
}

static void check_undone(lua_State *L, unsigned char *at, size_t bytes, size_t step) {
    size_t i;
    memset(at, 1, bytes);
    settle_down(L);
    for (i = 0; i < bytes; i += step) at[i] = 2;
    CHECK_OK(rlua_snap(L));
    CHECK(info_of(L).dirty_pages > 0);
    for (i = 0; i < bytes; i += step) at[i] = 3;
    CHECK_OK(rlua_rollback(L, 1));
    for (i = 0; i < bytes; i += step) CHECK_EQ(at[i], 2);
    CHECK_OK(rlua_rollback(L, 2));
    for (i = 0; i < bytes; i++) CHECK_EQ(at[i], 1);
    CHECK_OK(rlua_check(L));
}

TEST(a_host_writes_to_userdata_of_any_size) {
    static const size_t sizes[] = {1, 16, 200, 512, 513, 1016, 1017, 5000, 300000};
    lua_State *L = open_cards(8 * MIB);
    size_t i;
    for (i = 0; i < COUNT_OF(sizes); i++) {
        check_undone(L, lua_newuserdatauv(L, sizes[i], (int)(i % 3)), sizes[i], 1 + sizes[i] / 7);
        lua_gc(L, LUA_GCSTEP, 100);
    }
    lua_close(L);
}

TEST(a_host_writes_to_blocks_that_grow_and_shrink) {
    lua_State *L = open_cards(16 * MIB);
    static const size_t sizes[] = {64, 3000, 100, 700, 2 * MIB, 1100, 900, 40000, 8};
    void *block = rlua_alloc(L, 10), *beside[COUNT_OF(sizes)];
    size_t i;
    for (i = 0; i < COUNT_OF(sizes); i++) {
        block = rlua_realloc(L, block, sizes[i]);
        CHECK(block != NULL);
        beside[i] = rlua_alloc(L, sizes[i] / 2 + 1);
        check_undone(L, block, sizes[i], 1 + sizes[i] / 5);
        check_undone(L, beside[i], sizes[i] / 2 + 1, 1 + sizes[i] / 5);
        CHECK_OK(rlua_check(L));
    }
    for (i = 0; i < COUNT_OF(sizes); i++) rlua_free(L, beside[i]);
    rlua_free(L, block);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(a_host_writes_to_blocks_of_luas_allocation_function) {
    lua_State *L = open_cards(1 * MIB);
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    unsigned char *block = alloc(ud, NULL, 0, 100);
    check_undone(L, block, 100, 9);
    settle_down(L); /* nobody enters Lua: the allocator's own writes have to be seen */
    block = alloc(ud, block, 100, 4000);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(a_host_writes_to_extra_spaces) {
    lua_State *L = open_cards(1 * MIB), *thread = lua_newthread(L);
    check_undone(L, lua_getextraspace(L), LUA_EXTRASPACE, 1);
    check_undone(L, lua_getextraspace(thread), LUA_EXTRASPACE, 1);
    lua_close(L);
}

/* A thread that does not run is written to by the API alone. */
TEST(values_are_pushed_onto_a_thread_that_does_not_run) {
    lua_State *L = open_cards(1 * MIB), *thread = lua_newthread(L);
    lua_pushinteger(thread, 1);
    settle_down(L);
    lua_pushinteger(thread, 2);
    CHECK_OK(rlua_snap(L));
    CHECK(lua_stringtonumber(thread, "3") != 0);
    CHECK_OK(rlua_snap(L));
    lua_xmove(thread, L, 1);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(lua_gettop(thread), 3);
    CHECK_EQ(lua_tointeger(thread, 3), 3);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(lua_gettop(thread), 2);
    CHECK_EQ(lua_tointeger(thread, 2), 2);
    lua_close(L);
}

/* More than the list of entered threads has room for. */
TEST(two_thousand_threads_run_in_a_frame) {
    lua_State *L = open_cards(16 * MIB);
    int round;
    run(L, "cs = {} for i = 1, 2000 do cs[i] = coroutine.wrap(function()"
           " local n = 0 while true do n = n + 1 coroutine.yield(n) end end) end");
    for (round = 1; round <= 3; round++) {
        run(L, "last = 0 for i = 1, 2000 do last = last + cs[i]() end");
        CHECK_OK(rlua_snap(L));
        CHECK_EQ(global_int(L, "last"), 2000 * round);
    }
    run(L, "for i = 1, 2000 do cs[i]() end cs[7] = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 2));
    run(L, "last = 0 for i = 1, 2000 do last = last + cs[i]() end");
    CHECK_EQ(global_int(L, "last"), 6000);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static int to_text(lua_State *L) {
    lua_tolstring(L, lua_upvalueindex(1), NULL);
    return 0;
}

TEST(a_number_in_an_upvalue_becomes_a_string_in_place) {
    lua_State *L = open_cards(1 * MIB);
    lua_pushinteger(L, 12);
    lua_pushcclosure(L, to_text, 1);
    lua_setglobal(L, "f");
    settle_down(L);
    run(L, "f()");
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 2));
    lua_getglobal(L, "f");
    CHECK(lua_getupvalue(L, -1, 1) != NULL);
    CHECK_EQ(lua_type(L, -1), LUA_TNUMBER);
    lua_close(L);
}

/* Few writes in an interval, so that no mark is covered by another's (marks.c has each alone). */
static const char *const OPS[] = {
    "t = {1, 2, 3}", "t[4] = 4", "t[2] = nil", "t.a = 1", "t.b = 2", "t.c = 3", "t.a = nil",
    "for i = 1, 40 do t['k' .. i] = i end", "for i = 1, 40 do t['k' .. i] = nil end",
    "t.d = {}", "n = #t", "for i = 1, 9 do t[i] = i end", "n = #t", "t[9] = nil n = #t",
    "t[8] = nil n = #t", "t[10] = 1 n = #t", "u = {table.unpack(t)}", "setmetatable(u, {})",
    "getmetatable(u).__index = t", "n = u.zz", "n = u + 1 or 1", "getmetatable(u).__add = print",
    "do local x = 1 f = function() x = x + 1 return x end g = function() x = {} end end", "f()",
    "g()", "co = coroutine.wrap(function() local y = 1 h = function() y = y + 1 end"
    " coroutine.yield() local z = 2 k = function() z = y end coroutine.yield() end)", "co()",
    "h()", "co()", "k()", "h = nil", "co = nil", "s = ('long'):rep(30)", "t[s] = 1", "t[s] = nil",
    "m = {} m[s .. 'x'] = 1", "w = setmetatable({}, {__mode = 'k'})", "w[{}] = {}", "w[t] = u",
    "v = setmetatable({}, {__mode = 'v'})", "v[1] = {}", "v[2] = t", "e = {} w[e] = e",
    "fin = setmetatable({}, {__gc = function() done = true end})", "fin = nil", "big = {}",
    "for i = 1, 700 do big[i] = {i} end", "big = nil", "debug.setuservalue(io.stdout, 1, 1)",
    "debug.upvaluejoin(f, 1, g, 1)", "debug.setupvalue(f, 1, 5)", "debug.setmetatable(1, {})",
    "debug.setmetatable(1, nil)", "x = 'str' .. 17", "x = nil",
};

static void small_steps(lua_State *L, int steps) {
    size_t op;
    int step;
    for (op = 0; op < COUNT_OF(OPS); op++) {
        CHECK_OK(rlua_snap(L));
        if (luaL_dostring(L, OPS[op])) lua_pop(L, 1); /* some raise */
        for (step = 0; step < steps; step++) {
            CHECK_OK(rlua_snap(L));
            lua_gc(L, LUA_GCSTEP, 0);
        }
    }
    CHECK_OK(rlua_rollback(L, 3));
    CHECK_OK(rlua_check(L));
}

TEST(small_steps_incremental) {
    lua_State *L = open_cards(4 * MIB);
    int round;
    lua_gc(L, LUA_GCINC, 100, 100, 4);
    for (round = 0; round < 6; round++) small_steps(L, 12 + round);
    lua_close(L);
}

TEST(small_steps_generational) {
    lua_State *L = open_cards(4 * MIB);
    int round;
    lua_gc(L, LUA_GCGEN, 0, 0);
    for (round = 0; round < 3; round++) small_steps(L, 1 + round);
    lua_gc(L, LUA_GCINC, 0, 0, 0);
    small_steps(L, 2);
    lua_gc(L, LUA_GCGEN, 0, 0);
    small_steps(L, 1);
    lua_close(L);
}

/* What no C module may do: it writes into a string of Lua's. */
static void write_behind_luas_back(lua_State *L) {
    run(L, "s = ('x'):rep(1000)");
    lua_getglobal(L, "s");
    settle_down(L);
    settle_down(L);
    ((char *)(uintptr_t)lua_tostring(L, -1))[500] = 'y';
}

static void capture_what_was_written(void *ud) {
    lua_State *L = open_cards(1 * MIB);
    (void)ud;
    write_behind_luas_back(L);
    (void)!freopen("/dev/null", "w", stderr);
    rlua_snap(L);
}

TEST(a_write_behind_luas_back_poisons_the_vm) {
    lua_State *L;
    int captures, status = RLUA_OK;
    if (is_checked()) { /* where everything is compared, it ends the process */
        CHECK_EQ(in_child(capture_what_was_written, NULL), -SIGABRT);
        return;
    }
    L = open_cards(1 * MIB);
    write_behind_luas_back(L);
    for (captures = 0; status == RLUA_OK && captures < 10000; captures++) {
        lua_pushinteger(L, captures);
        lua_pop(L, 1);
        status = rlua_snap(L);
    }
    CHECK_EQ(status, RLUA_CORRUPT);
    if (!strstr(rlua_last_error(L), "C1")) FAIL("it says: %s", rlua_last_error(L));
    CHECK_REFUSED(rlua_snap(L), RLUA_POISONED);
    lua_close(L);
}

/* -- hosts that announce what they write ------------------------------------------------------- */

static lua_State *open_announcing(int audit) {
    rlua_Config config = cards_config(8 * MIB);
    lua_State *L;
    config.announces = 1;
    config.audit = audit;
    CHECK_OK(rlua_open(&config, &L));
    return L;
}

TEST(announced_writes_roll_back_in_blocks_of_any_size) {
    static const size_t sizes[] = {1, 100, 480, 497, 512, 1000, 3000, 5000, 300000, 2 * MIB};
    lua_State *L = open_announcing(0);
    unsigned char *block = NULL;
    size_t i, at;
    for (i = 0; i < COUNT_OF(sizes); i++) {
        block = rlua_realloc(L, i % 3 ? block : NULL, sizes[i]);
        CHECK(block != NULL);
        memset(block, 1, sizes[i]);
        CHECK_OK(rlua_touch(L, block, sizes[i]));
        settle_down(L);
        for (at = 0; at < sizes[i]; at += 1 + sizes[i] / 9) {
            block[at] = 2;
            CHECK_OK(rlua_touch(L, block + at, 1));
        }
        CHECK_OK(rlua_snap(L));
        CHECK(info_of(L).dirty_pages > 0);
        CHECK_OK(rlua_rollback(L, 2));
        for (at = 0; at < sizes[i]; at++) CHECK_EQ(block[at], 1);
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

/* That it is not looked at is what a host opts in for. */
TEST(what_is_not_announced_stays_or_is_found_by_the_audit) {
    lua_State *L;
    unsigned char *block;
    int captures, status = RLUA_OK;
    if (is_checked()) NOT_RUN("it would end the process");
    L = open_announcing(-1);
    block = rlua_alloc(L, 100000);
    settle_down(L);
    block[50000] = 1;
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(block[50000], 1);
    CHECK_OK(rlua_touch(L, block + 50000, 1));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(block[50000], 0);
    lua_close(L);
    L = open_announcing(16);
    block = rlua_alloc(L, 100000);
    settle_down(L);
    block[50000] = 1;
    for (captures = 0; status == RLUA_OK && captures < 200; captures++) {
        lua_pushnil(L); /* a VM that nobody enters is not audited */
        lua_pop(L, 1);
        status = rlua_snap(L);
    }
    CHECK_EQ(status, RLUA_CORRUPT);
    CHECK_REFUSED(rlua_rollback(L, 1), RLUA_POISONED);
    lua_close(L);
}

TEST(touch_refuses_what_is_not_the_vms) {
    lua_State *L = open_announcing(0), *other = open_cards(1 * MIB);
    unsigned char *block = rlua_alloc(L, 100), *foreign = rlua_alloc(other, 100);
    int here;
    CHECK_OK(rlua_touch(L, block, 0));
    CHECK_OK(rlua_touch(L, block + 99, 1));
    CHECK_REFUSED(rlua_touch(L, NULL, 1), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_touch(L, &here, sizeof here), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_touch(L, foreign, 1), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_touch(L, block, SIZE_MAX), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_touch(L, block, 8 * MIB), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_touch(NULL, block, 1), RLUA_NULL_ARG);
    lua_close(other);
    lua_close(L);
}
