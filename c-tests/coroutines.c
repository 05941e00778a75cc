/* coroutines.c: suspended coroutines are state like any other.
 * Method: each case has a step that advances it and tells what it saw. STEPS steps are taken
 * with a snapshot before each; then, from the newest frame to the oldest, the VM is rolled back
 * and advanced to the end again, and must tell the same. This is done as it is, with full
 * collections, and with generational and incremental steps in between. */
#include "harness.h"

enum { STEPS = 12, TEXT_SIZE = 160 };

typedef const char *(*Advance)(lua_State *L, char *text);

static const char *advance_lua(lua_State *L, char *text) {
    return eval(L, "advance()", text, TEXT_SIZE);
}

static void collect_somehow(lua_State *L, int round) {
    switch (round) {
        case 1: lua_gc(L, LUA_GCCOLLECT); break;
        case 2: lua_gc(L, LUA_GCGEN, 0, 0); lua_gc(L, LUA_GCSTEP, 1); break;
        case 3: lua_gc(L, LUA_GCINC, 0, 0, 0); lua_gc(L, LUA_GCSTEP, 1); break;
        default: break;
    }
}

static void check_replay(lua_State *L, Advance advance) {
    static char trace[STEPS][TEXT_SIZE];
    char text[TEXT_SIZE];
    size_t used[STEPS];
    int step, start, round;
    CHECK_OK(rlua_set_max_snapshots(L, STEPS));
    for (step = 0; step < STEPS; step++) {
        CHECK_OK(rlua_snap_frame(L, step));
        used[step] = info_of(L).used_bytes;
        advance(L, trace[step]);
    }
    CHECK(strcmp(trace[0], trace[1]) != 0);
    for (round = 0; round < 4; round++) {
        for (start = STEPS - 1; start >= 0; start--) {
            CHECK_OK(rlua_rollback_to(L, start));
            if (round == 0 || start == 0) CHECK_EQ(info_of(L).used_bytes, used[start]);
            collect_somehow(L, round);
            for (step = start; step < STEPS; step++) {
                if (step > start) CHECK_OK(rlua_snap_frame(L, step));
                CHECK_STR(advance(L, text), trace[step]);
                collect_somehow(L, round);
            }
        }
        CHECK_OK(rlua_check(L));
    }
}

static void check_lua_replay(const char *chunk) {
    lua_State *L = open_vm(8 * MIB, 0);
    run(L, chunk);
    check_replay(L, advance_lua);
    lua_close(L);
}

TEST(suspended_in_lua) {
    check_lua_replay(
        "co = coroutine.create(function(a) local n = 0 "
        "  while true do n = n + a; a = coroutine.yield(n, {n}) end end)\n"
        "x = 0 function advance() x = x + 1 "
        "  local _, n, t = coroutine.resume(co, x) return n .. ' ' .. t[1] end");
}

TEST(suspended_in_a_wrapped_coroutine) {
    check_lua_replay(
        "gen = coroutine.wrap(function() local a, b = 0, 1 "
        "  while true do coroutine.yield(a) a, b = b, a + b end end)\n"
        "gen() function advance() return gen() .. ' ' .. gen() end");
}

TEST(suspended_inside_pcall_and_xpcall) {
    check_lua_replay(
        "co = coroutine.wrap(function() local n = 0 while true do\n"
        "  local ok, e = pcall(function() n = n + 1 coroutine.yield('in ' .. n) "
        "    if n % 2 == 0 then error('odd ' .. n, 0) end end)\n"
        "  coroutine.yield(tostring(ok) .. tostring(e))\n"
        "  local _, m = xpcall(function() coroutine.yield('x' .. n) error({n}) end,\n"
        "    function(err) return 'handled ' .. err[1] end)\n"
        "  coroutine.yield(m) end end)\n"
        "function advance() return co() end");
}

