// no_exceptions.cpp: rlua.hpp without C++ exceptions and RTTI, as many engines build.
// Method: built -fno-exceptions -fno-rtti; results are asked, and lambdas return them.
#include "cxx.hpp"

namespace {
struct sound {
    std::string path;
};
} // namespace
template <> struct rlua::usertype<sound> {
    static constexpr const char *name = "sound";
    static constexpr rlua::member members[] = {rlua::property<&sound::path>("path")};
};

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

TEST(objects_go_along_and_failures_are_results) {
    bool fails = false;
    rlua::bindings all;
    all.set_type<sound>([](const sound &s) { return s.path; },
                        [&](std::string_view path) -> rlua::result<sound> {
                            if (fails)
                                return rlua::error{RLUA_ERR_FILE, "no such sound"};
                            return sound{std::string(path)};
                        });
    rlua::state lua = open();
    CHECK(lua.bind(all) && lua.set("s", sound{"step"}));
    const rlua::bytes image = lua.save().value();
    rlua_Config config{};
    config.size = sizeof config;
    config.trust = RLUA_TRUST_OWN;
    auto other = rlua::state::from_image(image, config, all).value();
    CHECK(other.eval<std::string>("return s.path").value() == "step");
    fails = true;
    CHECK(is_error(lua.clone(), RLUA_STREAM, "no such sound"));
    CHECK(is_error(rlua::state::from_image(image, config, all), RLUA_STREAM, "no such sound"));
}
