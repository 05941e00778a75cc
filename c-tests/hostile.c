/* hostile.c: a script that has the library `debug` reaches nothing of the library's own.
 * Method: it tries to read and set what a host function and a resource's methods carry, to find the
 * tables that references and resource types live in, and to pass other values off as handles. The
 * process must live, and what the host keeps must be what it was. */
#include "harness.h"

static int calls, releases;

static int counted(lua_State *L, void *ud) {
    calls++;
    CHECK(ud == &calls);
    (void)L;
    return 0;
}

static void release(lua_State *L, void *object, void *ud) {
    (void)L, (void)object, (void)ud;
    releases++;
}

static int method(lua_State *L, void *ud);
static const rlua_Method methods[] = {{"touch", method}, {NULL, NULL}};
static const rlua_ResourceType type = {sizeof type, "Thing", release, &calls, methods};

static int method(lua_State *L, void *ud) {
    void *object;
    CHECK(ud == &calls);
    calls++;
    if (rlua_toresource(L, 1, &type, &object) != RLUA_OK)
        return rlua_argerror(L, 1, rlua_last_error(L));
    CHECK(object == &releases);
    lua_pushboolean(L, 1);
    return 1;
}

static lua_State *begin(void) {
    lua_State *L = open_vm(4 * MIB, 2);
    calls = releases = 0;
    CHECK_OK(rlua_pushfunction(L, counted, &calls, "counted"));
    CHECK_OK(rlua_setglobal(L, "counted"));
    CHECK_OK(rlua_pushresource(L, &releases, &type));
    CHECK_OK(rlua_setglobal(L, "thing"));
    return L;
}