TEST(suspended_inside_metamethods) {
    check_lua_replay(
        "local y = coroutine.yield\n"
        "mt = {__add = function(a, b) return y('add') end, __index = function(t, k) "
        "  return y('index ' .. k) end, __newindex = function(t, k, v) y('newindex ' .. k) end,\n"
        "  __lt = function() return y('lt') end, __eq = function() return y('eq') end,\n"
        "  __concat = function() return y('concat') end, __call = function(t, a) "
        "  return y('call ' .. a) end, __len = function() return y('len') end,\n"
        "  __unm = function() return y('unm') end}\n"
        "a, b = setmetatable({}, mt), setmetatable({}, mt)\n"
        "co = coroutine.wrap(function() local n = 0 while true do n = n + 1\n"
        "  local r = {a + b, a.key, a < b, a == b, a .. b, #a, -a, a(n)}\n"
        "  a.new = n; y(#r .. ' ' .. tostring(r[1]) .. tostring(r[8])) end end)\n"
        "x = 0 function advance() x = x + 1 return co(x) end");
}

TEST(suspended_inside_an_iterator) {
    check_lua_replay(
        "local function each(t) return function(t, i) i = i + 1 coroutine.yield('at ' .. i) "
        "  if t[i] then return i, t[i] end end, t, 0 end\n"
        "co = coroutine.wrap(function() while true do local s = 0 "
        "  for i, v in each {5, 6, 7, 8} do s = s + v coroutine.yield(s) end end end)\n"
        "function advance() return co() end");
}

TEST(suspended_with_pending_to_be_closed_variables) {
    check_lua_replay(
        "closed = {} local function tbc(name) return setmetatable({}, {__close = "
        "  function(_, e) closed[#closed + 1] = name .. tostring(e) "
        "  coroutine.yield('closing ' .. name) end}) end\n"
        "co = coroutine.wrap(function() for n = 1, 100 do pcall(function()\n"
        "  local a <close> = tbc('a' .. n) coroutine.yield('one ' .. #closed)\n"
        "  local b <close> = tbc('b' .. n) coroutine.yield('two ' .. #closed)\n"
        "  if n % 2 == 0 then error('e', 0) end end) end end)\n"
        "function advance() return co() .. table.concat(closed, ',') end");
}

TEST(closed_by_the_script_while_variables_are_pending) {
    check_lua_replay(
        "n, closed = 0, 0\n"
        "function advance() n = n + 1\n"
        "  if not co then co = coroutine.create(function() local v <close> = "
        "    setmetatable({}, {__close = function() closed = closed + 1 end})\n"
        "    coroutine.yield() end) coroutine.resume(co) return 'new ' .. n end\n"
        "  coroutine.close(co) co = nil return 'closed ' .. closed end");
}

TEST(coroutines_inside_coroutines) {
    check_lua_replay(
        "local function level(d) return coroutine.wrap(function() local n = 0\n"
        "  local inner = d > 0 and level(d - 1)\n"
        "  while true do n = n + 1 coroutine.yield((inner and inner() or '') .. d .. ':' .. n) "
        "  end end) end\n"
        "co = level(8) function advance() return co() end");
}

TEST(suspended_deep_in_recursion) {
    check_lua_replay(
        "local function deep(d) if d == 0 then return coroutine.yield('bottom') end\n"
        "  return 1 + deep(d - 1) end\n"
        "co = coroutine.wrap(function() local d = 10 while true do d = d * 2 % 7000 + 1\n"
        "  coroutine.yield('depth ' .. deep(d)) end end)\n"
        "x = 0 function advance() x = x + 1 return co(x) .. x end");
}

TEST(dead_and_failed_coroutines_live_again) {
    check_lua_replay(
        "n = 0 co = coroutine.create(function() for i = 1, 4 do coroutine.yield(i) end "
        "  error('the end') end)\n"
        "function advance() n = n + 1 local ok, v = coroutine.resume(co) "
        "  return n .. tostring(ok) .. tostring(v) .. coroutine.status(co) end");
}

