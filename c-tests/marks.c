/* marks.c: each mark of Lua's stores (overrides/cards.h) is needed.
 * Method: a write that needs one mark is made in an interval in which nothing else marks the same
 * bytes, in both copies of the virtual machine and in each phase of the collector. The nets see
 * that it was marked, and, where the mark is left out, that it was not (nets/mutants.py). */
#include "tracked.h"

static lua_State *open_collecting(int32_t profile) {
    lua_State *L = open_tracked(8 * MIB, profile);
    lua_gc(L, LUA_GCINC, 100, 100, 4);
    return L;
}

static void with_budget(lua_State *L) {
    CHECK_OK(rlua_set_budget(L, (uint64_t)1 << 40));
}

/* An interval begins with nothing marked, and ends with a look at what was. */
static void alone(lua_State *L, const char *setup, const char *write) {
    run(L, setup);
    CHECK_OK(rlua_snap(L));
    run(L, write);
    CHECK_OK(rlua_snap(L));
}

#define MADE(n) "collectgarbage() t = {} for i = 1, " #n " do t[i] = i end "

/* What is written belongs to an earlier interval, and is white: no barrier marks it. */
static const char *const WRITES[][2] = {
    {"g = 1", "g = 2"},
    {"t = {1, 2, 3, a = 1} k = 'a'", "t.a = 2"},
    {"", "t[1] = 2"},
    {"i = 2", "t[i] = 3"},
    {"", "t[k] = 3"},
    {"base = {k = 1} proxy = setmetatable({}, {__newindex = base})", "proxy.k = 2"},
    /* the cache of absent metamethods: set by one access, cleared by the next store */
    {"mt = {} u = setmetatable({}, mt) mt.__foo = 1 mt.__foo = nil local _ = u.zz", "mt.__foo = 2"},
    {"mt = {} u = setmetatable({}, mt)", "local _ = u.zz"},
    {"mt = {} u = setmetatable({}, mt)", "setmetatable(u, nil)"},
    {"mt = {a = 1} u = setmetatable({}, mt) local _ = u.zz", "rawset(mt, 'a', 2)"},
    /* a constructor that waits with its values on the stack */
    {"co = coroutine.wrap(function() while true do t = {1, 2, coroutine.yield(), 4} end end) co()",
     "co()"},
    {"t = {1, 2, 3}", "table.move(t, 1, 1, 3)"}, /* the table library's own way */
    {"t = {2, 1}", "table.sort(t)"},
    {"do local x = 1 f = function() x = x + 1 end end", "f()"},
    /* lengths are remembered */
    {MADE(8) "t[8] = nil", "n = #t"},
    {MADE(16) "t[10] = nil for i = 12, 16 do t[i] = nil end", "n = #t"},
    {"", "t[10] = 1"},
    {"", "n = #t"},
    {MADE(16) "for i = 10, 16 do t[i] = nil end n = #t", "for i = 17, 33 do t[i] = i end"},
    /* open upvalues are linked to each other, and point into a stack that moves */
    {"co = coroutine.wrap(function() local x, y = 1, 2 local f = function() return y end"
     " coroutine.yield() local g = function() return x end coroutine.yield(g) end) co()",
     "co()"},
    {"co = coroutine.wrap(function() local x = 1 local f = function() return x end"
     " do local y = 2 local g = function() return y end coroutine.yield() end"
     " coroutine.yield() local z = 3 local h = function() return z end coroutine.yield(f, h) end)"
     " co()",
     "co()"},
    {"", "co()"},
    {"deep = function(n) if n > 0 then return 1 + deep(n - 1) end return 0 end"
     " co = coroutine.wrap(function() local x = 1 local f = function() return x end"
     " coroutine.yield() deep(500) coroutine.yield(f) end) co()",
     "co()"},
    /* lists of objects that have finalizers */
    {"q1, q2 = {}, {} fin = {__gc = function() end}", "setmetatable(q1, fin)"},
    {"", "setmetatable(q2, fin)"},
    /* long strings have their hash from their first use as a key */
    {"s = ('long'):rep(30)", "local _ = t[s]"},
    /* closures in each other's upvalues */
    {"local x, y = 1, 2 f = function() return x end g = function() return y end",
     "debug.setupvalue(f, 1, 5)"},
    {"", "debug.upvaluejoin(f, 1, g, 1)"},
    {"w = setmetatable({}, {__mode = 'k'})", "w[{}] = {}"},
};

