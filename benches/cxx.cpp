// cxx.cpp: what a call, a callback and an access cost from C++: rlua.hpp beside sol2 and beside C
// by hand, all on VMs of this library, in one process.
//
//   cxx [ROUNDS]
//
// By hand is what a careful host writes over lua.h: lua_pcall with a traceback as its handler, as
// rlua.hpp has; luaL_ref for what it keeps; lua_pcall around what may raise. sol2 is
// sol::protected_function and sol::table with all its safeties on, which checks types and does not
// protect accesses to tables.
//
// Each line is the medians in nanoseconds, and the medians of the rounds' ratios. All take turns in
// short batches, so that what else the machine does falls on all; the time is that of this thread
// on the processor.
// Not here: protected calls by themselves (calls.c).
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "rlua.hpp"
extern "C" {
#include "lauxlib.h"
#include "lualib.h"
}
#if __has_include(<sol/sol.hpp>)
#define HAS_SOL2 1
#define SOL_ALL_SAFETIES_ON 1
#define SOL_PRINT_ERRORS 0
#include <sol/sol.hpp>
#else
#define HAS_SOL2 0
#endif

#define PROGRAM "cxx"
#include "measure.h"

namespace {

using work = std::function<void(int count)>;

enum { HAND, OURS, SOL2, SUBJECTS };
enum { BATCH = 4000 };

struct row {
    const char *name;
    int per; // how many of what is measured one step does
    work subjects[SUBJECTS];
};

const char *script = R"(
    function one(x) return x end
    function three(a, b, c) return a, b, c end
    function calls(n) for i = 1, n do host(i) end end
    function texts(n) for i = 1, n do host_text('some text') end end
    function gives(n) local f = one for i = 1, n do take(f) end end
    function methods(n) local v = v for i = 1, n do v:length2() end end
    function fields(n) local v = v local s = 0 for i = 1, n do s = s + v.x end return s end
    function makes(n) for i = 1, n do make(1, 2, 3) end end
    function counts() while true do coroutine.yield(1) end end
    t = {x = 1, a = {b = {c = 3}}}
    list = {} for i = 1, 1000 do list['k' .. i] = i end
)";

struct vec {
    double x, y, z;
    double length2() const { return x * x + y * y + z * z; }
};

double spent_ns() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

void check(bool right) {
    if (!right) fail("a wrong result");
}

lua_State *open_vm() {
    lua_State *L = rlua_new_rollback(std::size_t{1} << 30, 0);
    if (L == nullptr) fail("no VM");
    luaL_openlibs(L);
    return L;
}

// By hand

int traceback(lua_State *L) {
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

int number(lua_State *L) {
    lua_pushinteger(L, luaL_checkinteger(L, 1));
    return 1;
}
int text(lua_State *L) {
    std::size_t length;
    const char *s = luaL_checklstring(L, 1, &length);
    lua_pushlstring(L, s, length);
    return 1;
}
int take(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, luaL_ref(L, LUA_REGISTRYINDEX));
    return 0;
}
int make(lua_State *L) {
    const vec made{luaL_checknumber(L, 1), luaL_checknumber(L, 2), luaL_checknumber(L, 3)};
    *static_cast<vec *>(lua_newuserdatauv(L, sizeof(vec), 0)) = made;
    luaL_setmetatable(L, "vec");
    return 1;
}
int length2(lua_State *L) {
    lua_pushnumber(L, static_cast<vec *>(luaL_checkudata(L, 1, "vec"))->length2());
    return 1;
}
int index_vec(lua_State *L) {
    const auto *v = static_cast<vec *>(luaL_checkudata(L, 1, "vec"));
    const std::string_view key = luaL_checkstring(L, 2);
    if (key == "x") return lua_pushnumber(L, v->x), 1;
    if (key == "length2") return lua_pushcfunction(L, length2), 1;
    return 0;
}

struct by_hand {
    lua_State *L = open_vm();
    int one, three, t, list;