TEST(many_coroutines_come_and_go) {
    check_lua_replay(
        "list, n = {}, 0 function advance() n = n + 1\n"
        "  for i = 1, 40 do list[#list + 1] = coroutine.wrap(function() local s = i "
        "    for k = 1, 1 + i % 5 do s = s * 3 % 101 coroutine.yield(s) end return nil end) end\n"
        "  local sum, left = 0, {} for _, c in ipairs(list) do local v = c() "
        "    if v then sum = sum + v left[#left + 1] = c end end\n"
        "  list = left return n .. ' ' .. sum .. ' ' .. #left end");
}

TEST(created_after_the_snapshot_and_rolled_back_is_gone) {
    lua_State *L = open_vm(1 * MIB, 1);
    int i;
    CHECK_OK(rlua_snap(L));
    for (i = 0; i < 20; i++) {
        run(L, "t = {} for i = 1, 50 do t[i] = coroutine.wrap(function() "
               "coroutine.yield(i) end) t[i]() end");
        lua_newthread(L);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(lua_gettop(L), 0);
        CHECK_EVAL(L, "t", "nil");
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

/* Coroutines of the host: a C function that yields with a continuation. The thread is the
 * registry's "co"; a step resumes it with the step's number and tells what it yielded. */
static const char *advance_host(lua_State *L, char *text) {
    lua_State *co;
    int count = 0, status, i;
    size_t used = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, "co");
    co = lua_tothread(L, -1);
    lua_getfield(L, LUA_REGISTRYINDEX, "steps");
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "steps");
    lua_xmove(L, co, 1);
    status = lua_resume(co, L, 1, &count);
    used += (size_t)snprintf(text, TEXT_SIZE, "%d:", status);
    for (i = -count; i < 0 && used < TEXT_SIZE; i++) {
        const char *value = luaL_tolstring(co, i, NULL);
        used += (size_t)snprintf(text + used, TEXT_SIZE - used, " %s", value);
        lua_pop(co, 1);
    }
    lua_pop(co, count);
    lua_pop(L, 1);
    return text;
}

static int counting_k(lua_State *L, int status, lua_KContext sum) {
    (void)status;
    sum += (lua_KContext)lua_tointeger(L, -1);
    lua_settop(L, 0);
    lua_pushfstring(L, "sum %d", (int)sum);
    return lua_yieldk(L, 1, sum, counting_k);
}

static int counting(lua_State *L) { return counting_k(L, LUA_OK, 100); }

/* Calls the Lua function at index 1 for ever, protected; it may yield and fail. */
static int protecting_k(lua_State *L, int status, lua_KContext calls) {
    while (lua_checkstack(L, 4)) {
        if (status != LUA_OK && status != LUA_YIELD) {
            lua_pushfstring(L, "caught %s after %d", lua_tostring(L, -1), (int)calls);
            lua_setglobal(L, "caught");
        }
        lua_settop(L, 1);
        lua_pushvalue(L, 1);
        status = lua_pcallk(L, 0, 1, 0, ++calls, protecting_k);
    }
    return 0;
}

static int protecting(lua_State *L) { return protecting_k(L, LUA_OK, 0); }

static int calling_k(lua_State *L, int status, lua_KContext calls) {
    (void)status;
    while (lua_checkstack(L, 4)) {
        lua_settop(L, 1);
        lua_pushvalue(L, 1);
        lua_callk(L, 0, 0, ++calls, calling_k);
    }
    return 0;
}

static int calling(lua_State *L) { return calling_k(L, LUA_OK, 0); }

static lua_State *host_coroutine(lua_State *L) {
    lua_State *co = lua_newthread(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "co");
    lua_pushinteger(L, 0);
    lua_setfield(L, LUA_REGISTRYINDEX, "steps");
    return co;
}