static void all_writes(lua_State *L) {
    size_t i;
    lua_gc(L, LUA_GCSTOP);
    for (i = 0; i < COUNT_OF(WRITES); i++) alone(L, WRITES[i][0], WRITES[i][1]);
    lua_gc(L, LUA_GCRESTART);
}

TEST(scripts_write_alone) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    all_writes(L);
    with_budget(L);
    all_writes(L);
    lua_close(L);
}

/* A hash part that is filled to its end: nodes move, and chains are linked anew. */
TEST(keys_are_inserted_alone) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    char chunk[100];
    int i;
    lua_gc(L, LUA_GCSTOP);
    run(L, "t = {} for i = 1, 129 do t['k' .. i] = i end");
    for (i = 130; i <= 256; i++) {
        snprintf(chunk, sizeof chunk, "key = 'k' .. %d", i);
        alone(L, chunk, "t[key] = 1");
    }
    CHECK_EVAL(L, "t.k130 + t.k256", "2");
    lua_close(L);
}

static int copies_to_its_upvalue(lua_State *L) {
    lua_pushinteger(L, 5);
    lua_copy(L, -1, lua_upvalueindex(1));
    return 0;
}

TEST(the_api_writes_alone) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    rlua_Ref reference, other;
    int i, number;
    lua_gc(L, LUA_GCSTOP);
    run(L, "t = {1, 2, 3, a = 1} mt = {a = 1} u = setmetatable({}, mt)");
    lua_getglobal(L, "t");
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, copies_to_its_upvalue, 1);
    lua_pushinteger(L, 7);
    reference = rlua_ref(L);
    for (i = 0; i < 7; i++) {
        CHECK_OK(rlua_snap(L));
        lua_pushinteger(L, 40 + i);
        switch (i) {
        case 0: lua_setfield(L, 1, "a"); break;
        case 1: lua_seti(L, 1, 2); break;
        case 2: lua_pushinteger(L, 3); lua_insert(L, -2); lua_settable(L, 1); break;
        case 3: lua_setglobal(L, "fresh"); break;
        case 4: lua_setglobal(L, "fresh"); break;
        case 5: lua_pushvalue(L, 2); lua_call(L, 0, 0); lua_pop(L, 1); break;
        case 6: lua_rawseti(L, 1, 1); break;
        }
        CHECK_OK(rlua_snap(L));
    }
    /* references, one by one */
    CHECK_OK(rlua_unref(L, reference));
    CHECK_OK(rlua_snap(L));
    lua_pushinteger(L, 8);
    reference = rlua_ref(L);
    CHECK_OK(rlua_snap(L));
    lua_pushinteger(L, 9);
    other = rlua_ref(L);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_unref(L, reference));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_unref(L, other));
    CHECK_OK(rlua_snap(L));
    for (i = 0; i < 3; i++) {
        lua_pushinteger(L, 8);
        CHECK(luaL_ref(L, LUA_REGISTRYINDEX) > 0);
    }
    lua_pushinteger(L, 8);
    number = luaL_ref(L, LUA_REGISTRYINDEX);
    CHECK_OK(rlua_snap(L));
    luaL_unref(L, LUA_REGISTRYINDEX, number);
    CHECK_OK(rlua_snap(L));
    lua_pushinteger(L, 9);
    CHECK_EQ(luaL_ref(L, LUA_REGISTRYINDEX), number);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static int named(lua_State *L) {
    (void)L;
    return 0;
}

