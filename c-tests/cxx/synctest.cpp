// synctest.cpp: the sync test's callback is a callable of C++, which may throw.
// Method: a frame that goes by what lies outside is found, with its number and its value; callables
// that fail and arguments out of range are errors.
#include "cxx.hpp"

#include <stdexcept>

namespace {

// What C++ finds out about a coroutine that calls it leaves a trace on its stack, above the top. It
// must not depend on what was asked before: the second run of a frame would leave another one.
TEST(coroutines_that_call_functions_are_the_same_in_each_run) {
    auto lua = open();
    CHECK(lua.set("value", [](double) {}) && lua.set_function("named", [](double) {}));
    for (const char *name : {"value", "named"}) {
        CHECK(lua.run(std::string("cos = {} for i = 1, 3 do cos[i] = coroutine.wrap(function() "
                                  "  while true do ") +
                      name + "(i) coroutine.yield() end end) end " +
                      "function step(frame) cos[frame % 3 + 1]() end "
                      "function stay() cos[1]() end"));
        for (const char *code : {"stay", "step"}) {
            const auto frame = [&](unsigned number, bool) {
                return lua.call<void>(code, number);
            };
            CHECK(lua.synctest(frame, 3, 20) && lua.synctest(frame, 1, 20));
        }
    }
}

TEST(sync_test_names_the_frame_and_the_value) {
    auto lua = open();
    int outside = 0;
    CHECK(lua.set_function("outside", [&outside] { return ++outside; }));
    CHECK(lua.run("n = 0; function step(frame) n = n + frame "
                  "if frame == 5 and odd then n = outside() end end"));
    const auto frame = [&](unsigned number, bool) -> rlua::result<void> {
        return lua.call<void>("step", number);
    };
    CHECK(lua.synctest(frame, 3, 20));
    CHECK(lua.run("odd = true"));
    rlua_SyncReport report{};
    report.size = sizeof report;
    CHECK(is_error(lua.synctest(frame, 3, 20, &report), RLUA_DESYNC, "_G.n"));
    CHECK(report.frame == 5 && report.differs);
    int runs = 0, again = 0;
    const auto failing = [&](unsigned number, bool second) -> rlua::result<void> {
        runs++, again += second;
        if (number == 2)
            throw std::runtime_error("no such frame");
        return {};
    };
    CHECK(is_error(lua.synctest(failing, 1, 9), RLUA_ERR_RUN, "no such frame"));
    CHECK(runs > again && again > 0);
    const auto wrong = [&](unsigned, bool) { return lua.run("error('wrong')"); };
    CHECK(is_error(lua.synctest(wrong, 1, 9), RLUA_ERR_RUN, "wrong"));
    CHECK(is_error(lua.synctest(frame, 1000, 9), RLUA_BAD_ARG, ""));
}

TEST(state_cannot_be_closed_by_a_frame_of_its_own_sync_test) {
    auto lua = open();
    CHECK(is_error(lua.synctest([&](unsigned, bool) { return lua.close(); }, 1, 3), RLUA_BUSY,
                   "under way"));
    const auto snap = [&](unsigned, bool) -> rlua::result<void> {
        const auto taken = lua.snap();
        return taken ? rlua::result<void>() : taken.error();
    };
    CHECK(is_error(lua.synctest(snap, 1, 3), RLUA_BAD_ARG, "a frame took snapshots"));
    CHECK(lua.is_open() && lua.run("n = 1") && lua.close());
}

} // namespace
