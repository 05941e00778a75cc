/* checksums.c: a VM that keeps snapshots makes only those digests again whose units changed. Here
 * everything is done to it that can change a state, and after each step the checksum is that of a
 * clone, which has no digests yet and makes all of them.
 */
#include "harness.h"
#include "random.h"

static const char world[] =
    "t, n, weak, cos, h = {}, 0, setmetatable({}, {__mode = 'v'}), {}, {}\n"
    "for i = 1, 700 do h['key' .. i] = 1 end\n"
    "local acts = {\n"
    "  function(r) t[r % 500] = {r, x = r, y = -r, name = 'n' .. r} end,\n"
    "  function(r) t[r % 500] = nil end,\n"
    "  function(r) local e = t[r % 500] if type(e) == 'table' then e.x = r end end,\n"
    "  function(r) local e = t[r % 500] if type(e) == 'table' then e[#e + 1] = r end end,\n"
    "  function(r) big = ('b'):rep(r % 30000) end,\n"
    "  function(r) big = nil huge = nil end,\n"
    "  function(r) big = nil collectgarbage() big = ('b'):rep(9000 + r % 14) end,\n"
    "  function(r) for i = r, r + 20 do local k = 'key' .. i % 700 + 1\n"
    "    if h[k] then h[k] = nil else h[k] = 1 end end end,\n"
    "  function(r) huge = {} for i = 1, r % 3000 do huge[i] = i end end,\n"
    "  function(r) if huge and #huge > 0 then\n"
    "    huge[r % #huge + 1] = r % 2 == 0 and r or {} end end,\n"
    "  function(r) cos[r % 40] = coroutine.create(function(a)\n"
    "    local function deep(k) if k > 0 then return 1 + deep(k - 1) end\n"
    "      return coroutine.yield(k) or 1 end\n"
    "    while true do deep(a % 60) a = coroutine.yield() or 7 end end) end,\n"
    "  function(r) local c = cos[r % 40] if c and coroutine.status(c) == 'suspended' then\n"
    "    coroutine.resume(c, r % 60) end end,\n"
    "  function(r) cos[r % 40] = nil end,\n"
    "  function(r) weak[#weak + 1] = t[r % 500] end,\n"
    "  function(r) collectgarbage('step', r % 20) end,\n"
    "  function(r) if r % 9 == 0 then collectgarbage() end end,\n"
    "  function(r) t['f' .. r % 90] = load('local a = ... return function() return a, ' .. r\n"
    "    .. ' end')(r) end,\n"
    "  function(r) setmetatable({}, {__gc = function() n = n + 1 end}) end,\n"
    "  function(r) pcall(load, 'x = = ' .. r) pcall(error, {r}) end,\n"
    "  function(r) for k, v in pairs(t) do\n"
    "    if type(v) == 'table' and v.x == r then n = n + 1 end end end,\n"
    "  function(r) t[r % 500] =\n"
    "    setmetatable({}, {__index = t, __mode = r % 2 == 0 and 'k' or nil})\n"
    "  end}\n"
    "function act(r, count) for i = 1, count do r = (r * 48271) % 2147483647\n"
    "  acts[r % #acts + 1](r // 64) end end";

static int same(lua_State *L) {
    lua_State *clone;
    rlua_Checksum kept, made;
    CHECK_OK(rlua_checksum(L, &kept));
    CHECK_OK(rlua_clone(L, &clone));
    CHECK_OK(rlua_set_max_snapshots(clone, 0));
    CHECK_OK(rlua_checksum(clone, &made));
    lua_close(clone);
    return memcmp(&kept, &made, sizeof kept) == 0;
}

typedef struct Blocks {
    char *at[12];
    size_t bytes[12];
} Blocks;

#define F(n) \
    static int f##n(lua_State *L) { return lua_gettop(L) + n; }
F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
static const lua_CFunction functions[] = {f0, f1, f2, f3, f4, f5, f6, f7};
static char places[8];

/* What leads out of the VM gets into the state, is met, and gets a name: in any order, or never. */
static void lead_out(lua_State *L) {
    unsigned i = random_below(8), is_place = random_below(2), place = random_below(400);
    char text[64];
    if (is_place) lua_pushlightuserdata(L, &places[i]);
    else lua_pushcfunction(L, functions[i]);
    lua_setglobal(L, "out");
    snprintf(text, sizeof text, "t[%u] = out t[-%u] = {out} out = nil", place, place);
    CHECK_OK(rlua_dostring(L, text));
    snprintf(text, sizeof text, "tostring(t[%u])", random_below(400));
    CHECK_OK(rlua_dostring(L, text));
    if (random_below(3) != 0) return;
    snprintf(text, sizeof text, "%s%u", is_place ? "place" : "f", i);
    if (is_place) CHECK_OK(rlua_register_pointer(L, text, &places[i]));
    else CHECK_OK(rlua_register(L, text, functions[i]));
}

