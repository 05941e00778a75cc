/* gc.c: the collector's work is part of the state, and is undone like everything else.
 * Method: finalizers count in memory of the VM (so the count rolls back with it) and in memory
 * of the host (so it does not); collections run before, across and after snapshots. */
#include "harness.h"

static int host_count; /* finalizers run, ever: it lies outside the VM */

static int finalizer(lua_State *L) {
    lua_Integer *count = (lua_Integer *)lua_touserdata(L, lua_upvalueindex(1));
    ++*count;
    host_count++;
    return 0;
}

/* A VM whose global function `finalized(o)` gives `o` a counting finalizer in C. */
static int set_finalizer(lua_State *L) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static lua_Integer *add_counter(lua_State *L) {
    lua_Integer *count = (lua_Integer *)lua_newuserdatauv(L, sizeof *count, 0);
    *count = 0;
    lua_pushcclosure(L, finalizer, 1);
    lua_pushcclosure(L, set_finalizer, 1);
    lua_setglobal(L, "finalized");
    host_count = 0;
    return count;
}

TEST(collection_with_no_other_call_in_between_is_undone) {
    lua_State *L = open_vm(1 * MIB, 1);
    int round;
    run(L, "setmetatable({name = 'object'}, {__gc = function(o) gone = o.name end})");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 5; round++) {
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_EQ(lua_getglobal(L, "gone"), LUA_TSTRING);
        lua_pop(L, 1);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(lua_getglobal(L, "gone"), LUA_TNIL);
        lua_pop(L, 1);
        CHECK_OK(rlua_rollback(L, 1));
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(collection_alone_between_snap_and_rollback_is_undone) {
    lua_State *L = open_vm(1 * MIB, 2);
    lua_Integer *count = add_counter(L);
    size_t used;
    run(L, "finalized({})");
    CHECK_OK(rlua_snap(L));
    used = info_of(L).used_bytes;
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*count, 1);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(*count, 0);
    CHECK_EQ(info_of(L).used_bytes, used);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*count, 1);
    CHECK_EQ(host_count, 2);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*count, 1);
    lua_close(L);
    CHECK_EQ(host_count, 2);
}

/* A collection is also undone when it is what a later snapshot holds. */
TEST(collection_before_a_later_snapshot_is_undone) {
    lua_State *L = open_vm(1 * MIB, 3);
    lua_Integer *count = add_counter(L);
    run(L, "object = finalized({name = 'alive'})");
    CHECK_OK(rlua_snap(L));
    run(L, "object = nil");
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*count, 1);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(*count, 1);
    CHECK_EVAL(L, "object", "nil");
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(*count, 0);
    CHECK_EVAL(L, "object.name", "alive");
    lua_close(L);
    CHECK_EQ(host_count, 2); /* once in the time line that was given up, once at the close */
}

TEST(created_and_rolled_back_is_never_finalized) {
    lua_State *L = open_vm(1 * MIB, 1);
    lua_Integer *count = add_counter(L);
    CHECK_OK(rlua_snap(L));
    run(L, "object = finalized({}) finalized({})");
    CHECK_OK(rlua_rollback(L, 1));
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*count, 0);
    lua_close(L);
    CHECK_EQ(host_count, 0);
}

static void check_finalized_once(int mode) {
    lua_State *L = open_vm(4 * MIB, 4);
    lua_Integer *count = add_counter(L);
    int round;
    if (mode == LUA_GCGEN) lua_gc(L, LUA_GCGEN, 0, 0);
    else lua_gc(L, LUA_GCINC, 0, 0, 0);
    run(L, "objects = {} for i = 1, 200 do objects[i] = finalized({i}) end");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        CHECK_EQ(*count, 0);
        run(L, "for i = 1, 100 do objects[2 * i] = nil end");
        run(L, "local t = {} for i = 1, 20000 do t[i % 100] = {i} end");
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_EQ(*count, 100);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "objects[200][1]", "200");
    }
    CHECK_EQ(host_count, 400);
    lua_close(L);
    CHECK_EQ(host_count, 600);
}

TEST(finalized_once_a_time_line_incremental) { check_finalized_once(LUA_GCINC); }

TEST(finalized_once_a_time_line_generational) { check_finalized_once(LUA_GCGEN); }

TEST(resurrected_objects) {
    lua_State *L = open_vm(1 * MIB, 1);
    int round;
    run(L, "saved = {} local function gc(o) saved[#saved + 1] = o end\n"
           "for i = 1, 10 do setmetatable({i}, {__gc = gc}) end");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        CHECK_EVAL(L, "#saved", "0");
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_EVAL(L, "#saved .. saved[10][1]", "101");
        run(L, "saved = {}");
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_EVAL(L, "#saved", "0");
        CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
}

