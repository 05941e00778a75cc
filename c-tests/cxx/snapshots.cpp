// snapshots.cpp: what goes back by a rollback, and what does not.
// Method: state is made, snapped, changed, rolled back; each VM ends with its check(), which walks
// the arena.
#include "cxx.hpp"

#include <stdexcept>

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
        CHECK(lua.snap(frame));
    }
    CHECK(lua.discard_before(20));
    CHECK(lua.history()->size == 2);
    CHECK(is_error(lua.rollback_to(10), RLUA_NO_SNAPSHOT, ""));
    CHECK(lua.rollback_to(20));
    CHECK(lua.get<int>("n").value() == 20);
    CHECK(lua.history()->oldest == 20 && lua.info()->newest_frame == 20);
    CHECK(lua.set("n", 21) && lua.snap(20) && lua.history()->size == 1);
    CHECK(lua.set("n", 22) && lua.rollback_to(20) && lua.get<int>("n").value() == 21);
    CHECK(is_error(lua.snap(19), RLUA_BAD_FRAME, ""));
    CHECK(lua.snap().value() == 21 && lua.history()->newest == 21);
    CHECK(lua.rollback_to(20) && lua.history()->newest == 20);
    CHECK(lua.info()->highest_frame == 30);
    CHECK(lua.set_max_snapshots(0));
    CHECK(is_error(lua.snap(), RLUA_DISABLED, ""));
    CHECK(lua.history()->size == 0 && lua.history()->limit == 0);
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

TEST(outside_leaves_a_callable_that_is_a_value_alone) {
    auto lua = open();
    CHECK(lua.set("count", rlua::outside([n = 0]() mutable { return ++n; })));
    CHECK(lua.call<int>("count").value() == 1 && lua.snap());
    CHECK(lua.call<int>("count").value() == 2 && lua.rollback());
    CHECK(lua.call<int>("count").value() == 3 && lua.check());
}

TEST(generic_lambda_that_is_mutable_rolls_back) {
    auto lua = open();
    CHECK(lua.set_function<int(int)>("sum", [n = 0](auto m) mutable { return n += m; }));
    const std::vector<int> held{7};
    CHECK(lua.set_function<int(int)>("at", [held](auto i) { return held[std::size_t(i)]; }));
    CHECK(lua.call<int>("sum", 5).value() == 5 && lua.snap());
    CHECK(lua.call<int>("sum", 1).value() == 6 && lua.rollback());
    CHECK(lua.call<int>("sum", 2).value() == 7 && lua.call<int>("at", 0).value() == 7);
    CHECK(lua.check());
}

// A counter in a nameless callable lies in the VM, and goes back with it.
TEST(callable_that_is_a_value_rolls_back) {
    auto lua = open();
    CHECK(lua.set("count", [n = 0]() mutable { return ++n; }));
    CHECK(lua.call<int>("count").value() == 1 && lua.snap());
    for (int round = 0; round < 3; ++round) {
        CHECK(lua.call<int>("count").value() == 2 && lua.call<int>("count").value() == 3);
        CHECK(lua.set("count", nullptr) && lua.collect() && lua.rollback());
    }
    CHECK(lua.check());
}

// One that lies outside is deleted once, when neither the VM nor a snapshot can reach it.
TEST(callable_outside_lives_as_long_as_a_snapshot_has_it) {
    auto lua = open();
    const auto alive = std::make_shared<int>(7);
    CHECK(lua.snap());
    CHECK(lua.set("f", [alive] { return *alive; }) && lua.snap());
    CHECK(lua.set("f", nullptr) && lua.collect() && alive.use_count() == 2);
    CHECK(lua.rollback() && lua.call<int>("f").value() == 7);
    CHECK(lua.rollback(2) && alive.use_count() == 1);
    CHECK(lua.get<rlua::value>("f")->kind() == rlua::type::nil);
    CHECK(lua.set("f", [alive] { return *alive; }));
    CHECK(alive.use_count() == 2);
    CHECK(lua.close() && alive.use_count() == 1);
}

TEST(blocks_in_the_vm_roll_back) {
    struct timer {
        int left;
        float rate;
    };
    auto lua = open();
    timer *timers = lua.new_block<timer>(100).value();
    timers[7] = {5, 0.5f};
    CHECK(lua.snap());
    timers[7].left = 1;
    CHECK(lua.touch(&timers[7], sizeof(timer)) && lua.free_block(timers) && lua.rollback());
    CHECK(timers[7].left == 5 && timers[7].rate == 0.5f && timers[99].left == 0);
    timers = lua.resize_block(timers, 200).value();
    CHECK(timers[7].left == 5 && timers[199].left == 0);
    int outside = 0;
    CHECK(is_error(lua.free_block(&outside), RLUA_BAD_ARG, ""));
    CHECK(is_error(lua.new_block<timer>(mib), RLUA_NO_MEMORY, ""));
    CHECK(is_error(lua.new_block<timer>(SIZE_MAX), RLUA_NO_MEMORY, "larger"));
    CHECK(lua.free_block(timers) && lua.check());
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
    CHECK(lua.history()->size == 0);
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
    CHECK(lua.history()->size == 1);
    CHECK(lua.check());
}

TEST(time_and_the_digest_of_the_config) {
    auto lua = open(), other = open();
    lua.set_time(1700000000, 500000000).value();
    lua.run("clock = os.clock() - os.time()").value();
    CHECK(lua.get<double>("clock").value() == 0.5);
    CHECK(!lua.set_time(0, 1000000000));
    CHECK(lua.config_digest().value() == other.config_digest().value());
}

