/* restore.c: a rollback undoes every later write, wherever in the state it went.
 * Method: run, snap, run more, roll back; reads must then match the snapshot. The last test
 * does so with random programs, against a model that keeps a description of each frame. */
#include "harness.h"

/* A snapshot after `before`; `change` is then undone `rounds` times, the last two rounds with
 * a full collection between. `expression` must read the same each time, and the change must
 * show. */
static void check_undone(const char *before, const char *change, const char *expression) {
    char old_value[512], new_value[512], value[512];
    lua_State *L = open_vm(8 * MIB, 1);
    int round;
    run(L, before);
    eval(L, expression, old_value, sizeof old_value);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        size_t used = info_of(L).used_bytes;
        run(L, change);
        eval(L, expression, new_value, sizeof new_value);
        CHECK(strcmp(old_value, new_value) != 0);
        if (round >= 2) lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
        CHECK_EQ(info_of(L).used_bytes, used);
        CHECK_STR(eval(L, expression, value, sizeof value), old_value);
        CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
}

TEST(rollback_undoes_later_writes) {
    lua_State *L = rlua_new_rollback(1 * MIB, 1);
    run(L, "n = 1");
    CHECK_OK(rlua_snap(L));
    run(L, "n = 2");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 1);
    lua_close(L);
}

TEST(globals_and_fields) {
    check_undone("t = {a = {b = {c = 1}}}", "t.a.b.c = 2; t.a.d = 3", "t.a.b.c");
    check_undone("t = {a = 1}", "t = nil", "t");
}

TEST(upvalues_open_and_closed) {
    check_undone("local n = 0; function get() return n end; function inc() n = n + 1 end",
                 "inc() inc()", "get()");
}

TEST(metatables) {
    check_undone("t = setmetatable({}, {__index = function() return 'old' end})",
                 "setmetatable(t, {__index = function() return 'new' end})", "t.x");
    check_undone("mt = {__index = {x = 1}}; t = setmetatable({}, mt)", "mt.__index = nil", "t.x");
}

TEST(metatable_of_all_strings) {
    check_undone("", "string.upper = function() return 'changed' end", "('abc'):upper()");
}

TEST(tables_that_grew) {
    check_undone("t = {1, 2, 3}", "for i = 1, 20000 do t[i] = i; t['k' .. i] = i end", "#t");
}

TEST(tables_that_shrank) {
    check_undone("t = {} for i = 1, 5000 do t[i] = {i} end",
                 "t = {}; collectgarbage()", "#t == 0 and 0 or t[4999][1]");
}

TEST(long_and_short_strings) {
    check_undone("s = ('short'); l = ('long '):rep(1000)", "s = 'x' .. s; l = l .. s:rep(300)",
                 "s .. #l .. l:sub(-5)");
}

TEST(functions_loaded_later) {
    check_undone("function f() return 'first' end",
                 "f = load('return \"second\"')", "f()");
}