/* Something that a host does, or a script. */
static unsigned any_act(lua_State *L, Blocks *blocks, int frame) {
    char text[64];
    unsigned what = random_below(25), i = random_below(12);
    switch (what) {
        case 0: case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 8: case 9:
            snprintf(text, sizeof text, "act(%u, %u)", 1 + random_below(1 << 30),
                     1 + random_below(60));
            CHECK_OK(rlua_dostring(L, text));
            break;
        case 10: case 11: case 12: CHECK_OK(rlua_snap(L)); break;
        case 13: { /* the newest label again */
            int64_t newest;
            if (rlua_newest_frame(L, &newest) == RLUA_OK) {
                CHECK_OK(rlua_snap_frame(L, newest));
            }
            break;
        }
        case 14: case 15: {
            size_t count;
            CHECK_OK(rlua_snapshot_count(L, &count));
            if (count > 0) {
                CHECK_OK(rlua_rollback(L, 1 + (size_t)random_below((unsigned)count)));
                memset(blocks, 0, sizeof *blocks);
            }
            break;
        }
        case 16: case 17: { /* a block of the host */
            size_t bytes = 1 + (size_t)random_below(random_below(4) == 0 ? 20000 : 300);
            char *moved = rlua_realloc(L, blocks->at[i], bytes);
            CHECK(moved != NULL);
            memset(moved, frame, bytes);
            blocks->at[i] = moved;
            blocks->bytes[i] = bytes;
            break;
        }
        case 18: case 19: /* written by the host, without a word */
            if (blocks->at[i] != NULL)
                blocks->at[i][random_below((unsigned)blocks->bytes[i])] = (char)frame;
            break;
        case 20:
            if (blocks->at[i] != NULL) rlua_free(L, blocks->at[i]);
            blocks->at[i] = NULL;
            break;
        case 21: lua_gc(L, LUA_GCSTEP, (int)random_below(30)); break;
        case 22: CHECK_OK(rlua_set_time(L, frame, 0)); break;
        case 23: lead_out(L); break;
        default:
            lua_pushinteger(L, frame);
            lua_setglobal(L, "frame");
    }
    return what;
}

static void follow(uint64_t seed, const char *mode, int acts, int every) {
    rlua_Config config;
    Blocks blocks = {{NULL}, {0}};
    lua_State *L;
    int frame;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 16 << 20;
    config.max_snapshots = 5;
    CHECK_OK(rlua_open(&config, &L));
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_dostring(L, world));
    random_seed(seed);
    if (mode != NULL) CHECK_OK(rlua_dostring(L, mode));
    for (frame = 1; frame <= acts; frame++) {
        int what = (int)any_act(L, &blocks, frame);
        if (random_below((unsigned)every) == 0 && !same(L))
            FAIL("seed %llu, act %d (%d): the checksum is not that of the state",
                 (unsigned long long)seed, frame, what);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(a_checksum_is_that_of_the_state_after_every_act) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 40 / (uint64_t)test_scale(); seed++) follow(seed, NULL, 400, 1);
}

TEST(a_checksum_is_that_of_the_state_now_and_then) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 40 / (uint64_t)test_scale(); seed++)
        follow(seed << 32, NULL, 900, 9);
}

TEST(a_checksum_is_that_of_the_state_in_generations) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 24 / (uint64_t)test_scale(); seed++)
        follow(seed << 40, "collectgarbage 'generational'", 500, 3);
}

/* Peers have one checksum whatever they did to get there. */
TEST(a_checksum_does_not_tell_how_it_came_to_the_state) {
    rlua_Checksum sums[2];
    int way, i;
    for (way = 0; way < 2; way++) {
        lua_State *L = rlua_new_rollback(16 << 20, 6);
        CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
        CHECK_OK(rlua_dostring(L, world));
        CHECK_OK(rlua_snap(L));
        for (i = 1; i < 60; i++) {
            char text[64];
            snprintf(text, sizeof text, "act(%d, 30)", i);
            if (way == 1) {
                CHECK_OK(rlua_checksum(L, &sums[1]));
                CHECK_OK(rlua_dostring(L, "act(99, 70)"));
                CHECK_OK(rlua_rollback(L, 1));
            }
            CHECK_OK(rlua_dostring(L, text));
            if (way == 1 && i % 3 == 0) {
                CHECK_OK(rlua_snap(L));
                CHECK_OK(rlua_dostring(L, "act(77, 50)"));
                CHECK_OK(rlua_checksum(L, &sums[1]));
                CHECK_OK(rlua_rollback(L, 1));
            }
            CHECK_OK(rlua_snap(L));
        }
        CHECK_OK(rlua_checksum(L, &sums[way]));
        lua_close(L);
    }
    CHECK(memcmp(&sums[0], &sums[1], sizeof sums[0]) == 0);
}

/* References have serials that do not go back: they are no part of what peers compare. */
TEST(a_checksum_is_the_same_where_references_were_made_again) {
    lua_State *L = rlua_new_rollback(1 << 20, 4);
    rlua_Checksum sums[2];
    rlua_Ref refs[2];
    int i;
    CHECK_OK(rlua_snap(L));
    for (i = 0; i < 2; i++) {
        lua_pushinteger(L, 7);
        refs[i] = rlua_ref(L);
        CHECK_OK(rlua_checksum(L, &sums[i]));
        CHECK(same(L));
        CHECK_OK(rlua_rollback(L, 1));
    }
    CHECK(refs[0] != refs[1]);
    CHECK(memcmp(&sums[0], &sums[1], sizeof sums[0]) == 0);
    lua_close(L);
}
