/* entered.c: whatever enters a VM is seen, also where it only seems to read, fails in the middle,
 * or comes from the side.
 * Method: with cards, one such call between two snapshots, in a VM or a thread that nobody enters
 * else; a rollback must undo it. In the nets each store is seen as well (src/lua/oracle.c). */
#include "counted.h"
#include "tracked.h"

#ifndef _WIN32
#include <sys/time.h>
#endif

/* The next call is the only one since a snapshot. */
static void settle_down(lua_State *L) {
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
}

TEST(the_clock_is_set_and_nothing_else) {
    lua_State *L = open_tracked(1 * MIB, RLUA_PROFILE_DETERMINISTIC);
    CHECK_OK(rlua_set_time(L, 100, 0));
    settle_down(L);
    CHECK_OK(rlua_set_time(L, 200, 0));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_set_time(L, 300, 0));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "os.time()", "200");
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EVAL(L, "os.time()", "100");
    lua_close(L);
}

static int named(lua_State *L) {
    (void)L;
    return 0;
}

TEST(a_name_is_given_and_nothing_else) {
    lua_State *L = open_tracked(1 * MIB, RLUA_PROFILE_DETERMINISTIC);
    static char object;
    settle_down(L);
    CHECK_OK(rlua_register(L, "function", named));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_register_pointer(L, "object", &object));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_register_pointer(L, "object", &object)); /* it has no name any more */
    CHECK_REFUSED(rlua_register(L, "other", named), RLUA_BAD_ARG);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_OK(rlua_register(L, "other", named));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* A long numeral costs units; the length of a table is remembered in it. */
TEST(what_is_read_costs_units_and_leaves_notes) {
    lua_State *L = open_tracked(1 * MIB, RLUA_PROFILE_DETERMINISTIC);
    uint64_t before, left;
    run(L, "n = ('0'):rep(5000) .. '7' t = {1, 2, 3, 4, 5, 6, 7, 8} t[8] = nil");
    CHECK_OK(rlua_set_budget(L, 1000000));
    lua_getglobal(L, "n");
    lua_getglobal(L, "t");
    CHECK_OK(rlua_budget_left(L, &before));
    settle_down(L);
    CHECK_EQ(lua_tointeger(L, -2), 7);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_budget_left(L, &left));
    CHECK(left < before);
    CHECK(lua_tonumber(L, -2) == 7.0);
    CHECK_OK(rlua_snap(L));
    CHECK(lua_rawequal(L, -2, -2));
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(lua_rawlen(L, -1), 7);
    CHECK_OK(rlua_snap(L));
    CHECK(lua_topointer(L, -1) != NULL);
    CHECK(lua_compare(L, -2, -2, LUA_OPEQ));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_rollback(L, 3));
    CHECK_OK(rlua_budget_left(L, &left));
    CHECK(left < before);
    lua_close(L);
}

/* In the host's level nothing is raised: the message is left on the stack. */
TEST(a_message_is_left_in_the_hosts_level) {
    lua_State *L = open_tracked(1 * MIB, RLUA_PROFILE_STOCK);
    lua_pushinteger(L, 1);
    settle_down(L);
    rlua_error(L, "message");
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(lua_gettop(L), 1);
    lua_close(L);
}

/* -- threads ----------------------------------------------------------------------------------- */

