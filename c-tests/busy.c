/* busy.c: while Lua runs anywhere in a VM, snap and rollback answer BUSY and change nothing.
 * Method: a probe is called from every place a host's code can be called from. It tries all
 * four calls with the running state, the main state and an unrelated idle thread; afterwards
 * the VM must be idle again, hold what it held and still roll back. */
#include "harness.h"

#include <setjmp.h>

static lua_State *vm;    /* the main state */
static lua_State *other; /* a thread that never runs */
static int probes;

static void probe(lua_State *running) {
    lua_State *states[3];
    size_t i;
    states[0] = running;
    states[1] = vm;
    states[2] = other;
    for (i = 0; i < COUNT_OF(states); i++) {
        CHECK_REFUSED(rlua_snap(states[i]), RLUA_BUSY);
        CHECK_REFUSED(rlua_snap_frame(states[i], 1000), RLUA_BUSY);
        CHECK_REFUSED(rlua_rollback(states[i], 1), RLUA_BUSY);
        CHECK_REFUSED(rlua_rollback_to(states[i], 0), RLUA_BUSY);
    }
    probes++;
}

static int probe_function(lua_State *L) {
    probe(L);
    lua_pushboolean(L, 1);
    return 1;
}

static lua_State *begin(void) {
    vm = open_vm(4 * MIB, 4);
    other = lua_newthread(vm);
    lua_setfield(vm, LUA_REGISTRYINDEX, "other");
    lua_register(vm, "probe", probe_function);
    run(vm, "n = 1");
    CHECK_OK(rlua_snap(vm));
    probes = 0;
    return vm;
}

/* The probe was reached, nothing changed, and the VM is idle. */
static void end(void) {
    CHECK(probes > 0);
    CHECK_EQ(snapshot_count(vm), 1);
    CHECK_EQ(info_of(vm).newest_frame, 0);
    CHECK_OK(rlua_check(vm));
    run(vm, "n = 2");
    CHECK_OK(rlua_snap(vm));
    CHECK_OK(rlua_rollback_to(vm, 0));
    CHECK_EQ(global_int(vm, "n"), 1);
    CHECK_OK(rlua_check(vm));
    lua_close(vm);
}

TEST(c_function_called_by_lua) {
    run(begin(), "probe() pcall(pcall, probe) table.sort({3, 2, 1}, function() probe() end)");
    end();
}

TEST(c_function_called_by_the_host_without_protection) {
    lua_State *L = begin();
    lua_pushcfunction(L, probe_function);
    lua_call(L, 0, 0);
    end();
}

TEST(coroutine_resumed_by_lua) {
    run(begin(), "local co = coroutine.wrap(function() probe() coroutine.yield() probe() end) "
                 "co() co()");
    end();
}

TEST(coroutine_resumed_by_the_host) {
    lua_State *L = begin(), *co = lua_newthread(L);
    int count, with_from;
    for (with_from = 0; with_from < 2; with_from++) {
        luaL_loadstring(co, "probe() coroutine.yield() probe() pcall(probe)");
        CHECK_EQ(lua_resume(co, with_from ? L : NULL, 0, &count), LUA_YIELD);
        CHECK_EQ(lua_resume(co, with_from ? L : NULL, 0, &count), LUA_OK);
    }
    CHECK_EQ(probes, 6);
    lua_pop(L, 1);
    end();
}

TEST(coroutine_of_a_coroutine_resumed_by_the_host) {
    lua_State *L = begin(), *co = lua_newthread(L);
    int count;
    luaL_loadstring(co, "coroutine.wrap(function() coroutine.wrap(probe)() end)()");
    CHECK_EQ(lua_resume(co, NULL, 0, &count), LUA_OK);
    end();
}

static int continuation(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    probe(L);
    return 0;
}

static int yielding(lua_State *L) { return lua_yieldk(L, 0, 7, continuation); }