rlua_Config trusting(std::size_t snapshots) {
    rlua_Config config{};
    config.size = sizeof config;
    config.memory_size = 4 << 20;
    config.max_snapshots = snapshots;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

bool same(const rlua_Checksum &a, const rlua_Checksum &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

TEST(a_state_goes_on_from_its_image_and_follows_deltas) {
    auto lua = rlua::state::open(trusting(8)).value();
    CHECK(lua.run("n, t = 0, {} function step() n = n + 1 t[n % 9] = {n} return n end"));
    CHECK(lua.snap(0));
    const rlua::bytes image = lua.save().value();
    CHECK(lua.save_bound().value() == image.size());
    CHECK(is_error(rlua::state::from_image({}, trusting(2)), RLUA_BAD_IMAGE, "ends early"));
    CHECK(is_error(rlua::state::diff(image, {}, trusting(2)), RLUA_BAD_IMAGE, "ends early"));
    CHECK(image == lua.save(0).value());
    auto other = rlua::state::from_image(image, trusting(8)).value();
    CHECK(same(other.checksum().value(), lua.checksum().value()));
    for (int frame = 1; frame < 12; frame++) {
        CHECK(lua.call<int>("step").value() == frame);
        CHECK(lua.snap(frame));
        const rlua::bytes delta = lua.save_delta(frame - 1, frame).value();
        CHECK(other.apply_delta(delta));
        CHECK(same(other.checksum().value(), lua.checksum().value()));
        CHECK(is_error(other.apply_delta(delta), RLUA_BAD_IMAGE, "another state"));
    }
    CHECK(other.call<int>("step").value() == 12);
    CHECK(other.check());
}

TEST(functions_of_an_image_are_found_by_their_names) {
    auto lua = rlua::state::open(trusting(2)).value();
    int here = 0, there = 0;
    CHECK(lua.set_function("hit", [&here](int n) { return here += n; }));
    CHECK(lua.run("game = {}"));
    CHECK(lua.set_function<int(int)>("game.twice", [](auto n) { return 2 * n; }));
    CHECK(lua.run("keep = coroutine.wrap(function(n) "
                  "while true do n = hit(n) coroutine.yield(n) end end)"));
    CHECK(lua.run("keep(1)"));
    const rlua::bytes image = lua.save().value();
    CHECK(is_error(rlua::state::from_image(image, trusting(2)), RLUA_UNSAVABLE, "'hit'"));
    auto known = std::make_optional<rlua::bindings>();
    const auto shared = std::make_shared<int>(100); // owned by the state, too
    known->set_function("hit", [&there, shared](int n) { return there += n + *shared; });
    known->set_function<int(int)>("game.twice", [](auto n) { return 2 * n; });
    {
        auto other = rlua::state::from_image(image, trusting(2), *known).value();
        known.reset();
        CHECK(shared.use_count() == 2);
        CHECK(other.eval<int>("return hit(5)").value() == 105);
        CHECK(other.eval<int>("return game.twice(4)").value() == 8);
        CHECK(other.run("keep()"));
        CHECK(there > 105);
        CHECK(here == 1);
        CHECK(is_error(other.run("hit('x')"), RLUA_ERR_RUN, "bad argument #1 to 'hit'"));
        CHECK(other.snap());
        CHECK(other.run("hit = nil; collectgarbage()"));
        CHECK(other.rollback());
        CHECK(other.eval<int>("return hit(0)").value() > 200);
        CHECK(other.check());
    }
    CHECK(shared.use_count() == 1);
}

TEST(differences_of_states_and_images_have_their_way) {
    auto a = rlua::state::open(trusting(2)).value();
    CHECK(a.run("game = {hp = 10, names = {'ann'}}"));
    const rlua::bytes before = a.save().value();
    auto b = rlua::state::from_image(before, trusting(2)).value();
    CHECK(a.diff(b).value().empty());
    CHECK(b.run("game.hp = 12; game.names[2] = 'bob'"));
    const auto found = a.diff(b).value();
    CHECK(found.size() == 2);
    CHECK(found[0].path == "_G.game.hp" && found[0].a == "10" && found[0].b == "12");
    CHECK(found[0].kind == RLUA_DIFF_KIND_VALUE && found[1].kind == RLUA_DIFF_KIND_MISSING);
    CHECK(a.diff(b, 1).value().size() == 1);
    const auto of_images = rlua::state::diff(before, b.save().value(), trusting(2)).value();
    CHECK(of_images.size() == 2 && of_images[1].path == found[1].path);
    CHECK(is_error(a.diff(a), RLUA_BAD_ARG, ""));
    CHECK(is_error(rlua::state::diff(before, rlua::bytes(9), trusting(2)), RLUA_BAD_IMAGE, ""));
    CHECK(b.close());
    CHECK(is_error(a.diff(b), RLUA_NOT_ROLLBACK, ""));
}

TEST(images_are_refused_with_a_reason) {
    auto lua = rlua::state::open(trusting(2)).value();
    rlua::bytes image = lua.save().value();
    rlua_Config config = trusting(2);
    config.trust = RLUA_TRUST_KEY;
    CHECK(is_error(rlua::state::from_image(image, config), RLUA_UNTRUSTED, "trust"));
    image[image.size() / 2] ^= std::byte{1};
    CHECK(is_error(rlua::state::from_image(image, trusting(2)), RLUA_BAD_IMAGE, "damaged"));
    CHECK(is_error(lua.save(7), RLUA_NO_SNAPSHOT, ""));
    CHECK(is_error(lua.save_delta(7, 8), RLUA_NO_SNAPSHOT, ""));
    const auto alive = std::make_shared<int>(7);
    CHECK(lua.set("f", [alive] { return *alive; }));
    CHECK(is_error(lua.save(), RLUA_UNSAVABLE, "_G.f"));
    CHECK(lua.checksum());
}

} // namespace