/* The memory of a thread that died serves others, in the same interval and in later ones. */
TEST(threads_die_and_others_take_their_place) {
    lua_State *L = open_tracked(4 * MIB, RLUA_PROFILE_STOCK);
    int frame, total = 0;
    run(L, "cs, sum = {}, 0 function make(n) return coroutine.wrap(function() local a = n"
           " while true do a = a + 1 coroutine.yield(a) end end) end"
           " function frame(f) for i = 1, 40 do if (i * 7 + f) % 5 == 0 then cs[i] = nil end end"
           " collectgarbage() for i = 1, 40 do cs[i] = cs[i] or make(i * f) end"
           " for i = 1, 40, 3 do cs[i]() end cs[f % 40 + 1] = nil collectgarbage()"
           " for i = 1, 3 do local t = make(i) t() end sum = 0"
           " for i = 1, 40 do sum = sum + (cs[i] and i or 0) end end");
    for (frame = 1; frame <= 60; frame++) {
        lua_getglobal(L, "frame");
        lua_pushinteger(L, frame);
        lua_call(L, 1, 0);
        CHECK_OK(rlua_snap(L));
        if (frame % 4 == 0) {
            run(L, "for i = 1, 40 do if cs[i] then last = cs[i]() end end cs[1] = nil"
                   " collectgarbage() kept = make(5) kept()");
            CHECK_OK(rlua_rollback(L, 1 + (size_t)frame % 3));
            CHECK_OK(rlua_check(L));
            run(L, "for i = 1, 40 do if cs[i] then last = cs[i]() end end");
        }
        total += (int)global_int(L, "sum");
    }
    CHECK(total > 0);
    lua_close(L);
}

static void count_hook(lua_State *L, lua_Debug *ar) {
    (void)L;
    (void)ar;
}

/* Each way to write to a thread that does not run. */
TEST(a_suspended_thread_is_written_to_from_outside) {
    static const char *const WRITES[] = {
        "debug.sethook(co, function() hooked = true end, 'l')", "debug.sethook(co)",
        "debug.setlocal(co, 1, 1, 'changed')", "coroutine.close(co)",
        "debug.traceback(co)", "debug.getinfo(co, 1, 'Slnuf')", "coroutine.resume(co, 1)",
    };
    lua_State *L = open_tracked(2 * MIB, RLUA_PROFILE_STOCK);
    lua_State *thread;
    size_t i;
    run(L, "function fresh() closed = false co = coroutine.create(function() local x <const> = 1"
           " local y = setmetatable({}, {__close = function() closed = true end})"
           " local z <close> = y local n = 5 coroutine.yield(n) return n end)"
           " coroutine.resume(co) end");
    for (i = 0; i < COUNT_OF(WRITES); i++) {
        run(L, "fresh()");
        settle_down(L);
        run(L, WRITES[i]);
        CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_rollback(L, 2));
        CHECK_EVAL(L, "closed", "false");
        CHECK_EVAL(L, "coroutine.status(co)", "suspended");
        CHECK_EVAL(L, "debug.gethook(co)", "nil");
        CHECK_EVAL(L, "select(2, coroutine.resume(co))", "5");
        CHECK_EVAL(L, "closed", "true");
    }
    for (i = 0; i < 4; i++) {
        run(L, "fresh()");
        lua_getglobal(L, "co");
        thread = lua_tothread(L, -1);
        settle_down(L);
        switch (i) {
        case 0: lua_closethread(thread, L); break;
        case 1: lua_resetthread(thread); break;
        case 2: lua_sethook(thread, count_hook, LUA_MASKCOUNT, 1); break;
        case 3: CHECK(lua_checkstack(thread, 5000)); break;
        }
        CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_rollback(L, 2));
        CHECK_EQ(lua_status(thread), LUA_YIELD);
        CHECK_EQ(lua_gethookmask(thread), 0);
        CHECK_EVAL(L, "select(2, coroutine.resume(co))", "5");
        lua_pop(L, 1);
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

#ifdef _WIN32
TEST(a_signal_sets_hooks_of_threads_that_do_not_run) { NOT_RUN("no signals of a timer here"); }
#else
static lua_State *volatile signalled[64];
static volatile int next_signalled;

static void set_hook_from_signal(int number) {
    (void)number;
    lua_sethook(signalled[next_signalled++ % 64], count_hook, LUA_MASKCOUNT, 100000);
}

