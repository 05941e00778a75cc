// owning.cpp: what C++ bindings (sol2, LuaBridge, and their like) do with a VM, on a VM of ours.
//
// They construct an object inside a full userdata, aligned, behind a pointer to it, and give it a
// metatable whose `__gc` is a C function that runs the destructor. Here is that in forty lines:
// usertypes with std::string members, containers, shared_ptr and unique_ptr, references to objects
// of the host. The library guards them: a destructor runs once, when nothing can reach the object.
//
// Not here: those libraries themselves. examples/bindings/sol2 has sol2; LuaBridge is in no
// package, and a host that has it needs no more than this program does.
#include "../../cpp/check.hpp"

#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

extern "C" {
#include "lauxlib.h"
#include "lualib.h"
}
#include "rlua.h"

namespace {

// The binding: usertype<T>::name names the metatable; an object lies behind a pointer to itself.
template <class T> struct usertype {
    static const char *name;

    static int destroy(lua_State *L) {
        T **slot = static_cast<T **>(luaL_checkudata(L, 1, name));
        if (*slot) (*slot)->~T();
        *slot = nullptr;
        return 0;
    }

    template <class... Args> static T &push(lua_State *L, Args &&...args) {
        // As sol2: room to align the object, whatever address the block has.
        void *block = lua_newuserdatauv(L, sizeof(T *) + sizeof(T) + alignof(T) - 1, 1);
        T **slot = static_cast<T **>(block);
        void *place = slot + 1;
        std::size_t space = sizeof(T) + alignof(T) - 1;
        *slot = nullptr;
        place = std::align(alignof(T), sizeof(T), place, space);
        *slot = new (place) T(std::forward<Args>(args)...);
        if (luaL_newmetatable(L, name)) {
            lua_pushcfunction(L, destroy);
            lua_setfield(L, -2, "__gc");
            lua_pushvalue(L, -1);
            lua_setfield(L, -2, "__index");
        }
        lua_setmetatable(L, -2);
        return **slot;
    }

    static T &get(lua_State *L, int index) {
        return **static_cast<T **>(luaL_checkudata(L, index, name));
    }
};

int living = 0;

struct Weapon {
    std::string name;
    explicit Weapon(std::string n) : name(std::move(n)) { ++living; }
    Weapon(const Weapon &other) : name(other.name) { ++living; }
    ~Weapon() { --living; }
};

struct alignas(64) Hero {
    std::string name, title;
    std::vector<std::string> log;
    std::map<std::string, int> stats;
    std::shared_ptr<Weapon> weapon;
    std::unique_ptr<Weapon> spare;

