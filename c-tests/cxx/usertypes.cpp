// usertypes.cpp: objects of C++ in scripts: those in the VM go back, others are deleted once.
// Method: types that count themselves are made, collected, rolled back and closed; scripts hand
// over what is no object of the type.
#include "cxx.hpp"

#include <cstring>
#include <stdexcept>

namespace {

struct texture {
    explicit texture(int w) : pixels(std::make_unique<int[]>(static_cast<std::size_t>(w))) {
        width_ = w;
        ++alive;
    }
    texture(texture &&other) noexcept : width_(other.width_), pixels(std::move(other.pixels)) {
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

struct vec {
    double x, y;
    double length2() const noexcept { return x * x + y * y; }
    void scale(double by) { x *= by, y *= by; }
    double sum() const { return x + y; }
    void set_sum(double to) { x = to, y = 0; }
};
vec add(const vec &a, const vec &b) { return {a.x + b.x, a.y + b.y}; }
bool same(const vec &a, const vec &b) { return a.x == b.x && a.y == b.y; }
std::string shown(const vec &v) {
    return std::to_string(int(v.x)) + "," + std::to_string(int(v.y));
}

struct base {
    std::string name = "unnamed, and of a length that is not kept in the object itself";
    std::string called() const { return name; }
};
struct unit : base {
    std::vector<int> log;
    const int id = 7;
    ~unit() { ++ended; }
    static inline int ended = 0;
};

struct shape {
    virtual double area() const = 0;
    virtual ~shape() = default;
};
struct square : shape {
    explicit square(double a) : side(a) {}
    double side;
    double area() const override { return side * side; }
};

struct impostor { // another type of texture's name
    std::string text;
};

struct handle_number { // trivially copyable, and yet no plain data
    int number;
};

} // namespace

template <> struct rlua::usertype<texture> {
    static constexpr const char *name = "texture";
    static constexpr rlua::member members[] = {rlua::method<&texture::width>("width"),
                                               rlua::method<&texture::resize>("resize")};
};
template <> struct rlua::usertype<vec> {
    static constexpr const char *name = "vec";
    static constexpr rlua::member members[] = {
        rlua::property<&vec::x>("x"), rlua::read_only<&vec::y>("y"),
        rlua::property<&vec::length2>("length2"), rlua::property<&vec::sum, &vec::set_sum>("sum"),
        rlua::method<&vec::scale>("scale"), rlua::method<&add>("__add"),
        rlua::method<&same>("__eq"), rlua::method<&shown>("__tostring")};
};
template <> struct rlua::usertype<unit> {
    static constexpr const char *name = "unit";
    static constexpr rlua::member members[] = {
        rlua::property<&unit::name, unit>("name"), rlua::property<&unit::log>("log"),
        rlua::property<&unit::id>("id"), rlua::method<&base::called, unit>("called")};
};
template <> struct rlua::usertype<shape> {
    static constexpr const char *name = "shape";
    static constexpr rlua::member members[] = {rlua::method<&shape::area>("area")};
};
template <> struct rlua::usertype<impostor> {
    static constexpr const char *name = "texture";
};
template <> struct rlua::usertype<handle_number> {
    static constexpr const char *name = "handle";
    static constexpr bool outside = true;
};

namespace {

TEST(resource_lives_as_long_as_anybody_can_reach_it) {
    {
        auto lua = open();
        CHECK(lua.set_function("load", [](int w) {
            return std::make_unique<texture>(w);
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
        CHECK(lua.set("c", std::make_unique<texture>(9)));
        CHECK(lua.eval<int>("return c:width()").value() == 9);
        CHECK(lua.check());
    }
    CHECK(texture::alive == 0);
}

TEST(values_in_the_vm_have_members_and_go_back) {
    auto lua = open();
    CHECK(lua.set_function("vec", [](double x, double y) { return vec{x, y}; }));
    CHECK(lua.run("a = vec(3, 4)") && lua.snap());
    CHECK(lua.eval<double>("return a.x + a.y + a.length2").value() == 32);
    CHECK(lua.run("a.x = 10 a:scale(2) a.sum = a.sum + 1"));
    CHECK(lua.get<vec>("a")->x == 29 && lua.eval<bool>("return a.y == 0").value());
    CHECK(lua.rollback() && lua.get<vec>("a")->x == 3);
    CHECK(lua.eval<bool>("return a + vec(1, 1) == vec(4, 5) and tostring(a) == '3,4'").value());
    CHECK(lua.run("a.x = 1") && lua.get<vec *>("a").value()->x == 1);
    lua.get<vec *>("a").value()->x = 9; // the object itself
    CHECK(lua.eval<double>("return a.x").value() == 9);
    CHECK(lua.eval<bool>("return a.nothing == nil").value());
    CHECK(is_error(lua.run("a.y = 1"), RLUA_ERR_RUN, "run:1: vec: read-only: y"));
    CHECK(is_error(lua.run("a.z = 1"), RLUA_ERR_RUN, "run:1: vec: no such property: z"));
    CHECK(is_error(lua.run("a.x = 'much'"), RLUA_ERR_RUN, "number expected, got string"));
    CHECK(is_error(lua.run("a.scale(1, 2)"), RLUA_ERR_RUN, "vec expected, got number"));
    CHECK(is_error(lua.run("return a + 1"), RLUA_ERR_RUN, "vec expected, got number"));
    CHECK(is_error(lua.run("getmetatable(a).x = 1"), RLUA_ERR_RUN, ""));
    CHECK(lua.check());
}

TEST(values_in_the_vm_cross_by_copy_reference_and_container) {
    auto lua = open();
    CHECK(lua.set("all", std::vector<vec>{{1, 2}, {3, 4}}));
    CHECK(lua.get<std::vector<vec>>("all")->at(1).y == 4);
    CHECK(lua.set_function("grow", [](vec &v) { v.x += 1; }));
    CHECK(lua.set_function("copied", [](vec v) { v.x += 1; return v; }));
    CHECK(lua.set_function("maybe", [](std::optional<vec> v) { return v ? v->x : -1; }));
    CHECK(lua.run("v = all[1] grow(v) assert(v.x == 2) local w = copied(v) assert(w.x == 3 and "
                  "v.x == 2) assert(maybe() == -1 and maybe(v) == 2)"));
    CHECK(is_error(lua.run("grow({})"), RLUA_ERR_RUN, "vec expected, got table"));
    CHECK(is_error(lua.run("grow(io.stdout)"), RLUA_ERR_RUN, "vec expected, got userdata"));
    CHECK(is_error(lua.get<vec>("all"), RLUA_BAD_ARG, "all: expected vec, found table"));
    // The metatable on another userdata, as only the library debug can put it there.
    CHECK(lua.set("other", handle_number{1}));
    CHECK(is_error(lua.run("debug.setmetatable(other, debug.getmetatable(v)) grow(other)"),
                   RLUA_ERR_RUN, ""));
    CHECK(lua.check());
}

// An object in the VM is one in all of size, block and metatable.
TEST(userdata_that_look_like_an_object_are_refused) {
    auto lua = open();
    CHECK(lua.set("real", vec{1, 2}) && lua.set_function("grow", [](vec &v) { v.x += 1; }));
    lua_State *L = lua.raw();
    void *block = nullptr;
    lua_getglobal(L, "real");
    const std::size_t size = lua_rawlen(L, -1);
    std::vector<char> bytes(size);
    std::memcpy(bytes.data(), lua_touserdata(L, -1), size);
    for (const char *name : {"bare", "foreign"}) { // the bytes of one, under other metatables
        CHECK_OK(rlua_newuserdata(L, size, 0, &block));
        std::memcpy(block, bytes.data(), size);
        if (name == std::string("foreign")) {
            CHECK_OK(rlua_newmetatable(L, "foreign", nullptr));
            lua_setmetatable(L, -2);
        }
        lua_setglobal(L, name);
        CHECK(is_error(lua.run("grow(" + std::string(name) + ")"), RLUA_ERR_RUN, "vec expected"));
    }
    CHECK_OK(rlua_newuserdata(L, size, 0, &block)); // the metatable of one, on other bytes
    std::memset(block, 1, size);
    CHECK(lua_getmetatable(L, 1));
    lua_setmetatable(L, -2);
    lua_setglobal(L, "empty");
    lua_settop(L, 0);
    CHECK(is_error(lua.run("grow(empty)"), RLUA_ERR_RUN, "vec expected"));
    CHECK(lua.run("grow(real)") && lua.check());
}

TEST(two_types_of_one_name_are_not_mixed_up) {
    auto lua = open();
    CHECK(lua.set("t", std::make_unique<texture>(3)));
    CHECK(is_error(lua.get<impostor *>("t"), RLUA_BAD_ARG, "expected texture, found userdata"));
    CHECK(lua.get<texture *>("t") && lua.check());
}

// The type is first used in a frame that is rolled back: its metatable is made again.
TEST(type_that_was_rolled_back_away_is_made_again) {
    auto lua = open();
    CHECK(lua.set_function("vec", [](double x, double y) { return vec{x, y}; }) && lua.snap());
    for (int round = 0; round < 3; ++round) {
        CHECK(lua.run("a = vec(1, 2) a:scale(2)") && lua.set("t", std::make_unique<texture>(3)));
        CHECK(lua.eval<double>("return a.x + t:width()").value() == 5);
        CHECK(lua.rollback() && texture::alive == 0 && lua.check());
    }
}

TEST(objects_outside_do_not_go_back_but_are_deleted_once) {
    unit::ended = 0;
    auto lua = open();
    CHECK(lua.set("u", std::make_shared<unit>()) && lua.snap());
    CHECK(lua.run("u.name = 'ann' local log = u.log log[#log + 1] = 5 u.log = log"));
    CHECK(lua.rollback() && lua.eval<std::string>("return u:called()").value() == "ann");
    CHECK(lua.get<unit *>("u").value()->log == std::vector<int>{5});
    CHECK(lua.eval<int>("return u.id").value() == 7);
    CHECK(is_error(lua.run("u.id = 8"), RLUA_ERR_RUN, "unit: read-only: id"));
    auto shared = lua.get<std::shared_ptr<unit>>("u").value();
    CHECK(shared.use_count() == 2);
    CHECK(lua.run("u = nil") && lua.collect() && shared.use_count() == 2); // the snapshot has it
    CHECK(lua.set_max_snapshots(0) && shared.use_count() == 1 && unit::ended == 0);
    CHECK(lua.set("own", std::make_unique<unit>()));
    CHECK(is_error(lua.get<std::shared_ptr<unit>>("own"), RLUA_BAD_ARG, "expected unit"));
    unit host;
    CHECK(lua.set("host", rlua::borrow(host)) && lua.run("host.name = 'mine'"));
    CHECK(host.name == "mine" && unit::ended == 0);
    CHECK(lua.close() && unit::ended == 1);
}

TEST(a_type_may_be_an_abstract_class) {
    auto lua = open();
    CHECK(lua.set("s", std::unique_ptr<shape>(std::make_unique<square>(3))));
    CHECK(lua.set_function("twice", [](const shape &s) { return 2 * s.area(); }));
    CHECK(lua.eval<double>("return s:area() + twice(s)").value() == 27);
    CHECK(lua.get<shape *>("s").value()->area() == 9 && lua.check());
}

TEST(objects_end_early) {
    auto lua = open();
    CHECK(lua.set("t", std::make_unique<texture>(4)) && lua.snap());
    const auto t = lua.get<rlua::value>("t").value();
    CHECK(t.kind() == rlua::type::userdata && t.close<texture>());
    CHECK(is_error(lua.run("t:width()"), RLUA_ERR_RUN, "texture expected"));
    CHECK(is_error(t.close<texture>(), RLUA_STALE, ""));
    CHECK(is_error(t.close<unit>(), RLUA_BAD_ARG, ""));
    CHECK(texture::alive == 1 && lua.rollback());
    CHECK(lua.eval<int>("return t:width()").value() == 4);
    CHECK(lua.set("none", std::unique_ptr<texture>()));
    CHECK(lua.eval<bool>("return none == nil").value());
    CHECK(lua.set("moved", texture(8)) && lua.eval<int>("return moved:width()").value() == 8);
    CHECK(lua.close() && texture::alive == 0);
}

TEST(objects_at_any_limit_of_memory_are_not_lost) {
    int failed = 0, fitted = 0;
    for (std::size_t limit = 8192; limit < 96 * 1024; limit += 256) {
        auto opened = rlua::state::open(limit, 1, RLUA_LIB_BASE);
        if (!opened)
            continue;
        auto &lua = *opened;
        const bool fits = lua.set("t", std::make_unique<texture>(1)) && lua.set("v", vec{1, 2}) &&
                          lua.set("u", std::make_shared<unit>()) &&
                          lua.run("v:scale(2) u.log = {1}") &&
                          lua.eval<double>("return v.x + t:width()").value_or(0) == 3;
        ++(fits ? fitted : failed);
        CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
        CHECK(lua.close() && texture::alive == 0);
    }
    CHECK(failed > 0 && fitted > 0);
}

} // namespace