TEST(upvalues_of_host_functions_are_out_of_reach) {
    lua_State *L = begin();
    run(L, "for _, f in ipairs {counted, thing.touch} do for i = -1, 4 do\n"
           "  assert(debug.getupvalue(f, i) == nil)\n"
           "  assert(debug.setupvalue(f, i, nil) == nil)\n"
           "  assert(debug.setupvalue(f, i, 12345) == nil)\n"
           "  assert(not debug.upvalueid(f, i))\n"
           "  assert(not pcall(debug.upvaluejoin, f, i, function() return i end, 1))\n"
           "  assert(not pcall(debug.upvaluejoin, function() return i end, 1, f, i)) end end\n"
           "counted() assert(thing:touch())");
    CHECK_EQ(calls, 2);
    /* Other functions are as they were. */
    run(L, "local u = 5 local function f() return u end\n"
           "assert(debug.getupvalue(f, 1) == 'u' and debug.setupvalue(f, 1, 6) == 'u')\n"
           "assert(f() == 6)\n"
           "assert(debug.upvalueid(f, 1)) local g = string.gmatch('a', 'a')\n"
           "assert(debug.getupvalue(g, 1) == '')");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Everything that can be reached from the registry and the globals, by raw reads and upvalues. */
static const char reach_everything[] =
    "seen, count = {}, 0\n"
    "local function visit(v) local t = type(v) \n"
    "  if t ~= 'table' and t ~= 'function' and t ~= 'userdata' and t ~= 'thread' then return end\n"
    "  if seen[v] or v == seen then return end seen[v] = true count = count + 1\n"
    "  visit(debug.getmetatable(v))\n"
    "  if t == 'table' then for k, x in next, v do visit(k) visit(x) end\n"
    "  elseif t == 'userdata' then for i = 1, 3 do visit((debug.getuservalue(v, i))) end\n"
    "  elseif t == 'function' then\n"
    "    for i = 1, 9 do visit((select(2, debug.getupvalue(v, i)))) end end end\n"
    "visit(debug.getregistry()) visit(_G) for _, v in ipairs {'', 1, true, print} do visit(v) end\n"
    "for i = 1, 3 do visit(debug.getmetatable(({'', 1, true})[i])) end";

TEST(tables_of_references_and_of_types_are_out_of_reach) {
    lua_State *L = begin();
    rlua_Ref refs[300];
    int i, round;
    for (i = 0; i < 300; i++) {
        CHECK_OK(rlua_dostring(L, "local t = {'kept by a reference'} secret = setmetatable({t}, "
                                  "{__mode = 'v'}) return t"));
        refs[i] = rlua_ref(L);
        CHECK(refs[i] != 0);
        lua_settop(L, 0);
    }
    run(L, reach_everything);
    CHECK_EVAL(L, "count > 100", "true");
    /* The newest is alive, and a table that holds it is not among those that were reached. */
    CHECK_EVAL(L, "secret[1][1]", "kept by a reference");
    run(L, "for t in pairs(seen) do if type(t) == 'table' and t ~= seen then\n"
           "  for _, v in next, t do assert(v ~= secret[1] or t == secret) end end end");
    /* A script that wipes what it reaches harms itself; references and resources stay. */
    for (round = 0; round < 3; round++) {
        CHECK_OK(rlua_gc(L, round == 1 ? LUA_GCGEN : LUA_GCINC, 0));
        CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
        for (i = 0; i < 300; i++) {
            CHECK_OK(rlua_getref(L, refs[i]));
            CHECK(lua_istable(L, -1));
            lua_settop(L, 0);
        }
    }
    run(L, "local r = debug.getregistry() for k, v in next, r do\n"
           "  if k ~= 1 and k ~= 2 then r[k] = 'wiped' end end");
    CHECK_OK(rlua_getref(L, refs[7]));
    lua_settop(L, 0);
    CHECK_OK(rlua_unref(L, refs[7]));
    CHECK_OK(rlua_pushresource(L, &releases, &type));
    CHECK_OK(rlua_pushresource(L, &releases, &type));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* The roots hold in each mode, through emergencies and generations, whenever they were made. */
TEST(references_and_types_outlive_every_kind_of_collection) {
    static const char *const modes[] = {"incremental", "generational", "incremental"};
    size_t mode;
    int i, k;
    for (mode = 0; mode < COUNT_OF(modes); mode++) {
        lua_State *L = open_vm(1 * MIB, 2);
        rlua_Ref refs[200];
        char chunk[120];
        snprintf(chunk, sizeof chunk, "collectgarbage('%s')", modes[mode]);
        run(L, chunk);
        for (i = 0; i < 200; i++) {
            if (mode == 2) CHECK_OK(rlua_gc(L, LUA_GCSTEP, 0)); /* made in any phase */
            CHECK_OK(rlua_dostring(L, "return {}"));
            lua_pushinteger(L, i);
            lua_rawseti(L, -2, 1);
            refs[i] = rlua_ref(L);
            lua_settop(L, 0);
            if (i % 10 == 0) CHECK_OK(rlua_pushresource(L, &releases, &type));
            lua_settop(L, 0);
            CHECK_STATUS(rlua_dostring(L, i % 25 ? "for i = 1, 50 do local t = {i} end return 1"
                                                 : "local t = {} while true do t[#t + 1] = {} end"),
                         i % 25 ? RLUA_OK : RLUA_ERR_MEM);
            lua_settop(L, 0);
            CHECK_OK(rlua_check(L));
        }
        for (k = 0; k < 200; k++) {
            CHECK_OK(rlua_getref(L, refs[k]));
            lua_rawgeti(L, -1, 1);
            CHECK_EQ(lua_tointeger(L, -1), k);
            lua_settop(L, 0);
        }
        lua_close(L);
    }
}

TEST(what_only_looks_like_a_handle_is_refused) {
    lua_State *L = begin();
    void *object, *block;
    run(L, "mt = debug.getmetatable(thing)\n"
           "local t = debug.setmetatable({}, mt) assert(not pcall(t.touch, t))\n"
           "local f = io.tmpfile() debug.setmetatable(f, mt) assert(not pcall(thing.touch, f))\n"
           "mt.__gc(f) mt.__gc({}) mt.__gc(nil) mt.__close(f)\n"
           "debug.setmetatable(f, nil)\n"
           "for _, v in ipairs {1, 'x', print, coroutine.create(print), io.stdout} do\n"
           "  assert(not pcall(thing.touch, v)) mt.__gc(v) end");
    /* A block of the same size, its bytes copied from a handle. */
    CHECK_OK(rlua_getglobal(L, "thing"));
    CHECK_OK(rlua_newuserdata(L, lua_rawlen(L, -1), 0, &block));
    memcpy(block, lua_touserdata(L, -2), lua_rawlen(L, -2));
    CHECK_OK(rlua_getglobal(L, "mt"));
    CHECK(lua_setmetatable(L, -2));
    CHECK(rlua_toresource(L, -1, &type, &object) != RLUA_OK);
    CHECK(rlua_closeresource(L, -1, &type) != RLUA_OK);
    lua_settop(L, 0);
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0)); /* its __gc */
    CHECK_EQ(releases, 0);
    CHECK_EVAL(L, "thing:touch()", "true");
    /* Without its metatable a handle is one still, and with its finalizer taken away it is released
     * at the end. */
    run(L, "debug.setmetatable(thing, nil)");
    CHECK_OK(rlua_getglobal(L, "thing"));
    CHECK_OK(rlua_toresource(L, -1, &type, &object));
    lua_settop(L, 0);
    run(L, "mt.__gc = nil mt.__close = nil thing = nil collectgarbage()");
    CHECK_OK(rlua_check(L));
    lua_close(L);
    CHECK_EQ(releases, 1);
}