TEST(random_numbers) {
    char first[64], again[64];
    lua_State *L = open_vm(1 * MIB, 1);
    run(L, "math.randomseed(42); math.random()");
    CHECK_OK(rlua_snap(L));
    eval(L, "math.random(1 << 40)", first, sizeof first);
    CHECK(strcmp(eval(L, "math.random(1 << 40)", again, sizeof again), first) != 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_STR(eval(L, "math.random(1 << 40)", again, sizeof again), first);
    lua_close(L);
}

TEST(the_loaded_libraries) {
    check_undone("", "package.loaded.string = nil; string = nil", "string and 'there'");
}

TEST(garbage_collector_parameters) {
    lua_State *L = open_vm(1 * MIB, 1);
    lua_gc(L, LUA_GCINC, 150, 120, 0);
    CHECK_OK(rlua_snap(L));
    lua_gc(L, LUA_GCGEN, 0, 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(lua_gc(L, LUA_GCGEN, 0, 0), LUA_GCINC);
    lua_gc(L, LUA_GCSTOP);
    CHECK_OK(rlua_snap(L));
    lua_gc(L, LUA_GCRESTART);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(!lua_gc(L, LUA_GCISRUNNING));
    lua_close(L);
}

TEST(stack_of_the_main_state) {
    lua_State *L = open_vm(1 * MIB, 1);
    int i;
    lua_pushinteger(L, 10);
    lua_pushstring(L, "twenty");
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(lua_gettop(L), 2);
    lua_settop(L, 0);
    luaL_checkstack(L, 5000, NULL);
    for (i = 0; i < 5000; i++) lua_pushinteger(L, i);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_EQ(lua_tointeger(L, 1), 10);
    CHECK_STR(lua_tostring(L, 2), "twenty");
    lua_settop(L, 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(lua_gettop(L), 2);
    lua_close(L);
}

TEST(userdata_blocks_and_user_values) {
    lua_State *L = open_vm(1 * MIB, 1);
    char *block = (char *)lua_newuserdatauv(L, 10000, 2);
    memset(block, 'a', 10000);
    lua_pushstring(L, "old");
    lua_setiuservalue(L, -2, 2);
    CHECK_OK(rlua_snap(L));
    memset(block, 'b', 10000);
    lua_pushstring(L, "new");
    lua_setiuservalue(L, -2, 2);
    lua_pop(L, 1);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(lua_touserdata(L, 1) == block);
    CHECK(block[0] == 'a' && block[5000] == 'a' && block[9999] == 'a');
    lua_getiuservalue(L, 1, 2);
    CHECK_STR(lua_tostring(L, -1), "old");
    lua_close(L);
}

TEST(addresses_stay) {
    lua_State *L = open_vm(4 * MIB, 1), *thread = lua_newthread(L);
    const void *table, *function, *string;
    lua_newtable(L);
    table = lua_topointer(L, -1);
    lua_getglobal(L, "print");
    lua_getglobal(L, "dofile");
    function = (const void *)lua_topointer(L, -1);
    string = lua_pushstring(L, "a string");
    CHECK_OK(rlua_snap(L));
    lua_settop(L, 0);
    lua_gc(L, LUA_GCCOLLECT);
    run(L, "t = {} for i = 1, 10000 do t[i] = {i} end");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(lua_tothread(L, 1) == thread);
    CHECK(lua_topointer(L, 2) == table);
    CHECK(lua_topointer(L, 4) == function);
    CHECK(lua_tostring(L, 5) == (const char *)string);
    CHECK_EQ(lua_status(thread), LUA_OK);
    lua_close(L);
}

TEST(order_of_iteration) {
    const char *keys = "(function() local k = {} for key in pairs(t) do "
                       "k[#k + 1] = key.n end return table.concat(k, ' ') end)()";
    check_undone("t = {} for i = 1, 20 do t[{n = i}] = i end",
                 "for k in pairs(t) do if k.n % 3 == 0 then t[k] = nil end end"
                 " for i = 21, 70 do t[{n = i}] = i end", keys);
}

TEST(memory_that_grew_is_given_back) {
    lua_State *L = open_vm(64 * MIB, 1);
    rlua_Info before, grown, after;
    CHECK_OK(rlua_snap(L));
    before = info_of(L);
    run(L, "s = {} for i = 1, 16 do s[i] = ('x'):rep(1 << 20) .. i end");
    grown = info_of(L);
    CHECK(grown.used_bytes > before.used_bytes + 16 * MIB);
    CHECK(grown.peak_bytes >= grown.used_bytes);
    CHECK_OK(rlua_rollback(L, 1));
    after = info_of(L);
    CHECK_EQ(after.used_bytes, before.used_bytes);
    CHECK_EVAL(L, "s", "nil");
    run(L, "s = {} for i = 1, 16 do s[i] = ('y'):rep(1 << 20) .. i end");
    CHECK_EVAL(L, "s[16]:sub(-3)", "y16");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(memory_that_was_freed_is_there_again) {
    lua_State *L = open_vm(64 * MIB, 1);
    run(L, "s = {} for i = 1, 16 do s[i] = ('x'):rep(1 << 20) .. i end");
    CHECK_OK(rlua_snap(L));
    run(L, "s = nil");
    lua_gc(L, LUA_GCCOLLECT);
    run(L, "t = {} for i = 1, 50000 do t[i] = {i} end");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "#s[16] .. s[16]:sub(1, 1) .. s[16]:sub(-2)", "1048578x16");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(an_untouched_vm_copies_no_page) {
    lua_State *L = open_vm(1 * MIB, 4);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(info_of(L).dirty_pages, 0);
    lua_pushinteger(L, 7);
    CHECK_OK(rlua_snap(L));
    CHECK(info_of(L).dirty_pages >= 1);
    lua_close(L);
}

TEST(extra_space_of_the_state) {
    lua_State *L = open_vm(1 * MIB, 1);
    void *mark = &mark;
    memset(lua_getextraspace(L), 0, LUA_EXTRASPACE);
    CHECK_OK(rlua_snap(L));
    memcpy(lua_getextraspace(L), &mark, sizeof mark);
    CHECK_OK(rlua_rollback(L, 1));
    memcpy(&mark, lua_getextraspace(L), sizeof mark);
    CHECK(mark == NULL);
    lua_close(L);
}

/* What the model remembers of a frame is the state's own description of itself. */
static const char RANDOM_PROGRAM[] =
    "world = {n = 0, list = {}, names = {}, fns = {}, weak = setmetatable({}, {__mode = 'k'})}\n"
    "co = coroutine.wrap(function() local s = 0 while true do s = s + coroutine.yield(s) end end)\n"
    "total = co()\n"
    "ops = {\n"
    "  function(r) for i = 1, r % 50 do world.list[#world.list + 1] = {r + i} end end,\n"
    "  function(r) for i = 1, r % 60 do world.list[#world.list] = nil end end,\n"
    "  function(r) world.names['k' .. r % 97] = ('v'):rep(r % 3000) end,\n"
    "  function(r) world.names['k' .. r % 97] = nil end,\n"
    "  function(r) local n = r; world.fns[r % 13] = function() n = n + 1 return n end end,\n"
    "  function(r) local f = world.fns[r % 13]; if f then world.n = f() end end,\n"
    "  function(r) total = co(r % 7) end,\n"
    "  function(r) if r % 9 == 0 then world.list = {} world.names = {} end end,\n"
    "  function(r) world.weak[{}] = r end,\n"
    "}\n"
    "function digest()\n"
    "  local d, keys = {world.n, total, #world.list}, {}\n"
    "  for _, v in ipairs(world.list) do d[3] = (d[3] * 31 + v[1]) % 1000003 end\n"
    "  for k in pairs(world.names) do keys[#keys + 1] = k end\n"
    "  table.sort(keys)\n"
    "  for _, k in ipairs(keys) do d[#d + 1] = k .. #world.names[k] end\n"
    "  local h = 7\n"
    "  for c in table.concat(d, ' '):gmatch('.') do h = (h * 33 + c:byte()) % 2^40 end\n"
    "  return string.format('%d %d %d %.0f', d[1], d[2], d[3], h)\n"
    "end\n";

static uint64_t random_state;

static unsigned random_below(unsigned bound) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % bound;
}

enum { MODEL_FRAMES = 8, DIGEST_SIZE = 96 };

typedef struct Model {
    char digests[MODEL_FRAMES][DIGEST_SIZE];
    int count;
} Model;

static void model_snap(lua_State *L, Model *model) {
    if (model->count == MODEL_FRAMES)
        memmove(model->digests[0], model->digests[1], DIGEST_SIZE * (size_t)--model->count);
    /* The digest leaves garbage, so it is made before the snapshot. */
    eval(L, "digest()", model->digests[model->count++], DIGEST_SIZE);
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(snapshot_count(L), model->count);
}

static void model_rollback(lua_State *L, Model *model) {
    char digest[DIGEST_SIZE];
    int n = 1 + (int)random_below((unsigned)model->count);
    CHECK_OK(rlua_rollback(L, (size_t)n));
    model->count -= n - 1;
    CHECK_EQ(snapshot_count(L), model->count);
    CHECK_OK(rlua_check(L));
    CHECK_STR(eval(L, "digest()", digest, sizeof digest), model->digests[model->count - 1]);
}

static void model_step(lua_State *L, Model *model) {
    char chunk[64];
    unsigned op = 1 + random_below(9), argument = random_below(100000);
    switch (random_below(14)) {
        case 0: case 1: model_snap(L, model); break;
        case 2: if (model->count) model_rollback(L, model); break;
        case 3: lua_gc(L, LUA_GCCOLLECT); break;
        case 4: lua_gc(L, LUA_GCGEN, 0, 0); break;
        case 5: lua_gc(L, LUA_GCINC, 0, 0, 0); break;
        case 6: lua_gc(L, LUA_GCSTEP, (int)random_below(8)); break;
        default:
            snprintf(chunk, sizeof chunk, "ops[%u](%u)", op, argument);
            run(L, chunk);
    }
}

TEST(random_programs_match_the_model) {
    long seed, steps = 2000 / test_scale();
    for (seed = 1; seed <= 6; seed++) {
        lua_State *L = open_vm(16 * MIB, MODEL_FRAMES);
        Model model = {{{0}}, 0};
        long step;
        run(L, RANDOM_PROGRAM);
        random_state = (uint64_t)seed;
        printf("     seed %ld, %ld steps\n", seed, steps);
        for (step = 0; step < steps; step++) model_step(L, &model);
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}
