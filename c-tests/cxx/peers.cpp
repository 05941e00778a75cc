// peers.cpp: what rlua.hpp remembers outside the VM leaves no trace in the state.
// Method: two VMs run the same frames, which call functions, members and constructors of C++ from
// the main thread and from coroutines. One of them guesses wrong on the way, and goes back. Behind
// each frame both have the same sum.
#include "cxx.hpp"
#include "../random.h"

#include <array>

namespace {

struct vec {
    double x, y;
    double sum() const { return x + y; }
    void scale(double by) { x *= by, y *= by; }
};

struct texture {
    explicit texture(int w) : size(w) {}
    ~texture() { ++ended; }
    int width() const { return size; }
    void bind(int) {}
    int size;
    static inline int ended = 0;
};

} // namespace

template <> struct rlua::usertype<vec> {
    static constexpr const char *name = "vec";
    static constexpr rlua::member members[] = {
        rlua::property<&vec::x>("x"), rlua::method<&vec::sum>("sum"),
        rlua::method<&vec::scale>("scale")};
};
template <> struct rlua::usertype<texture> {
    static constexpr const char *name = "texture";
    static constexpr rlua::member members[] = {rlua::property<&texture::width>("width"),
                                               rlua::method<&texture::bind>("bind")};
};

namespace {

constexpr const char *world = R"(
    n, kept, cos = 0, {}, {}
    local acts = {
        function(i) value(i) end,
        function(i) named(i) end,
        function(i) kept[i] = texture(i) kept[i]:bind(3) end,
        function(i) kept[i] = vec(1, 2) kept[i]:scale(3) end,
        function(i) return kept[i] and kept[i].width end,
        function(i) calls(function() named(i) end) end,
        function(i) pcall(calls, function() error('wrong') end) end,
        function(i) pcall(named, {}) end,
        function(i) return vec(i, 1):sum() end,
        function(i) kept = {} collectgarbage() end,
    }
    for i = 1, 3 do
        cos[i] = coroutine.wrap(function(act)
            while true do pcall(acts[act], i) act = coroutine.yield() end
        end)
    end
    function step(act)
        n = n + 1
        cos[n % 3 + 1](act)
        pcall(acts[n % 7 + 1], act)
    end)";

using acts = std::array<unsigned, 3>;

acts chosen() {
    acts all;
    for (unsigned &act : all)
        act = 1 + random_below(10);
    return all;
}

struct peer {
    explicit peer(const rlua::bindings &game)
        : vm(rlua::state::open(config(), game).value()) {
        CHECK(vm.set("value", [](double) {}) && vm.run(world));
        step = vm.get<rlua::function>("step").value();
    }
    static rlua_Config config() {
        rlua_Config chosen{};
        chosen.size = sizeof chosen;
        chosen.memory_size = 4 * MIB;
        chosen.max_snapshots = 2;
        return chosen;
    }
    // Each by the way of the host that the frame has.
    void run(unsigned way, const acts &all) {
        for (const unsigned act : all)
            CHECK(way == 0   ? vm.call<void>("step", act)
                  : way == 1 ? vm.run("step(" + std::to_string(act) + ")")
                             : step.call<void>(act));
    }
    std::string sum() {
        const rlua_Checksum found = vm.checksum().value();
        return {reinterpret_cast<const char *>(found.bytes), sizeof found.bytes};
    }

    rlua::state vm;
    rlua::function step;
};

TEST(peers_that_guess_differently_have_the_same_state) {
    rlua::bindings game;
    game.set_type<vec>()
        .set_type<texture>()
        .set_function("vec", [](double x, double y) { return vec{x, y}; })
        .set_function("texture", [](int w) { return std::make_unique<texture>(w); })
        .set_function("named", [](double) {})
        .set_function("calls", [](const rlua::function &f) { return f.call<void>(); });
    for (long seed = 60 / test_scale(); seed >= 0; seed--) {
        random_seed(static_cast<std::uint64_t>(seed) + 1);
        peer right(game), wrong(game);
        for (int frame = 0; frame < 40; frame++) {
            const unsigned way = random_below(3);
            CHECK(right.vm.snap() && wrong.vm.snap());
            if (random_below(2) == 0) {
                wrong.run(random_below(3), chosen());
                CHECK(wrong.vm.rollback(1));
            }
            const acts inputs = chosen();
            right.run(way, inputs);
            wrong.run(way, inputs);
            CHECK(right.sum() == wrong.sum());
        }
    }
    CHECK(texture::ended > 0);
}

} // namespace
