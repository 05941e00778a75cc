// usertypes.cpp: sol2, unmodified, on a VM of librlua: objects that C++ owns, snapshots, rollbacks.
//
// Usertypes with std::string members, containers by value and by reference, shared_ptr, unique_ptr.
// The library guards what sol2 puts into userdata: a destructor runs once, when neither the live
// state nor a held snapshot can reach the object, and its members do not go back.
//
// What the host does: it registers its usertypes before the first snapshot, and a `sol::table`,
// `sol::function` or `sol::state_view` that it makes after a snapshot ends before the rollback to
// it. docs/BINDINGS.md says why.
//
// Needs sol2's headers (Debian's sol2-dev, from forky on).
#include "../../cpp/check.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

#define SOL_ALL_SAFETIES_ON 1
#define SOL_PRINT_ERRORS 0
#include <sol/sol.hpp>

#include "rlua.hpp"

namespace {

int living = 0;

struct Weapon {
    std::string name;
    explicit Weapon(std::string n) : name(std::move(n)) { ++living; }
    Weapon(const Weapon &) = delete;
    ~Weapon() { --living; }
};

struct alignas(64) Hero {
    std::string name, title;
    std::vector<std::string> log;
    std::map<std::string, int> stats;
    std::shared_ptr<Weapon> weapon;