/* The list of pointers that are keys, or have names. */
TEST(pointers_are_met_alone) {
    static char objects[40];
    lua_State *L = open_collecting(RLUA_PROFILE_DETERMINISTIC);
    int i;
    lua_gc(L, LUA_GCSTOP);
    lua_newtable(L);
    for (i = 0; i < 40; i++) {
        CHECK_OK(rlua_snap(L));
        lua_pushlightuserdata(L, objects + i);
        lua_pushinteger(L, i);
        lua_rawset(L, 1);
        CHECK_OK(rlua_snap(L));
    }
    CHECK_OK(rlua_register(L, "first", lua_error));
    CHECK_OK(rlua_snap(L));
    lua_pushcfunction(L, named);
    lua_pushinteger(L, 1);
    lua_rawset(L, 1);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_register_pointer(L, "object", objects + 3));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_register_pointer(L, "another", objects + 7));
    CHECK_OK(rlua_snap(L));
    lua_close(L);
}

/* -- the collector ----------------------------------------------------------------------------- */

/* In each phase of two cycles, each in an interval of its own. `n` is the place in the cycle. */
static const char *const IN_EACH_PHASE[] = {
    "setmetatable(tables[n], black)",                /* a barrier, in the sweep phase too */
    "setmetatable(tables[n + 2000], {})",            /* the same forward */
    "setmetatable(tables[n + 4000], finalized)",     /* out of the list, while it is swept */
    "local s = 'comes' .. 'again' .. 1",             /* a dead string is found */
    "tables[n + 6000].x = {}",
    "weak_values[n] = {} weak_keys[{}] = {} weak_keys[tables[n]] = {} both[n] = {}",
    "weak_values[n] = tables[n]",
    "tables[n + 2000] = nil tables[n] = nil",
    "gone[n] = nil",
};

TEST(the_collector_writes_alone_incremental) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    size_t op;
    int n = 1, cycles = 0;
    run(L, "tables, black, finalized = {}, {}, {__gc = function() end} for i = 1, 8000 do"
           " tables[i] = {} end gone = {} for i = 1, 2000 do gone[i] = setmetatable({}, finalized)"
           " end weak_values = setmetatable({}, {__mode = 'v'})"
           " weak_keys = setmetatable({}, {__mode = 'k'}) both = setmetatable({}, {__mode = 'kv'})"
           " for i = 1, 40 do weak_values[i] = {} weak_keys[{}] = i end");
    for (op = 0; op < COUNT_OF(IN_EACH_PHASE); op++)
        if (luaL_loadstring(L, IN_EACH_PHASE[op])) FAIL("%s", lua_tostring(L, -1));
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCSTOP);
    CHECK_OK(rlua_snap(L));
    for (; cycles < 2 && n < 2000; n++) {
        for (op = 0; op < COUNT_OF(IN_EACH_PHASE); op++) {
            lua_pushinteger(L, n);
            lua_setglobal(L, "n");
            CHECK_OK(rlua_snap(L));
            lua_pushvalue(L, (int)op + 1);
            lua_call(L, 0, 0);
            CHECK_OK(rlua_snap(L));
        }
        cycles += lua_gc(L, LUA_GCSTEP, 1);
        CHECK_OK(rlua_snap(L));
    }
    CHECK_EQ(cycles, 2);
    /* Finalizers that wait to be called, while others die. */
    run(L, "gone = {} for i = 1, 60 do gone[i] = setmetatable({}, finalized) end"
           " kept = gone[30] gone[60] = 1");
    lua_gc(L, LUA_GCCOLLECT);
    run(L, "for i = 1, 59, 2 do gone[i] = nil end");
    for (n = 0; n < 3000; n++) {
        lua_gc(L, LUA_GCSTEP, 1);
        CHECK_OK(rlua_snap(L));
        if (n % 50 != 49) continue;
        run(L, "for i = #gone - 1, 2, -7 do if gone[i] then gone[i] = nil break end end");
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_snap(L));
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* An emergency collection calls no finalizer: what dies joins those that wait. */
TEST(objects_join_those_that_wait_for_their_finalizer) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    int n;
    run(L, "calls, finalized = 0, {__gc = function() calls = calls + 1 end} gone = {}"
           " for i = 1, 60 do gone[i] = setmetatable({}, finalized) end collectgarbage()");
    lua_gc(L, LUA_GCSTOP);
    for (n = 1; n <= 40; n++) {
        lua_pushinteger(L, n);
        lua_setglobal(L, "n");
        run(L, "gone[n] = nil");
        CHECK_OK(rlua_snap(L));
        CHECK(rlua_alloc(L, 100 * MIB) == NULL);
        CHECK_OK(rlua_snap(L));
    }
    CHECK_EQ(global_int(L, "calls"), 0);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(global_int(L, "calls"), 40);
    lua_close(L);
}

