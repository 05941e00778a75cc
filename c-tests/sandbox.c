/* sandbox.c: what a script of a sandbox cannot reach, what several mods cannot do to each other.
 *
 * Method: each attempt is an expression that is true when it got out. Loops are in stalls.c. */
#include "harness.h"

static lua_State *open_sandbox(unsigned libs) {
    lua_State *L = rlua_new_rollback(8 * MIB, 2);
    CHECK(L != NULL);
    CHECK_OK(rlua_openlibs(L, libs));
    return L;
}

static const char *const libraries[] = {"coroutine", "table", "string", "utf8",    "math",
                                        "io",        "os",    "debug",  "package", "_G"};
static const unsigned bits[] = {RLUA_LIB_COROUTINE, RLUA_LIB_TABLE, RLUA_LIB_STRING,
                                RLUA_LIB_UTF8,      RLUA_LIB_MATH,  RLUA_LIB_IO,
                                RLUA_LIB_OS,        RLUA_LIB_DEBUG, RLUA_LIB_PACKAGE,
                                RLUA_LIB_BASE};

TEST(the_mask_says_which_libraries_are_open) {
    for (size_t i = 0; i < COUNT_OF(bits); i++) {
        lua_State *L = open_sandbox(bits[i]);
        for (size_t j = 0; j < COUNT_OF(bits); j++) {
            int is_open = lua_getglobal(L, libraries[j]) != LUA_TNIL;
            if (is_open != (i == j)) FAIL("mask 0x%x: %s", bits[i], libraries[j]);
            lua_pop(L, 1);
        }
        lua_close(L);
    }
}

TEST(all_is_what_luaL_openlibs_opens) {
    lua_State *ours = open_sandbox(RLUA_LIB_ALL), *stock = rlua_new_rollback(8 * MIB, 2);
    luaL_openlibs(stock);
    lua_pushglobaltable(stock);
    int count = 0;
    for (lua_pushnil(stock); lua_next(stock, -2); lua_pop(stock, 1), count++) {
        CHECK_EQ(lua_getglobal(ours, lua_tostring(stock, -2)), lua_type(stock, -1));
        lua_pop(ours, 1);
    }
    CHECK(count > 20);
    lua_close(ours);
    lua_close(stock);
}

