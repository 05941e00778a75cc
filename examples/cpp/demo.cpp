// demo.cpp: an enemy script that plans ahead by really running, then takes it back.
//
// The host gives the script its dice; every future that is tried starts from the same snapshot,
// so it sees the same dice, the same coroutine and the same world.
#include "rlua.hpp"

#include <cstdio>

static const char *script = R"(
    hp, energy = 20, 3
    brain = coroutine.wrap(function()
        while true do
            for _, mood in ipairs{"calm", "angry", "wild"} do coroutine.yield(mood) end
        end
    end)
    function act(move)
        local mood = brain()
        local roll = roll_dice()
        if move == "attack" then energy, hp = energy - 1, hp - roll // 2
        elseif move == "rest" then energy = energy + 2
        else hp = hp + roll end
        return ("%-6s while %-5s: hp %2d, energy %d"):format(move, mood, hp, energy)
    end
    function worth() return hp + 2 * energy end
)";

int main() {
    auto lua = rlua::state::open(std::size_t{1} << 20, 4).value();
    // The dice keep their state in Lua, so they roll back too.
    lua.set("seed", 12345).value();
    lua.set_function("roll_dice", [](rlua::state_view vm) -> rlua::result<int> {
        auto seed = vm.get<std::int64_t>("seed");
        if (!seed)
            return seed.error();
        const std::int64_t next = (*seed * 1103515245 + 12345) % 2147483648;
        if (auto stored = vm.set("seed", next); !stored)
            return stored.error();
        return static_cast<int>(next / 65536 % 6) + 1;
    }).value();
    lua.run(script, "=enemy").value();

    for (int turn = 1; turn <= 3; ++turn) {
        lua.snap().value();
        const char *best = "";
        int best_worth = -1;
        for (const char *move : {"attack", "rest", "heal"}) {
            const std::string told = lua.call<std::string>("act", move).value();
            const int worth = lua.call<int>("worth").value();
            std::printf("  turn %d, tried  %s -> worth %d\n", turn, told.c_str(), worth);
            if (worth > best_worth)
                best_worth = worth, best = move;
            lua.rollback().value();
        }
        std::printf("turn %d, chosen %s\n", turn,
                    lua.call<std::string>("act", best).value().c_str());
        if (lua.call<int>("worth").value() != best_worth)
            return std::puts("the future came out differently"), 1;
    }
    return 0;
}
