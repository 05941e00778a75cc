/* world.h: the game that the programs of this folder play, on machines of different kinds.
 *
 * Its frames compute what platforms are known to do differently: NaNs, mathematical functions, text
 * of floats, order of keys, characters above 127; in coroutines, through errors, with a collector.
 * Not here: who plays it (match.c, p2p.c). */
#ifndef RLUA_CROSS_WORLD_H
#define RLUA_CROSS_WORLD_H

#define HARNESS_NO_MAIN
#include "../harness.h"

enum { INPUTS = 16, SNAPSHOTS = 12 }; /* an input is below the first */

static const char world[] =
    "units, log, weak, nan = {}, {}, setmetatable({}, {__mode = 'k'}), 0/0\n"
    "for i = 1, 200 do units[i] = {x = i / 3, y = -i, name = 'unit ' .. i, seen = {}} end\n"
    "local function brain(unit)\n"
    "  local turn <close> = setmetatable({}, {__close = function() log.closed = unit.name end})\n"
    "  while true do local dt = coroutine.yield(unit.x)\n"
    "    unit.x = math.sin(unit.x) * dt + unit.y ^ 1.5\n"
    "    if unit.x ~= unit.x then unit.x, unit.odd = unit.name:byte(-1) / 7, nan end\n"
    "  end\n"
    "end\n"
    "for i = 1, 40 do units[i].brain = coroutine.create(brain)\n"
    "  coroutine.resume(units[i].brain, units[i]) end\n"
    "function frame(n, left, right)\n"
    "  for i = 1, 40 do coroutine.resume(units[i].brain, 1 / n) end\n"
    "  units[1 + left].y, units[101 + right].y = units[1 + right].y / 3, left + n / 7\n"
    "  for i = n % 7 + 1, #units, 7 do local u = units[i]\n"
    "    u.y = (u.y * 1.0000001 + math.random()) % 97.3\n"
    "    u.seen[units[math.random(#units)]] = n\n"
    "    u.text = ('%.14g %a %q'):format(u.x, u.y, u.y) .. u.x .. string.pack('<d', u.odd or u.y)\n"
    "    weak[u] = {n}\n"
    "  end\n"
    "  local sum = 0 for k, v in pairs(units[n % #units + 1].seen) do sum = sum * 3 % 1e9 + v end\n"
    "  log[#log + 1] = sum log[n % 50] = string.char(128 + n % 128):rep(n % 9) .. '\\xff'\n"
    "  log.negative, log.nan = -(0/0), math.huge - math.huge\n"
    "  log.error = select(2, pcall(error, {n, nan}))\n"
    "  if n % 90 == 0 then for i = 1, #log do log[i] = nil end collectgarbage() end\n"
    "end";

static rlua_Config world_config(void) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 8 * MIB;
    config.max_snapshots = SNAPSHOTS;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

static lua_State *open_world(void) {
    rlua_Config config = world_config();
    lua_State *L = NULL;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    run(L, world);
    return L;
}

static void play_frame(lua_State *L, int frame, int left, int right) {
    lua_getglobal(L, "frame");
    lua_pushinteger(L, frame);
    lua_pushinteger(L, left);
    lua_pushinteger(L, right);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) FAIL("frame %d: %s", frame, lua_tostring(L, -1));
}

/* The least that one side may do by itself. */
static void cheat(lua_State *L) { run(L, "units[77].y = units[77].y + 2^-40"); }

#endif
