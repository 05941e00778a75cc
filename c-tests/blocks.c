/* blocks.c: the arena's blocks are the same bytes whether C hands them out or Rust.
 * Method: a program runs twice from one snapshot. The second time the allocation function is a
 * host's that hands every request on to the library's, which is the way through Rust. Afterwards
 * the whole used part of the arena is compared, byte by byte; the programs make objects of every
 * kind and size in random order, with and without a limit that they run into. */
#include "harness.h"

static const char PROGRAM[] =
    "local seed, count, limited = ...\n"
    "local function random(n)\n"
    "  seed = (seed * 1103515245 + 12345) & 0x7fffffff\n"
    "  return (seed >> 8) % n + 1\n"
    "end\n"
    "local kept = {}\n"
    "local make = {\n"
    "  function() return nil end,\n"
    "  function(n) return string.rep('x', n * 3) .. n end,\n"
    "  function(n) local m = n return function() m = m + n return m end end,\n"
    "  function(n) local t = {} for i = 1, n do t[i] = i end return t end,\n"
    "  function(n) local t = {} for i = 1, n do t['k' .. i] = i end return t end,\n"
    "  function(n) return coroutine.wrap(function() coroutine.yield(n) end) end,\n"
    "  function(n) return load('local a = ' .. n .. ' return function() return a end') end,\n"
    "  function(n) return userdata(n) end,\n"
    "  function(n) return setmetatable({n}, {__gc = function() end, __mode = 'k'}) end,\n"
    "  function(n) return table.pack(table.unpack({}, 1, n)) end,\n"
    "  function(n) return {n, {n}, {n = n}} end,\n"
    "}\n"
    "local function step()\n"
    "  local slot = random(limited and 4000 or 600)\n"
    "  local old, value = kept[slot], make[random(#make)](random(240))\n"
    "  if type(old) == 'table' and random(2) == 1 then\n"
    "    rawset(old, #old + 1, value)\n"
    "  else\n"
    "    kept[slot] = value\n"
    "  end\n"
    "  if random(300) == 1 then collectgarbage() end\n"
    "  if random(200) == 1 then for j = 1, #kept do kept[j] = nil end end\n"
    "end\n"
    "refused = 0\n"
    "for i = 1, count do\n"
    "  if not pcall(step) then\n"
    "    refused = refused + 1\n"
    "    if random(4) == 1 then for j = 1, 4000 do kept[j] = nil end end\n"
    "  end\n"
    "end\n";

static struct {
    lua_Alloc function;
    void *ud;
    size_t made, freed, resized, refused;
} library;

static void *counting(void *ud, void *block, size_t old_size, size_t new_size) {
    void *result = library.function(ud, block, old_size, new_size);
    if (new_size == 0) library.freed++;
    else if (block == NULL) library.made++;
    else library.resized++;
    if (new_size != 0 && result == NULL) library.refused++;
    return result;
}

static int new_userdata(lua_State *L) {
    size_t size = (size_t)luaL_checkinteger(L, 1);
    memset(lua_newuserdatauv(L, size, (int)(size % 3)), 0x55, size);
    return 1;
}

static void run_program(lua_State *L, lua_Integer seed, int count, int limited) {
    CHECK_EQ(luaL_loadstring(L, PROGRAM), LUA_OK);
    lua_pushinteger(L, seed);
    lua_pushinteger(L, count);
    lua_pushboolean(L, limited);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK)
        FAIL("seed %lld: %s", (long long)seed, lua_tostring(L, -1));
    CHECK_OK(rlua_check(L));
}

/* The region begins at a boundary of 4 GiB, and with it the arena. */
static const unsigned char *arena_of(lua_State *L) {
    return (const unsigned char *)((uintptr_t)L >> 32 << 32);
}

static void check_same(size_t memory_size, lua_Integer seed, int count, int limited) {
    lua_State *L = open_vm(memory_size, 2);
    unsigned char *copy;
    size_t used, i;
    long long refused;
    lua_register(L, "userdata", new_userdata);
    CHECK_OK(rlua_snap(L));
    run_program(L, seed, count, limited);
    used = info_of(L).used_bytes;
    refused = global_int(L, "refused");
    copy = malloc(used);
    CHECK(copy != NULL);
    memcpy(copy, arena_of(L), used);
    CHECK_OK(rlua_rollback(L, 1));

    memset(&library, 0, sizeof library);
    library.function = lua_getallocf(L, &library.ud);
    lua_setallocf(L, counting, library.ud);
    run_program(L, seed, count, limited);
    CHECK_EQ(global_int(L, "refused"), refused);
    lua_setallocf(L, library.function, library.ud);
    CHECK(library.made > (size_t)count && library.freed > 0 && library.resized > 0);
    CHECK_EQ(refused > 0, limited);
    CHECK_EQ(library.refused > 0, limited);
    CHECK_EQ(info_of(L).used_bytes, used);
    for (i = 0; i < used; i++)
        if (copy[i] != arena_of(L)[i])
            FAIL("seed %lld: byte %#zx of %#zx is %#x by C, %#x by Rust", (long long)seed, i, used,
                 copy[i], arena_of(L)[i]);
    free(copy);
    lua_close(L);
}

TEST(both_ways_leave_the_same_bytes) {
    long seed, seeds = 1 + 8 / test_scale();
    for (seed = 1; seed <= seeds; seed++) check_same(64 * MIB, seed, 20000, 0);
}

TEST(both_ways_leave_the_same_bytes_at_the_limit) {
    long seed, seeds = 1 + 8 / test_scale();
    for (seed = 1; seed <= seeds; seed++) check_same(300 * KIB, seed, 20000, 1);
}

/* A host may change its mind in the middle: the ways mix block by block. */
static int swap(lua_State *L) {
    lua_setallocf(L, lua_toboolean(L, 1) ? counting : library.function, library.ud);
    return 0;
}

TEST(both_ways_may_take_turns) {
    lua_State *L = open_vm(64 * MIB, 2);
    library.function = lua_getallocf(L, &library.ud);
    lua_register(L, "swap", swap);
    run(L, "local kept = {}\n"
           "for i = 1, 20000 do\n"
           "  if i % 7 == 0 then swap(i % 2 == 0) end\n"
           "  kept[i % 500] = i % 3 == 0 and {i} or ('x'):rep(i % 600) .. i\n"
           "  if i % 1000 == 0 then collectgarbage() end\n"
           "end");
    CHECK_OK(rlua_check(L));
    lua_setallocf(L, library.function, library.ud);
    lua_close(L);
}

static void *by_malloc(void *ud, void *block, size_t old_size, size_t new_size) {
    (void)ud, (void)old_size;
    if (new_size != 0) return realloc(block, new_size);
    free(block);
    return NULL;
}

/* C has no business in it: were a block of malloc given to an arena, something would crash. */
TEST(a_hosts_own_allocator_keeps_its_blocks) {
    lua_State *L = lua_newstate(by_malloc, NULL);
    CHECK(L != NULL);
    luaL_openlibs(L);
    lua_register(L, "userdata", new_userdata);
    CHECK_EQ(luaL_loadstring(L, PROGRAM), LUA_OK);
    lua_pushinteger(L, 1);
    lua_pushinteger(L, 5000);
    CHECK_EQ(lua_pcall(L, 2, 0, 0), LUA_OK);
    lua_close(L);
}
