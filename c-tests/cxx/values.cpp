// values.cpp: C++ values cross as they are, or not at all.
// Method: each is set and read back, or read as what it is not; the message is looked at.
#include "cxx.hpp"

namespace {

struct vector3 {
    double x, y, z;
};
struct tree {
    std::vector<tree> below;
};
enum class color : std::uint8_t { red = 1, blue = 7 };
enum plain { zero, one };

} // namespace

// A type of the host's own, as an engine would add it.
template <> struct rlua::codec<vector3> {
    static const char *name() { return "vector3"; }
    static int push(lua_State *L, const vector3 &v) {
        return codec<std::vector<double>>::push(L, {v.x, v.y, v.z});
    }
    static bool read(lua_State *L, int index, vector3 &out) {
        std::vector<double> parts;
        if (!codec<std::vector<double>>::read(L, index, parts) || parts.size() != 3)
            return false;
        out = {parts[0], parts[1], parts[2]};
        return true;
    }
};

template <> struct rlua::codec<tree> {
    static const char *name() { return "tree"; }
    static int push(lua_State *L, const tree &t) {
        return codec<std::vector<tree>>::push(L, t.below);
    }
    static bool read(lua_State *L, int index, tree &out) {
        return codec<std::vector<tree>>::read(L, index, out.below);
    }
};

