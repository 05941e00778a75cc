/* acts.h: everything that is done to a VM and can change its state, at random: by scripts, the
 * collector, the host, captures and rollbacks.
 */
#ifndef RLUA_TEST_ACTS_H
#define RLUA_TEST_ACTS_H

#include "harness.h"
#include "random.h"

static const char acts_world[] =
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

typedef struct Blocks {
    char *at[12];
    size_t bytes[12];
} Blocks;

#define F(n) \
    static int f##n(lua_State *L) { return lua_gettop(L) + n; }
F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
static const lua_CFunction functions[] = {f0, f1, f2, f3, f4, f5, f6, f7};
static char places[8];

static inline void name_it(lua_State *L, unsigned i, unsigned is_place) {
    char name[16];
    snprintf(name, sizeof name, "%s%u", is_place ? "place" : "f", i);
    if (is_place) CHECK_OK(rlua_register_pointer(L, name, &places[i]));
    else CHECK_OK(rlua_register(L, name, functions[i]));
}

/* What leads out of the VM gets into the state, is met, and gets a name: in any order, or never; or
 * the name first, so that the state can be saved. */
static inline void lead_out(lua_State *L, int savable) {
    unsigned i = random_below(8), is_place = random_below(2), place = random_below(400);
    char text[64];
    if (savable) name_it(L, i, is_place);
    if (is_place) lua_pushlightuserdata(L, &places[i]);
    else lua_pushcfunction(L, functions[i]);
    lua_setglobal(L, "out");
    snprintf(text, sizeof text, "t[%u] = out t[-%u] = {out} out = nil", place, place);
    CHECK_OK(rlua_dostring(L, text));
    snprintf(text, sizeof text, "tostring(t[%u])", random_below(400));
    CHECK_OK(rlua_dostring(L, text));
    if (random_below(3) == 0) name_it(L, i, is_place);
}

/* Something that a host does, or a script. */
static inline unsigned any_act(lua_State *L, Blocks *blocks, int frame, int savable) {
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
        case 23: lead_out(L, savable); break;
        default:
            lua_pushinteger(L, frame);
            lua_setglobal(L, "frame");
    }
    return what;
}

#endif