/* Upvalues of a thread that died before their closures did: each alone. */
TEST(upvalues_of_a_dead_thread_are_unlinked_alone) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    int n;
    run(L, "co = coroutine.create(function() coroutine.yield() local a, b, c = 1, 2, 3"
           " local fa, fb, fc = function() return a end, function() return b end,"
           " function() return c end coroutine.yield(fa, fb, fc) end) coroutine.resume(co)");
    run(L, "pad = {} for i = 1, 1000 do pad[i] = {} end _, fa, fb, fc = coroutine.resume(co)"
           " pad2 = {} for i = 1, 1000 do pad2[i] = {} end collectgarbage()");
    run(L, "fa = nil fc = nil co = nil");
    lua_gc(L, LUA_GCSTOP);
    for (n = 0; n < 500; n++) {
        lua_gc(L, LUA_GCSTEP, 1);
        CHECK_OK(rlua_snap(L));
    }
    CHECK_EVAL(L, "fb()", "2");
    lua_close(L);
}

/* The string table shrinks. */
TEST(many_strings_come_and_go) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    int n;
    run(L, "t = {} for i = 1, 20000 do t[i] = 'string ' .. i end t = nil");
    for (n = 0; n < 3000; n++) {
        lua_gc(L, LUA_GCSTEP, 1);
        if (n % 8 == 0) CHECK_OK(rlua_snap(L));
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(the_collector_writes_alone_generational) {
    lua_State *L = open_collecting(RLUA_PROFILE_STOCK);
    int n;
    run(L, "old, finalized = {}, {__gc = function() end} for i = 1, 600 do old[i] = {} end"
           " weak_values = setmetatable({}, {__mode = 'v'})"
           " weak_keys = setmetatable({}, {__mode = 'k'}) all = setmetatable({}, {__mode = 'kv'})");
    lua_gc(L, LUA_GCGEN, 0, 0);
    lua_gc(L, LUA_GCSTOP);
    for (n = 1; n <= 60; n++) {
        lua_pushinteger(L, n);
        lua_setglobal(L, "n");
        alone(L, "", "old[n].x = {}");
        alone(L, "", "setmetatable(old[n + 100], {})");
        alone(L, "", "setmetatable(old[n + 200], finalized)");
        alone(L, "", "old[n + 300] = nil weak_values[n] = {} weak_keys[old[n]] = {} all[n] = {}");
        alone(L, "", "co = coroutine.wrap(function() local x = {} f = function() x = {} end"
              " coroutine.yield() end) co() f()");
        lua_gc(L, LUA_GCSTEP, 0);
        CHECK_OK(rlua_snap(L));
        alone(L, "", "f() old[n].x = old[n]");
        if (n % 3 == 0) {
            lua_gc(L, LUA_GCSTEP, 0);
            CHECK_OK(rlua_snap(L));
        }
        if (n % 20 == 0) {
            lua_gc(L, LUA_GCINC, 0, 0, 0);
            CHECK_OK(rlua_snap(L));
            lua_gc(L, LUA_GCSTEP, 1);
            CHECK_OK(rlua_snap(L));
            lua_gc(L, LUA_GCGEN, 0, 0);
            CHECK_OK(rlua_snap(L));
        }
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}