    by_hand() {
        lua_register(L, "host", number);
        lua_register(L, "host_text", text);
        lua_register(L, "take", take);
        lua_register(L, "make", make);
        luaL_newmetatable(L, "vec");
        lua_pushcfunction(L, index_vec);
        lua_setfield(L, -2, "__index");
        lua_settop(L, 0);
        if (luaL_dostring(L, script) || luaL_dostring(L, "v = make(1, 2, 3)")) fail("script");
        one = keep("one"), three = keep("three"), t = keep("t"), list = keep("list");
    }
    by_hand(const by_hand &) = delete;
    ~by_hand() { lua_close(L); }

    int keep(const char *name) {
        lua_getglobal(L, name);
        return luaL_ref(L, LUA_REGISTRYINDEX);
    }
    void begin(int reference) {
        lua_settop(L, 0);
        lua_pushcfunction(L, traceback);
        lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
    }
    void call(int arguments, int results) {
        if (lua_pcall(L, arguments, results, 1) != LUA_OK) fail(lua_tostring(L, -1));
    }
    void run(const char *name, int count) {
        lua_settop(L, 0);
        lua_pushcfunction(L, traceback);
        lua_getglobal(L, name);
        lua_pushinteger(L, count);
        call(1, 0);
    }
};

// An access that may raise, protected.
int get_x(lua_State *L) { return lua_getfield(L, 1, "x"), 1; }
int set_x(lua_State *L) { return lua_setfield(L, 1, "x"), 0; }
int get_deep(lua_State *L) {
    lua_getglobal(L, "t");
    lua_getfield(L, -1, "a");
    lua_getfield(L, -1, "b");
    lua_getfield(L, -1, "c");
    return 1;
}
int sum_pairs(lua_State *L) {
    lua_Integer sum = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_settop(L, 2)) {
        luaL_checkstring(L, 2);
        sum += luaL_checkinteger(L, 3);
    }
    lua_pushinteger(L, sum);
    return 1;
}

std::vector<row> rows(by_hand &hand, rlua::state &ours) {
    static auto one = ours.get<rlua::function>("one").value();
    static auto three = ours.get<rlua::function>("three").value();
    static auto t = ours.get<rlua::table>("t").value();
    static auto list = ours.get<rlua::table>("list").value();
    lua_State *L = hand.L;
    const auto script_row = [&](const char *name, const char *function) {
        return row{name, 1, {[&hand, function](int n) { hand.run(function, n); },
                             [&ours, function](int n) { ours.call(function, n).value(); }, {}}};
    };
    return {
        {"call, an integer in and out", 1,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  hand.begin(hand.one);
                  lua_pushinteger(L, i);
                  hand.call(1, 1);
                  check(lua_tointeger(L, -1) == i);
              }
          },
          [](int n) {
              for (int i = 0; i < n; ++i) check(one.call<int>(i).value() == i);
          }, {}}},
        {"call, a string in and out", 1,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  hand.begin(hand.one);
                  lua_pushstring(L, "some text");
                  hand.call(1, 1);
                  std::size_t length;
                  const char *s = lua_tolstring(L, -1, &length);
                  check(std::string(s, length).size() == 9);
              }
          },
          [](int n) {
              for (int i = 0; i < n; ++i)
                  check(one.call<std::string>("some text").value().size() == 9);
          }, {}}},
        {"call, three in and out", 1,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  hand.begin(hand.three);
                  lua_pushinteger(L, 1);
                  lua_pushnumber(L, 2.5);
                  lua_pushboolean(L, 1);
                  hand.call(3, 3);
                  check(lua_tointeger(L, -3) == 1 && lua_tonumber(L, -2) == 2.5 &&
                        lua_toboolean(L, -1));
              }
          },
          [](int n) {
              for (int i = 0; i < n; ++i)
                  check(std::get<1>(three.call<std::tuple<int, double, bool>>(1, 2.5, true)
                                        .value()) == 2.5);
          }, {}}},
        script_row("callback, an integer in and out", "calls"),
        script_row("callback, a string in and out", "texts"),
        script_row("callback, a function in, kept, dropped", "gives"),
        {"table, read a field", 1,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  lua_settop(L, 0);
                  lua_pushcfunction(L, get_x);
                  lua_rawgeti(L, LUA_REGISTRYINDEX, hand.t);
                  if (lua_pcall(L, 1, 1, 0) != LUA_OK) fail("pcall");
                  check(lua_tointeger(L, -1) >= 0);
              }
          },
          [](int n) {
              for (int i = 0; i < n; ++i) check(t["x"].get<int>().value() >= 0);
          }, {}}},
        {"table, write a field", 1,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  lua_settop(L, 0);
                  lua_pushcfunction(L, set_x);
                  lua_rawgeti(L, LUA_REGISTRYINDEX, hand.t);
                  lua_pushinteger(L, i);
                  if (lua_pcall(L, 2, 0, 0) != LUA_OK) fail("pcall");
              }
          },
          [](int n) {
              for (int i = 0; i < n; ++i) t["x"].set(i).value();
          }, {}}},
        {"globals, read through four keys", 1,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  lua_settop(L, 0);
                  lua_pushcfunction(L, get_deep);
                  if (lua_pcall(L, 0, 1, 0) != LUA_OK) fail("pcall");
                  check(lua_tointeger(L, -1) == 3);
              }
          },
          [&ours](int n) {
              for (int i = 0; i < n; ++i) check(ours["t"]["a"]["b"]["c"].get<int>().value() == 3);
          }, {}}},
        {"table, a pair of its iteration", 1000,
         {[&, L](int n) {
              for (int i = 0; i < n; ++i) {
                  lua_settop(L, 0);
                  lua_pushcfunction(L, sum_pairs);
                  lua_rawgeti(L, LUA_REGISTRYINDEX, hand.list);
                  if (lua_pcall(L, 1, 1, 0) != LUA_OK) fail("pcall");
                  check(lua_tointeger(L, -1) == 500500);
              }
          },
          [](int n) {
              for (int i = 0; i < n; ++i) {
                  int sum = 0;
                  list.for_each<std::string_view, int>([&](std::string_view, int v) { sum += v; })
                      .value();
                  check(sum == 500500);
              }
          }, {}}},
        script_row("object, a method is called", "methods"),
        script_row("object, a field is read", "fields"),
        script_row("object, one is made", "makes"),
        {"coroutine, resumed", 1,
         {[&, L](int n) {
              lua_settop(L, 0);
              lua_State *co = lua_newthread(L);
              lua_getglobal(co, "counts");
              for (int i = 0, count; i < n; ++i) {
                  if (lua_resume(co, L, 0, &count) != LUA_YIELD) fail("resume");
                  check(lua_tointeger(co, -1) == 1);
                  lua_settop(co, -count - 1);
              }
          },
          [&ours](int n) {
              auto co = ours.get<rlua::function>("counts").value().start().value();
              for (int i = 0; i < n; ++i) check(co.resume<int>().value() == 1);
          }, {}}},
    };
}