/* lua_sethook may be called at any time: also while another thread is being noted. */
TEST(a_signal_sets_hooks_of_threads_that_do_not_run) {
    lua_State *L = open_tracked(4 * MIB, RLUA_PROFILE_STOCK);
    struct sigaction action;
    struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    int i, frame;
    memset(&action, 0, sizeof action);
    action.sa_handler = set_hook_from_signal;
    action.sa_flags = SA_RESTART;
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    run(L, "cs = {} for i = 1, 300 do cs[i] = coroutine.create(function() local n = 0"
           " while true do n = n + 1 coroutine.yield(n) end end) coroutine.resume(cs[i]) end");
    lua_getglobal(L, "cs");
    for (i = 0; i < 64; i++) {
        lua_rawgeti(L, -1, 1 + i * 4);
        signalled[i] = lua_tothread(L, -1);
        lua_pop(L, 1);
    }
    for (frame = 0; next_signalled < 400 / test_scale() && frame < 100000; frame++) {
        setitimer(ITIMER_REAL, &often, NULL);
        run(L, "for i = 2, 300, 2 do coroutine.resume(cs[i]) end");
        setitimer(ITIMER_REAL, &never, NULL);
        CHECK_OK(rlua_snap(L));
    }
    CHECK(next_signalled > 0);
    run(L, "_, last = coroutine.resume(cs[2])");
    CHECK_EQ(global_int(L, "last"), frame + 2);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    run(L, "_, last = coroutine.resume(cs[2])");
    CHECK_EQ(global_int(L, "last"), frame + 2);
    lua_close(L);
}
#endif

/* -- allocation -------------------------------------------------------------------------------- */

static lua_Alloc arenas_own;
static long fails_at, requests;

/* The next one too: that is Lua's second attempt, behind an emergency collection. */
static void *fails_once(void *ud, void *block, size_t old, size_t size) {
    if (size > 0 && (block == NULL || size > old)) {
        requests++;
        if (requests == fails_at || requests == fails_at + 1) return NULL;
    }
    return arenas_own(ud, block, old, size);
}

/* Errors in the middle: stacks that grow, tables that are rehashed, closures, strings, threads.
 * Each request fails in an interval of its own. */
TEST(every_allocation_fails_in_the_middle) {
    lua_State *L = open_tracked(4 * MIB, RLUA_PROFILE_STOCK);
    void *ud;
    int errors = 0, status = 1;
    long step = test_scale() > 1 ? 3 : 1;
    run(L, "t, fin = {}, {__gc = function() end} for i = 1, 40 do t[i] = i t['k' .. i] = i end"
           " old = coroutine.wrap(function() local x = 1 f = function() x = x + 1 return x end"
           " while true do coroutine.yield(x) end end) old()"
           " function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end"
           " function work() for i = 41, 140 do t[i] = i t['k' .. i] = i end deep(300) f() old()"
           " local co = coroutine.wrap(function() local y = {} g = function() return y end"
           " deep(300) coroutine.yield() y = 2 end) co() co() local s = ('x'):rep(3000) .. 'y'"
           " setmetatable(t, fin) t[s] = load('return ' .. 5) t.m = {1, 2, 3, n = {}}"
           " table.sort({3, 2, 1}) for i = 41, 140 do t[i] = nil t['k' .. i] = nil end end");
    lua_gc(L, LUA_GCSTOP);
    CHECK_OK(rlua_snap(L));
    arenas_own = lua_getallocf(L, &ud);
    lua_setallocf(L, fails_once, ud);
    for (fails_at = 1; status != LUA_OK; fails_at += step) {
        CHECK_OK(rlua_snap(L));
        requests = 0;
        lua_getglobal(L, "work");
        status = lua_pcall(L, 0, 0, 0);
        if (status != LUA_OK) lua_pop(L, 1);
        if (requests < fails_at) break;
        errors += status != LUA_OK;
        status = 1;
        CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_rollback(L, 2));
        if (fails_at % 16 == 0) CHECK_OK(rlua_check(L));
    }
    fails_at = 0;
    lua_setallocf(L, arenas_own, ud);
    CHECK(errors > 100 / step);
    CHECK_EVAL(L, "f()", "3"); /* the last one went through */
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static void *of_malloc(void *ud, void *block, size_t old, size_t size) {
    (void)ud;
    (void)old;
    if (size != 0) return realloc(block, size);
    free(block);
    return NULL;
}

