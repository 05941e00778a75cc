// bindings.cpp: functions and objects of C++ go along with images and clones.
// Method: one bindings object has a type in the VM, types outside by value and by each pointer, and
// functions. VMs that have it are saved, loaded here and in another process, cloned, rolled back;
// each object outside is counted; save and load functions throw, refuse and get damaged bytes.
#include "cxx.hpp"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace {

// Objects outside that are alive, and how often one was saved and loaded.
std::atomic<int> alive;
int saves, loads, fail_at = -1;

struct counted {
    counted() { ++alive; }
    counted(const counted &) { ++alive; }
    counted(counted &&) noexcept { ++alive; }
    ~counted() { --alive; }
    counted &operator=(const counted &) = default;
};

// Something that the engine has open.
struct texture : counted {
    explicit texture(std::string p) : path(std::move(p)) {}
    std::string path;
    int level = 0;
    int width() const { return static_cast<int>(path.size()); }
    int count() { return ++level; }
};

// In the VM.
struct vec {
    double x, y;
    double length2() const noexcept { return x * x + y * y; }
    void scale(double by) { x *= by, y *= by; }
};
vec add(const vec &a, const vec &b) { return {a.x + b.x, a.y + b.y}; }

// Aligned to more than userdata are, so outside; it says itself how it is saved.
struct alignas(64) wide {
    double of[8] = {};
    double sum() const {
        double all = 0;
        for (double each : of)
            all += each;
        return reinterpret_cast<std::uintptr_t>(this) % 64 == 0 ? all : -1;
    }
};

// Held by a pointer to the base.
struct shape : counted {
    virtual double area() const = 0;
    virtual std::string text() const = 0;
    virtual ~shape() = default;
};
struct square : shape {
    explicit square(double a) : side(a) {}
    double side;
    double area() const override { return side * side; }
    std::string text() const override { return "s" + std::to_string(side); }
};
struct circle : shape {
    explicit circle(double r) : radius(r) {}
    double radius;
    double area() const override { return 3 * radius * radius; }
    std::string text() const override { return "c" + std::to_string(radius); }
};

// What a later version of the program has in vec's place, and one that lacks a method.
struct vec_later : vec {
    double sum() const { return x + y; }
    void turn() { std::swap(x, y); }
};
struct vec_less : vec {};

struct impostor : counted { // another type of texture's name
};
struct unsaved : counted { // outside, and nobody says how it is saved
};

} // namespace

template <> struct rlua::usertype<texture> {
    static constexpr const char *name = "texture";
    static constexpr rlua::member members[] = {
        rlua::method<&texture::width>("width"), rlua::method<&texture::width>("same_width"),
        rlua::method<&texture::count>("count"), rlua::property<&texture::level>("level"),
        rlua::read_only<&texture::path>("path")};
};
template <> struct rlua::usertype<vec> {
    static constexpr const char *name = "vec";
    static constexpr rlua::member members[] = {
        rlua::property<&vec::x>("x"), rlua::read_only<&vec::y>("y"),
        rlua::property<&vec::length2>("length2"), rlua::method<&vec::scale>("scale"),
        rlua::method<&add>("__add")};
};
template <> struct rlua::usertype<vec_later> {
    static constexpr const char *name = "vec";
    static constexpr rlua::member members[] = {
        rlua::property<&vec_later::sum>("sum"), rlua::method<&vec::scale, vec_later>("scale"),
        rlua::method<&vec_later::turn>("turn"), rlua::method<&add>("__add")};
};
template <> struct rlua::usertype<vec_less> {
    static constexpr const char *name = "vec";
    static constexpr rlua::member members[] = {rlua::property<&vec::x, vec_less>("x"),
                                               rlua::method<&add>("__add")};
};
template <> struct rlua::usertype<wide> {
    static constexpr const char *name = "wide";
    static constexpr rlua::member members[] = {rlua::method<&wide::sum>("sum")};
    static rlua::bytes save(const wide &from) {
        rlua::bytes all(sizeof from.of);
        std::memcpy(all.data(), from.of, sizeof from.of);
        return all;
    }
    static rlua::result<std::unique_ptr<wide>> load(std::string_view bytes) {
        auto made = std::make_unique<wide>();
        if (bytes.size() != sizeof made->of)
            return rlua::error{RLUA_BAD_ARG, "a wide has another size"};
        std::memcpy(made->of, bytes.data(), sizeof made->of);
        return made;
    }
};
template <> struct rlua::usertype<shape> {
    static constexpr const char *name = "shape";
    static constexpr rlua::member members[] = {rlua::method<&shape::area>("area")};
};
template <> struct rlua::usertype<impostor> {
    static constexpr const char *name = "texture";
};
template <> struct rlua::usertype<unsaved> {
    static constexpr const char *name = "unsaved";
};