#if HAS_SOL2
void add_sol2(std::vector<row> &all, sol::state_view &lua) {
    static sol::protected_function one = lua["one"], three = lua["three"];
    static sol::table t = lua["t"], list = lua["list"];
    const auto run = [&lua](const char *name) {
        return [&lua, name](int n) {
            const sol::protected_function f = lua[name];
            const sol::protected_function_result done = f(n);
            if (!done.valid()) fail(done.get<sol::error>().what());
        };
    };
    const work works[] = {
        [](int n) {
            for (int i = 0; i < n; ++i) {
                const sol::protected_function_result found = one(i);
                check(found.valid() && found.get<int>() == i);
            }
        },
        [](int n) {
            for (int i = 0; i < n; ++i) {
                const sol::protected_function_result found = one("some text");
                check(found.valid() && found.get<std::string>().size() == 9);
            }
        },
        [](int n) {
            for (int i = 0; i < n; ++i) {
                const sol::protected_function_result found = three(1, 2.5, true);
                check(found.valid() &&
                      std::get<1>(found.get<std::tuple<int, double, bool>>()) == 2.5);
            }
        },
        run("calls"), run("texts"), run("gives"),
        [](int n) {
            for (int i = 0; i < n; ++i) check(t["x"].get<int>() >= 0);
        },
        [](int n) {
            for (int i = 0; i < n; ++i) t["x"] = i;
        },
        [&lua](int n) {
            for (int i = 0; i < n; ++i) check(lua["t"]["a"]["b"]["c"].get<int>() == 3);
        },
        [](int n) {
            for (int i = 0; i < n; ++i) {
                int sum = 0;
                for (const auto &pair : list) {
                    pair.first.as<std::string_view>();
                    sum += pair.second.as<int>();
                }
                check(sum == 500500);
            }
        },
        run("methods"), run("fields"), run("makes"),
        [&lua](int n) {
            const sol::thread thread = sol::thread::create(lua);
            sol::coroutine co(thread.state(), sol::protected_function(lua["counts"]));
            for (int i = 0; i < n; ++i) {
                const sol::protected_function_result found = co();
                check(found.get<int>() == 1);
            }
        },
    };
    for (std::size_t i = 0; i < all.size(); ++i) all[i].subjects[SOL2] = works[i];
}
#endif