/* States without cards beside one with cards, and one whose memory lies in the other's region. */
TEST(states_of_other_allocators_live_beside) {
    lua_State *L = open_tracked(8 * MIB, RLUA_PROFILE_STOCK), *beside, *inside;
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    static const char WORK[] = "t = t or {} for i = 1, 500 do t[i] = {i} end collectgarbage()"
                               " co = coroutine.wrap(function() local x = 1 f = function()"
                               " x = x + 1 return x end coroutine.yield() end) co()"
                               " n = (n or 0) + f()";
    int round;
    beside = lua_newstate(of_malloc, NULL);
    inside = lua_newstate(alloc, ud);
    CHECK(beside != NULL && inside != NULL);
    luaL_openlibs(beside);
    luaL_openlibs(inside);
    for (round = 1; round <= 20; round++) {
        run(L, WORK);
        CHECK_OK(rlua_snap(L));
        run(beside, WORK);
        run(inside, WORK); /* nobody enters L */
        CHECK_OK(rlua_snap(L));
        run(inside, WORK);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(global_int(inside, "n"), 2 * round);
        CHECK_EQ(global_int(L, "n"), 2 * round);
        CHECK_EQ(global_int(beside, "n"), 2 * round);
    }
    lua_close(beside); /* the other goes with the region */
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(a_region_serves_the_next_vm) {
    int round;
    for (round = 1; round <= 40; round++) {
        lua_State *L = open_tracked((size_t)(round % 3 + 1) * MIB, RLUA_PROFILE_STOCK);
        run(L, "t = {} for i = 1, 300 do t[i] = coroutine.wrap(function() coroutine.yield(i) end)"
               " t[i]() end");
        CHECK_OK(rlua_snap(L));
        run(L, "for i = 1, 300 do t[i]() t[i] = {} end collectgarbage()");
        if (round % 2) CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_rollback(L, 1));
        if (round % 4 == 0) CHECK_OK(rlua_check(L));
        if (round % 5) run(L, "t[3] = t");
        lua_close(L);
    }
}

/* -- inside a restore -------------------------------------------------------------------------- */

static int ended;
static int end_object(lua_State *L) {
    (void)L;
    ended++;
    return 0;
}

/* A look at a metatable notes in it what it has not. In a restore nobody would undo that. */
TEST(a_restore_notes_nothing_in_metatables) {
    lua_State *L = open_tracked(2 * MIB, RLUA_PROFILE_STOCK);
    char *object;
    int i;
    ended = 0;
    lua_gc(L, LUA_GCSTOP);
    object = lua_newuserdatauv(L, 64, 0);
    /* Nothing else on the pages of its header is written to: the slots lie elsewhere. */
    run(L, "before = {} for i = 1, 400 do before[i] = {} end");
    lua_newtable(L);
    run(L, "behind = {} for i = 1, 400 do behind[i] = {} end");
    for (i = 0; i < 400; i++) {
        lua_pushinteger(L, i);
        lua_rawsetp(L, -2, object + i);
    }
    lua_pushcfunction(L, end_object);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "object");
    settle_down(L);
    lua_getglobal(L, "object");
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "__gc");
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_settop(L, 0);
    memset(object, 1, 64);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    lua_newuserdatauv(L, 8, 0);
    lua_getglobal(L, "object");
    lua_getmetatable(L, -1);
    lua_setmetatable(L, -3); /* has a finalizer, or so the metatable has to say */
    lua_settop(L, 0);
    run(L, "object = nil collectgarbage() collectgarbage()");
    CHECK_EQ(ended, 2);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}
