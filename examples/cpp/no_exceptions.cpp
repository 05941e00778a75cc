// no_exceptions.cpp: rlua.hpp without C++ exceptions and RTTI, as many engines build.
// Method: built -fno-exceptions -fno-rtti; results are asked, and lambdas return them.
#include "check.hpp"
#include "rlua.hpp"

TEST(everything_works_by_results) {
    auto opened = rlua::state::open(std::size_t{1} << 20, 4);
    CHECK(opened);
    if (!opened)
        return;
    rlua::state lua = std::move(*opened);
    CHECK(lua.set_function("half", [](int n) -> rlua::result<int> {
        if (n % 2 != 0)
            return rlua::error{RLUA_ERR_RUN, "odd"};
        return n / 2;
    }));
    CHECK(lua.run("n = half(8)") && lua.snap() && lua.run("n = half(2)") && lua.rollback());
    CHECK(lua.get<int>("n").value_or(0) == 4);
    const auto odd = lua.run("half(3)");
    CHECK(!odd && odd.error().message == "run:1: odd");
    CHECK(!lua.set("big", std::string(std::size_t{2} << 20, 'x')));
    CHECK(lua.check());
}

int main() { return check::run_all(); }
