// misuse.cpp: what is done wrong gets an error with a sentence, and changes nothing.
// Method: closed and moved VMs, handles that outlive them or are stale, a second OS thread inside,
// VMs that exceptions left busy.
#include "cxx.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>

namespace {

int escape(lua_State *) { throw std::runtime_error("through Lua"); }

TEST(vm_that_an_exception_left_busy_can_be_recovered) {
    auto lua = open();
    CHECK(lua.snap());
    lua_pushcfunction(lua.raw(), escape);
    lua_setglobal(lua.raw(), "escape");
    bool caught = false;
    try {
        (void)lua.run("n = 1; escape()");
    } catch (const std::runtime_error &) {
        caught = true;
    }
    CHECK(caught);
    CHECK(is_error(lua.rollback(), RLUA_BUSY, "") && is_error(lua.close(), RLUA_BUSY, ""));
    CHECK(lua.recover() && lua.rollback());
    CHECK(!lua.get<std::optional<int>>("n").value().has_value());
    CHECK(lua.recover() && lua.run("n = 2") && lua.get<int>("n").value() == 2);
    CHECK(lua.check() && lua.close());
}

TEST(moved_and_closed_states_answer_errors) {
    auto lua = open();
    CHECK(lua.set_function("one", [] { return 1; }));
    rlua::state moved = std::move(lua);
    CHECK(moved.call<int>("one").value() == 1);
    moved = open();
    CHECK(moved.eval<int>("return 2").value() == 2);
    CHECK(moved.close());
    CHECK(moved.close());
    CHECK(!moved.is_open());
    CHECK(is_error(moved.run("x = 1"), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(moved.get<int>("x"), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(moved.set("x", 1), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(moved.snap(), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(moved.set_function("f", [] {}), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(moved.collect(), RLUA_NOT_ROLLBACK, "closed"));
}

TEST(absurd_limits_are_errors) {
    CHECK(!rlua::state::open(1));
    CHECK(!rlua::state::open(4096));
    CHECK(!rlua::state::open(64)); // and says why
    CHECK(!rlua::state::open(64).error().message.empty());
}

TEST(states_on_several_threads_do_not_disturb_each_other) {
    int totals[4] = {};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n)
        threads.emplace_back([n, &totals] {
            auto lua = open();
            lua.set("sum", 0).value();
            lua.snap().value();
            for (int i = 0; i < 500; ++i)
                lua.run("sum = sum + " + std::to_string(n)).value();
            totals[n] = lua.get<int>("sum").value();
        });
    for (auto &thread : threads)
        thread.join();
    for (int n = 0; n < 4; ++n)
        CHECK(totals[n] == 500 * n);
}

// Both VMs number their references alike, so the wrong value would be found.
TEST(reference_of_another_vm_is_refused) {
    auto lua = open(), other = open();
    CHECK(lua.run("function f() return 'mine' end") && other.run("secret = 'theirs'"));
    const rlua::function f = lua.get<rlua::function>("f").value();
    const rlua::value secret = other.get<rlua::value>("secret").value();
    CHECK(is_error(lua.set("copy", secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(is_error(f(secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(is_error(f(std::vector<int>{}, secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(is_error(f.equals(secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(f.call<std::string>().value() == "mine");
    CHECK(lua.check() && other.check());
}

TEST(types_are_move_only) {
    static_assert(!std::is_copy_constructible_v<rlua::state>);
    static_assert(!std::is_copy_constructible_v<rlua::function>);
    static_assert(!std::is_copy_assignable_v<rlua::table>);
    static_assert(std::is_nothrow_move_constructible_v<rlua::state>);
    static_assert(std::is_nothrow_move_constructible_v<rlua::value>);
    static_assert(std::is_nothrow_move_assignable_v<rlua::coroutine>);
    static_assert(!std::is_copy_constructible_v<rlua::result<rlua::state>>);
    static_assert(!std::is_default_constructible_v<rlua::state>);
    static_assert(!std::is_assignable_v<decltype(open()["x"]), int>);
}

TEST(moved_handles_are_empty_and_say_so) {
    auto lua = open();
    CHECK(lua.run("function f() return 1 end t = {}"));
    auto f = lua.get<rlua::function>("f").value();
    rlua::function moved = std::move(f);
    CHECK(f.is_empty() && f.is_stale() && f.kind() == rlua::type::nil);
    CHECK(!f() && !f().error().message.empty());
    CHECK(is_error(lua.set("x", f), RLUA_BAD_ARG, "empty handle"));
    CHECK(moved.call<int>().value() == 1);
    auto &itself = moved;
    moved = std::move(itself);
    CHECK(moved.call<int>().value() == 1);
    rlua::function assigned;
    assigned = std::move(moved);
    CHECK(moved.is_empty() && !moved() && assigned.call<int>().value() == 1);
    auto other = lua.get<rlua::function>("f").value();
    other = std::move(assigned);
    CHECK(assigned.is_empty() && other.call<int>().value() == 1);
    rlua::table none;
    CHECK(!none.get<int>("x") && !none.set("x", 1) && !none.size());
    CHECK(!none["a"]["b"].get<int>() && !none.call_method("m"));
    CHECK((!none.pairs<int, int>() && !none.set_metatable(none)));
    rlua::coroutine empty;
    CHECK(!empty.resume() && !empty.close() &&
          empty.status() == rlua::coroutine_status::dead);
    CHECK(!rlua::function().start() && !rlua::value().text());
    CHECK(lua.set("x", rlua::value()) && lua.get<std::optional<int>>("x").value() == std::nullopt);
    CHECK(lua.check());
}

TEST(handles_that_outlive_their_vm_answer_errors) {
    rlua::function f;
    rlua::table t;
    rlua::coroutine co;
    {
        auto lua = open();
        CHECK(lua.run("function f() end t = {}"));
        f = lua.get<rlua::function>("f").value();
        t = lua.get<rlua::table>("t").value();
        co = f.start().value();
        CHECK(f() && !f.is_stale());
    }
    CHECK(is_error(f(), RLUA_NOT_ROLLBACK, "closed") && f.is_stale());
    CHECK(is_error(t.get<int>("x"), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(t["x"]["y"].set(1), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(co.resume(), RLUA_NOT_ROLLBACK, "closed"));
    auto next = open(); // perhaps at the same address
    CHECK(is_error(f(), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(is_error(next.set("f", f), RLUA_BAD_ARG, "belongs to the VM"));
    f.release();
    CHECK(next.check());
}

TEST(every_handle_is_stale_after_a_rollback_to_before_it) {
    auto lua = open();
    CHECK(lua.snap());
    CHECK(lua.run("function f() end t = {} co = coroutine.create(f)"));
    auto f = lua.get<rlua::function>("f").value();
    auto t = lua.get<rlua::table>("t").value();
    auto co = lua.get<rlua::coroutine>("co").value();
    const auto place = t["x"];
    CHECK(lua.rollback());
    CHECK(is_error(f(), RLUA_STALE, "") && is_error(f.start(), RLUA_STALE, ""));
    CHECK(is_error(t.get<int>("x"), RLUA_STALE, "") && is_error(t.set("x", 1), RLUA_STALE, ""));
    CHECK(is_error(place.get<int>(), RLUA_STALE, "") && is_error(t.size(), RLUA_STALE, ""));
    CHECK((is_error(t.pairs<int, int>(), RLUA_STALE, "")));
    CHECK(is_error(co.resume(), RLUA_STALE, "") && is_error(co.close(), RLUA_STALE, ""));
    CHECK(co.status() == rlua::coroutine_status::dead && t.kind() == rlua::type::nil);
    CHECK(is_error(lua.set("g", f), RLUA_STALE, ""));
    CHECK(is_error(lua.call("print", f), RLUA_STALE, ""));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

// A handle that was dropped after the snapshot is good again after the rollback; the one that a
// frame makes each time it runs again stays one.
TEST(handles_made_and_dropped_in_frames_that_run_again) {
    auto lua = open();
    CHECK(lua.run("function f() return 1 end"));
    auto kept = std::make_unique<rlua::function>(lua.get<rlua::function>("f").value());
    CHECK(lua.snap());
    kept.reset();
    for (int round = 0; round < 100; ++round) {
        auto f = lua.get<rlua::function>("f").value();
        CHECK(f.call<int>().value() == 1);
        CHECK(lua.rollback());
        CHECK(f.is_stale());
    }
    CHECK(lua.check());
}

// One that ends releases its value; the places of references do not grow.
TEST(handles_that_end_keep_nothing) {
    auto lua = open();
    CHECK(lua.run("function f() end"));
    std::size_t used[2] = {};
    for (std::size_t &bytes : used) {
        for (int round = 0; round < 3000; ++round) {
            auto f = lua.get<rlua::function>("f").value();
            auto t = lua.new_table(100).value();
            auto moved = std::move(f);
            moved = lua.get<rlua::function>("f").value();
            CHECK(moved());
        }
        CHECK(lua.collect());
        bytes = lua.info()->used_bytes;
    }
    CHECK(used[1] <= used[0]);
}

TEST(second_thread_is_refused_while_the_first_is_inside) {
    auto lua = open();
    CHECK(lua.run("t = {x = 1} function f() end"));
    auto t = lua.get<rlua::table>("t").value();
    auto f = lua.get<rlua::function>("f").value();
    std::atomic<bool> inside{false}, done{false};
    std::atomic<int> refused{0}, wrong{0};
    CHECK(lua.set_function("wait", [&] {
        inside = true;
        while (!done)
            std::this_thread::yield();
    }));
    std::thread other([&] {
        while (!inside)
            std::this_thread::yield();
        const auto see = [&](const auto &result) {
            ++(is_error(result, RLUA_BUSY, "another OS thread") ? refused : wrong);
        };
        for (int round = 0; round < 50; ++round) {
            see(lua.run("x = 1"));
            see(lua.get<int>("t.x"));
            see(lua.set("x", 1));
            see(lua["t"]["x"].get<int>());
            see(t.get<int>("x"));
            see(t.size());
            see(f());
            see(f.start());
            see(lua.snap());
            see(lua.rollback());
            see(lua.set_function("g", [] {}));
            see(lua.info());
            see(lua.close());
            rlua::function own; // ends here, of no VM
        }
        done = true;
    });
    CHECK(lua.run("wait() local s = 0 for i = 1, 1000 do s = s + i end sum = s"));
    other.join();
    CHECK(refused == 50 * 13 && wrong == 0);
    CHECK(lua.get<int>("sum").value() == 500500);
    std::thread later([&] { CHECK(lua.run("x = 2") && f()); }); // between calls any thread may
    later.join();
    CHECK(lua.get<int>("x").value() == 2 && lua.check());
}

TEST(vm_that_is_taken_over_is_closed) {
    lua_State *L = rlua_new_rollback(mib, 2);
    CHECK(is_error(rlua::state_view(L).run("x = 1"), RLUA_NOT_ROLLBACK, "rlua::state"));
    {
        auto lua = rlua::state::adopt(L).value();
        CHECK(lua.run("x = 1") && rlua::state_view(L).get<int>("x").value() == 1);
        CHECK(is_error(rlua::state::adopt(L), RLUA_BAD_ARG, "already"));
        CHECK(lua.snap());
    }
    CHECK_STATUS(rlua_snap(L), RLUA_NOT_ROLLBACK);
    CHECK(is_error(rlua::state::adopt(L), RLUA_NOT_ROLLBACK, ""));
    CHECK(is_error(rlua::state::adopt(nullptr), RLUA_NULL_ARG, ""));
}

int by_hand(lua_State *L) { // a C function of the host's, called by Lua in a coroutine
    const rlua::state_view vm(L);
    lua_pushboolean(L, vm.raw() != nullptr && vm.get<int>("x").value_or(0) == 5);
    return 1;
}

TEST(views_find_the_vm_of_a_c_function) {
    auto lua = open();
    CHECK(lua.set("x", 5) && lua.register_function("test.by_hand", by_hand));
    lua_register(lua.raw(), "by_hand", by_hand);
    CHECK(lua.eval<bool>("return by_hand() and coroutine.wrap(by_hand)()").value());
    CHECK(is_error(lua.register_function("bad name", by_hand), RLUA_BAD_ARG, ""));
    int object = 0;
    CHECK(lua.register_pointer("test.object", &object));
    // Another VM's thread, in the middle of a call of this one.
    auto other = open();
    CHECK(other.set("x", 6) && lua.set_function("peek", [&](rlua::state_view vm) {
        const int inner = rlua::state_view(other.raw()).get<int>("x").value();
        CHECK(other.run("co = coroutine.create(function() end)"));
        const auto co = other.get<rlua::coroutine>("co").value();
        CHECK(other.set("again", co)); // a handle of the one that is active now
        return inner * 10 + vm.get<int>("x").value();
    }));
    CHECK(lua.eval<int>("return peek()").value() == 65);
    // Lua entered without this header still finds it inside.
    CHECK(lua.set_function("inside", [](rlua::state_view vm) { return vm.get<int>("x"); }));
    lua_State *L = lua.raw();
    CHECK_EQ(luaL_dostring(L, "return inside()"), LUA_OK);
    CHECK_EQ(lua_tointeger(L, -1), 5);
    lua_settop(L, 0);
    CHECK(lua.check());
}

} // namespace
