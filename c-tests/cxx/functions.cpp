// functions.cpp: C++ calls Lua, Lua calls C++, and errors go both ways whole.
// Method: lambdas of many shapes are called by scripts; errors are raised on either side, and their
// messages and tracebacks looked at.
#include "cxx.hpp"

#include <stdexcept>

namespace {

TEST(calls_take_arguments_and_give_results) {
    auto lua = open();
    CHECK(lua.run("function swap(a, b) return b, a end"));
    const auto both = lua.call<std::tuple<std::string, int>>("swap", 1, "x").value();
    CHECK(std::get<0>(both) == "x" && std::get<1>(both) == 1);
    CHECK((is_error(lua.call<std::tuple<int, int>>("swap", 1, "x"), RLUA_BAD_ARG, "result 1")));
    CHECK(lua.call("swap"));
    CHECK(lua.eval<int>("return 6 * 7").value() == 42);
    CHECK(is_error(lua.call("absent"), RLUA_ERR_RUN, "nil value"));
    CHECK(lua_gettop(lua.raw()) == 0);
    CHECK(lua.check());
}

TEST(lua_errors_carry_their_text) {
    auto lua = open();
    CHECK(is_error(lua.run("local x\nx.y = 1", "=main"), RLUA_ERR_RUN, "main:2:"));
    CHECK(is_error(lua.run("x = = 1"), RLUA_ERR_SYNTAX, "near"));
    CHECK(is_error(lua.run("error({})"), RLUA_ERR_RUN, "table"));
    CHECK(is_error(lua.run("error(setmetatable({}, {__tostring = function() return 'me' end}))"),
                   RLUA_ERR_RUN, "me"));
    CHECK(is_error(lua.run("\x1bLua"), RLUA_ERR_SYNTAX, "binary"));
    bool thrown = false;
    try {
        lua.run("error('up')").value();
    } catch (const rlua::bad_result &e) {
        thrown = e.status() == RLUA_ERR_RUN;
    }
    CHECK(thrown);
    CHECK(lua.check());
}

TEST(lambdas_are_functions) {
    auto lua = open();
    CHECK(lua.set_function("add", [](int a, double b) { return a + b; }));
    CHECK(lua.set_function("pair", [](std::string_view s) {
        return std::tuple(s.size(), std::string(s) + "!");
    }));
    CHECK(lua.set_function("none", [] {}));
    CHECK(lua.set_function("norm", [](std::array<double, 3> v) {
        return v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
    }));
    CHECK(lua.set_function("maybe", [](std::optional<int> n) { return n.value_or(-1); }));
    CHECK(lua.eval<double>("return add(1, 0.5)").value() == 1.5);
    CHECK((lua.eval<std::tuple<int, std::string>>("return pair('abc')").value() ==
           std::tuple<int, std::string>(3, "abc!")));
    CHECK(lua.eval<int>("return select('#', none())").value() == 0);
    CHECK(lua.eval<double>("return norm{1, 2, 2}").value() == 9);
    CHECK(lua.eval<int>("return maybe()").value() == -1);
    CHECK(is_error(lua.run("\nadd(1, {})", "@ai.lua"), RLUA_ERR_RUN,
                   "ai.lua:2: bad argument #2 to 'add' (number expected, got table)"));
    CHECK(is_error(lua.run("add()"), RLUA_ERR_RUN,
                   "bad argument #1 to 'add' (integer in range expected, got no value)"));
    CHECK(is_error(lua.run("add(nil)"), RLUA_ERR_RUN, "got nil)"));
    CHECK(lua.check());
}

TEST(exception_in_a_lambda_is_a_lua_error) {
    auto lua = open();
    CHECK(lua.set_function("fail", [](int n) -> int {
        const std::string owned(100, 'x'); // must be destroyed on the way out
        if (n == 0)
            throw std::runtime_error("from C++");
        if (n == 1)
            throw 1;
        return n;
    }));
    CHECK(is_error(lua.run("\n\nfail(0)", "@ai.lua"), RLUA_ERR_RUN, "ai.lua:3: from C++"));
    CHECK(is_error(lua.run("fail(1)"), RLUA_ERR_RUN, "not a std::exception"));
    CHECK(lua.eval<bool>("return not pcall(fail, 0) and fail(2) == 2").value());
    CHECK(lua.eval<std::string>("return select(2, coroutine.resume("
                                "coroutine.create(fail), 0))").value() == "from C++");
    CHECK(lua.check());
}

TEST(error_result_of_a_lambda_is_a_lua_error) {
    auto lua = open();
    CHECK(lua.set_function("fail", [](bool yes) -> rlua::result<void> {
        if (yes)
            return rlua::error{RLUA_ERR_RUN, "refused"};
        return {};
    }));
    CHECK(is_error(lua.run("fail(true)"), RLUA_ERR_RUN, "run:1: refused"));
    CHECK(lua.run("fail(false)"));
    CHECK(lua.check());
}

TEST(errors_carry_a_traceback) {
    auto lua = open();
    CHECK(lua.run("function f() error('no', 0) end\nfunction g() f() end", "@ai.lua"));
    CHECK(lua.set_function("fail", [] { throw std::runtime_error("from C++"); }));
    const auto error = lua.call("g").error();
    CHECK(error.message == "no");
    CHECK(error.traceback.rfind("stack traceback:\n", 0) == 0);
    CHECK(error.traceback.find("ai.lua:2: in ") != std::string::npos);
    const auto host = lua.run("\nfail()").error();
    CHECK(host.message == "run:2: from C++");
    CHECK(host.traceback.find("in function 'fail'") != std::string::npos);
    CHECK(lua.get<rlua::function>("g").value().call().error().traceback == error.traceback);
    CHECK(lua.run("x = = 1").error().traceback.empty());
    CHECK(lua.run("error({})").error().message.rfind("table: ", 0) == 0);
    try {
        lua.call("g").value();
    } catch (const rlua::bad_result &e) {
        CHECK(e.traceback() == error.traceback && e.what() == error.message);
    }
    CHECK(lua.check());
}

// Its position is the innermost's, once, however it goes through the lambda.
TEST(script_error_that_a_lambda_passes_on_stays_as_it_was) {
    auto lua = open();
    CHECK(lua.set_function("returns", [](rlua::state_view vm, std::string code) {
        return vm.run(code, "=inner");
    }));
    CHECK(lua.set_function("throws", [](rlua::state_view vm, std::string code) {
        vm.run(code, "=inner").value();
    }));
    for (const char *name : {"returns", "throws"}) {
        const std::string outer = std::string("\n") + name + "(...)";
        CHECK(lua.run("function outer(...) " + outer + " end", "=outer"));
        const auto raised = lua.call("outer", "\n\nerror('deep')").error();
        CHECK(raised.message == "inner:3: deep");
        CHECK(raised.traceback.find("inner:3: in ") != std::string::npos);
        CHECK(raised.traceback.find("outer:2: in ") != std::string::npos);
        CHECK(lua.call("outer", "x = = 1").error().message.rfind("inner:1: ", 0) == 0);
        CHECK(lua.eval<std::string>("return select(2, pcall(outer, 'error(\"deep\")'))").value() ==
              "inner:1: deep");
        CHECK(lua.run("error('inner:3: deep', 0)").error().traceback.find("inner:3: in") ==
              std::string::npos);
    }
    CHECK(lua.check());
}

TEST(finalizers_may_call_lambdas_at_close) {
    int calls = 0;
    auto lua = open();
    CHECK(lua.set_function("seen", [&calls] { ++calls; }));
    CHECK(lua.run("x = setmetatable({}, {__gc = function() seen() end})"));
    CHECK(lua.close());
    CHECK(calls == 1);
}

int twice(int n) { return 2 * n; }
std::string join(std::string a, const std::string &b) noexcept { return a + b; }

TEST(function_pointers_and_std_functions_are_functions) {
    auto lua = open();
    CHECK(lua.set_function("twice", twice) && lua.set_function("join", &join));
    CHECK(lua.eval<std::string>("return join(twice(4), 'x')").error().status == RLUA_ERR_RUN);
    CHECK(lua.eval<std::string>("return join('4', 'x') .. twice(4)").value() == "4x8");
    std::function<int(int)> held = [n = 5](int m) { return n + m; };
    CHECK(lua.set("held", held) && lua.call<int>("held", 1).value() == 6);
    CHECK(lua.set("held", std::function<int(int)>()) &&
          lua.get<rlua::value>("held")->kind() == rlua::type::nil);
    auto back = lua.get<std::function<int(int)>>("twice").value();
    CHECK(back(21) == 42);
    auto failing = lua.eval<std::function<void()>>("return function() error('it') end").value();
    bool thrown = false;
    try {
        failing();
    } catch (const rlua::bad_result &e) {
        thrown = e.status() == RLUA_ERR_RUN && std::string(e.what()) == "eval:1: it";
    }
    CHECK(thrown && lua.check());
}

TEST(generic_lambdas_have_the_signature_that_they_are_given) {
    auto lua = open();
    CHECK(lua.set_function<double(double, double)>("add", [](auto a, auto b) { return a + b; }));
    CHECK(lua.eval<double>("return add(1, 0.5)").value() == 1.5);
    CHECK(lua.set("cat", rlua::typed<std::string(std::string, std::string)>(
                             [](auto a, auto b) { return a + b; })));
    CHECK(lua.eval<std::string>("return cat('a', 'b')").value() == "ab");
    CHECK(lua.check());
}

TEST(variadic_functions_see_all_arguments) {
    auto lua = open();
    CHECK(lua.set_function("count", [](rlua::arguments all) { return all.size(); }));
    CHECK(lua.set_function("sum", [](int first, rlua::arguments rest) {
        for (int i = 0; i < rest.size(); ++i)
            first += rest.get<int>(i).value();
        return first;
    }));
    CHECK(lua.set_function("kinds", [](rlua::state_view vm, rlua::arguments all) {
        rlua::values texts;
        for (int i = 0; i < all.size(); ++i)
            texts.push_back(vm.make(all.text(i)).value());
        return texts;
    }));
    CHECK(lua.eval<int>("return count()").value() == 0);
    CHECK(lua.eval<int>("return count(nil, nil)").value() == 2);
    CHECK(lua.eval<int>("return sum(1, 2, 3)").value() == 6);
    CHECK(is_error(lua.run("sum(1, 2, 'x')"), RLUA_ERR_RUN,
                   "run:1: argument 2: expected integer in range, found string"));
    CHECK(lua.eval<std::string>("return table.concat({kinds(1, nil, true)}, ' ')").value() ==
          "1 nil true");
    CHECK(lua.eval<int>("return select('#', kinds())").value() == 0);
    CHECK(lua.eval<int>("local t = {} for i = 1, 200 do t[i] = 1 end return sum(table.unpack(t))")
              .value() == 200);
    CHECK(lua.check());
}

TEST(calls_return_as_many_values_as_there_are) {
    auto lua = open();
    CHECK(lua.run("function many(n) return table.unpack({10, 'x', nil, false}, 1, n) end"));
    CHECK(lua.call<rlua::values>("many", 0)->empty());
    auto all = lua.call<rlua::values>("many", 4).value();
    CHECK(all.size() == 4 && all[0].as<int>().value() == 10 && all[1].text().value() == "x");
    CHECK(all[2].kind() == rlua::type::nil && all[3].kind() == rlua::type::boolean);
    CHECK(lua.run("function huge() return table.unpack({}, 1, 5000) end"));
    CHECK(lua.call<rlua::values>("huge")->size() == 5000);
    CHECK((lua.call<std::pair<int, std::string>>("many", 2)->second == "x"));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

// A codec of the host's may leave values above: each of many parameters has room for them.
struct messy {
    int n = 0;
};

} // namespace

template <> struct rlua::codec<messy> {
    static const char *name() { return "messy"; }
    static int push(lua_State *L, const messy &m) { return rlua_pushinteger(L, m.n); }
    static bool read(lua_State *L, int index, messy &out) {
        out.n = static_cast<int>(lua_tointegerx(L, index, nullptr));
        for (int i = 0; i < 7; ++i)
            lua_pushvalue(L, index);
        return lua_type(L, index) == LUA_TNUMBER;
    }
};

namespace {

TEST(codecs_that_leave_values_have_room) {
    auto lua = open();
    CHECK(lua.set_function("sum", [](messy a, messy b, messy c, messy d, messy e, messy f, messy g,
                                     messy h) {
        return std::tuple(messy{a.n + b.n + c.n + d.n}, messy{e.n + f.n + g.n + h.n}, a, b, c, d,
                          e);
    }));
    using seven = std::tuple<messy, messy, messy, messy, messy, messy, messy>;
    for (int round = 0; round < 20; ++round) {
        const auto sums = lua.call<seven>("sum", messy{1}, 2, 3, 4, 5, 6, 7, 8).value();
        CHECK(std::get<0>(sums).n == 10 && std::get<1>(sums).n == 26 && std::get<6>(sums).n == 5);
        CHECK(lua.run("coroutine.wrap(function() sum(1, 2, 3, 4, 5, 6, 7, 8) end)()"));
    }
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(callbacks_go_in_as_values_and_come_out_as_functions) {
    auto lua = open();
    std::map<std::string, rlua::function> handlers;
    CHECK(lua.set_function("on", [&](std::string event, rlua::function f) {
        handlers[event] = std::move(f);
    }));
    CHECK(lua.run("hp = 10 on('hit', function(n) hp = hp - n return hp end)"));
    CHECK(handlers["hit"].call<int>(3).value() == 7);
    CHECK(handlers["hit"](2) && lua.get<int>("hp").value() == 5);
    CHECK(is_error(lua.run("on('x', 5)"), RLUA_ERR_RUN, "function expected, got number"));
    CHECK(lua.run("function map(f, ...) return f(...) end"));
    CHECK(lua.call<int>("map", [](int a, int b) { return a * b; }, 6, 7).value() == 42);
    const auto text = std::make_shared<std::string>("kept");
    CHECK(lua.call<std::string>("map", [text] { return *text; }).value() == "kept");
    CHECK(lua.collect() && text.use_count() == 1); // nothing can reach it any more
    const rlua::function_of<int(int, int)> typed =
        lua.eval<rlua::function_of<int(int, int)>>("return function(a, b) return a - b end")
            .value();
    CHECK(typed(5, 3).value() == 2);
    CHECK(lua.set("again", typed) && lua.eval<bool>("return again(1, 1) == 0").value());
    CHECK(lua.check());
}

// debug.setupvalue reaches what a nameless callable needs: a wrong value must not be called.
TEST(callables_whose_upvalue_was_changed_raise) {
    auto lua = open();
    const std::string owned = "text of some length, so that it lies outside of the object";
    CHECK(lua.set("inside", [by = 2.0](int n) { return n * by; }));
    CHECK(lua.set("held", [owned](int n) { return owned.size() + static_cast<std::size_t>(n); }));
    CHECK(lua.set("other", [by = std::int64_t{2}](double a, double b) {
        return (a + b) * double(by);
    }));
    CHECK(lua.set("plain", [](int n) { return n; }));
    CHECK(lua.eval<bool>("return debug.getupvalue(plain, 1) == nil and plain(4) == 4").value());
    for (const char *value : {"nil", "1", "io.stdout", "'text'", "{}",
                              "select(2, debug.getupvalue(other, 1))"}) {
        for (const char *name : {"inside", "held"}) {
            const std::string script = "local f = " + std::string(name) +
                " local _, old = debug.getupvalue(f, 1) debug.setupvalue(f, 1, " + value +
                ") local ok, why = pcall(f, 1) debug.setupvalue(f, 1, old) assert(not ok) " +
                "assert(why:find('debug.setupvalue', 1, true), why) assert(f(1))";
            CHECK(lua.run(script));
        }
    }
    CHECK(lua.run("local _, h = debug.getupvalue(held, 1) assert(not pcall(function() "
                  "local x <close> = h end) or not pcall(held, 1))"));
    CHECK(lua.check());
}

TEST(files_run_and_load) {
    char path[] = "/tmp/rlua-cxx-XXXXXX";
    const int file = mkstemp(path);
    const char code[] = "loaded = (loaded or 0) + 1\nif fail then error('in the file') end\n";
    CHECK(file >= 0 && write(file, code, sizeof code - 1) == sizeof code - 1);
    close(file);
    auto lua = open();
    CHECK(lua.run_file(path) && lua.get<int>("loaded").value() == 1);
    auto chunk = lua.load_file(path).value();
    CHECK(chunk() && lua.get<int>("loaded").value() == 2);
    CHECK(lua.set("fail", true));
    const auto raised = lua.run_file(path).error();
    CHECK(raised.message.find(":2: in the file") != std::string::npos);
    CHECK(raised.traceback.find("stack traceback") == 0);
    unlink(path);
    CHECK(is_error(lua.run_file(path), RLUA_ERR_FILE, path));
    CHECK(is_error(lua.load_file(path), RLUA_ERR_FILE, path));
    CHECK(is_error(lua.load("x = = 1", "=chunk"), RLUA_ERR_SYNTAX, "chunk:1:"));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(libraries_are_chosen_at_opening) {
    auto none = rlua::state::open(mib, 1, 0).value();
    CHECK(none.get<rlua::value>("print")->kind() == rlua::type::nil);
    auto some = rlua::state::open(mib, 1, RLUA_LIB_BASE | RLUA_LIB_MATH).value();
    CHECK(some.eval<bool>("return math ~= nil and string == nil and io == nil").value());
    CHECK(some.open_libs(RLUA_LIB_STRING) && some.eval<bool>("return string ~= nil").value());
    CHECK(is_error(some.open_libs(1u << 30), RLUA_BAD_ARG, ""));
    CHECK(some.require("t", luaopen_table) && some.eval<bool>("return t.concat ~= nil").value());
    CHECK(!rlua::state::open(mib, 1, 1u << 30));
}

TEST(mods_have_globals_and_a_budget_of_their_own) {
    auto lua = open();
    auto mod = lua.environment().value();
    auto chunk = lua.load("secret = 1; while greedy do end return os == nil").value();
    CHECK(chunk.set_environment(mod));
    CHECK(chunk.call<bool>().value());
    CHECK(mod.get<int>("secret").value() == 1);
    CHECK(lua.get<rlua::value>("secret")->kind() == rlua::type::nil);
    CHECK(mod.set("greedy", true) && lua.set_budget(10000));
    CHECK(is_error(chunk(), RLUA_BUDGET, ""));
    CHECK(lua.budget_left().value() == 0);
    CHECK(lua.set_budget(RLUA_NO_BUDGET) && mod.set("greedy", false) && chunk());
    CHECK(is_error(lua.eval<rlua::function>("return print")->set_environment(mod), RLUA_BAD_ARG,
                   "no globals"));
    // A host function that goes on after the budget's end does not stop the error.
    CHECK(lua.set_function("swallow", [](rlua::state_view vm) {
        (void)vm.run("while true do end");
        return 1;
    }));
    CHECK(lua.set_budget(10000) && is_error(lua.run("pcall(swallow) x = 1"), RLUA_BUDGET, ""));
    CHECK(lua.set_budget(RLUA_NO_BUDGET));
    CHECK(lua.set("value", [](rlua::state_view vm) { (void)vm.run("while true do end"); }));
    CHECK(lua.set_budget(10000) && is_error(lua.run("value() while true do end"), RLUA_BUDGET, ""));
    CHECK(lua.set_budget(RLUA_NO_BUDGET) && lua.check());
}

} // namespace
