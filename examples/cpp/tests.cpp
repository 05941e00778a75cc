// tests.cpp: what rlua.hpp promises.
// Method: each test opens its own VM and ends with its check(), which walks the arena.
#include "check.hpp"
#include "rlua.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

rlua::state open(std::size_t snapshots = 8) {
    return rlua::state::open(mib, snapshots).value();
}

template <class T> bool is_error(const rlua::result<T> &result, int status, const char *part) {
    if (!result && result.error().status == status &&
        result.error().message.find(part) != std::string::npos)
        return true;
    std::printf("found status %d: %s\n", result.error().status, result.error().message.c_str());
    return false;
}

struct vector3 {
    double x, y, z;
};

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

namespace {

TEST(seed_example_reads_1_2_1) {
    auto lua = open();
    CHECK(lua.run("n = 1"));
    CHECK(lua.get<int>("n").value() == 1);
    CHECK(lua.snap());
    CHECK(lua.run("n = 2"));
    CHECK(lua.get<int>("n").value() == 2);
    CHECK(lua.rollback());
    CHECK(lua.get<int>("n").value() == 1);
    CHECK(lua.check());
}

TEST(counter_closure_goes_back) {
    auto lua = open();
    CHECK(lua.run("local n = 0; function count() n = n + 1; return n end"));
    CHECK(lua.call<int>("count").value() == 1);
    CHECK(lua.snap());
    for (int round = 0; round < 3; ++round) {
        CHECK(lua.call<int>("count").value() == 2);
        CHECK(lua.call<int>("count").value() == 3);
        CHECK(lua.rollback());
    }
    CHECK(lua.check());
}

TEST(frames_name_snapshots) {
    auto lua = open();
    for (int frame : {10, 20, 30}) {
        CHECK(lua.set("n", frame));
        CHECK(lua.snap_frame(frame));
    }
    CHECK(lua.discard_before(20));
    CHECK(lua.snapshot_count().value() == 2);
    CHECK(is_error(lua.rollback_to(10), RLUA_NO_SNAPSHOT, ""));
    CHECK(lua.rollback_to(20));
    CHECK(lua.get<int>("n").value() == 20);
    CHECK(lua.info()->newest_frame == 20);
    CHECK(lua.set("n", 21) && lua.snap_frame(20) && lua.snapshot_count().value() == 1);
    CHECK(lua.set("n", 22) && lua.rollback_to(20) && lua.get<int>("n").value() == 21);
    CHECK(is_error(lua.snap_frame(19), RLUA_BAD_FRAME, ""));
    CHECK(lua.snap().value() == 21 && lua.newest_frame().value() == 21);
    CHECK(lua.rollback_to(20) && lua.newest_frame().value() == 20);
    CHECK(lua.info()->highest_frame == 30);
    CHECK(lua.set_max_snapshots(0));
    CHECK(is_error(lua.snap(), RLUA_DISABLED, ""));
    CHECK(is_error(lua.newest_frame(), RLUA_NO_SNAPSHOT, ""));
    CHECK(lua.check());
}

TEST(coroutine_suspended_at_the_snapshot_resumes_twice) {
    auto lua = open();
    CHECK(lua.run("co = coroutine.wrap(function() for i = 1, 9 do coroutine.yield(i) end end)"));
    CHECK(lua.call<int>("co").value() == 1);
    CHECK(lua.snap());
    CHECK(lua.call<int>("co").value() == 2);
    CHECK(lua.call<int>("co").value() == 3);
    CHECK(lua.rollback());
    CHECK(lua.call<int>("co").value() == 2);
    CHECK(lua.check());
}

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

TEST(lambdas_are_functions) {
    auto lua = open();
    CHECK(lua.set_function("add", [](int a, double b) { return a + b; }));
    CHECK(lua.set_function("pair", [](std::string_view s) {
        return std::tuple(s.size(), std::string(s) + "!");
    }));
    CHECK(lua.set_function("none", [] {}));
    CHECK(lua.set_function("norm", [](vector3 v) { return v.x * v.x + v.y * v.y + v.z * v.z; }));
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

TEST(mutable_lambda_counts_1_2_3_and_again_2_3) {
    auto lua = open();
    CHECK(lua.set_function("count", [n = 0]() mutable { return ++n; }));
    CHECK(lua.set_function("names", [n = std::vector<std::string>()]() mutable {
        n.push_back("name");
        return n.size();
    }));
    for (const char *name : {"count", "names"}) {
        CHECK(lua.call<int>(name).value() == 1);
        CHECK(lua.snap());
        for (int round = 0; round < 3; ++round) {
            CHECK(lua.call<int>(name).value() == 2);
            CHECK(lua.call<int>(name).value() == 3);
            CHECK(lua.rollback());
        }
    }
    CHECK(lua.check());
}

TEST(outside_leaves_the_state_of_a_lambda_alone) {
    auto lua = open();
    CHECK(lua.set_function("count", rlua::outside([n = 0]() mutable { return ++n; })));
    CHECK(lua.call<int>("count").value() == 1);
    CHECK(lua.snap());
    CHECK(lua.call<int>("count").value() == 2);
    CHECK(lua.rollback());
    CHECK(lua.call<int>("count").value() == 3);
    CHECK(lua.set_function("own", rlua::outside([p = std::make_unique<int>(6)]() mutable {
        return ++*p;
    })));
    CHECK(lua.call<int>("own").value() == 7);
    CHECK(lua.check());
}

// Copies that throw: a snap fails whole; a restore loses the state, and says so.
struct fragile {
    int n = 0;
    bool *throws;
    explicit fragile(bool *t) : throws(t) {}
    fragile(fragile &&) = default;
    fragile(const fragile &other) : n(other.n), throws(other.throws) {
        if (*throws)
            throw std::runtime_error("no copy today");
    }
};

TEST(copy_that_throws_fails_the_snap_or_loses_the_function) {
    bool throws = false;
    auto lua = open();
    CHECK(lua.set_function("f", [state = fragile(&throws)]() mutable { return ++state.n; }));
    CHECK(lua.call<int>("f").value() == 1);
    throws = true;
    CHECK(is_error(lua.snap(), RLUA_PARTICIPANT, "participant 1"));
    CHECK(lua.snapshot_count().value() == 0);
    throws = false;
    CHECK(lua.snap());
    throws = true;
    CHECK(lua.rollback());
    CHECK(is_error(lua.call<int>("f"), RLUA_ERR_RUN, "could not be restored"));
    CHECK(is_error(lua.snap(), RLUA_PARTICIPANT, ""));
    throws = false;
    CHECK(lua.rollback());
    CHECK(lua.call<int>("f").value() == 2);
    CHECK(lua.check());
}

TEST(followed_object_goes_back) {
    std::vector<std::string> events;
    auto lua = open();
    CHECK(lua.follow(events));
    CHECK(lua.set_function("event", [&events](std::string text) { events.push_back(text); }));
    CHECK(lua.run("event('one')") && lua.snap() && lua.run("event('two')"));
    CHECK(events.size() == 2);
    CHECK(lua.rollback());
    CHECK(events == std::vector<std::string>{"one"});
    CHECK(lua.unfollow(events));
    CHECK(is_error(lua.unfollow(events), RLUA_BAD_ARG, "no participant"));
    CHECK(lua.run("event('three')") && lua.rollback());
    CHECK(events.size() == 2);
    CHECK(lua.check());
}

struct texture {
    explicit texture(int w) : pixels(std::make_unique<int[]>(static_cast<std::size_t>(w))) {
        width_ = w;
        ++alive;
    }
    ~texture() { --alive; }
    int width() const { return width_; }
    int resize(int w) {
        if (w < 0)
            throw std::runtime_error("a negative width");
        return std::exchange(width_, w);
    }
    static inline int alive = 0;

private:
    int width_;
    std::unique_ptr<int[]> pixels;
};

} // namespace

template <> struct rlua::resource_traits<texture> {
    static const char *name() { return "texture"; }
    static const rlua_Method *methods() {
        static const rlua_Method list[] = {rlua::method<&texture::width>("width"),
                                           rlua::method<&texture::resize>("resize"), {}};
        return list;
    }
};

namespace {

TEST(resource_lives_as_long_as_anybody_can_reach_it) {
    {
        auto lua = open();
        CHECK(lua.set_function("load", [](int w) {
            return rlua::owned(std::make_unique<texture>(w));
        }));
        CHECK(lua.set_function("area", [](texture *t) { return t->width() * t->width(); }));
        CHECK(lua.run("a = load(3)") && lua.snap());
        CHECK(lua.run("b = load(4); a = nil; collectgarbage()"));
        CHECK(texture::alive == 2);
        CHECK(lua.rollback());
        CHECK(texture::alive == 1);
        CHECK(lua.eval<int>("return area(a) + a:width()").value() == 12);
        CHECK(lua.get<texture *>("a").value()->width() == 3);
        CHECK(is_error(lua.run("area({})"), RLUA_ERR_RUN,
                       "bad argument #1 to 'area' (texture expected, got table)"));
        CHECK(is_error(lua.run("a.width(1)"), RLUA_ERR_RUN, "texture expected, got number"));
        CHECK(is_error(lua.run("a:resize('x')"), RLUA_ERR_RUN, "bad argument #1 to 'resize'"));
        CHECK(is_error(lua.run("a:resize(-1)"), RLUA_ERR_RUN, "run:1: a negative width"));
        CHECK(lua.eval<int>("return a:resize(5)").value() == 3);
        CHECK(lua.run("do local t <close> = load(1) end"));
        CHECK(texture::alive == 1);
        CHECK(lua.set("c", rlua::owned(std::make_unique<texture>(9))));
        CHECK(lua.eval<int>("return c:width()").value() == 9);
        CHECK(lua.check());
    }
    CHECK(texture::alive == 0);
}

TEST(reference_calls_and_knows_when_it_is_stale) {
    auto lua = open();
    CHECK(lua.run("function add(a, b) return a + b end"));
    rlua::reference add = lua.ref("add").value();
    CHECK(lua.snap());
    CHECK(lua.run("add = nil; function sub(a, b) return a - b end collectgarbage()"));
    rlua::reference sub = lua.ref("sub").value();
    CHECK(add.call<int>(1, 2).value() == 3 && sub.call<int>(1, 2).value() == -1);
    CHECK(lua.set("again", add) && lua.call<int>("again", 2, 2).value() == 4);
    CHECK(lua.rollback());
    CHECK(add.call<int>(1, 2).value() == 3);
    CHECK(sub.is_stale() && is_error(sub.call<int>(1, 2), RLUA_STALE, "gone"));
    std::vector<rlua::reference> others;
    for (int i = 0; i < 1000; ++i)
        others.push_back(lua.ref("add").value());
    CHECK(sub.is_stale() && !add.is_stale());
    CHECK(is_error(add.get<int>(), RLUA_BAD_ARG, "expected integer"));
    add.release();
    CHECK(add.is_stale());
    CHECK(lua.check());
}

TEST(reference_to_nil_is_an_error) {
    auto lua = open();
    CHECK(is_error(lua.ref("nope"), RLUA_BAD_ARG, "nope: expected a value, found nil"));
    CHECK(lua.run("yes = false") && lua.ref("yes"));
    CHECK(lua_gettop(lua.raw()) == 0);
    CHECK(lua.check());
}

// Both VMs number their references alike, so the wrong value would be found.
TEST(reference_of_another_vm_is_refused) {
    auto lua = open(), other = open();
    CHECK(lua.run("function f() return 'mine' end") && other.run("secret = 'theirs'"));
    const rlua::reference f = lua.ref("f").value(), secret = other.ref("secret").value();
    CHECK(is_error(lua.set("copy", secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(is_error(lua.get<std::string>(secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(is_error(lua.call<std::string>(secret), RLUA_BAD_ARG, "belongs to the VM"));
    CHECK(lua.call<std::string>(f).value() == "mine");
    CHECK(lua.check() && other.check());
}

TEST(reference_outlives_the_coroutine_it_was_made_on) {
    auto lua = open();
    rlua::reference kept;
    CHECK(lua.set_function("keep", [&kept](rlua::state_view vm) -> rlua::result<void> {
        auto made = vm.ref("f");
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

TEST(lambda_with_its_state_in_lua_goes_back) {
    auto lua = open();
    CHECK(lua.set("n", 0));
    CHECK(lua.set_function("count", [](rlua::state_view vm) -> rlua::result<int> {
        const auto n = vm.get<int>("n");
        if (!n)
            return n.error();
        if (auto set = vm.set("n", *n + 1); !set)
            return set.error();
        return *n + 1;
    }));
    CHECK(lua.call<int>("count").value() == 1);
    CHECK(lua.snap());
    CHECK(lua.call<int>("count").value() == 2);
    CHECK(lua.call<int>("count").value() == 3);
    CHECK(lua.rollback());
    CHECK(lua.call<int>("count").value() == 2);
    CHECK(lua.call<int>("count").value() == 3);
    CHECK(lua.check());
}

TEST(lambda_collected_after_the_snapshot_is_back_after_the_rollback) {
    auto lua = open();
    const auto alive = std::make_shared<int>(7);
    CHECK(lua.set_function("f", [alive] { return *alive; }));
    CHECK(lua.snap());
    CHECK(lua.set("f", nullptr));
    CHECK(lua.collect());
    CHECK(lua.rollback());
    CHECK(lua.call<int>("f").value() == 7);
    CHECK(alive.use_count() == 2);
    CHECK(lua.close());
    CHECK(alive.use_count() == 1);
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
    CHECK(lua.ref("g").value().call().error().traceback == error.traceback);
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

TEST(snap_in_a_lambda_is_busy) {
    auto lua = open();
    CHECK(lua.snap());
    int busy = 0;
    CHECK(lua.set_function("act", [&] {
        busy += is_error(lua.snap(), RLUA_BUSY, "");
        busy += is_error(lua.rollback(), RLUA_BUSY, "");
        busy += is_error(lua.close(), RLUA_BUSY, "");
    }));
    CHECK(lua.run("act(); coroutine.wrap(act)()"));
    CHECK(busy == 6);
    CHECK(lua.snapshot_count().value() == 1);
    CHECK(lua.check());
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
    CHECK(is_error(moved.run("x = 1"), RLUA_NULL_ARG, "closed"));
    CHECK(is_error(moved.get<int>("x"), RLUA_NULL_ARG, "closed"));
    CHECK(is_error(moved.set("x", 1), RLUA_NULL_ARG, "closed"));
    CHECK(is_error(moved.snap(), RLUA_NULL_ARG, "closed"));
    CHECK(is_error(moved.set_function("f", [] {}), RLUA_NULL_ARG, "closed"));
    CHECK(is_error(moved.collect(), RLUA_NULL_ARG, "closed"));
}

TEST(finalizers_may_call_lambdas_at_close) {
    int calls = 0;
    auto lua = open();
    CHECK(lua.set_function("seen", [&calls] { ++calls; }));
    CHECK(lua.run("x = setmetatable({}, {__gc = function() seen() end})"));
    CHECK(lua.close());
    CHECK(calls == 1);
}

TEST(absurd_limits_are_errors) {
    CHECK(!rlua::state::open(1));
    CHECK(!rlua::state::open(4096));
    CHECK(!rlua::state::open(64)); // and says why
    CHECK(!rlua::state::open(64).error().message.empty());
}

TEST(time_and_the_digest_of_the_config) {
    auto lua = open(), other = open();
    lua.set_time(1700000000, 500000000).value();
    lua.run("clock = os.clock() - os.time()").value();
    CHECK(lua.get<double>("clock").value() == 0.5);
    CHECK(!lua.set_time(0, 1000000000));
    CHECK(lua.config_digest().value() == other.config_digest().value());
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

} // namespace

int main() { return check::run_all(); }