TEST(host_coroutine_with_yieldk) {
    lua_State *L = open_vm(4 * MIB, 0), *co = host_coroutine(L);
    lua_pushcfunction(co, counting);
    check_replay(L, advance_host);
    lua_close(L);
}

/* The first step hands its number to the C function, so these bind the argument in Lua. */
static void check_host_replay(lua_CFunction function, const char *body) {
    lua_State *L = open_vm(4 * MIB, 0), *co = host_coroutine(L);
    lua_register(L, "host_function", function);
    run(L, body);
    luaL_loadstring(L, "host_function(body)");
    lua_xmove(L, co, 1);
    check_replay(L, advance_host);
    lua_close(L);
}

TEST(host_coroutine_with_pcallk) {
    check_host_replay(protecting,
        "n = 0 function body() n = n + 1 coroutine.yield(n, tostring(caught))\n"
        "  if n % 3 == 0 then error('third', 0) end coroutine.yield('second of ' .. n) end");
}

TEST(host_coroutine_with_callk) {
    check_host_replay(calling,
        "n = 0 function body() n = n + 1 coroutine.yield(n) coroutine.yield('second ' .. n) end");
}

TEST(host_coroutine_that_fails_and_is_reset) {
    lua_State *L = open_vm(4 * MIB, 1), *co = lua_newthread(L);
    int count, round;
    luaL_loadstring(co, "local v <close> = setmetatable({}, {__close = function() "
                        "closed = (closed or 0) + 1 end}) coroutine.yield(1) error('x')");
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_YIELD);
    lua_pop(co, count);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 5; round++) {
        CHECK_EQ(lua_status(co), LUA_YIELD);
        CHECK_EVAL(L, "closed", "nil");
        if (round % 2) {
            CHECK_EQ(lua_resume(co, L, 0, &count), LUA_ERRRUN);
            CHECK_EQ(lua_closethread(co, L), LUA_ERRRUN);
        } else {
            CHECK_EQ(lua_closethread(co, L), LUA_OK);
        }
        CHECK_EVAL(L, "closed", "1");
        CHECK_EQ(lua_status(co), LUA_OK);
        if (round >= 2) lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
}

static void yielding_hook(lua_State *L, lua_Debug *activation) {
    (void)activation;
    if (lua_isyieldable(L)) lua_yield(L, 0);
}

static const char *advance_hooked(lua_State *L, char *text) {
    lua_State *co;
    int count = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, "co");
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
    CHECK_EQ(lua_resume(co, L, 0, &count), LUA_YIELD);
    return eval(L, "n .. ' ' .. #list", text, TEXT_SIZE);
}

TEST(suspended_by_a_hook) {
    lua_State *L = open_vm(4 * MIB, 0), *co = host_coroutine(L);
    run(L, "n, list = 0, {}");
    luaL_loadstring(co, "while true do n = n + 1 list[#list + 1] = {n} end");
    lua_sethook(co, yielding_hook, LUA_MASKCOUNT, 50);
    check_replay(L, advance_hooked);
    lua_close(L);
}

TEST(values_on_the_stack_of_a_host_thread) {
    lua_State *L = open_vm(1 * MIB, 1), *co = lua_newthread(L);
    int round;
    lua_pushstring(co, "kept");
    lua_pushnumber(co, 2.5);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        lua_settop(co, 0);
        luaL_checkstack(co, 3000, NULL);
        while (lua_gettop(co) < 3000) lua_pushinteger(co, round);
        lua_pop(L, 1);
        if (round) {
            lua_gc(L, LUA_GCCOLLECT); /* frees the thread: nothing holds it now */
            run(L, "t = {} for i = 1, 1000 do t[i] = {} end");
        }
        CHECK_OK(rlua_rollback(L, 1));
        CHECK(lua_tothread(L, 1) == co);
        CHECK_EQ(lua_gettop(co), 2);
        CHECK_STR(lua_tostring(co, 1), "kept");
        CHECK(lua_tonumber(co, 2) == 2.5);
        lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
}
