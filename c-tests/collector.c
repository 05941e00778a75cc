/* collector.c: large tables are marked in slices, and no live object is lost by that.
 * Method: the collector runs by single steps, and between any two the program moves the only
 * references to objects to where the collector has been. Every object is also in a table with weak
 * values, `alive`: one that the collector missed is gone from there at the end of the cycle,
 * while the program still reaches it. */
#include "harness.h"

/* Automatic steps off; collectgarbage("step", 0) is one step of the least size. */
static lua_State *open_stepped(size_t memory_size) {
    lua_State *L = open_vm(memory_size, 1);
    lua_gc(L, LUA_GCINC, 200, 4, 1);
    lua_gc(L, LUA_GCSTOP);
    lua_pushinteger(L, test_scale());
    lua_setglobal(L, "scale");
    run(L, "alive, last = setmetatable({}, {__mode = 'v'}), 0\n"
           "function new() last = last + 1 local o = {id = last} alive[last] = o return o end\n"
           "function step() return collectgarbage('step', 0) end\n"
           "function finish() repeat until step() end\n"
           "function check(o) assert(alive[o.id] == o, o.id) end\n"
           "function check_all(t) for k, o in pairs(t) do check(o) end end\n"
           "function fill(t, n) for i = 1, n do t[i] = new() end return t end\n"
           /* `change` runs at each of the cycle's first steps in turn, once a cycle. */
           "function at_every_step(prepare, change, verify)\n"
           "  for at = 1, 60, scale do\n"
           "    local state = prepare()\n"
           "    finish()\n"
           "    for _ = 1, at do step() end\n"
           "    change(state) finish() verify(state) finish() verify(state)\n"
           "  end\n"
           "end");
    return L;
}

