/* cxx_unwinding.cpp: after foreign unwinding through Lua's frames (a C++ exception, pthread_exit) a
 * VM is busy, and rlua_recover makes it idle again.
 * Method: a function that unwinds is called from every place that Lua calls host code from; what
 * leaves the last frame is caught, and then the VM must be busy, recover, be sound (rlua_check),
 * run, snap, roll back and close, again and again. */
#include <pthread.h>

#include <new>
#include <string>
#include <vector>

#include "harness.h"

namespace {

struct Foreign {};

int live_objects = 0;

struct Counted {
    std::string text;
    Counted() : text("long enough to be allocated on the heap") { ++live_objects; }
    ~Counted() { --live_objects; }
};

int throwing(lua_State *) {
    Counted counted;
    throw Foreign();
}

int throwing_host_function(lua_State *, void *) {
    Counted counted;
    throw Foreign();
}

lua_State *open_throwing(size_t memory_size) {
    lua_State *L = open_vm(memory_size, 3);
    lua_register(L, "throw", throwing);
    CHECK_OK(rlua_pushfunction(L, throwing_host_function, nullptr, "throw_host"));
    CHECK_OK(rlua_setglobal(L, "throw_host"));
    run(L, "closed, n = 0, 0 function closer() return setmetatable({}, "
           "{__close = function(_, e) closed = closed + 1 err = e end}) end");
    CHECK_OK(rlua_snap(L));
    return L;
}

template <typename Call> void must_throw(Call call) {
    bool caught = false;
    try {
        call();
    } catch (const Foreign &) {
        caught = true;
    }
    CHECK(caught);
}

/* Busy; then idle, sound and usable, with the stack as it was before the outermost call. */
void recover(lua_State *L, int top) {
    CHECK_REFUSED(rlua_snap(L), RLUA_BUSY);
    CHECK_OK(rlua_recover(L));
    CHECK_EQ(lua_gettop(L), top);
    CHECK_OK(rlua_check(L));
    lua_sethook(L, nullptr, 0, 0);
    CHECK_EVAL(L, "#{1, 2} + select('#', coroutine.wrap(function(...) return ... end)(1, 2))", "4");
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_recover(L)); /* idle: nothing to do */
    CHECK_EQ(lua_gettop(L), top);
}

const char *const chunks[] = {
    "throw()",
    "throw_host()",
    "pcall(pcall, throw)",
    "local function deep(n) if n == 0 then throw() end return 1 + deep(n - 1) end deep(150)",
    "coroutine.wrap(throw)()",
    "co = coroutine.create(function() local x <close> = closer() throw() end) coroutine.resume(co)",
    "coroutine.wrap(function() coroutine.wrap(function() pcall(throw_host) end)() end)()",
    "local c = coroutine.wrap(function() coroutine.yield() throw() end) c() c()",
    "setmetatable({}, {__gc = throw}) collectgarbage()",
    "collectgarbage('generational') setmetatable({}, {__gc = throw}) collectgarbage('step')",
    "collectgarbage('incremental') setmetatable({}, {__gc = throw_host}) collectgarbage()",
    "coroutine.wrap(function() setmetatable({}, {__gc = throw}) collectgarbage() end)()",
    "return setmetatable({}, {__index = throw}).x",
    "setmetatable({}, {__newindex = throw}).x = 1",
    "return setmetatable({}, {__add = throw}) + 1",
    "return setmetatable({}, {__concat = throw}) .. ''",
    "return setmetatable({}, {__eq = throw}) == setmetatable({}, {})",
    "return tostring(setmetatable({}, {__tostring = throw}))",
    "table.sort({3, 2, 1}, throw)",
    "('abc'):gsub('.', throw)",
    "for _ in throw do end",
    "do local x <close> = setmetatable({}, {__close = throw}) end",
    "load(throw)",
    "coroutine.wrap(function() load(throw) end)()",
    "xpcall(error, throw)",
    "package.preload.thrower = throw require 'thrower'",
    "debug.sethook(throw, '', 1) for i = 1, 10 do n = n + i end",
    "local f = function(...) local a, b = ... throw(...) return a, b end f(1, 2, 3, 4)",
};

void run_each(lua_State *L, void (*outermost)(lua_State *, const char *), const char *chunk) {
    int top = lua_gettop(L);
    must_throw([&] { outermost(L, chunk); });
    recover(L, top);
}

} // namespace