    Hero(std::string n, std::shared_ptr<Weapon> w)
        : name(std::move(n)), title(name + " of a title too long for the small string"),
          weapon(std::move(w)), spare(new Weapon("spare of " + name)) {
        ++living;
    }
    ~Hero() {
        CHECK(title.compare(0, name.size(), name) == 0); // a second destructor would find junk
        --living;
    }
};

template <> const char *usertype<Hero>::name = "Hero";
template <> const char *usertype<std::shared_ptr<Weapon>>::name = "shared Weapon";
template <> const char *usertype<std::vector<std::string>>::name = "vector of strings";

int new_hero(lua_State *L) {
    std::string name = luaL_checkstring(L, 1);
    std::shared_ptr<Weapon> weapon;
    if (lua_isuserdata(L, 2)) weapon = usertype<std::shared_ptr<Weapon>>::get(L, 2);
    usertype<Hero>::push(L, name, weapon);
    return 1;
}

int new_weapon(lua_State *L) {
    usertype<std::shared_ptr<Weapon>>::push(L, std::make_shared<Weapon>(luaL_checkstring(L, 1)));
    return 1;
}

int new_list(lua_State *L) {
    auto &list = usertype<std::vector<std::string>>::push(L);
    for (int i = 1; i <= 20; i++)
        list.push_back("an entry of some length, number " + std::to_string(i));
    return 1;
}

int hero_use(lua_State *L) {
    Hero &hero = usertype<Hero>::get(L, 1);
    hero.log.push_back(hero.title + std::to_string(hero.log.size()));
    hero.stats[hero.log.back()]++;
    lua_pushinteger(L, static_cast<lua_Integer>(hero.log.size()));
    return 1;
}

int hero_name(lua_State *L) {
    lua_pushstring(L, usertype<Hero>::get(L, 1).name.c_str());
    return 1;
}

int hero_weapon(lua_State *L) { // the object is shared between C++ and two userdata
    usertype<std::shared_ptr<Weapon>>::push(L, usertype<Hero>::get(L, 1).weapon);
    return 1;
}

struct Vm {
    lua_State *L;
    explicit Vm(std::size_t snapshots) : L(rlua_new_rollback(8u << 20, snapshots)) {
        CHECK(L != nullptr);
        luaL_openlibs(L);
        lua_register(L, "hero", new_hero);
        lua_register(L, "weapon", new_weapon);
        lua_register(L, "list", new_list);
        lua_register(L, "use", hero_use);
        lua_register(L, "name", hero_name);
        lua_register(L, "weapon_of", hero_weapon);
    }
    Vm(const Vm &) = delete;
    ~Vm() {
        lua_close(L);
        CHECK(living == 0);
    }
    void run(const char *chunk) {
        if (luaL_dostring(L, chunk) != LUA_OK) std::fprintf(stderr, "%s\n", lua_tostring(L, -1));
        CHECK(lua_gettop(L) == 0);
    }
    void snap() { CHECK(rlua_snap(L) == RLUA_OK); }
    void rollback(std::size_t n = 1) {
        CHECK(rlua_rollback(L, n) == RLUA_OK);
        CHECK(rlua_check(L) == RLUA_OK);
    }
};

TEST(collected_and_rolled_back_to_is_whole) {
    Vm vm(4);
    vm.run("h = hero('Ada', weapon 'a long sword with a long name') l = list()");
    vm.snap();
    int before = living;
    for (int round = 1; round <= 5; round++) {
        vm.run("n = use(h) w = weapon_of(h) h, l, w = nil collectgarbage() collectgarbage()");
        CHECK(living == before);
        vm.rollback();
        vm.run("assert(name(h) == 'Ada')");
    }
    vm.run("assert(use(h) == 6)"); // what C++ holds does not go back
}

TEST(made_and_rolled_back_away_is_destroyed) {
    Vm vm(4);
    vm.snap();
    for (int round = 0; round < 3; round++) {
        vm.run("for i = 1, 20 do last = hero('h' .. i, weapon 'w') list() end");
        vm.rollback();
        CHECK(living == 0);
    }
}

TEST(first_use_of_a_type_after_the_snapshot) {
    Vm vm(4);
    vm.snap();
    vm.run("h = hero 'first'");
    vm.snap();
    vm.run("h = nil collectgarbage()");
    vm.rollback(2);
    CHECK(living == 0);
    vm.run("h = hero 'again' use(h)");
}

TEST(shared_ptr_counts_what_can_be_reached) {
    Vm vm(4);
    auto weapon = std::make_shared<Weapon>("the host's");
    usertype<std::shared_ptr<Weapon>>::push(vm.L, weapon);
    lua_setglobal(vm.L, "w");
    CHECK(weapon.use_count() == 2);
    vm.snap();
    vm.run("h = hero('x', w) v = weapon_of(h) w = nil collectgarbage()");
    CHECK(weapon.use_count() == 4);
    vm.rollback();
    CHECK(weapon.use_count() == 2);
    vm.run("w = nil collectgarbage()");
    CHECK(weapon.use_count() == 2); // the snapshot has it
    CHECK(rlua_set_max_snapshots(vm.L, 0) == RLUA_OK);
    CHECK(weapon.use_count() == 1);
}

TEST(ten_frames_and_a_rollback_to_each) {
    Vm vm(12);
    vm.run("hs = {} function frame(n) for i = 1, 5 do hs[math.random(20)] = hero('f' .. n, "
           "weapon('w' .. n)) end hs[n] = nil for _, h in pairs(hs) do use(h) weapon_of(h) end "
           "if n % 3 == 0 then collectgarbage() end list() end");
    auto frame = [&](int number) {
        CHECK(rlua_snap_frame(vm.L, number) == RLUA_OK);
        vm.run(("frame(" + std::to_string(number) + ")").c_str());
    };
    for (int number = 1; number <= 10; number++) frame(number);
    for (int target = 10; target >= 1; target--) {
        CHECK(rlua_rollback_to(vm.L, target) == RLUA_OK);
        vm.run("for _, h in pairs(hs) do name(h) end collectgarbage()");
        for (int number = target + 1; number <= 10; number++) frame(number);
        CHECK(rlua_check(vm.L) == RLUA_OK);
        CHECK(living < 3000);
    }
}

} // namespace

int main() { return check::run_all(); }