/* A script that finds an object missing raises an error. */
static void run_stepped(const char *script) {
    lua_State *L = open_stepped(64 * MIB);
    run(L, script);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(fresh_objects_in_marked_slots_are_kept) {
    run_stepped("at_every_step(function() root = fill({}, 2000) return root end,\n"
                "  function(t) for i = 1, #t, 7 do t[i] = new() end end, check_all)");
}

TEST(objects_moved_from_slots_not_marked_yet_are_kept) {
    run_stepped("at_every_step(function() root = fill({}, 2000) return root end, function(t)\n"
                "  for i = 1, 900 do t[i], t[2001 - i] = nil, t[i] end end, check_all)\n"
                "at_every_step(function() root = fill({}, 2000) return root end, function(t)\n"
                "  for i = 1, 900 do t[2001 - i], t[i] = nil, t[2001 - i] end end, check_all)");
}

TEST(arrays_that_grow_and_shrink_in_a_cycle_lose_nothing) {
    run_stepped("at_every_step(function() root = fill({}, 1000) return root end, function(t)\n"
                "  for i = #t, 9000 do t[i] = new() end end, check_all)\n"
                "at_every_step(function() root = fill({}, 3000) return root end, function(t)\n"
                "  for i = 20, 3000 do t[i] = nil end t.name = new() t.rehashed = new() end,\n"
                "  check_all)");
}

TEST(large_hash_parts_lose_nothing) {
    run_stepped("local function build() root = {} for i = 1, 1500 do root['k' .. i] = new() end\n"
                "  for i = 1, 500 do root[new()] = new() end return root end\n"
                "local function verify(t) for k, o in pairs(t) do check(o)\n"
                "  if type(k) == 'table' then check(k) end end end\n"
                "at_every_step(build, function(t) for i = 1, 1500, 3 do t['k' .. i] = nil end\n"
                "  for i = 1, 200 do t['n' .. i] = new() t[new()] = new() end end, verify)");
}

TEST(tables_that_become_weak_in_a_cycle_hold_no_dead_object) {
    run_stepped("local function build(mode) root = setmetatable(fill({}, 1000), mode)\n"
                "  root.name = new() return root end\n"
                "local function change(t, mode) setmetatable(t, mode)\n"
                "  t[1] = new() t[999] = new() end\n"
                "for _, mode in ipairs{'v', 'k', 'kv', 'x'} do\n"
                "  mode = {__mode = mode}\n"
                "  at_every_step(build, function(t) change(t, mode) end, check_all)\n"
                "  at_every_step(function() return build(mode) end, change, check_all)\n"
                "end");
}

TEST(large_tables_that_nobody_reaches_are_freed_in_a_cycle) {
    run_stepped("at_every_step(function() root = fill({}, 2000) return {} end, function()\n"
                "  root = nil collectgarbage() root = fill({}, 1500) end,\n"
                "  function() check_all(root) end)\n"
                "root = nil collectgarbage() assert(next(alive) == nil)");
}

TEST(large_tables_inside_large_tables_lose_nothing) {
    run_stepped("local function build() root = {} for i = 1, 400 do root[i] = {} end\n"
                "  for i = 1, 400, 40 do fill(root[i], 600) root[i][300] = fill({}, 700) end\n"
                "  return root end\n"
                "local function verify(t) for i = 1, 400, 40 do for j, o in ipairs(t[i]) do\n"
                "  if j == 300 then check_all(o) else check(o) end end end end\n"
                "at_every_step(build, function(t) for i = 1, 400, 40 do\n"
                "  t[i], t[401 - i] = t[401 - i], t[i] end\n"
                "  for i = 1, 400, 40 do t[i] = fill({}, 500) t[i][300] = fill({}, 300) end end,\n"
                "  verify)");
}

TEST(full_collections_and_other_modes_in_a_cycle_lose_nothing) {
    run_stepped("local changes = {function() collectgarbage() end,\n"
                "  function() collectgarbage('generational') step() fill(root, 100) step() step()\n"
                "    collectgarbage('incremental') end,\n"
                "  function() assert(not pcall(string.rep, 'x', 1 << 27)) end} -- an emergency\n"
                "for _, change in ipairs(changes) do\n"
                "  at_every_step(function() root = fill({}, 2000) return root end, function(t)\n"
                "    for i = 1, 2000, 9 do t[i] = new() end change() t[1] = new() step()\n"
                "    for i = 1, 2000, 7 do t[i] = new() end end, check_all)\n"
                "end");
}

/* Everything at once, at random: arrays, hashes, nesting, coroutines, closures, ephemerons,
 * finalizers that bring objects back, weak modes, full and emergency collections, modes. */
static const char random_program[] =
    "local seed = ...\n"
    "local function random(n) seed = (seed * 1103515245 + 12345) & 0x7fffffff\n"
    "  return (seed >> 8) % n + 1 end\n"
    "local arrays, hashes, held, keyed = {}, {}, {}, setmetatable({}, {__mode = 'k'})\n"
    "revived = {}\n"
    /* What a finalizer brings back has left tables with weak values. */
    "local function enter(o) if o then alive[o.id] = o end end\n"
    "local back = {__gc = function(o) enter(o) enter(o.kid) enter(keyed[o])\n"
    "  revived[#revived + 1] = o end}\n"
    "local function make() local o = new() if random(4) == 1 then o.kid = new() end\n"
    "  if o.kid and random(6) == 1 then setmetatable(o, back) end\n"
    "  if random(4) == 1 then keyed[o] = new() end return o end\n"
    "local function holder(o) return coroutine.wrap(function() local mine = o o = nil\n"
    "  while true do mine = coroutine.yield(mine) or mine end end) end\n"
    "for i = 1, 4 do arrays[i] = {} for j = 1, random(1500) do arrays[i][j] = make() end\n"
    "  hashes[i] = {} for j = 1, random(900) do hashes[i]['k' .. j] = make() end end\n"
    "local function sane(o) check(o) if o.kid then check(o.kid) end\n"
    "  if keyed[o] then check(keyed[o]) end end\n"
    "local function verify() for i = 1, 4 do\n"
    "    for _, o in pairs(arrays[i]) do if o.id then sane(o) else\n"
    "      for _, p in pairs(o) do sane(p) end end end\n"
    "    for _, o in pairs(hashes[i]) do sane(o) end end\n"
    "  for i, get in pairs(held) do sane(get()) end\n"
    "  for _, o in pairs(revived) do sane(o) end end\n"
    "local operations = {\n"
    "  function(a, h) local n = #a + 1 for i = 1, 20 do a[random(n)] = make() end end,\n"
    "  function(a, h) local n = #a for i = 1, 100 do\n"
    "    local x, y = random(n + 1), random(n + 1) a[x], a[y] = a[y], a[x] end end,\n"
    "  function(a, h) local n = #a for i = 1, n // 2 do a[n + 1 - i], a[i] = a[i], nil end end,\n"
    "  function(a, h) local n = #a for i = n, n // 3, -1 do a[i] = nil end end,\n"
    "  function(a, h) for i = 1, random(400) do a[#a + 1] = make() end end,\n"
    "  function(a, h) for i = 1, 50 do h['k' .. random(900)] = make() end end,\n"
    "  function(a, h) for i = 1, 300 do h['k' .. random(900)] = nil end end,\n"
    "  function(a, h) for i = 1, 30 do local k = 'k' .. random(900)\n"
    "    local n = random(#a + 1) local o = h[k] if o and (not a[n] or a[n].id) then\n"
    "    h[k], a[n] = a[n], o end end end,\n"
    "  function(a, h) arrays[random(4)] = {make()} end,\n"
    "  function(a, h) local kids = {} for i = 1, random(600) do kids[i] = make() end\n"
    "    a[random(#a + 1)] = kids end,\n"
    "  function(a, h) held[random(5)] = holder(make()) end,\n"
    "  function(a, h) local get, o = held[random(5)], make() if get then get(o) end end,\n"
    "  function(a, h) local o = make() held[random(5)] = function() return o end end,\n"
    "  function(a, h) setmetatable(a, {__mode = random(2) == 1 and 'v' or 'k'}) end,\n"
    "  function(a, h) setmetatable(a, nil) end,\n"
    "  function(a, h) revived = {} end,\n"
    "}\n"
    "local rare = {function() collectgarbage() end,\n"
    "  function() collectgarbage('generational') step() end,\n"
    "  function() collectgarbage('incremental') end,\n"
    "  function() pcall(string.rep, 'x', 1 << 27) end}\n"
    "for round = 1, 3000 // scale do\n"
    "  for i = 1, random(12) do if step() then verify() end end\n"
    "  operations[random(#operations)](arrays[random(4)], hashes[random(4)])\n"
    "  if random(60) == 1 then rare[random(#rare)]() end\n"
    "  if random(100) == 1 then collectgarbage('incremental') finish() verify() end\n"
    "end\n"
    "verify() arrays, hashes, held, keyed = nil revived = {}\n"
    "back.__gc = nil collectgarbage() collectgarbage() assert(next(alive) == nil)";

TEST(random_programs_lose_nothing) {
    int seeds = test_scale() > 1 ? 1 : 12, seed;
    for (seed = 1; seed <= seeds; seed++) {
        lua_State *L = open_stepped(64 * MIB);
        if (luaL_loadstring(L, random_program) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
        lua_pushinteger(L, seed);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) FAIL("seed %d: %s", seed, lua_tostring(L, -1));
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

/* What slices are for: in stock Lua one step marks, and so writes to, all of it. */
static void check_pages_of_steps(const char *build) {
    lua_State *L = open_stepped(64 * MIB);
    long steps = 100000 / test_scale() / test_scale(), step;
    int finished, cycle;
    run(L, build);
    for (cycle = 0; cycle < 2; cycle++) {
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_snap(L));
        for (step = finished = 0; !finished && step < steps; step++) {
            rlua_Info info;
            finished = lua_gc(L, LUA_GCSTEP, 0);
            CHECK_OK(rlua_snap(L));
            info = info_of(L);
            if (info.dirty_pages * 10 > info.used_bytes / 4096)
                FAIL("a step wrote %zu of %zu pages", (size_t)info.dirty_pages,
                     (size_t)info.used_bytes / 4096);
        }
    }
    lua_close(L);
}

TEST(no_step_writes_to_many_pages) {
    check_pages_of_steps("root = {} for i = 1, 30000 do root[i] = {i} end");
    check_pages_of_steps("root = {} for i = 1, 30000 do root[{i}] = {i} end");
    check_pages_of_steps("root = {} for i = 1, 400 do root[i] = {} end\n"
                         "for i = 1, 30000 do root[7][i] = {i} end");
}

/* In stock Lua the atomic phase ends by freeing the newest objects up to one that lives. */
TEST(no_step_frees_many_objects) {
    lua_State *L = open_stepped(64 * MIB);
    int cycle, finished, most = 0, freed = 0;
    for (cycle = 0; cycle < 2; cycle++) {
        lua_gc(L, LUA_GCCOLLECT);
        run(L, "for i = 1, 20000 // scale do local t = {} end");
        do {
            int before = lua_gc(L, LUA_GCCOUNT) * 1024 + lua_gc(L, LUA_GCCOUNTB), step;
            finished = lua_gc(L, LUA_GCSTEP, 0);
            step = before - lua_gc(L, LUA_GCCOUNT) * 1024 - lua_gc(L, LUA_GCCOUNTB);
            if (step > most) most = step;
            if (step > 0) freed += step;
        } while (!finished);
    }
    CHECK(freed >= 2 * 20000 / test_scale() * 56);
    if (most > 100 * 56) FAIL("a step freed %d bytes", most);
    lua_close(L);
}

/* Objects made while the sweep stands at the head of the list, before and behind dead ones. */
TEST(objects_made_while_the_newest_are_swept_are_kept) {
    run_stepped("at_every_step(function() root = {} for i = 1, 300 do new() end return root end,\n"
                "  function(t) for _ = 1, 12 do fill(t, 40) for i = 1, 120 do new() end\n"
                "    setmetatable(new(), {__gc = function() end}) step() end end, check_all)");
}