namespace {

TEST(values_round_trip) {
    auto lua = open();
    const std::string bytes("a\0\xff", 3);
    const std::vector<int> numbers{1, 2, 3};
    const std::map<std::string, std::vector<std::string>> tree{{"a", {"b", "c"}}, {"d", {}}};
    CHECK(lua.set("v", true) && lua.get<bool>("v").value());
    CHECK(lua.set("v", INT64_MIN) && lua.get<std::int64_t>("v").value() == INT64_MIN);
    CHECK(lua.set("v", 1.5f) && lua.get<float>("v").value() == 1.5f);
    CHECK(lua.set("v", bytes) && lua.get<std::string>("v").value() == bytes);
    CHECK(lua.set("v", "text") && lua.get<std::string>("v").value() == "text");
    CHECK(lua.set("v", std::string_view()) && lua.get<std::string>("v").value().empty());
    CHECK(lua.set("v", numbers) && lua.get<std::vector<int>>("v").value() == numbers);
    CHECK(lua.set("v", tree) && *lua.get<std::decay_t<decltype(tree)>>("v") == tree);
    CHECK(lua.set("v", std::optional<int>(4)) && **lua.get<std::optional<int>>("v") == 4);
    CHECK(lua.set("v", nullptr) && !lua.get<std::optional<int>>("v")->has_value());
    CHECK(lua.set("v", vector3{1, 2, 3}) && lua.get<vector3>("v")->z == 3);
    CHECK(lua.check());
}

TEST(values_of_the_wrong_kind_are_errors) {
    auto lua = open();
    CHECK(lua.run("s, f, n, t = '1', 1.5, 300, {1, 'x'}"));
    CHECK(is_error(lua.get<int>("s"), RLUA_BAD_ARG, "s: expected integer in range, found string"));
    CHECK(is_error(lua.get<int>("f"), RLUA_BAD_ARG, "found number"));
    CHECK(is_error(lua.get<std::uint8_t>("n"), RLUA_BAD_ARG, "integer"));
    CHECK(is_error(lua.get<std::string>("n"), RLUA_BAD_ARG, "expected string"));
    CHECK(is_error(lua.get<std::vector<int>>("t"), RLUA_BAD_ARG, "sequence"));
    CHECK(is_error(lua.get<bool>("absent"), RLUA_BAD_ARG, "found nil"));
    CHECK(is_error(lua.set("v", UINT64_MAX), RLUA_BAD_ARG, "above"));
    CHECK(is_error(lua.get<vector3>("t"), RLUA_BAD_ARG, "vector3"));
    CHECK(lua.run("n = -1"));
    CHECK(is_error(lua.get<std::uint64_t>("n"), RLUA_BAD_ARG, "integer"));
    CHECK(lua.check());
}

TEST(out_of_memory_in_a_push_leaves_the_vm_usable) {
    auto lua = open();
    const std::string big(2 * mib, 'x');
    CHECK(is_error(lua.set("big", big), RLUA_ERR_MEM, "memory"));
    const std::vector<std::string> rows(50000, "0123456789012345678901234567890123456789012345");
    CHECK(is_error(lua.set("big", rows), RLUA_ERR_MEM, "memory"));
    CHECK(is_error(lua.run("local t = {} while true do t[#t + 1] = ('x'):rep(99) .. #t end"),
                   RLUA_ERR_MEM, "memory"));
    CHECK(lua.collect());
    CHECK(lua.set("n", 1) && lua.get<int>("n").value() == 1);
    CHECK(lua.check());
}

TEST(out_of_memory_at_any_limit_is_an_error) {
    using tree = std::map<std::string, std::vector<std::string>>;
    const tree value{{"a", std::vector<std::string>(40, std::string(64, 'x'))}, {"b", {"y"}}};
    int unopened = 0, failed = 0, fitted = 0;
    for (std::size_t limit = 4096; limit < 96 * 1024; limit += 64) {
        auto opened = rlua::state::open(limit, 1);
        if (!opened) {
            ++unopened;
            continue;
        }
        auto &lua = *opened;
        const bool fits = lua.set_function("f", [](tree t) { return std::tuple(t, t["a"]); }) &&
                          lua.set("tree", value) && lua.run("x, y = f(tree)") &&
                          lua.get<tree>("x").value_or(tree{}) == value;
        ++(fits ? fitted : failed);
        CHECK(lua_gettop(lua.raw()) == 0);
        CHECK(lua.check());
    }
    CHECK(unopened > 0 && failed > 0 && fitted > 0);
}

TEST(enums_are_their_numbers) {
    auto lua = open();
    CHECK(lua.set("c", color::blue) && lua.get<int>("c").value() == 7);
    CHECK(lua.get<color>("c").value() == color::blue);
    CHECK(lua.set("p", one) && lua.get<plain>("p").value() == one);
    CHECK(lua.run("c = 300") && is_error(lua.get<color>("c"), RLUA_BAD_ARG, "integer in range"));
    CHECK(lua.set_function("next", [](color c) { return c == color::red ? color::blue : c; }));
    CHECK(lua.eval<int>("return next(1)").value() == 7);
    CHECK(lua.check());
}

TEST(containers_round_trip) {
    auto lua = open();
    const std::array<int, 3> three{1, 2, 3};
    const std::unordered_map<int, std::string> names{{1, "a"}, {-5, "b"}, {70, "c"}};
    const std::vector<std::pair<std::string, bool>> pairs{{"x", true}, {"y", false}};
    const std::tuple<int, std::string, double> mixed{4, "four", 4.5};
    const std::map<double, std::vector<bool>> bits{{0.5, {true, false}}};
    CHECK(lua.set("v", three) && lua.get<std::decay_t<decltype(three)>>("v").value() == three);
    CHECK(lua.set("v", names) && lua.get<std::decay_t<decltype(names)>>("v").value() == names);
    CHECK(lua.set("v", pairs) && lua.get<std::decay_t<decltype(pairs)>>("v").value() == pairs);
    CHECK(lua.set("v", mixed) && lua.get<std::decay_t<decltype(mixed)>>("v").value() == mixed);
    CHECK(lua.set("v", bits) && lua.get<std::decay_t<decltype(bits)>>("v").value() == bits);
    CHECK(lua.run("v = {1, 2}"));
    CHECK((is_error(lua.get<std::array<int, 3>>("v"), RLUA_BAD_ARG, "array's size")));
    CHECK((is_error(lua.get<std::tuple<int, std::string>>("v"), RLUA_BAD_ARG, "tuple")));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(variants_take_the_first_that_fits) {
    using any = std::variant<std::monostate, bool, std::int64_t, double, std::string,
                             std::vector<int>>;
    auto lua = open();
    const any all[] = {std::monostate{}, true, std::int64_t{3}, 1.5, std::string("s"),
                       std::vector<int>{1, 2}};
    for (const any &each : all) {
        CHECK(lua.set("v", each));
        const any found = lua.get<any>("v").value();
        CHECK(found.index() == each.index() && found == each);
    }
    CHECK((is_error(lua.get<std::variant<bool, std::string>>("v"), RLUA_BAD_ARG,
                    "expected boolean or string, found table")));
    CHECK(lua.check());
}

// Each level needs room on Lua's stack: more than a function has by itself.
TEST(values_nest_as_deep_as_they_like) {
    auto lua = open();
    constexpr int depth = 1000;
    tree root;
    for (int i = 1; i < depth; ++i) {
        tree next;
        next.below.push_back(std::move(root));
        root = std::move(next);
    }
    CHECK(lua.set("t", root));
    CHECK(lua.eval<int>("local n, x = 0, t while x do n, x = n + 1, x[1] end return n").value() ==
          depth);
    const tree found = lua.get<tree>("t").value();
    int levels = 1;
    for (const tree *each = &found; !each->below.empty(); each = &each->below[0])
        ++levels;
    CHECK(levels == depth && lua_gettop(lua.raw()) == 0 && lua.check());
}

TEST(values_nested_deeper_than_the_stack_holds_are_errors) {
    auto lua = open();
    CHECK(lua.run("t = {} local x = t for i = 1, 300 do x[1] = {} x = x[1] end"));
    CHECK((is_error(lua.get<std::vector<std::vector<int>>>("t"), RLUA_BAD_ARG, "sequence")));
    CHECK(lua.run("cycle = {} cycle[1] = cycle"));
    CHECK((is_error(lua.get<std::vector<std::vector<std::vector<int>>>>("cycle"), RLUA_BAD_ARG,
                    "sequence")));
    CHECK(lua.check());
}

// A script's metamethods run in the middle of a conversion, and fail there.
TEST(metamethods_that_raise_in_a_conversion_are_errors) {
    auto lua = open();
    CHECK(lua.run("t = setmetatable({}, {__index = function(t, i) error('no ' .. i) end})"));
    CHECK(is_error(lua.get<std::vector<int>>("t"), RLUA_BAD_ARG, "sequence"));
    CHECK(is_error(lua.get<std::vector<std::string>>("t"), RLUA_BAD_ARG, "sequence"));
    CHECK((is_error(lua.get<std::pair<std::string, std::string>>("t"), RLUA_BAD_ARG, "tuple")));
    CHECK(is_error(lua["t"]["x"].get<int>(), RLUA_ERR_RUN, "no x"));
    CHECK(is_error(lua.get<int>("t.x"), RLUA_ERR_RUN, "no x"));
    CHECK(lua.run("u = setmetatable({}, {__newindex = function() error('frozen') end})"));
    CHECK(is_error(lua["u"]["x"].set(1), RLUA_ERR_RUN, "frozen"));
    CHECK(is_error(lua.set("u.x", 1), RLUA_ERR_RUN, "frozen"));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

} // namespace
