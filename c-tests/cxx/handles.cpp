// handles.cpp: functions, tables, coroutines and places that C++ keeps.
// Method: each is made, used, kept over snapshots and collections, and asked for what it is not.
#include "cxx.hpp"

namespace {

TEST(reference_calls_and_knows_when_it_is_stale) {
    auto lua = open();
    CHECK(lua.run("function add(a, b) return a + b end"));
    rlua::function add = lua.get<rlua::function>("add").value();
    CHECK(lua.snap());
    CHECK(lua.run("add = nil; function sub(a, b) return a - b end collectgarbage()"));
    rlua::function sub = lua.get<rlua::function>("sub").value();
    CHECK(add.call<int>(1, 2).value() == 3 && sub.call<int>(1, 2).value() == -1);
    CHECK(lua.set("again", add) && lua.call<int>("again", 2, 2).value() == 4);
    CHECK(lua.rollback());
    CHECK(add.call<int>(1, 2).value() == 3);
    CHECK(sub.is_stale() && is_error(sub.call<int>(1, 2), RLUA_STALE, "gone"));
    std::vector<rlua::function> others;
    for (int i = 0; i < 1000; ++i)
        others.push_back(lua.get<rlua::function>("add").value());
    CHECK(sub.is_stale() && !add.is_stale());
    CHECK(is_error(add.as<int>(), RLUA_BAD_ARG, "expected integer"));
    add.release();
    CHECK(add.is_stale());
    CHECK(lua.check());
}

TEST(reference_outlives_the_coroutine_it_was_made_on) {
    auto lua = open();
    rlua::function kept;
    CHECK(lua.set_function("keep", [&kept](rlua::state_view vm) -> rlua::result<void> {
        auto made = vm.get<rlua::function>("f");
        if (!made)
            return made.error();
        kept = std::move(*made);
        return {};
    }));
    CHECK(lua.run("function f() return 5 end"));
    CHECK(lua.run("coroutine.wrap(keep)(); collectgarbage()"));
    CHECK(lua.run("t = {} for i = 1, 2000 do t[i] = ('x'):rep(i % 300) .. i end")); // its memory
    CHECK(kept.call<int>().value() == 5);
    CHECK(!kept.is_stale());
    kept.release();
    CHECK(lua.check());
}

TEST(paths_and_places_read_and_write) {
    auto lua = open();
    CHECK(lua.run("game = {player = {hp = 10, names = {'a', 'b'}}} _G['odd.name'] = 3"));
    CHECK(lua.get<int>("game.player.hp").value() == 10);
    CHECK(lua["game"]["player"]["hp"].get<int>().value() == 10);
    CHECK(lua["game"]["player"]["names"][2].get<std::string>().value() == "b");
    CHECK(lua.set("game.player.hp", 7) && lua["game"]["player"]["hp"].set(8));
    CHECK(lua.get<int>("game.player.hp").value() == 8);
    CHECK(lua["odd.name"].get<int>().value() == 3);
    const std::string key = "player";
    CHECK(lua["game"][key][std::string_view("hp")].get<int>().value() == 8);
    CHECK(lua["game"][true].set("yes") && lua["game"][true].get<std::string>().value() == "yes");
    CHECK(lua["game"][std::uint64_t{3}].set("three") && lua.eval<bool>("return game[3] == 'three'")
                                                             .value());
    CHECK(is_error(lua["game"][UINT64_MAX].get<int>(), RLUA_BAD_ARG, "above"));
    CHECK(is_error(lua["game"][UINT64_MAX].set(1), RLUA_BAD_ARG, "above"));
    CHECK(is_error(lua.get<int>(std::string_view("ga\0me", 5)), RLUA_BAD_ARG, "zero byte"));
    CHECK(is_error(lua.set(std::string_view("game.h\0p", 8), 1), RLUA_BAD_ARG, "zero byte"));
    CHECK(lua["game"][std::string("h\0p", 3)].set(1));
    CHECK(lua.eval<int>("return game['h\\0p']").value() == 1);
    CHECK(lua["game"][1.5].set("half") && lua.eval<bool>("return game[1.5] == 'half'").value());
    CHECK(is_error(lua.get<int>("game.enemy.hp"), RLUA_BAD_ARG,
                   "game.enemy.hp: game.enemy is nil"));
    CHECK(is_error(lua.set("game.enemy.hp", 1), RLUA_BAD_ARG, "game.enemy is nil"));
    CHECK(is_error(lua["game"]["enemy"]["hp"].get<int>(), RLUA_BAD_ARG, "game.enemy is nil"));
    CHECK(is_error(lua["game"]["enemy"]["hp"].set(1), RLUA_BAD_ARG, "game.enemy is nil"));
    CHECK(is_error(lua["game"]["enemy"].get<int>(), RLUA_BAD_ARG,
                   "game.enemy: expected integer in range, found nil"));
    CHECK(is_error(lua.get<int>("game.player.hp.x"), RLUA_ERR_RUN, "index a number"));
    CHECK(lua["game"]["player"].kind() == rlua::type::table);
    CHECK(lua.set("game.player." + std::string(200, 'k'), 4));
    CHECK(lua.get<int>("game.player." + std::string(200, 'k')).value() == 4);
    CHECK(lua.set_function("game.double", [](int n) { return 2 * n; }));
    CHECK(lua.call<int>("game.double", 4).value() == 8);
    CHECK(lua["game"]["double"].call<int>(5).value() == 10 && lua["game"]["double"](1));
    CHECK(is_error(lua.run("game.double('x')"), RLUA_ERR_RUN, "to 'double'"));
    CHECK(is_error(lua.set_function("nowhere.f", [] {}), RLUA_BAD_ARG, "nowhere is nil"));
    CHECK(lua.set("copy", lua["game"]["player"]) && lua.get<int>("copy.hp").value() == 8);
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(tables_are_live) {
    auto lua = open();
    auto t = lua.new_table(4, 4).value();
    CHECK(lua.set("t", t) && t.set("x", 1) && t.set(1, "one") && t.set(2, "two"));
    CHECK(lua.eval<bool>("return t.x == 1 and t[2] == 'two'").value());
    CHECK(lua.run("t.x = 5") && t.get<int>("x").value() == 5 && t["x"].get<int>().value() == 5);
    CHECK(t.size().value() == 2);
    CHECK(t["sub"].set(std::map<std::string, int>{{"a", 1}}));
    CHECK(t["sub"]["a"].get<int>().value() == 1);
    CHECK(lua.run("function t:add(n) self.x = self.x + n return self.x end"));
    CHECK(t.call_method<int>("add", 3).value() == 8);
    CHECK(is_error(t.call_method("absent"), RLUA_ERR_RUN, "nil value"));
    auto meta = lua.new_table().value();
    CHECK(meta.set("__len", [](rlua::table) { return 77; }) && t.set_metatable(meta));
    CHECK(t.size().value() == 77);
    auto again = lua.get<rlua::table>("t").value(), other = lua.new_table().value();
    CHECK(t.equals(again).value() && !t.equals(other).value());
    CHECK(t.text().value().rfind("table: ", 0) == 0);
    auto globals = lua.globals().value();
    CHECK(globals["t"]["x"].get<int>().value() == 8);
    CHECK(is_error(lua.get<rlua::table>("print"), RLUA_BAD_ARG, "expected table, found function"));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(tables_are_iterated) {
    auto lua = open();
    CHECK(lua.run("hp = {ann = 3, bob = 5} mixed = {1, 'x', k = true}"));
    auto hp = lua.get<rlua::table>("hp").value();
    int sum = 0;
    std::string names;
    for (auto &[name, value] : hp.pairs<std::string, int>().value())
        names += name, sum += value;
    CHECK(sum == 8 && (names == "annbob" || names == "bobann"));
    int seen = 0;
    const auto first = [&](std::string_view, int) { return ++seen, false; };
    CHECK((hp.for_each<std::string_view, int>(first)));
    CHECK(seen == 1);
    CHECK((hp.for_each<rlua::value, rlua::value>([&](rlua::value k, rlua::value) {
        CHECK(hp[k.as<std::string>().value()].set(0)); // it may change values
    })));
    CHECK(lua.eval<bool>("return hp.ann == 0 and hp.bob == 0").value());
    CHECK((hp.for_each<std::string, int>([&](std::string k, int) { CHECK(hp.set(k, nullptr)); })));
    CHECK(lua.eval<bool>("return next(hp) == nil").value());
    auto mixed = lua.get<rlua::table>("mixed").value();
    CHECK((is_error(mixed.pairs<int, int>(), RLUA_BAD_ARG, "value: expected integer")));
    CHECK((is_error(mixed.pairs<std::string, rlua::value>(), RLUA_BAD_ARG,
                    "key: expected string")));
    CHECK((mixed.pairs<rlua::value, rlua::value>()->size() == 3));
    const auto adds = [&](int, rlua::value) {
        for (int i = 100; i < 200; ++i)
            CHECK(mixed.set("new" + std::to_string(i), i));
        CHECK(mixed.set(1, nullptr) && lua.collect());
    };
    (void)mixed.for_each<int, rlua::value>(adds); // an error, or an end: no crash
    bool thrown = false;
    try {
        (void)mixed.for_each<rlua::value, rlua::value>(
            [](rlua::value, rlua::value) { throw 5; });
    } catch (int) {
        thrown = true;
    }
    CHECK(thrown && lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(coroutines_are_driven_by_the_host) {
    using rlua::coroutine_status;
    auto lua = open();
    CHECK(lua.run("function plan(a) local b, c = coroutine.yield(a + 1, 'x') "
                  "if b == 'fail' then error('lost') end return b + c end"));
    auto plan = lua.get<rlua::function>("plan").value();
    auto co = plan.start().value();
    CHECK(co.status() == coroutine_status::suspended);
    const auto first = co.resume<std::tuple<int, std::string>>(4).value();
    CHECK(std::get<0>(first) == 5 && std::get<1>(first) == "x");
    CHECK(co.resume<int>(20, 22).value() == 42 && co.status() == coroutine_status::dead);
    CHECK(is_error(co.resume(), RLUA_BAD_ARG, "dead"));
    auto failing = plan.start().value();
    CHECK(failing.resume(1));
    const auto lost = failing.resume("fail").error();
    CHECK(lost.status == RLUA_ERR_RUN && lost.message == "run:1: lost");
    CHECK(lost.traceback.find("in function 'plan'") != std::string::npos);
    CHECK(failing.status() == coroutine_status::dead);
    CHECK(plan.start()->resume<rlua::values>(1)->size() == 2);
    CHECK(plan.start()->resume<std::optional<int>>(1).value() == 2);
    CHECK(is_error(plan.start()->resume<std::string>(1), RLUA_BAD_ARG, "expected string"));
    CHECK(lua.run("function count() for i = 1, 3 do coroutine.yield(i) end end"));
    auto counting = lua.get<rlua::function>("count")->start().value();
    std::vector<int> all;
    while (counting.status() == coroutine_status::suspended)
        if (auto n = counting.resume<std::optional<int>>().value())
            all.push_back(*n);
    CHECK((all == std::vector<int>{1, 2, 3}));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(coroutines_close_and_refuse_what_cannot_be) {
    auto lua = open();
    CHECK(lua.run("closed = 0 function f(fails) local v <close> = setmetatable({}, {__close = "
                  "function() closed = closed + 1 if fails then error('in close') end end}) "
                  "coroutine.yield() end"));
    auto f = lua.get<rlua::function>("f").value();
    auto co = f.start().value();
    CHECK(co.resume() && co.close() && lua.get<int>("closed").value() == 1);
    CHECK(co.close() && lua.get<int>("closed").value() == 1);
    auto bad = f.start().value();
    CHECK(bad.resume(true) && is_error(bad.close(), RLUA_ERR_RUN, "in close"));
    rlua::coroutine self;
    int refused = 0;
    CHECK(lua.set_function("again", [&] {
        refused += is_error(self.resume(), RLUA_BAD_ARG, "runs");
        refused += is_error(self.close(), RLUA_BUSY, "running");
        refused += self.status() == rlua::coroutine_status::running;
    }));
    self = lua.get<rlua::function>("again")->start().value();
    CHECK(self.resume() && refused == 3);
    CHECK(lua.check());
}

TEST(coroutine_handle_of_a_snapshot_resumes_again) {
    auto lua = open();
    CHECK(lua.run("function f() for i = 1, 9 do coroutine.yield(i) end end"));
    auto co = lua.get<rlua::function>("f")->start().value();
    CHECK(co.resume<int>().value() == 1 && lua.snap());
    for (int round = 0; round < 3; ++round) {
        CHECK(co.resume<int>().value() == 2 && co.resume<int>().value() == 3);
        CHECK(lua.collect() && lua.rollback());
    }
    CHECK(lua.check());
}

// The handles and the view work on the coroutine that called, not on the main thread.
TEST(handles_work_inside_of_coroutines) {
    auto lua = open();
    CHECK(lua.run("function add(a, b) return a + b end"));
    const auto add = lua.get<rlua::function>("add").value();
    rlua::coroutine inner;
    CHECK(lua.set_function("host", [&](rlua::state_view vm, int n) {
        const int direct = lua.call<int>("add", n, 1).value();      // the state itself
        const int viewed = vm.call<int>("add", direct, 1).value();  // its view
        const int held = add.call<int>(viewed, 1).value();          // a handle
        return held + inner.resume<int>(1).value();
    }));
    inner = lua.load("local n = ... while true do n = coroutine.yield(add(n, 100)) end")
                ->start().value();
    CHECK(lua.eval<int>("return coroutine.wrap(function(n) return host(n) end)(1)").value() == 105);
    CHECK(lua.eval<int>("return coroutine.wrap(function(n) return host(n) end)(2)").value() == 106);
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

// A random life of handles against a model: one is good exactly as long as no rollback went to a
// snapshot from before it, and names what it named, whatever took its place meanwhile.
TEST(handles_do_as_a_model_of_them_says) {
    struct held {
        rlua::value handle;
        int number;     // what it names
        int snapshots;  // how many had been taken that are still held
        bool is_stale;
    };
    for (unsigned seed = 1; seed <= 20; ++seed) {
        auto lua = rlua::state::open(mib, 1000).value();
        std::vector<held> all;
        unsigned state = seed;
        int number = 0, snapshots = 0;
        const auto draw = [&](unsigned below) {
            state = state * 1664525 + 1013904223;
            return (state >> 16) % below;
        };
        for (int step = 0; step < 300 / test_scale(); ++step) {
            const unsigned action = draw(10);
            if (action < 4) {
                const std::string code = "return {" + std::to_string(++number) + "}";
                all.push_back({lua.eval<rlua::value>(code).value(), number, snapshots, false});
            } else if (action < 6 && !all.empty()) {
                all.erase(all.begin() + draw(static_cast<unsigned>(all.size())));
            } else if (action < 7 && all.size() > 1) { // over another one, in place
                all.front() = std::move(all.back());
                all.pop_back();
            } else if (action < 9) {
                CHECK(lua.snap());
                ++snapshots;
            } else if (snapshots > 0) {
                const int back = 1 + static_cast<int>(draw(static_cast<unsigned>(snapshots)));
                CHECK(lua.rollback(static_cast<std::size_t>(back)));
                snapshots -= back - 1; // the target stays
                for (held &each : all)
                    each.is_stale = each.is_stale || each.snapshots >= snapshots;
            }
            CHECK(step % 10 != 0 || lua.collect());
            for (const held &each : all) {
                CHECK(each.handle.is_stale() == each.is_stale);
                if (!each.is_stale)
                    CHECK(each.handle.as<std::vector<int>>().value().at(0) == each.number);
            }
        }
        CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
    }
}

TEST(traceback_tells_where_lua_is) {
    auto lua = open();
    CHECK(lua.set_function("where", [](rlua::state_view vm) { return vm.traceback(); }));
    CHECK(lua.eval<std::string>("return where()", "=ai")->find("ai:1: in") != std::string::npos);
    CHECK(lua.check());
}

} // namespace