struct means {
    double to_hand = 0, to_sol2 = 0;
    int count = 0;
} logarithms;

void measure(const row &each, int rounds) {
    static double times[SUBJECTS][MAX_ROUNDS], ratios[MAX_ROUNDS];
    const int count = BATCH / each.per > 0 ? BATCH / each.per : 1;
    for (int round = -2; round < rounds; ++round)
        for (int s = 0; s < SUBJECTS; ++s) {
            const int subject = (s + round + 3) % SUBJECTS;
            if (!each.subjects[subject]) continue;
            const double start = spent_ns();
            each.subjects[subject](count);
            if (round >= 0) times[subject][round] = (spent_ns() - start) / count / each.per;
        }
    const auto ratio_to = [&](int other) {
        for (int i = 0; i < rounds; ++i) ratios[i] = times[OURS][i] / times[other][i];
        return median(ratios, rounds);
    };
    const bool has_sol2 = static_cast<bool>(each.subjects[SOL2]);
    const double to_hand = ratio_to(HAND), to_sol2 = has_sol2 ? ratio_to(SOL2) : 0;
    logarithms.to_hand += std::log(to_hand);
    logarithms.to_sol2 += has_sol2 ? std::log(to_sol2) : 0;
    ++logarithms.count;
    std::printf("%-40s %8.1f %8.1f", each.name, median(times[HAND], rounds),
                median(times[OURS], rounds));
    if (has_sol2)
        std::printf(" %8.1f %8.2f %8.2f\n", median(times[SOL2], rounds), to_hand, to_sol2);
    else
        std::printf(" %8s %8.2f %8s\n", "-", to_hand, "-");
}

} // namespace

template <> struct rlua::usertype<vec> {
    static constexpr const char *name = "vec";
    static constexpr rlua::member members[] = {rlua::property<&vec::x>("x"),
                                               rlua::method<&vec::length2>("length2")};
};

int main(int argc, char **argv) {
    const int rounds = rounds_of(argc, argv);
    by_hand hand;
    auto ours = rlua::state::open(std::size_t{1} << 30, 0).value();
    ours.set_function("host", [](int n) { return n; }).value();
    ours.set_function("host_text", [](std::string_view s) { return s; }).value();
    ours.set_function("take", [](rlua::function) {}).value();
    ours.set_function("make", [](double x, double y, double z) { return vec{x, y, z}; }).value();
    ours.run(script).value();
    ours.run("v = make(1, 2, 3)").value();
    auto all = rows(hand, ours);
#if HAS_SOL2
    lua_State *L = open_vm();
    sol::state_view lua(L);
    lua.new_usertype<vec>("vec", "x", &vec::x, "length2", &vec::length2);
    lua["host"] = [](int n) { return n; };
    lua["host_text"] = [](std::string_view s) { return s; };
    lua["take"] = [](sol::protected_function) {};
    lua["make"] = [](double x, double y, double z) { return vec{x, y, z}; };
    lua.script(script);
    lua.script("v = make(1, 2, 3)");
    add_sol2(all, lua);
#endif
    std::printf("%-40s %8s %8s %8s %8s %8s\n", "ns", "by hand", "rlua.hpp", "sol2", "to hand",
                "to sol2");
    for (const row &each : all) measure(each, rounds);
    std::printf("%-40s %26s %8.2f", "geometric mean", "",
                std::exp(logarithms.to_hand / logarithms.count));
    if (HAS_SOL2) std::printf(" %8.2f\n", std::exp(logarithms.to_sol2 / logarithms.count));
    else std::printf(" %8s\n", "-");
    std::fflush(stdout);
    std::_Exit(0); // the handles above are static, and end with the process
}