TEST(weak_tables) {
    lua_State *L = open_vm(1 * MIB, 1);
    const char *counted = "(function() local n = 0 for _ in pairs(weak) do n = n + 1 end "
                          "for _ in pairs(ephemeral) do n = n + 100 end return n end)()";
    lua_gc(L, LUA_GCSTOP);
    run(L, "weak = setmetatable({}, {__mode = 'v'}) "
           "ephemeral = setmetatable({}, {__mode = 'k'}) keep = {}\n"
           "for i = 1, 50 do weak[i] = {i} local k = {} ephemeral[k] = {k} "
           "if i % 2 == 0 then keep[#keep + 1] = {weak[i], k} end end");
    CHECK_OK(rlua_snap(L));
    CHECK_EVAL(L, counted, "5050");
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EVAL(L, counted, "2525");
    run(L, "keep = nil");
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EVAL(L, counted, "0");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, counted, "5050");
    lua_close(L);
}

enum { TRACE_STEPS = 300 };

/* Some work whose memory use, after each step, tells where the collector stands. */
static void trace_collector(lua_State *L, long long *trace) {
    int i;
    for (i = 0; i < TRACE_STEPS; i++) {
        run(L, "work(1)");
        trace[i] = 1024LL * lua_gc(L, LUA_GCCOUNT) + lua_gc(L, LUA_GCCOUNTB);
    }
}

static void check_same_collections(int generational, int steps_into_the_cycle) {
    static long long first[TRACE_STEPS], again[TRACE_STEPS];
    lua_State *L = open_vm(4 * MIB, 1);
    int round, i;
    run(L, "list, n = {}, 0 function work(k) for i = 1, 40 * k do n = n + 1 "
           "list[n % 500 + 1] = {n, tostring(n), function() return n end} end end work(20)");
    if (generational) lua_gc(L, LUA_GCGEN, 0, 0);
    for (i = 0; i < steps_into_the_cycle; i++) lua_gc(L, LUA_GCSTEP, 1);
    CHECK_OK(rlua_snap(L));
    trace_collector(L, first);
    for (round = 0; round < 3; round++) {
        CHECK_OK(rlua_rollback(L, 1));
        trace_collector(L, again);
        for (i = 0; i < TRACE_STEPS; i++)
            if (first[i] != again[i])
                FAIL("step %d: %lld bytes, before the rollback %lld", i, again[i], first[i]);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(the_same_collections_follow_a_rollback_incremental) {
    int steps;
    for (steps = 0; steps < 12; steps++) check_same_collections(0, steps);
}

TEST(the_same_collections_follow_a_rollback_generational) {
    check_same_collections(1, 0);
    check_same_collections(1, 2);
}

TEST(snapshots_inside_every_phase_of_a_cycle) {
    lua_State *L = open_vm(8 * MIB, 64);
    int64_t frame;
    lua_gc(L, LUA_GCINC, 100, 25, 6);
    run(L, "root = {} for i = 1, 3000 do root[i] = setmetatable({i, tostring(i)}, "
           "{__gc = function() dead = (dead or 0) + 1 end}) end");
    for (frame = 0; frame < 64; frame++) {
        CHECK_OK(rlua_snap_frame(L, frame));
        lua_gc(L, LUA_GCSTEP, 0);
        run(L, "root[#root // 2] = nil; root[1] = {1, 'new'}");
    }
    for (frame = 63; frame >= 0; frame--) {
        CHECK_OK(rlua_rollback_to(L, frame));
        CHECK_OK(rlua_check(L));
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_EVAL(L, "root[3000][2]", "3000");
        CHECK_OK(rlua_check(L));
    }
    CHECK_EVAL(L, "#root .. tostring(dead)", "3000nil");
    lua_close(L);
}

/* With Lua's own assertions, stock Lua ends here (vendor/README.md). */
TEST(upvalues_joined_to_old_functions_outlive_their_coroutines) {
    lua_State *L = open_vm(4 * MIB, 2);
    CHECK_OK(rlua_snap(L));
    run(L, "collectgarbage 'generational'\n"
           "local x = 0\n"
           "function f() return x end\n"
           "for _ = 1, 3 do collectgarbage 'step' end\n" /* f is old now */
           "coroutine.resume(coroutine.create(function()\n"
           "  local u = {7}\n"
           "  debug.upvaluejoin(f, 1, function() return u end, 1)\n"
           "  coroutine.yield()\n"
           "end))\n"
           "for _ = 1, 4 do collectgarbage 'step' end");
    CHECK_OK(rlua_check(L));
    CHECK_EVAL(L, "f()[1]", "7");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(finalizers_at_close_run_once_after_rollbacks) {
    lua_State *L = open_vm(1 * MIB, 2);
    int round;
    add_counter(L);
    run(L, "a = finalized({}) b = finalized({})");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "c = finalized({}) d = finalized({})");
        CHECK_OK(rlua_rollback(L, 1));
    }
    run(L, "e = finalized({})");
    lua_close(L);
    CHECK_EQ(host_count, 3);
}
