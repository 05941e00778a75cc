// no_exceptions.cpp: rlua.hpp without C++ exceptions and RTTI, as many engines build.
// Method: built -fno-exceptions -fno-rtti; results are asked, and lambdas return them.
#include "cxx.hpp"

TEST(everything_works_by_results) {
    rlua::state lua = open();
    CHECK(lua.set_function("half", [](int n) -> rlua::result<int> {
        if (n % 2 != 0)
            return rlua::error{RLUA_ERR_RUN, "odd"};
        return n / 2;
    }));
    CHECK(lua.run("n = half(8)") && lua.snap() && lua.run("n = half(2)") && lua.rollback());
    CHECK(lua.get<int>("n").value_or(0) == 4);
    const auto odd = lua.run("half(3)");
    CHECK(!odd && odd.error().message == "run:1: odd");
    auto t = lua.new_table().value();
    CHECK(t.set("f", [](rlua::function f) { return f.call<int>(1); }) && lua.set("t", t));
    CHECK(lua.eval<int>("return t.f(function(n) return n + 1 end)").value_or(0) == 2);
    CHECK(lua.load("return coroutine.yield(5)")->start()->resume<int>().value_or(0) == 5);
    CHECK(!lua.set("big", std::string(std::size_t{2} << 20, 'x')));
    CHECK(lua.synctest([&](unsigned, bool) { return lua.run("n = n + 1"); }, 1, 5));
    CHECK(lua.check());
}