static int calling(lua_State *L) {
    lua_getglobal(L, "coroutine");
    lua_getfield(L, -1, "yield");
    return continuation(L, lua_pcallk(L, 0, 0, 0, 7, continuation), 7);
}

TEST(continuations) {
    lua_State *L = begin(), *co = lua_newthread(L);
    int count;
    lua_pushcfunction(co, yielding);
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_YIELD);
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_OK);
    lua_pushcfunction(co, calling);
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_YIELD);
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_OK);
    CHECK_EQ(probes, 2);
    end();
}

TEST(unprotected_call_on_a_second_thread) {
    lua_State *L = begin(), *second = lua_newthread(L);
    lua_pushcfunction(second, probe_function);
    lua_call(second, 0, 0);
    luaL_loadstring(second, "probe() pcall(probe) coroutine.wrap(probe)() probe()");
    lua_call(second, 0, 0);
    CHECK_EQ(probes, 5);
    end();
}

/* A C function that calls, unprotected, on yet another thread. */
static int call_on_a_new_thread(lua_State *L) {
    lua_State *third = lua_newthread(L);
    lua_pushcfunction(third, probe_function);
    lua_call(third, 0, 0);
    probe(L);
    return 0;
}

TEST(threads_that_call_threads) {
    lua_State *L = begin(), *second = lua_newthread(L);
    lua_pushcfunction(second, call_on_a_new_thread);
    lua_call(second, 0, 0);
    lua_pushcfunction(L, call_on_a_new_thread);
    lua_call(L, 0, 0);
    CHECK_EQ(probes, 4);
    end();
}

/* API calls that run a metamethod. The object with the metamethods is at the top. */
static void op_getfield(lua_State *L) { lua_getfield(L, -1, "x"); }
static void op_setfield(lua_State *L) { lua_pushnil(L), lua_setfield(L, -2, "x"); }
static void op_geti(lua_State *L) { lua_geti(L, -1, 1); }
static void op_seti(lua_State *L) { lua_pushnil(L), lua_seti(L, -2, 1); }
static void op_gettable(lua_State *L) { lua_pushnil(L), lua_gettable(L, -2); }
static void op_settable(lua_State *L) {
    lua_pushinteger(L, 1), lua_pushnil(L), lua_settable(L, -3);
}
static void op_arith(lua_State *L) { lua_pushvalue(L, -1), lua_arith(L, LUA_OPADD); }
static void op_negate(lua_State *L) { lua_arith(L, LUA_OPUNM); }
static void op_concat(lua_State *L) { lua_pushvalue(L, -1), lua_concat(L, 2); }
static void op_compare(lua_State *L) {
    lua_pushvalue(L, -1), lua_compare(L, -1, -2, LUA_OPLT);
}
static void op_equal(lua_State *L) {
    lua_newtable(L), lua_getmetatable(L, -2), lua_setmetatable(L, -2);
    lua_compare(L, -1, -2, LUA_OPEQ);
}
static void op_len(lua_State *L) { lua_len(L, -1); }
static void op_call(lua_State *L) { lua_call(L, 0, 0); }
static void op_close_slot(lua_State *L) { lua_toclose(L, -1), lua_closeslot(L, -1); }
static void op_settop(lua_State *L) { lua_toclose(L, -1), lua_pop(L, 1); }

static int tostring_metamethod(lua_State *L) {
    probe(L);
    lua_pushliteral(L, "text");
    return 1;
}

static void op_tolstring(lua_State *L) { luaL_tolstring(L, -1, NULL); }

static void push_object(lua_State *L) {
    static const char *const names[] = {"__index", "__newindex", "__add", "__unm", "__concat",
                                        "__lt", "__eq", "__len", "__call", "__close"};
    size_t i;
    lua_newtable(L);
    lua_newtable(L);
    for (i = 0; i < COUNT_OF(names); i++) {
        lua_pushcfunction(L, probe_function);
        lua_setfield(L, -2, names[i]);
    }
    lua_pushcfunction(L, tostring_metamethod);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
}