TEST(unknown_bits_are_refused) {
    lua_State *L = open_sandbox(RLUA_LIB_BASE);
    CHECK_REFUSED(rlua_openlibs(L, 0x80000000u), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_openlibs(L, 0x400u), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_newenv(L, 0x400u), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_newenv(L, RLUA_LIB_ALL), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_openlibs(NULL, RLUA_LIB_ALL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_newenv(NULL, RLUA_LIB_SANDBOX), RLUA_NULL_ARG);
    CHECK_EQ(lua_gettop(L), 0);
    lua_close(L);
}

/* Each is true, or raises nothing, when it gets out. `binary` is a compiled chunk, `object` a
 * userdata of the host with a metatable that nobody protected. */
static const char *const escapes[] = {
    "io", "os", "debug", "package", "require", "dofile", "loadfile", "warn", "module",
    "string.dump", "(''):dump()", "('').dump",
    "_G.io or _G.debug or _G._LOADED",
    "load(binary)", "load(binary, 'x', 'b')", "load(binary, 'x', 'bt')", "load(binary, 'x', nil)",
    "load(function() local b = binary binary = nil return b end, 'x', 'b')",
    "load('return 1', 'x', 'b')",
    "getmetatable('')", "getmetatable('x')", "getmetatable(object)",
    "pcall(setmetatable, '', {})",
    "pcall(setmetatable, {}, {__gc = print})",
    "pcall(setmetatable, {}, {__gc = true})",
    "pcall(setmetatable, {}, setmetatable({__gc = false}, {}))",
    "pcall(collectgarbage, 'stop')", "pcall(collectgarbage, 'setpause', 1)",
    "pcall(collectgarbage, 'setstepmul', 1 << 40)", "pcall(collectgarbage, 'incremental', 1)",
    "pcall(collectgarbage, 'generational')", "pcall(collectgarbage, 'restart')",
    "pcall(collectgarbage, 'isrunning')",
    "pcall(coroutine.close, coroutine.running())",
    "coroutine.resume(coroutine.running())",
    "rawequal(getmetatable(setmetatable({}, {__metatable = 'mine'})), nil)",
    "pcall(setmetatable, setmetatable({}, {__metatable = 'mine'}), {})",
    "pcall(rawset, '', 'x', 1)", "pcall(rawget, object, 'x')", "pcall(next, object)",
    "pcall(rawlen, object)",
};

TEST(a_sandbox_has_no_way_out) {
    lua_State *L = open_sandbox(RLUA_LIB_ALL);
    char chunk[300];
    CHECK_OK(rlua_dostring(L, "return string.dump(function() return 1 end)"));
    const char *binary = lua_tostring(L, -1);
    size_t length = lua_rawlen(L, -1);
    lua_State *box = open_sandbox(RLUA_LIB_SANDBOX);
    lua_pushlstring(box, binary, length);
    lua_setglobal(box, "binary");
    lua_newuserdatauv(box, 8, 0);
    lua_newtable(box);
    lua_setmetatable(box, -2);
    lua_setglobal(box, "object");
    CHECK_OK(rlua_snap(box));
    for (size_t i = 0; i < COUNT_OF(escapes); i++) {
        snprintf(chunk, sizeof chunk, "local ok, value = pcall(function() return (%s) end) "
                 "return ok and value", escapes[i]);
        CHECK_OK(rlua_dostring(box, chunk));
        if (lua_toboolean(box, -1)) FAIL("a way out: %s", escapes[i]);
        CHECK_OK(rlua_rollback(box, 1));
    }
    CHECK_OK(rlua_check(box));
    lua_close(box);
    lua_close(L);
}

TEST(what_is_left_works) {
    lua_State *L = open_sandbox(RLUA_LIB_SANDBOX);
    CHECK_OK(rlua_dostring(L,
        "assert(load('return 1')() == 1 and load('return x', 'n', 't', {x = 2})() == 2)\n"
        "assert(load('return x', 'n', nil, {x = 2})() == 2 and not load('x = = 1'))\n"
        "local n = 0 assert(load(function() n = n + 1 return ({'return ', '3'})[n] end)() == 3)\n"
        "local mt = {} assert(getmetatable(setmetatable({}, mt)) == mt)\n"
        "assert(collectgarbage('count') > 1 and collectgarbage() == 0 and collectgarbage('step'))\n"
        "assert(('x'):rep(2) == 'xx' and '10' + 1 == 11 and #'abc' == 3)\n"
        "function string.twice(s) return s .. s end assert(('x'):twice() == 'xx')\n"
        "assert(getmetatable(1) == nil and getmetatable(nil) == nil)\n"
        "x = 1 assert(load('x = x + 1 return _G')() == _G and x == 2)\n"));
    lua_close(L);
}

TEST(deterministic_takes_files_and_binaries_only) {
    lua_State *L = open_sandbox(RLUA_LIB_DETERMINISTIC);
    CHECK_OK(rlua_dostring(L,
        "assert(not io and not os and not debug and not package and not dofile and not loadfile)\n"
        "assert(not load(string.dump(load('return 1')), 'x', 'b'))\n"
        "setmetatable({}, {__gc = function() end}) collectgarbage('incremental')\n"));
    lua_close(L);
}

/* -- several mods ------------------------------------------------------------------------------ */

/* Runs a mod's code in its environment, which stands at `env`. */
static int run_in(lua_State *L, int env, const char *code) {
    int status = rlua_loadbuffer(L, code, strlen(code), "=mod", "t");
    if (status != RLUA_OK) return status;
    lua_pushvalue(L, env);
    lua_setupvalue(L, -2, 1);
    return rlua_call(L, 0, 0, 0);
}

#define RUN_IN(env, code) CHECK_OK(run_in(L, env, code))

/* What mod 1 spoils, mod 2 and the host do not see. */
static const char *const sabotage[] = {
    "string.rep = nil string.format = error",
    "for k in pairs(string) do string[k] = nil end",
    "for k in pairs(table) do rawset(table, k, error) end",
    "math.floor, math.random, utf8.char, coroutine.wrap = nil",
    "setmetatable(_G, {__index = function() error('mine') end}) print = nil",
    "setmetatable(string, {__index = error}) setmetatable(table, {__newindex = error})",
    "local g = _G for k in next, g do g[k] = nil end",
    "load('string.rep = nil; leaked = 1; _G.leaked = 2')()",
    "load('_ENV.leaked = 3')() load('leaked = 4', 'n', 't')() load('leaked = 5', 'n', 't', _ENV)()",
    "load(function() local s = code code = nil return s end)",
    "function string.upper() return 'mine' end",
    "pcall(function() getmetatable('').__index = {} end)",
    "pcall(function() getmetatable('').__add = error end)",
    "pcall(setmetatable, '', {__index = {}})",
    "math.randomseed(1) math.random()",
    "tostring = nil rawset(_G, 'next', nil) rawset(string, 'sub', error)",
    "coroutine.wrap(function() string.byte = nil _ENV = {} leaked = 1 end)()",
};

TEST(mods_do_not_reach_each_other) {
    static const char check[] =
        "assert(string.rep('x', 3) == 'xxx' and ('x'):rep(3) == 'xxx' and ('a'):upper() == 'A')\n"
        "assert(string.format('%d', 7) == '7' and table.concat({1, 2}) == '12' and leaked == nil)\n"
        "assert(math.floor(1.5) == 1 and utf8.char(65) == 'A' and coroutine.wrap(load)('') )\n"
        "assert(tostring(1) == '1' and next({}) == nil and '10' + 1 == 11 and print and pcall)\n"
        "assert(string.byte('A') == 65 and ('abc'):sub(2) == 'bc' and _G._G == _G)\n";
    for (size_t i = 0; i < COUNT_OF(sabotage); i++) {
        lua_State *L = open_sandbox(RLUA_LIB_ALL);
        CHECK_OK(rlua_newenv(L, RLUA_LIB_SANDBOX));
        CHECK_OK(rlua_newenv(L, RLUA_LIB_SANDBOX));
        CHECK_EQ(lua_gettop(L), 2);
        RUN_IN(2, "random = {math.random(100), math.random(100)}");
        int status = run_in(L, 1, sabotage[i]);
        if (status != RLUA_OK) FAIL("%s: %s", sabotage[i], rlua_last_error(L));
        RUN_IN(2, check);
        CHECK_OK(rlua_dostring(L, check));
        CHECK_OK(rlua_newenv(L, RLUA_LIB_SANDBOX));
        CHECK_OK(run_in(L, 3, check));
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

TEST(an_environment_is_all_that_a_mod_sees) {
    lua_State *L = open_sandbox(RLUA_LIB_ALL);
    CHECK_OK(rlua_dostring(L, "secret = 1"));
    CHECK_OK(rlua_newenv(L, RLUA_LIB_SANDBOX));
    RUN_IN(1, "assert(not secret and not _G.secret and not load('return secret')() and not io)\n"
              "assert(load('return _G')() == _G and _G.string == string and not string.dump)\n"
              "assert(not ('').dump and getmetatable('') == false and _VERSION)\n"
              "mine = 1");
    CHECK_OK(rlua_dostring(L, "assert(mine == nil and getmetatable('') == false)"));
    lua_close(L);
}

TEST(an_environment_without_locks_shares_the_methods_of_strings) {
    lua_State *L = open_sandbox(RLUA_LIB_ALL);
    CHECK_OK(rlua_newenv(L, RLUA_LIB_DETERMINISTIC));
    CHECK_OK(rlua_dostring(L, "function string.twice(s) return s .. s end"));
    RUN_IN(1, "assert(('x'):twice() == 'xx' and not string.twice)");
    lua_close(L);
    L = rlua_new_rollback(8 * MIB, 2); /* the first library of all */
    CHECK_OK(rlua_newenv(L, RLUA_LIB_STRING));
    RUN_IN(1, "local s = ('x'):rep(2)");
    lua_close(L);
}

TEST(environments_roll_back) {
    lua_State *L = open_sandbox(RLUA_LIB_SANDBOX);
    CHECK_OK(rlua_newenv(L, RLUA_LIB_SANDBOX));
    RUN_IN(1, "n = 1");
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_set_budget(L, 1000));
    CHECK_STATUS(run_in(L, 1, "n = 2 string.rep = nil while true do end"), RLUA_BUDGET);
    CHECK_OK(rlua_rollback(L, 1));
    RUN_IN(1, "assert(n == 1 and string.rep)");
    lua_close(L);
}

TEST(no_memory_leaves_strings_as_they_were) {
    int refused = 0;
    for (size_t kib = 36; kib < 90; kib++) {
        lua_State *L = rlua_new_rollback(kib * KIB, 0);
        if (L == NULL) continue;
        int status = rlua_openlibs(L, RLUA_LIB_SANDBOX);
        for (int i = 0; i < 8 && status == RLUA_OK; i++) status = rlua_newenv(L, RLUA_LIB_SANDBOX);
        if (status != RLUA_OK) {
            CHECK_STATUS(status, RLUA_ERR_MEM);
            refused++;
        }
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
    CHECK(refused > 5);
}