TEST(exceptions_out_of_a_protected_call) {
    lua_State *L = open_throwing(4 * MIB);
    lua_pushliteral(L, "below");
    for (int round = 0; round < 3; ++round) {
        for (const char *chunk : chunks) {
            run_each(L, [](lua_State *l, const char *text) { rlua_dostring(l, text); }, chunk);
            CHECK_STR(lua_tostring(L, 1), "below");
        }
        CHECK_EQ(lua_gettop(L), 1);
    }
    CHECK_EQ(live_objects, 0);
    CHECK_OK(rlua_rollback(L, 1));
    lua_close(L);
}

TEST(exceptions_out_of_lua_pcall_and_lua_call) {
    lua_State *L = open_throwing(4 * MIB);
    for (const char *chunk : chunks) {
        run_each(L, [](lua_State *l, const char *text) {
            luaL_loadstring(l, text);
            lua_pushinteger(l, 1); /* arguments of a vararg function: it moves up behind them */
            lua_pushinteger(l, 2);
            lua_pcall(l, 2, LUA_MULTRET, 0);
        }, chunk);
        run_each(L, [](lua_State *l, const char *text) {
            luaL_loadstring(l, text);
            lua_call(l, 0, 0);
        }, chunk);
    }
    CHECK_EQ(live_objects, 0);
    lua_close(L);
}

TEST(exceptions_on_a_thread_of_the_host) {
    lua_State *L = open_throwing(4 * MIB);
    for (const char *chunk : chunks) {
        int top = lua_gettop(L), count;
        lua_State *thread = lua_newthread(L);
        luaL_loadstring(thread, chunk);
        must_throw([&] { rlua_resume(thread, L, 0, &count); });
        recover(L, top + 1);
        CHECK(lua_status(thread) != LUA_OK && lua_status(thread) != LUA_YIELD);
        CHECK(strstr(lua_tostring(thread, -1), "foreign unwinding") != nullptr);
        CHECK_REFUSED(rlua_resume(thread, L, 0, &count), RLUA_BAD_ARG);
        lua_closethread(thread, L);
        luaL_loadstring(thread, chunk);
        must_throw([&] { lua_call(thread, 0, 0); });
        recover(L, top + 1);
        lua_settop(L, top);
    }
    lua_close(L);
}

TEST(variables_to_be_closed_are_closed_or_stay_pending) {
    lua_State *L = open_throwing(4 * MIB);
    run(L, "function escape() up = nil local a, b <close> = 1, closer()\n"
           "  local c <close> = closer()\n"
           "  up = function() a = a + 1 return a end throw() end");
    CHECK_OK(rlua_getglobal(L, "escape"));
    must_throw([&] { rlua_call(L, 0, 0, 0); });
    CHECK_OK(rlua_recover(L));
    CHECK_EVAL(L, "closed .. tostring(err)", "2nil");
    CHECK_EVAL(L, "up() + up()", "5"); /* its upvalue is closed, and its own */
    CHECK_OK(rlua_check(L));
    must_throw([&] { rlua_dostring(L, chunks[5]); });
    CHECK_OK(rlua_recover(L));
    CHECK_EVAL(L, "closed", "2"); /* the coroutine's is pending, as after an error in it */
    CHECK_EVAL(L, "coroutine.status(co)", "dead");
    CHECK_EVAL(L, "select('#', coroutine.close(co))", "2");
    CHECK_EVAL(L, "closed", "3");
    must_throw([&] {
        rlua_dostring(L, "local a <close> = closer() local b <close> = setmetatable({}, "
                         "{__close = throw}) throw()");
    });
    must_throw([&] { rlua_recover(L); }); /* `__close` throws in its turn */
    CHECK_OK(rlua_recover(L));
    CHECK_EVAL(L, "closed", "4");
    CHECK_EQ(lua_gettop(L), 0);
    must_throw([&] { rlua_dostring(L, "throw()"); });
    recover(L, 0);
    lua_close(L);
}