static void check_operations(int on_a_second_thread) {
    static void (*const operations[])(lua_State *) = {
        op_getfield, op_setfield, op_geti, op_seti, op_gettable, op_settable, op_arith,
        op_negate, op_concat, op_compare, op_equal, op_len, op_call, op_close_slot, op_settop,
        op_tolstring};
    lua_State *L = begin(), *state = on_a_second_thread ? lua_newthread(L) : L;
    int top = lua_gettop(state);
    size_t i;
    for (i = 0; i < COUNT_OF(operations); i++) {
        probes = 0;
        push_object(state);
        operations[i](state);
        CHECK(probes > 0);
        lua_settop(state, top);
    }
    lua_settop(L, 0);
    end();
}

TEST(metamethods_run_by_api_calls_on_the_main_state) { check_operations(0); }

TEST(metamethods_run_by_api_calls_on_a_second_thread) { check_operations(1); }

TEST(to_be_closed_variables_of_a_thread_the_host_closes) {
    lua_State *L = begin(), *co = lua_newthread(L);
    int count;
    luaL_loadstring(co, "local v <close> = setmetatable({}, {__close = probe}) "
                        "coroutine.yield()");
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_YIELD);
    CHECK_EQ(lua_closethread(co, NULL), LUA_OK);
    CHECK_EQ(probes, 1);
    end();
}