namespace {

std::string save_texture(const texture &t) {
    if (saves++ == fail_at)
        throw std::runtime_error("the texture is lost");
    return t.path + ":" + std::to_string(t.level);
}

std::unique_ptr<texture> load_texture(std::string_view bytes) {
    if (loads++ == fail_at)
        throw std::runtime_error("no such file");
    const auto colon = bytes.rfind(':');
    if (colon == bytes.npos)
        return nullptr;
    auto made = std::make_unique<texture>(std::string(bytes.substr(0, colon)));
    made->level = std::atoi(std::string(bytes.substr(colon + 1)).c_str());
    return made;
}

std::unique_ptr<shape> load_shape(std::string_view bytes) {
    const double size = std::stod(std::string(bytes.substr(1)));
    if (bytes[0] == 's')
        return std::make_unique<square>(size);
    return std::make_unique<circle>(size);
}

rlua::bindings bindings() {
    rlua::bindings all;
    all.set_type<vec>()
        .set_type<wide>()
        .set_type<texture>(save_texture, load_texture)
        .set_type<shape>([](const shape &from) { return from.text(); }, load_shape)
        .set_function("vec", [](double x, double y) { return vec{x, y}; })
        .set_function("game.assets.texture",
                      [](std::string path) { return std::make_unique<texture>(path); })
        .set_function("game.value", [](std::string path) { return texture(path); })
        .set_function("game.wide", [](double x) { return wide{{x, 1, 2}}; })
        .set_function<double(double)>("game.twice", [](auto x) { return 2 * x; });
    return all;
}

rlua_Config config_of(std::size_t snapshots = 4, std::size_t memory_size = 4 * MIB) {
    rlua_Config config{};
    config.size = sizeof config;
    config.memory_size = memory_size;
    config.max_snapshots = snapshots;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

void begin() {
    CHECK(alive == 0);
    saves = loads = 0;
    fail_at = -1;
}

// A world with objects of each type.
void fill(rlua::state &lua) {
    lua.run("v = vec(3, 4)  t = game.assets.texture('wall')  u = game.value('floor')\n"
            "w = game.wide(5)  kept = {t, v, [v] = 'by vec'}  scale = v.scale\n"
            "function step() t:count() v:scale(2) v = v + vec(1, 0)\n"
            "  return t.level + u:width() + w:sum() + s:area() + v.x + game.twice(v.length2)\n"
            "end\n"
            "co = coroutine.wrap(function() while true do coroutine.yield(t:count()) end end)")
        .value();
    lua.set("s", std::unique_ptr<shape>(std::make_unique<circle>(2))).value();
    lua.run("co()").value();
}

bool same(rlua::state &a, rlua::state &b) {
    const rlua_Checksum one = a.checksum().value(), other = b.checksum().value();
    return std::memcmp(&one, &other, sizeof one) == 0;
}

constexpr int living = 3; // of those in fill(): two textures, a shape

TEST(a_state_with_objects_goes_on_from_its_image) {
    begin();
    {
        const rlua::bindings all = bindings();
        auto a = rlua::state::open(config_of(), all).value();
        fill(a);
        CHECK(alive == living);
        const rlua::bytes image = a.save().value();
        CHECK(saves == 2 && loads == 0); // two textures
        auto b = rlua::state::from_image(image, config_of(), all).value();
        CHECK(loads == 2 && alive == 2 * living && same(a, b) && b.save().value() == image);
        for (int i = 0; i < 5; ++i) {
            CHECK(a.call<double>("step").value() == b.call<double>("step").value());
            CHECK(a.eval<int>("return co()").value() == b.eval<int>("return co()").value());
        }
        CHECK(a.save().value() == b.save().value() && b.check());
        CHECK(b.eval<bool>("return kept[1] == t and kept[2] ~= v and t.path == 'wall'").value());
        CHECK(b.run("scale(v, 0.5) t.level = 40") && b.get<texture *>("t").value()->level == 40);
        CHECK(a.get<texture *>("t").value()->level != 40);
        CHECK(b.get<shape *>("s").value()->area() == 12);
        CHECK(b.eval<int>("return w:sum()").value() == 8);
        CHECK(is_error(b.run("t.path = 'x'"), RLUA_ERR_RUN, "texture: read-only: path"));
        CHECK(is_error(b.run("game.twice({})"), RLUA_ERR_RUN, "bad argument #1 to 'twice'"));
        CHECK(b.set("more", texture("new")));
        CHECK(b.eval<int>("return more:same_width()").value() == 3);
        a.close().value();
        CHECK(b.call<double>("step") && b.check());
    }
    CHECK(alive == 0);
}

// Collected, rolled back to, made and rolled back away, in a VM that was loaded.
TEST(loaded_objects_live_as_others_do) {
    begin();
    const rlua::bindings all = bindings();
    auto a = rlua::state::open(config_of(), all).value();
    fill(a);
    const rlua::bytes image = a.save().value();
    CHECK(a.close() && alive == 0);
    auto b = rlua::state::from_image(image, config_of(), all).value();
    CHECK(alive == living && b.snap(1));
    CHECK(b.run("t, kept, co, step = nil  v.x = 9  x = game.value('x') collectgarbage()"));
    CHECK(alive == living + 1);
    CHECK(b.rollback() && alive == living && b.get<vec>("v")->x == 3);
    CHECK(b.eval<int>("return t:width()").value() == 4 && b.call<double>("step"));
    CHECK(b.get<rlua::value>("u")->close<texture>());
    CHECK(is_error(b.run("u:width()"), RLUA_ERR_RUN, "texture expected"));
    const rlua::bytes later = b.save().value(), then = b.save(1).value();
    CHECK(alive == living);
    {
        auto c = rlua::state::from_image(later, config_of(), all).value();
        CHECK(alive == 2 * living - 1 && !c.run("u:width()") && c.run("t:width()"));
        auto d = rlua::state::from_image(then, config_of(), all).value();
        CHECK(d.eval<int>("return u:width()").value() == 5);
    }
    CHECK(alive == living && b.run("u, s = nil collectgarbage()") && alive == living);
    CHECK(b.discard_before(2) && b.set_max_snapshots(0) && alive == 1 && b.check());
    CHECK(b.close() && alive == 0);
}

TEST(a_clone_has_objects_of_its_own) {
    begin();
    auto a = rlua::state::open(config_of(), bindings()).value();
    CHECK(a.set_function("own", [] { return 1; }));
    fill(a);
    auto b = a.clone().value();
    CHECK(alive == 2 * living && same(a, b));
    auto c = b.clone().value();
    CHECK(a.close() && alive == 2 * living);
    CHECK(b.call<double>("step").value() == c.call<double>("step").value());
    CHECK(b.eval<int>("return own()").value() == 1);
    CHECK(b.run("t:count()") && !same(b, c) && b.close() && alive == living);
    const rlua::bytes image = c.save().value();
    CHECK(c.snap() && c.run("t = nil collectgarbage()") && c.rollback() && c.run("co()"));
    CHECK(c.check());
    rlua::bindings all = bindings();
    CHECK(is_error(rlua::state::from_image(image, config_of(), all), RLUA_UNSAVABLE, "'own'"));
    all.set_function("own", [] { return 2; });
    auto d = rlua::state::from_image(image, config_of(), all).value();
    CHECK(d.eval<int>("return own()").value() == 2);
    int calls = 0;
    CHECK(d.set_function("count", [n = 0]() mutable { return ++n; }));
    CHECK(is_error(d.clone(), RLUA_UNSAVABLE, "mutable lambda"));
    CHECK(d.set_function("busy", [&](rlua::state_view) {
        ++calls;
        return d.save().error().status == RLUA_BUSY && d.clone().error().status != RLUA_OK;
    }));
    CHECK(d.eval<bool>("return busy()").value() && calls == 1);
    CHECK(d.close() && is_error(d.clone(), RLUA_NOT_ROLLBACK, "closed"));
    CHECK(c.close() && alive == 0);
}

TEST(clones_run_on_threads_of_their_own) {
    begin();
    auto a = rlua::state::open(config_of(), bindings()).value();
    fill(a);
    std::vector<rlua::state> clones;
    for (int i = 0; i < 3; ++i)
        clones.push_back(a.clone().value());
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    const auto run = [&](rlua::state &lua) {
        for (int i = 0; i < 200; ++i)
            wrong += !lua.snap() || !lua.run("step() co() v = vec(1, 2)") ||
                     (i % 3 == 0 && !lua.rollback());
    };
    for (auto &each : clones)
        threads.emplace_back([&run, &each] { run(each); });
    run(a);
    for (auto &each : threads)
        each.join();
    CHECK(wrong == 0 && same(a, clones[0]) && same(a, clones[2]));
    clones.clear();
    CHECK(alive == living && a.check());
}

// The bindings ended long since, and what they held ends with the last VM.
TEST(bindings_may_end_before_their_vms) {
    begin();
    const auto shared = std::make_shared<int>(100);
    auto all = std::make_unique<rlua::bindings>(bindings());
    all->set_function("hundred", [shared] { return *shared; })
        .set_function("twice", [] { return 1; })
        .set_function("twice", [] { return 2; }) // in place of the first
        .set_type<texture>([shared](const texture &t) { return save_texture(t); },
                           [shared](std::string_view bytes) { return load_texture(bytes); });
    auto a = rlua::state::open(config_of(), *all).value();
    CHECK(a.bind(*all) && a.eval<int>("return twice()").value() == 2); // again
    all.reset();
    CHECK(shared.use_count() == 4);
    fill(a);
    auto b = a.clone().value();
    CHECK(a.close() && b.eval<int>("return hundred() + t:width()").value() == 104);
    CHECK(b.save() && b.close() && shared.use_count() == 1 && alive == 0);
}

TEST(functions_that_fail_are_errors_with_a_sentence) {
    begin();
    const rlua::bindings all = bindings();
    auto a = rlua::state::open(config_of(), all).value();
    fill(a);
    const rlua::bytes image = a.save().value();
    for (const int place : {0, 1}) {
        const auto again = [&] { saves = loads = 0, fail_at = place; };
        again();
        CHECK(is_error(a.save(), RLUA_STREAM, "'texture'"));
        again();
        CHECK(is_error(a.save(), RLUA_STREAM, "the texture is lost"));
        again();
        CHECK(is_error(a.save_bound(), RLUA_STREAM, "save function"));
        again();
        CHECK(is_error(a.clone(), RLUA_STREAM, "the texture is lost"));
        again();
        saves = 100; // the clone's loads fail
        CHECK(is_error(a.clone(), RLUA_STREAM, "no such file"));
        again();
        const auto refused = rlua::state::from_image(image, config_of(), all);
        CHECK(is_error(refused, RLUA_STREAM, "load function answered 1: no such file"));
        CHECK(alive == living);
    }
    fail_at = -1;
    CHECK(a.call<double>("step") && a.check() && a.save());
    CHECK(a.close() && alive == 0);
}

// By the functions of another host, which refuses, throws what is no std::exception, or has none.
TEST(load_functions_may_refuse) {
    begin();
    auto a = rlua::state::open(config_of(), bindings()).value();
    fill(a);
    const rlua::bytes image = a.save().value();
    const auto with = [&](auto load) {
        rlua::bindings all = bindings();
        all.set_type<texture>(save_texture, load);
        return rlua::state::from_image(image, config_of(), all);
    };
    CHECK(is_error(with([](std::string_view) { return std::shared_ptr<texture>(); }), RLUA_STREAM,
                   "there is no object"));
    CHECK(is_error(with([](std::string_view) -> texture { throw 5; }), RLUA_STREAM,
                   "a C++ exception that is not a std::exception"));
    CHECK(is_error(with([](std::string_view) -> rlua::result<std::unique_ptr<texture>> {
                       return rlua::error{RLUA_BAD_ARG, "a texture is missing"};
                   }),
                   RLUA_STREAM, "a texture is missing"));
    CHECK(alive == living);
    texture host("everybody's");
    const auto common = std::make_shared<texture>("common");
    {
        auto b = with([&](std::string_view) { return rlua::borrow(host); }).value();
        CHECK(b.eval<int>("return t:width()").value() == 11 && b.run("u.level = 7"));
        CHECK(host.level == 7);
        auto c = with([&](std::string_view) { return common; }).value();
        CHECK(c.get<std::shared_ptr<texture>>("t").value() == common && common.use_count() == 4);
        auto d = with([&](std::string_view path) { return texture(std::string(path)); }).value();
        CHECK(d.eval<std::string>("return t.path").value().substr(0, 4) == "wall");
    }
    CHECK(common.use_count() == 1 && alive == living + 2);
}

TEST(damaged_images_lose_nothing) {
    begin();
    rlua_Config config = config_of(1, MIB);
    const rlua::bindings all = bindings();
    auto a = rlua::state::open(config, all).value();
    fill(a);
    const rlua::bytes image = a.save().value();
    config.trust = RLUA_TRUST_OWN;
    const std::size_t step = 97 * static_cast<std::size_t>(test_scale());
    for (std::size_t place = image.size() / 2; place < image.size(); place += step) {
        rlua::bytes other = image;
        other[place] ^= std::byte{0x41};
        CHECK(!rlua::state::from_image(other, config, all));
        other.resize(place);
        CHECK(!rlua::state::from_image(other, config, all));
        CHECK(alive == living);
    }
}

// Bytes of another program, as a save function wrote them.
TEST(bytes_that_are_no_object_are_refused) {
    begin();
    rlua::bindings all = bindings();
    for (const char *bytes : {"", "no colon", ":"}) {
        rlua::bindings strange = bindings();
        strange.set_type<texture>([=](const texture &) { return bytes; }, load_texture)
            .set_type<shape>([=](const shape &) { return std::string_view(bytes); }, load_shape);
        auto a = rlua::state::open(config_of(), strange).value();
        CHECK(a.run("t = game.value('t')"));
        const auto loaded = rlua::state::from_image(a.save().value(), config_of(), all);
        CHECK(std::strcmp(bytes, ":") == 0 ? loaded.has_value()
                                           : is_error(loaded, RLUA_STREAM, "there is no object"));
        CHECK(a.run("t = nil collectgarbage()"));
        CHECK(a.set("s", std::unique_ptr<shape>(std::make_unique<square>(1))));
        CHECK(is_error(rlua::state::from_image(a.save().value(), config_of(), all), RLUA_STREAM,
                       "'shape'"));
    }
    CHECK(alive == 0);
}

TEST(what_is_not_told_is_refused) {
    begin();
    auto a = rlua::state::open(config_of(), bindings()).value();
    CHECK(a.run("v = vec(1, 2)"));
    const rlua::bytes plain = a.save().value();
    CHECK(is_error(rlua::state::from_image(plain, config_of()), RLUA_UNSAVABLE, "'"));
    rlua::bindings few;
    few.set_function("vec", [](double x, double y) { return vec{x, y}; });
    CHECK(is_error(rlua::state::from_image(plain, config_of(), few), RLUA_UNSAVABLE, "'"));
    fill(a);
    CHECK(a.set("n", std::make_unique<unsaved>()));
    CHECK(is_error(a.save(), RLUA_UNSAVABLE, "_G.n"));
    CHECK(a.run("n = nil collectgarbage()") && alive == living);
    CHECK(a.set("n", impostor()));
    CHECK(is_error(a.save(), RLUA_STREAM, "another C++ type of that name"));
    CHECK(a.run("n = nil collectgarbage()") && a.save());
    // Another VM was told of the type otherwise.
    CHECK(is_error(a.bind(bindings()), RLUA_BAD_ARG, "'texture'"));
    auto bare = rlua::state::open(config_of()).value();
    CHECK(bare.set("t", texture("t")) && is_error(bare.save(), RLUA_UNSAVABLE, "_G.t"));
    CHECK(bare.bind(bindings()) && bare.save()); // told later
    CHECK(bare.set("f", [](int n) { return n; }));
    CHECK(is_error(bare.save(), RLUA_UNSAVABLE, "a C function has no name"));
    CHECK(is_error(bare.save(), RLUA_UNSAVABLE, "_G.f"));
    CHECK(is_error(bare.save(), RLUA_UNSAVABLE, "bindings::set_callable()"));
    CHECK(bare.run("f = nil collectgarbage()") && bare.save());
    CHECK(is_error(bare.run("vec(1)"), RLUA_ERR_RUN, "number expected, got no value"));
    CHECK(bare.check() && a.check());
}

// -- lambdas that are values ---------------------------------------------------------------------

const auto twice = [](int n) { return 2 * n; };

auto counter(int n) {
    return [n](int by) mutable { return n += by; };
}

rlua::bindings with_callables() {
    rlua::bindings all;
    all.set_callable("twice", twice)
        .set_callable("counter", counter(0))
        .set_function("counter_from", [](int n) { return counter(n); });
    return all;
}

TEST(a_lambda_that_is_a_value_is_in_images_by_the_name_of_its_type) {
    auto a = rlua::state::open(config_of(), with_callables()).value();
    CHECK(a.set("f", twice) && a.set("again", twice));
    CHECK(a.run("c, d = counter_from(1), counter_from(100) c(5) t = {c, f}"));
    CHECK(a.snap() && a.run("c(1000)") && a.rollback());
    auto b = rlua::state::from_image(a.save().value(), config_of(), with_callables()).value();
    CHECK(same(a, b));
    auto c = b.clone().value();
    for (rlua::state *each : {&a, &b, &c}) {
        CHECK(each->eval<int>("return f(4) + again(1)").value() == 10);
        CHECK(each->eval<int>("return t[1](1)").value() == 7);
        CHECK(each->eval<int>("return c(1) * 1000 + d(1)").value() == 8101);
        CHECK(each->set("other", counter(3)) && each->save() && each->check());
    }
    rlua::bindings few;
    few.set_callable("twice", twice).set_function("counter_from", [](int n) { return counter(n); });
    CHECK(is_error(rlua::state::from_image(a.save().value(), config_of(), few), RLUA_UNSAVABLE,
                   "'counter'"));
    few.set_callable("counter", twice); // of another type: it looks at what it finds
    few.set_callable("twice", counter(0));
    auto wrong = rlua::state::from_image(a.save().value(), config_of(), few).value();
    CHECK(wrong.eval<int>("return c(1)").value() == 2);
    CHECK(is_error(wrong.eval<int>("return f(1)"), RLUA_ERR_RUN, "was taken from it"));
    rlua::bindings two;
    two.set_callable("one", twice).set_callable("two", twice);
    CHECK(is_error(rlua::state::open(config_of(), two), RLUA_BAD_ARG, "another name"));
}

// -- userdata of a C module ----------------------------------------------------------------------

struct meter : counted {
    explicit meter(int v) : value(v) {}
    int value;
};

int meter_new(lua_State *L) {
    auto **block = static_cast<meter **>(lua_newuserdatauv(L, sizeof(meter *), 0));
    *block = nullptr;
    luaL_setmetatable(L, "Meter");
    *block = new meter(static_cast<int>(luaL_checkinteger(L, 1)));
    return 1;
}
int meter_read(lua_State *L) {
    auto **block = static_cast<meter **>(luaL_checkudata(L, 1, "Meter"));
    lua_pushinteger(L, ++(*block)->value);
    return 1;
}
int meter_end(lua_State *L) {
    auto **block = static_cast<meter **>(luaL_checkudata(L, 1, "Meter"));
    delete *block;
    *block = nullptr;
    return 0;
}
int open_meter(lua_State *L) {
    static const luaL_Reg functions[] = {{"new", meter_new}, {"read", meter_read}, {}};
    luaL_newmetatable(L, "Meter");
    lua_pushcfunction(L, meter_end);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, functions);
    return 1;
}

std::string save_meter(meter *m) {
    if (saves++ == fail_at)
        throw std::runtime_error("the meter is lost");
    return m ? std::to_string(m->value) : "";
}
rlua::result<meter *> load_meter(std::string_view bytes) {
    if (loads++ == fail_at)
        return rlua::error{RLUA_BAD_ARG, "no such meter"};
    return bytes.empty() ? nullptr : new meter(std::atoi(std::string(bytes).c_str()));
}

rlua::bindings with_meters() {
    rlua::bindings all;
    all.register_function("meter.new", meter_new)
        .register_function("meter.read", meter_read)
        .register_function("meter.end", meter_end)
        .set_userdata<meter *>("Meter", save_meter, load_meter);
    return all;
}

rlua::state open_meters(const rlua::bindings &given) {
    auto lua = rlua::state::open(config_of(), given).value();
    CHECK(rlua_requiref(lua.raw(), "meter", open_meter, 1) == RLUA_OK);
    lua_settop(lua.raw(), 0);
    CHECK(lua.run("m = meter.new(1)"));
    return lua;
}

TEST(userdata_of_a_c_module_go_along) {
    begin();
    {
        auto a = open_meters(with_meters());
        auto b = rlua::state::from_image(a.save().value(), config_of(), with_meters()).value();
        auto c = b.clone().value();
        CHECK(alive == 3 && same(a, b));
        CHECK(c.run("meter.read(m) m = nil collectgarbage()") && alive == 2);
        CHECK(b.snap() && b.run("m = nil collectgarbage()") && alive == 2 && b.rollback());
        CHECK(b.eval<int>("return meter.read(m)").value() == 2);
        fail_at = saves;
        CHECK(is_error(a.save(), RLUA_STREAM, "the meter is lost"));
        fail_at = -1;
        const rlua::bytes image = a.save().value();
        fail_at = loads;
        CHECK(is_error(rlua::state::from_image(image, config_of(), with_meters()), RLUA_STREAM,
                       "no such meter"));
        CHECK(alive == 2 && a.check() && b.check());
    }
    CHECK(alive == 0);
}

TEST(a_block_of_another_size_is_refused) {
    begin();
    {
        struct wide_block {
            void *first, *second;
        };
        rlua::bindings other = with_meters();
        other.set_userdata<wide_block>(
            "Meter", [](const wide_block &) { return ""; },
            [](std::string_view) { return wide_block{}; });
        auto a = open_meters(other), b = open_meters(with_meters());
        CHECK(is_error(a.save(), RLUA_STREAM, "its block has 8 bytes, the C++ type of it 16"));
        CHECK(is_error(rlua::state::from_image(b.save().value(), config_of(), other), RLUA_STREAM,
                       "its block has 8 bytes"));
        CHECK(is_error(b.bind(other), RLUA_BAD_ARG, "'Meter'"));
        auto bare = open_meters(rlua::bindings());
        CHECK(bare.bind(with_meters()) && bare.save()); // told later
    }
    CHECK(alive == 0);
}

// The methods are those of the image, the properties those of the program.
TEST(a_later_version_of_a_type_loads_an_older_image) {
    begin();
    auto a = rlua::state::open(config_of(), bindings()).value();
    CHECK(a.run("v = vec(1, 2)"));
    const rlua::bytes image = a.save().value();
    const auto vec_of = [](double x, double y) { return vec_later{{x, y}}; };
    rlua::bindings later = bindings(), less = bindings();
    later.set_type<vec_later>().set_function("vec", vec_of);
    less.set_type<vec_less>();
    auto b = rlua::state::from_image(image, config_of(), later).value();
    CHECK(b.eval<double>("v:scale(2) return v.sum").value() == 6);
    CHECK(b.eval<bool>("return v.turn == nil and v.x == nil").value());
    CHECK(b.eval<double>("return vec(3, 4).sum").value() == 7 && b.check());
    CHECK(is_error(rlua::state::from_image(image, config_of(), less), RLUA_UNSAVABLE,
                   "'vec.scale'"));
}

TEST(paths_of_bindings_make_tables) {
    begin();
    auto lua = open();
    rlua::bindings all;
    const std::string deep = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z";
    all.set_function(deep, [] { return 1; })
        .set_function("a.b.f", [] { return 2; })
        .set_function("string.twice", [](std::string s) { return s + s; });
    CHECK(lua.bind(all));
    CHECK(lua.eval<int>("return " + deep + "()").value() == 1);
    CHECK(lua.eval<std::string>("return ('x'):twice() .. a.b.f()").value() == "xx2");
    rlua::bindings wrong;
    wrong.set_function("n.f", [] {});
    CHECK(lua.run("n = 5") && is_error(lua.bind(wrong), RLUA_ERR_RUN, "index a number"));
    CHECK(lua_gettop(lua.raw()) == 0 && lua.check());
}

int plain_c(lua_State *L) {
    lua_pushinteger(L, 12);
    return 1;
}

TEST(names_of_c_and_lists_of_a_config_are_known_too) {
    begin();
    static int key;
    rlua::bindings all = bindings();
    all.register_function("plain_c", plain_c).register_pointer("key", &key);
    auto a = rlua::state::open(config_of(), all).value();
    lua_pushcfunction(a.raw(), plain_c);
    lua_setglobal(a.raw(), "plain");
    lua_pushlightuserdata(a.raw(), &key);
    lua_setglobal(a.raw(), "key");
    const rlua::bytes image = a.save().value();
    auto b = rlua::state::from_image(image, config_of(), all).value();
    CHECK(same(a, b) && b.eval<int>("return plain()").value() == 12);
    rlua_Config config = config_of();
    const rlua_Name names[] = {{"plain_c", plain_c, nullptr, nullptr},
                               {"key", nullptr, nullptr, &key},
                               {nullptr, nullptr, nullptr, nullptr}};
    config.names = names;
    auto c = rlua::state::from_image(image, config, bindings()).value();
    CHECK(same(a, c) && c.eval<int>("return plain()").value() == 12);
    CHECK(b.run("n = 1"));
    const auto found = rlua::state::diff(image, b.save().value(), config_of(), 0, all).value();
    CHECK(found.size() == 1 && found[0].path == "_G.n");
}

// A type is used first in a frame that a follower gets as a delta; objects come and go by deltas.
TEST(a_delta_may_bring_types_and_objects) {
    begin();
    const rlua::bindings all = bindings();
    auto a = rlua::state::open(config_of(), all).value();
    CHECK(a.snap(0));
    auto b = rlua::state::from_image(a.save(0).value(), config_of(), all).value();
    CHECK(a.run("v = vec(1, 2)") && a.snap(1));
    CHECK(b.apply_delta(a.save_delta(0, 1).value()) && b.snap(1));
    CHECK(b.eval<double>("v:scale(2) return v.x + v.length2").value() == 22);
    CHECK(b.rollback() && a.run("t = game.value('t')") && a.snap(2));
    const rlua::bytes brings = a.save_delta(1, 2).value();
    fail_at = loads;
    CHECK(is_error(b.apply_delta(brings), RLUA_STREAM, "no such file"));
    CHECK(alive == 1);
    fail_at = -1;
    CHECK(b.apply_delta(brings) && alive == 2 && b.snap(2));
    CHECK(b.eval<int>("return t:count() + t:width()").value() == 2 && b.rollback());
    CHECK(a.run("t = nil collectgarbage()") && a.snap(3));
    CHECK(b.apply_delta(a.save_delta(2, 3).value()));
    CHECK(alive == 2 && b.discard_before(3) && b.set_max_snapshots(0) && alive == 1);
    CHECK(a.run("u = game.value('u')") && a.snap(4));
    fail_at = saves;
    CHECK(is_error(a.save_delta(3, 4), RLUA_STREAM, "the texture is lost"));
    fail_at = -1;
    CHECK(b.apply_delta(a.save_delta(3, 4).value()) && same(a, b) && b.check());
}

TEST(objects_at_any_limit_of_memory_are_not_lost_by_a_load) {
    begin();
    const rlua::bindings all = bindings();
    int failed = 0, fitted = 0;
    const std::size_t step = 4096 * static_cast<std::size_t>(test_scale());
    for (std::size_t limit = 12 * KIB; limit < 96 * KIB; limit += step) {
        auto opened = rlua::state::open(config_of(1, limit), all, RLUA_LIB_BASE);
        if (!opened) {
            ++failed;
            continue;
        }
        for (int i = 0; i < 40 && opened->run("t = {t, game.value('of some bytes')}"); ++i) {
        }
        const int before = alive;
        {
            const auto image = opened->save();
            const auto loaded = image ? rlua::state::from_image(*image, config_of(1, limit), all)
                                      : rlua::result<rlua::state>(image.error());
            const auto cloned = opened->clone();
            ++(loaded && cloned ? fitted : failed);
            CHECK(alive == before * (1 + loaded.has_value() + cloned.has_value()));
        }
        CHECK(alive == before && opened->check() && opened->close() && alive == 0);
    }
    CHECK(fitted > 0 && failed > 0);
}

// -- another process -----------------------------------------------------------------------------

rlua::bytes read_all(std::FILE *file) {
    CHECK(std::fseek(file, 0, SEEK_END) == 0);
    rlua::bytes all(static_cast<std::size_t>(std::ftell(file)));
    std::rewind(file);
    CHECK(std::fread(all.data(), 1, all.size(), file) == all.size());
    return all;
}

void advance(rlua::state &lua) {
    for (int i = 0; i < 5; ++i) {
        CHECK(lua.snap());
        CHECK(lua.call<double>("step") && lua.run("t = game.value(t.path .. 'x')"));
        if (i % 2 != 0) {
            CHECK(lua.rollback());
            CHECK(lua.call<double>("step"));
        }
    }
    CHECK(lua.collect());
}

// The program, started as the other process: an image from its standard input, a later one to its
// standard output.
__attribute__((constructor)) void be_the_other() {
    if (std::getenv("BINDINGS_OTHER") == nullptr)
        return;
    harness.in_child = 1;
    auto lua = rlua::state::from_image(read_all(stdin), config_of(), bindings()).value();
    advance(lua);
    const rlua::bytes image = lua.save().value();
    CHECK(std::fwrite(image.data(), 1, image.size(), stdout) == image.size());
    CHECK(lua.close() && alive == 0);
    std::exit(std::fflush(stdout) == 0 ? 0 : 2);
}

rlua::bytes in_another_process(const rlua::bytes &image) {
    std::FILE *in = std::tmpfile(), *out = std::tmpfile();
    int status = -1;
    CHECK(in && out && std::fwrite(image.data(), 1, image.size(), in) == image.size());
    CHECK(std::fflush(in) == 0);
    std::rewind(in);
#ifdef _WIN32
    setenv("BINDINGS_OTHER", "1", 1);
    const pid_t child = posix_start_between(fileno(in), fileno(out));
    unsetenv("BINDINGS_OTHER");
#else
    const pid_t child = fork();
    if (child == 0) {
        dup2(fileno(in), 0);
        dup2(fileno(out), 1);
        setenv("BINDINGS_OTHER", "1", 1);
        char self[4096] = {}; // under valgrind /proc/self/exe is valgrind
        char *again[] = {self, nullptr};
        if (readlink("/proc/self/exe", self, sizeof self - 1) > 0)
            run_again(again);
        _exit(127);
    }
#endif
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    rlua::bytes after = read_all(out);
    std::fclose(in);
    std::fclose(out);
    return after;
}

TEST(another_process_goes_on_to_the_same_bytes) {
    begin();
    auto lua = rlua::state::open(config_of(), bindings()).value();
    fill(lua);
    const rlua::bytes there = in_another_process(lua.save().value());
    auto here = rlua::state::from_image(lua.save().value(), config_of(), bindings()).value();
    advance(here);
    CHECK(here.save().value() == there);
    CHECK(rlua::state::from_image(there, config_of(), bindings())->call<double>("step"));
}

} // namespace