    Hero(std::string n, std::shared_ptr<Weapon> w)
        : name(std::move(n)), title(name + " of a title too long for the small string"),
          weapon(std::move(w)) {
        ++living;
    }
    Hero(const Hero &) = delete;
    ~Hero() {
        CHECK(title.compare(0, name.size(), name) == 0); // a second destructor would find junk
        --living;
    }
    int use() {
        log.push_back(title + std::to_string(log.size()));
        stats[log.back()]++;
        return static_cast<int>(log.size());
    }
    int stat(const std::string &key, sol::optional<int> value) {
        if (value) stats[key] = *value;
        return stats[key];
    }
};

void register_types(lua_State *L) {
    sol::state_view lua(L);
    lua.new_usertype<Weapon>("Weapon", sol::no_constructor, "name", &Weapon::name);
    lua.new_usertype<Hero>(
        "Hero", sol::no_constructor, "name", &Hero::name, "log", &Hero::log, "weapon",
        &Hero::weapon, "use", &Hero::use, "stat", &Hero::stat, // (3.5.0 cannot bind a std::map)
        sol::meta_function::to_string, [](const Hero &hero) { return hero.title; });
    lua["weapon"] = [](const std::string &name) { return std::make_shared<Weapon>(name); };
    lua["hero"] = [](const std::string &name, sol::optional<std::shared_ptr<Weapon>> weapon) {
        return std::make_unique<Hero>(name, weapon.value_or(nullptr));
    };
    lua["list"] = [](int size) {
        std::vector<std::string> list;
        for (int i = 1; i <= size; i++)
            list.push_back("an entry of some length, number " + std::to_string(i));
        return list;
    };
    lua["fail"] = []() -> int { throw std::runtime_error("thrown in C++"); };
}

struct Vm {
    lua_State *L;
    explicit Vm(std::size_t snapshots) : L(rlua_new_rollback(8u << 20, snapshots)) {
        CHECK(L != nullptr);
        luaL_openlibs(L);
        register_types(L);
    }
    Vm(const Vm &) = delete;
    ~Vm() {
        CHECK(lua_gettop(L) == 0);
        lua_close(L);
        CHECK(living == 0);
    }
    void run(const std::string &chunk) {
        sol::state_view lua(L); // made in the frame, gone at its end
        sol::protected_function_result result =
            lua.safe_script(chunk, sol::script_pass_on_error);
        if (!result.valid()) {
            sol::error error = result;
            std::printf("%s\n", error.what());
        }
        CHECK(result.valid());
    }
    void snap() { CHECK(rlua_snap(L) == RLUA_OK); }
    void rollback(std::size_t n = 1) {
        CHECK(rlua_rollback(L, n) == RLUA_OK);
        CHECK(rlua_check(L) == RLUA_OK);
    }
};

TEST(collected_and_rolled_back_to_is_whole) {
    Vm vm(4);
    vm.run("h = hero('Ada', weapon 'a long sword with a long name') l = list(20)");
    vm.snap();
    int before = living;
    for (int round = 1; round <= 5; round++) {
        vm.run("h:use() w = h.weapon l:add 'one more entry of some length' "
               "h, l, w = nil collectgarbage() collectgarbage()");
        CHECK(living == before);
        vm.rollback();
        vm.run("assert(h.name == 'Ada' and h.weapon.name:find 'sword')");
        vm.run("assert(#l == 20 + " + std::to_string(round) + ")"); // this does not go back
    }
    vm.run("assert(h:use() == 6)");
}

TEST(made_and_rolled_back_away_is_destroyed) {
    Vm vm(4);
    vm.snap();
    for (int round = 0; round < 3; round++) {
        vm.run("for i = 1, 20 do last = hero('h' .. i, weapon 'w') list(i) end");
        CHECK(living > 0);
        vm.rollback();
        CHECK(living == 0);
    }
}

TEST(members_are_references_into_the_object) {
    Vm vm(4);
    vm.run("h = hero 'x' log = h.log h:use()");
    vm.snap();
    for (int round = 2; round <= 4; round++) {
        vm.run("h:use() h:stat('luck', 7) assert(#log == " + std::to_string(round) + ")");
        vm.run("log = nil collectgarbage()");
        vm.rollback();
        vm.run("assert(#log == " + std::to_string(round) + " and h:stat 'luck' == 7)");
    }
}

TEST(shared_ptr_counts_what_can_be_reached) {
    Vm vm(4);
    auto weapon = std::make_shared<Weapon>("the host's");
    sol::stack::push(vm.L, weapon);
    lua_setglobal(vm.L, "w");
    CHECK(weapon.use_count() == 2);
    vm.snap();
    vm.run("h = hero('x', w) v = h.weapon w = nil collectgarbage()");
    CHECK(weapon.use_count() >= 3);
    vm.rollback();
    CHECK(weapon.use_count() == 2);
    vm.run("w = nil collectgarbage()");
    CHECK(weapon.use_count() == 2); // the snapshot has it
    CHECK(rlua_set_max_snapshots(vm.L, 0) == RLUA_OK);
    CHECK(weapon.use_count() == 1);
}

TEST(handles_taken_before_the_snapshot_stay_good) {
    Vm vm(4);
    {
        sol::state_view lua(vm.L);
        vm.run("t = {n = 1} function bump() t.n = t.n + 1 return t.n end");
        sol::table t = lua["t"];
        sol::protected_function bump = lua["bump"];
        vm.snap();
        for (int round = 0; round < 50; round++) {
            int n = bump();
            CHECK(n == 2);
            {
                sol::table temporary = lua.create_table_with("x", t);
                CHECK(temporary["x"]["n"] == 2);
            }
            vm.rollback();
            CHECK(t["n"] == 1);
        }
    }
}

TEST(exceptions_and_errors_cross_a_rollback) {
    Vm vm(4);
    vm.snap();
    for (int round = 0; round < 50; round++) {
        vm.run("local ok, why = pcall(fail) assert(not ok and why == 'thrown in C++')"
               "assert(not pcall(hero))"
               "assert(not pcall(function() return hero('a').nothing() end))");
        vm.rollback();
    }
}

TEST(a_usertype_of_a_frame_ends_with_it) {
    struct Late {
        std::string text = "first registered after the snapshot";
    };
    Vm vm(4);
    vm.snap();
    for (int round = 0; round < 3; round++) {
        {
            sol::state_view lua(vm.L);
            lua.new_usertype<Late>("Late", "text", &Late::text);
        }
        vm.run("late = Late.new() assert(late.text:find 'first') late = nil collectgarbage()");
        vm.rollback();
        vm.run("assert(not Late and not late)");
    }
}

TEST(ten_frames_and_a_rollback_to_each) {
    Vm vm(12);
    vm.run("hs = {} function frame(n) for i = 1, 5 do hs[math.random(20)] = hero('f' .. n, "
           "weapon('w' .. n)) end hs[n] = nil for _, h in pairs(hs) do h:use() local w = h.weapon "
           "h.log:add(w.name) end pcall(fail) if n % 3 == 0 then collectgarbage() end list(n) end");
    auto frame = [&](int number) {
        CHECK(rlua_snap_frame(vm.L, number) == RLUA_OK);
        vm.run("frame(" + std::to_string(number) + ")");
    };
    for (int number = 1; number <= 10; number++) frame(number);
    for (int target = 10; target >= 1; target--) {
        CHECK(rlua_rollback_to(vm.L, target) == RLUA_OK);
        vm.run("for _, h in pairs(hs) do assert(#h.name > 1) end collectgarbage()");
        for (int number = target + 1; number <= 10; number++) frame(number);
        CHECK(rlua_check(vm.L) == RLUA_OK);
        CHECK(living < 2000);
    }
}

// rlua.hpp on the same VM: it owns it, takes the snapshots, and keeps what sol2 must not.
TEST(rlua_hpp_beside_sol2) {
    auto vm = rlua::state::open(std::size_t{1} << 20, 4).value();
    auto lua = std::make_unique<sol::state_view>(vm.raw());
    lua->new_usertype<Weapon>("Weapon", sol::constructors<Weapon(std::string)>(), "name",
                              &Weapon::name);
    (*lua)["sol"] = [](int n, const sol::protected_function &f) -> int { return f(n); };
    vm.set_function("rlua", [](int n, const rlua::function &f) { return f.call<int>(n); }).value();
    CHECK(vm.run("function twice(n) return 2 * n end w = Weapon.new('sword')"));
    const auto twice = vm.get<rlua::function>("twice").value(); // kept over the rollbacks
    vm.snap().value();
    for (int round = 0; round < 20; round++) {
        CHECK(vm.eval<int>("return sol(4, twice) + rlua(5, twice)").value() == 18);
        CHECK(vm.eval<int>("return rlua(1, function(n) return sol(n, twice) end)").value() == 2);
        CHECK(vm.run("w = nil v = Weapon.new('axe') collectgarbage()") && living >= 1);
        {
            const sol::protected_function of_the_frame = (*lua)["twice"];
            CHECK(of_the_frame(3).get<int>() == 6);
        }
        CHECK(vm.rollback() && twice.call<int>(round).value() == 2 * round);
        CHECK(vm.eval<std::string>("return w.name").value() == "sword" && living == 1);
    }
    lua.reset(); // a handle of sol2's ends before its VM
    CHECK(vm.check() && vm.close() && living == 0);
}

} // namespace

int main() { return check::run_all(); }