static void make_garbage_with_finalizer(lua_State *L, lua_CFunction finalizer) {
    lua_newuserdatauv(L, 8, 0);
    lua_newtable(L);
    lua_pushcfunction(L, finalizer);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

TEST(finalizer_in_a_collection_by_the_host) {
    lua_State *L = begin(), *second = lua_newthread(L);
    make_garbage_with_finalizer(L, probe_function);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(probes, 1);
    make_garbage_with_finalizer(L, probe_function);
    lua_gc(second, LUA_GCCOLLECT);
    CHECK_EQ(probes, 2);
    end();
}

TEST(finalizer_in_an_allocation_by_the_host) {
    lua_State *L = begin();
    int i;
    make_garbage_with_finalizer(L, probe_function);
    for (i = 0; i < 100000 && probes == 0; i++) {
        lua_pushfstring(L, "garbage number %d", i);
        lua_pop(L, 1);
    }
    end();
}

TEST(finalizer_during_lua_close) {
    lua_State *L = begin();
    make_garbage_with_finalizer(L, probe_function);
    run(L, "kept = setmetatable({}, {__gc = probe})");
    lua_close(L);
    CHECK_EQ(probes, 2);
}

TEST(to_be_closed_slot_of_the_main_state_during_lua_close) {
    lua_State *L = begin();
    push_object(L);
    lua_toclose(L, -1);
    lua_close(L);
    CHECK_EQ(probes, 1);
}

static void hook(lua_State *L, lua_Debug *activation) {
    (void)activation;
    if (probes < 40) probe(L);
}

TEST(hooks) {
    static const int masks[] = {LUA_MASKCALL, LUA_MASKRET, LUA_MASKLINE, LUA_MASKCOUNT};
    lua_State *L = begin(), *co = lua_newthread(L);
    size_t i;
    int count;
    for (i = 0; i < COUNT_OF(masks); i++) {
        probes = 0;
        lua_sethook(L, hook, masks[i], 1);
        run(L, "local x = 0\nfor i = 1, 5 do\nx = x + #tostring(i)\nend");
        lua_sethook(L, NULL, 0, 0);
        CHECK(probes > 0);
        probes = 0;
        lua_sethook(co, hook, masks[i], 1);
        luaL_loadstring(co, "local x = 0\nfor i = 1, 5 do\nx = x + #tostring(i)\nend");
        CHECK_EQ(lua_resume(co, NULL, 0, &count), LUA_OK);
        lua_sethook(co, NULL, 0, 0);
        CHECK(probes > 0);
    }
    end();
}

TEST(hook_of_an_unprotected_call_on_a_second_thread) {
    lua_State *L = begin(), *second = lua_newthread(L);
    lua_sethook(second, hook, LUA_MASKCOUNT, 1);
    luaL_loadstring(second, "local x = 1 + 1");
    lua_call(second, 0, 0);
    lua_sethook(second, NULL, 0, 0);
    end();
}

static const char *reader(lua_State *L, void *ud, size_t *size) {
    const char **text = (const char **)ud, *piece = *text;
    probe(L);
    *text = NULL;
    *size = piece ? strlen(piece) : 0;
    return piece;
}

static int writer(lua_State *L, const void *piece, size_t size, void *ud) {
    (void)piece;
    *(size_t *)ud += size;
    if (probes < 40) probe(L);
    return 0;
}

TEST(readers) {
    lua_State *L = begin(), *second = lua_newthread(L);
    const char *good = "return 1", *bad = "return return";
    CHECK_EQ(lua_load(L, reader, (void *)&good, "=good", NULL), LUA_OK);
    CHECK_EQ(lua_load(L, reader, (void *)&bad, "=bad", NULL), LUA_ERRSYNTAX);
    good = "return 1";
    CHECK_EQ(lua_load(second, reader, (void *)&good, "=good", NULL), LUA_OK);
    end();
}

static int failing_writer(lua_State *L, const void *piece, size_t size, void *ud) {
    (void)piece;
    (void)size;
    (void)ud;
    probe(L);
    return 1;
}

TEST(writers_of_lua_dump) {
    lua_State *L = begin(), *second = lua_newthread(L);
    size_t bytes = 0;
    luaL_loadstring(L, "local a = 1 return function() return a end");
    CHECK_EQ(lua_dump(L, writer, &bytes, 0), 0);
    CHECK(bytes > 0);
    CHECK_EQ(lua_dump(L, failing_writer, NULL, 0), 1);
    lua_xmove(L, second, 1);
    probes = 0;
    CHECK_EQ(lua_dump(second, writer, &bytes, 1), 0);
    end();
}

static jmp_buf jump;

static int raising_writer(lua_State *L, const void *piece, size_t size, void *ud) {
    (void)piece;
    (void)size;
    (void)ud;
    probe(L);
    return luaL_error(L, "no more room");
}

static int dumping(lua_State *L) {
    luaL_loadstring(L, "return 1");
    return lua_dump(L, raising_writer, NULL, 0);
}

TEST(writer_of_lua_dump_that_raises) {
    lua_State *L = begin();
    lua_pushcfunction(L, dumping);
    CHECK_EQ(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    CHECK(strstr(lua_tostring(L, -1), "no more room") != NULL);
    end();
}

static void warn_function(void *ud, const char *message, int to_be_continued) {
    (void)message;
    (void)to_be_continued;
    probe((lua_State *)ud);
}

TEST(warn_functions) {
    lua_State *L = begin();
    lua_setwarnf(L, warn_function, L);
    lua_warning(L, "from the host", 0);
    CHECK_EQ(probes, 1);
    lua_warning(other, "from the host, on ", 1);
    lua_warning(other, "another thread", 0);
    CHECK_EQ(probes, 3);
    run(L, "warn('from a script')");
    CHECK_EQ(probes, 4);
    lua_setwarnf(L, NULL, NULL);
    lua_warning(L, "nobody listens", 0);
    end();
}

static int failing_finalizer(lua_State *L) { return luaL_error(L, "a finalizer fails"); }

TEST(warning_about_a_finalizer_that_failed) {
    lua_State *L = begin();
    lua_setwarnf(L, warn_function, L);
    make_garbage_with_finalizer(L, failing_finalizer);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK(probes > 0);
    probes = 0;
    make_garbage_with_finalizer(L, failing_finalizer);
    lua_gc(other, LUA_GCSTEP, 100000);
    lua_setwarnf(L, NULL, NULL);
    end();
}

TEST(message_handler) {
    lua_State *L = begin();
    lua_pushcfunction(L, probe_function);
    luaL_loadstring(L, "error('x')");
    CHECK_EQ(lua_pcall(L, 0, 0, 1), LUA_ERRRUN);
    CHECK_EQ(probes, 1);
    end();
}

static int host_function(lua_State *L, void *ud) {
    probe(L);
    CHECK_OK(rlua_dostring(L, "probe()")); /* Lua may be entered again, and stays busy */
    probe(L);
    return *(int *)ud ? RLUA_RAISE : 0;
}

TEST(host_function_and_nested_entry) {
    lua_State *L = begin();
    int raise = 0;
    CHECK_OK(rlua_pushfunction(L, host_function, &raise, "host_function"));
    CHECK_OK(rlua_call(L, 0, 0, 0));
    CHECK_EQ(probes, 3);
    raise = 1;
    CHECK_OK(rlua_pushfunction(L, host_function, &raise, "host_function"));
    CHECK_STATUS(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
    end();
}

/* Dropping snapshots while Lua runs is either done or refused, never something between. */
static int discarding(lua_State *L) {
    size_t count = 0;
    int status = rlua_set_max_snapshots(L, 3);
    CHECK(status == RLUA_OK || status == RLUA_BUSY);
    status = rlua_discard_before(L, 0);
    CHECK(status == RLUA_OK || status == RLUA_BUSY);
    status = rlua_snapshot_count(L, &count);
    CHECK((status == RLUA_OK && count == 1) || status == RLUA_BUSY);
    probe(L);
    return 0;
}

TEST(discarding_inside_a_callback) {
    lua_State *L = begin();
    lua_pushcfunction(L, discarding);
    lua_call(L, 0, 0);
    end();
}

static int snapping_another(lua_State *L) {
    lua_State *another = (lua_State *)lua_touserdata(L, 1);
    probe(L);
    CHECK_OK(rlua_snap(another));
    CHECK_OK(rlua_rollback(another, 1));
    return 0;
}

TEST(a_running_vm_does_not_make_another_one_busy) {
    lua_State *another = open_vm(1 * MIB, 1), *L = begin();
    lua_pushcfunction(L, snapping_another);
    lua_pushlightuserdata(L, another);
    lua_call(L, 1, 0);
    CHECK_EQ(snapshot_count(another), 1);
    lua_close(another);
    end();
}

static int closing(lua_State *L) {
    probe(L);
    lua_close(L);
    CHECK(strlen(rlua_last_error(L)) > 8);
    lua_close(vm);
    lua_close(other);
    probe(L);
    lua_pushliteral(L, "still here");
    return 1;
}

TEST(lua_close_of_a_running_vm_is_refused) {
    lua_State *L = begin(), *co = lua_newthread(L);
    int count;
    lua_register(L, "closing", closing);
    CHECK_EVAL(L, "closing()", "still here");
    CHECK_EVAL(L, "coroutine.wrap(closing)()", "still here");
    lua_pushcfunction(co, closing);
    CHECK_EQ(lua_resume(co, NULL, 0, &count), LUA_OK);
    CHECK_STR(lua_tostring(co, -1), "still here");
    lua_pushcfunction(co, closing);
    lua_call(co, 0, 0);
    CHECK_EQ(probes, 8);
    end();
}

static int closing_finalizer(lua_State *L) {
    probe(L);
    lua_close(L);
    lua_close(vm);
    return 0;
}

TEST(lua_close_inside_lua_close_is_refused) {
    lua_State *L = begin();
    make_garbage_with_finalizer(L, closing_finalizer);
    make_garbage_with_finalizer(L, probe_function);
    lua_close(L);
    CHECK_EQ(probes, 2);
    CHECK_STATUS(rlua_snap(L), RLUA_NOT_ROLLBACK);
}

static void check_idle(lua_State *L) {
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_discard_before(L, INT64_MAX));
}

TEST(errors_of_every_kind_leave_the_vm_idle) {
    static const char *const chunks[] = {
        "error('x')", "return return", "local x = nil + 1", "error(setmetatable({}, {}))",
        "local function f() return f() + 1 end f()", "string.rep('x', 1 << 40)",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "coroutine.wrap(function() pcall(error, 1) error('x') end)()",
        "local c = coroutine.wrap(function() coroutine.yield() error('x') end) c() c()",
        "xpcall(error, error, 1) error('y')", "coroutine.yield()",
        "local v <close> = setmetatable({}, {__close = function() error('in close') end})",
        "setmetatable({}, {__gc = function() error('gc') end}) collectgarbage() error('x')",
        "load(function() error('in reader') end) error('x')",
        "table.sort({3, 2, 1, 4}, function() error('in sort') end)",
        "return ('x'):gsub('.', function() error('in gsub') end)",
        "require 'no such module'", "coroutine.close(coroutine.running())"};
    lua_State *L = open_vm(2 * MIB, 2);
    size_t i;
    for (i = 0; i < COUNT_OF(chunks); i++) {
        CHECK(luaL_dostring(L, chunks[i]) != LUA_OK);
        lua_settop(L, 0);
        check_idle(L);
    }
    lua_close(L);
}

/* An error in an unprotected call on a second thread goes to the handler of the main one. */
static int error_on_a_second_thread(lua_State *L) {
    lua_State *second = lua_newthread(L);
    luaL_loadstring(second, "error('from the second thread', 0)");
    lua_call(second, 0, 0);
    return 0;
}

TEST(error_that_crosses_threads_leaves_the_vm_idle) {
    lua_State *L = open_vm(2 * MIB, 2);
    int i;
    for (i = 0; i < 5; i++) {
        lua_pushcfunction(L, error_on_a_second_thread);
        CHECK_EQ(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
        CHECK_STR(lua_tostring(L, -1), "from the second thread");
        lua_settop(L, 0);
        check_idle(L);
    }
    lua_close(L);
}

static int panic(lua_State *L) {
    (void)L;
    longjmp(jump, 1);
}

/* A thread that panicked is dead for Lua until somebody sees to it. */
static void panic_on(lua_State *main_state, lua_State *state, const char *chunk) {
    lua_atpanic(main_state, panic);
    CHECK_OK(rlua_recover(main_state));
    if (state != main_state) lua_closethread(state, NULL);
    if (setjmp(jump) == 0) {
        luaL_loadstring(state, chunk);
        lua_call(state, 0, 0);
        FAIL("no panic");
    }
    lua_settop(state, 0);
}

TEST(panic_that_jumps_out_leaves_the_vm_idle) {
    lua_State *L = open_vm(2 * MIB, 2), *second = lua_newthread(L);
    int i;
    lua_setfield(L, LUA_REGISTRYINDEX, "second");
    for (i = 0; i < 5; i++) {
        panic_on(L, L, "error('x')");
        check_idle(L);
        panic_on(L, second, "pcall(error) error('x')");
        check_idle(L);
        panic_on(L, L, "local function deep(n) if n == 0 then error('x') end "
                       "return 1 + deep(n - 1) end deep(150)");
        check_idle(L);
        panic_on(L, L, "coroutine.wrap(function() error('x') end)()");
        check_idle(L);
    }
    CHECK_REFUSED(rlua_dostring(L, "n = 1"), RLUA_BAD_ARG);
    CHECK_OK(rlua_recover(L));
    run(L, "n = 1");
    CHECK_EQ(global_int(L, "n"), 1);
    lua_close(L);
}

TEST(suspended_coroutines_do_not_make_a_vm_busy) {
    lua_State *L = open_vm(2 * MIB, 2), *co = lua_newthread(L);
    int count;
    run(L, "co = coroutine.wrap(function() pcall(coroutine.yield) end) co()");
    luaL_loadstring(co, "coroutine.yield(1)");
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_YIELD);
    CHECK_OK(rlua_snap(co));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(co, 2));
    CHECK_EQ(lua_status(co), LUA_YIELD);
    lua_close(L);
}