TEST(a_coroutine_that_was_left_does_no_harm) {
    lua_State *L = open_throwing(4 * MIB);
    run(L, "list = {} function left() local co\n"
           "co = coroutine.create(function() list[#list + 1] = co "
           "coroutine.wrap(function() list[#list + 1] = coroutine.running() throw() end)() end) "
           "coroutine.resume(co) end");
    for (int i = 0; i < 10; ++i) {
        must_throw([&] { rlua_dostring(L, "left()"); });
        CHECK_OK(rlua_recover(L));
    }
    CHECK_EVAL(L, "#list", "20");
    run(L, "for _, co in ipairs(list) do assert(coroutine.status(co) == 'dead')\n"
           "  assert(not coroutine.resume(co)) debug.traceback(co) end");
    CHECK_OK(rlua_check(L));
    run(L, "for i, co in ipairs(list) do if i % 2 == 0 then coroutine.close(co) end end list = nil "
           "collectgarbage() collectgarbage()");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Places outside of a call. */
static const char *throwing_reader(lua_State *, void *, size_t *) { throw Foreign(); }
static int throwing_writer(lua_State *, const void *, size_t, void *) { throw Foreign(); }
static void throwing_warn(void *, const char *, int) { throw Foreign(); }
static void throwing_hook(lua_State *, lua_Debug *) { throw Foreign(); }

TEST(exceptions_out_of_readers_writers_hooks_and_warn_functions) {
    lua_State *L = open_throwing(4 * MIB);
    must_throw([&] { lua_load(L, throwing_reader, nullptr, "=reader", nullptr); });
    recover(L, 0);
    lua_State *thread = lua_newthread(L);
    must_throw([&] { lua_load(thread, throwing_reader, nullptr, "=reader", nullptr); });
    recover(L, 1);
    CHECK_EQ(lua_status(thread), LUA_OK); /* it was in no call */
    luaL_loadstring(L, "return 1");
    must_throw([&] { lua_dump(L, throwing_writer, nullptr, 0); });
    recover(L, 2);
    lua_setwarnf(L, throwing_warn, nullptr);
    must_throw([&] { lua_warning(L, "a warning", 0); });
    recover(L, 2);
    lua_setwarnf(L, nullptr, nullptr);
    lua_sethook(L, throwing_hook, LUA_MASKCALL | LUA_MASKLINE, 0);
    must_throw([&] { lua_call(L, 0, 0); });
    lua_sethook(L, nullptr, 0, 0);
    recover(L, 1);
    lua_close(L);
}

static void *host_alloc(void *, void *block, size_t, size_t size) {
    if (size == 0) return free(block), nullptr;
    return realloc(block, size);
}

TEST(recover_of_what_is_none_of_ours) {
    lua_State *L = open_throwing(1 * MIB), *foreign = lua_newstate(host_alloc, nullptr);
    CHECK_REFUSED(rlua_recover(nullptr), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_recover(foreign), RLUA_NOT_ROLLBACK);
    lua_close(foreign);
    CHECK_OK(rlua_recover(L));
    lua_close(L);
    CHECK_REFUSED(rlua_recover(L), RLUA_NOT_ROLLBACK);
}

/* -- a thread that ends inside Lua ----------------------------------------------------------- */

static int exiting(lua_State *) {
    Counted counted;
    pthread_exit(nullptr);
    return 0; /* where a compiler does not know that it does not */
}

static void *in_pcall(void *L) {
    luaL_loadstring(static_cast<lua_State *>(L), "pcall(exit)");
    lua_pcall(static_cast<lua_State *>(L), 0, 0, 0);
    return L;
}

static void *in_protected_call(void *L) {
    rlua_dostring(static_cast<lua_State *>(L), "coroutine.wrap(function() exit() end)()");
    return L;
}

TEST(pthread_exit_inside_lua) {
    NOT_ON_WINDOWS("threads end there without unwinding");
    lua_State *L = open_throwing(1 * MIB);
    lua_register(L, "exit", exiting);
    for (void *(*body)(void *) : {in_pcall, in_protected_call}) {
        for (int round = 0; round < 3; ++round) {
            pthread_t thread;
            void *result = L;
            CHECK_EQ(pthread_create(&thread, nullptr, body, L), 0);
            CHECK_EQ(pthread_join(thread, &result), 0);
            CHECK(result == nullptr);
            recover(L, 0);
        }
    }
#ifdef __GLIBC__ /* musl's threads end without unwinding */
    CHECK_EQ(live_objects, 0);
#endif
    live_objects = 0;
    lua_close(L);
}
