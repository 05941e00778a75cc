/* cxx_exceptions.cpp: C++ host functions keep their exceptions and destructors to themselves.
 * Method: functions that throw, catch and hand the message to Lua by RLUA_RAISE; a counter of
 * live objects tells whether every destructor ran, also when Lua raises through the host's call.
 */
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness.h"

static int live_objects = 0;

struct Counted {
    std::string text;
    explicit Counted(const std::string &t) : text(t) { ++live_objects; }
    Counted(const Counted &o) : text(o.text) { ++live_objects; }
    ~Counted() { --live_objects; }
};

using Body = std::function<int(lua_State *)>;

/* The usual wrapper of a binding: no exception leaves it. */
static int guarded(lua_State *L, void *ud) {
    try {
        return (*static_cast<Body *>(ud))(L);
    } catch (const std::exception &e) {
        if (rlua_pushlstring(L, e.what(), strlen(e.what())) != RLUA_OK) return RLUA_RAISE;
        return RLUA_RAISE;
    } catch (...) {
        rlua_pushlstring(L, "unknown exception", 17);
        return RLUA_RAISE;
    }
}

static void define(lua_State *L, const char *name, Body *body) {
    CHECK_OK(rlua_pushfunction(L, guarded, body, name));
    CHECK_OK(rlua_setglobal(L, name));
}

TEST(exceptions_become_lua_errors) {
    lua_State *L = open_vm(1 * MIB, 1);
    Body thrower = [](lua_State *) -> int {
        Counted counted("a text longer than a small string would hold in place");
        throw std::runtime_error("thrown: " + counted.text);
    };
    Body other = [](lua_State *) -> int { throw 42; };
    define(L, "thrower", &thrower);
    define(L, "other", &other);
    CHECK_OK(rlua_snap(L));
    for (int round = 0; round < 5; ++round) {
        CHECK_EVAL(L, "select(2, pcall(thrower))",
                   "thrown: a text longer than a small string would hold in place");
        CHECK_EVAL(L, "select(2, pcall(other))", "unknown exception");
        CHECK_STATUS(rlua_dostring(L, "thrower()"), RLUA_ERR_RUN);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(lua_gettop(L), 0);
    }
    CHECK_EQ(live_objects, 0);
    lua_close(L);
}

TEST(a_lua_error_below_the_hosts_frame_runs_its_destructors) {
    lua_State *L = open_vm(1 * MIB, 1);
    Body caller = [](lua_State *state) -> int {
        std::vector<Counted> objects(10, Counted("object"));
        if (rlua_dostring(state, "error('from Lua', 0)") != RLUA_OK) return RLUA_RAISE;
        return 0;
    };
    define(L, "caller", &caller);
    CHECK_EVAL(L, "select(2, pcall(caller))", "from Lua");
    CHECK_EVAL(L, "select(2, coroutine.resume(coroutine.create(caller)))", "from Lua");
    CHECK_EQ(live_objects, 0);
    CHECK_OK(rlua_snap(L));
    lua_close(L);
}

TEST(out_of_memory_below_the_hosts_frame_runs_its_destructors) {
    lua_State *L = open_vm(256 * KIB, 1);
    Body filler = [](lua_State *state) -> int {
        std::unique_ptr<Counted> counted(new Counted("held"));
        for (;;) {
            int status = rlua_createtable(state, 100, 0);
            if (status != RLUA_OK) return RLUA_RAISE;
        }
    };
    define(L, "filler", &filler);
    CHECK_STATUS(rlua_dostring(L, "filler()"), RLUA_ERR_MEM); /* raised again, it stays that */
    CHECK_STR(lua_tostring(L, -1), "not enough memory");
    CHECK_EQ(live_objects, 0);
    lua_settop(L, 0);
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    CHECK_OK(rlua_dostring(L, "x = 1"));
    lua_close(L);
}

TEST(cxx_objects_in_userdata_follow_the_time_line) {
    lua_State *L = open_vm(1 * MIB, 1);
    auto *numbers = new (lua_newuserdatauv(L, sizeof(int[8]), 0)) int[8]();
    lua_setglobal(L, "numbers");
    for (int i = 0; i < 8; ++i) numbers[i] = i;
    CHECK_OK(rlua_snap(L));
    for (int i = 0; i < 8; ++i) numbers[i] = -1;
    CHECK_OK(rlua_rollback(L, 1));
    for (int i = 0; i < 8; ++i) CHECK_EQ(numbers[i], i);
    lua_close(L);
}

TEST(rlua_calls_do_not_throw_or_jump_over_a_frame) {
    lua_State *L = rlua_new_rollback(64 * KIB, 1);
    CHECK(L != nullptr);
    {
        Counted counted("on the host's stack");
        CHECK_STATUS(rlua_dostring(L, "local t = {} while true do t[#t + 1] = {} end"),
                     RLUA_ERR_MEM);
        CHECK_STATUS(rlua_dostring(L, "nothing()"), RLUA_ERR_RUN);
    }
    CHECK_EQ(live_objects, 0);
    lua_close(L);
}
