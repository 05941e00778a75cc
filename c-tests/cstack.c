/* cstack.c: the deepest nesting that Lua allows fits on a thread of 512 KiB, whatever is nested.
 * Method: each shape recurses on such a thread until Lua's own limit stops it. */
#include "harness.h"

#include <pthread.h>

/* Sanitizers make frames larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_BYTES = 16 * 1024 * 1024 };
#else
enum { STACK_BYTES = 512 * 1024 };
#endif

static const char *const shapes[] = {
    /* patterns keep the most on the C stack: a buffer, and the captures */
    "local function f() return (('a'):gsub('a', f)) end return f()",
    "local m m = setmetatable({}, {__tostring = function() return ('%s'):format(m) end}) "
    "return tostring(m)",
    "local function f() return (('a'):gsub('a', function() return tostring(setmetatable({}, "
    "{__tostring = f})) end)) end return f()",
    "local function f() for l in ('a'):gmatch('a') do ('a'):gsub('a', f) end end return f()",
    "local t t = setmetatable({}, {__index = function() return table.concat(t, '', 1, 1) end}) "
    "return table.concat(t, '', 1, 1)",
    "local function f() table.sort({1, 2, 3}, function(a, b) f() return a < b end) end return f()",
    "local function f() return load(function() return f() end) end return f()",
    "local function f() return select(2, pcall(f)) end return f()",
    "local function f() return xpcall(error, f) end return f()",
    "local function f() return coroutine.wrap(f)() end return f()",
    "local function f() local x <close> = setmetatable({}, {__close = f}) end return f()",
    "local n = 0 package.searchers[1] = function() n = n + 1 return require('x' .. n) end "
    "return require 'q'",
    "local t = setmetatable({}, {__concat = function(a, b) return a .. b end}) return t .. t",
    "return assert(load('return ' .. ('('):rep(250) .. 1 .. (')'):rep(250)))",
    "return assert(load('return ' .. ('{'):rep(250) .. ('}'):rep(250)))",
    "return assert(load(('return function() '):rep(250) .. ('end '):rep(250)))",
    "return assert(load(('do '):rep(250) .. ('end '):rep(250)))",
    "return (('x'):rep(3000)):match(('x?'):rep(3000) .. 'y')",
    /* what runs when the limit is reached has a tenth more */
    "local function f() return (('a'):gsub('a', f)) end "
    "return xpcall(f, function() return f() end)",
};

typedef struct Case {
    const char *shape;
    int profile, status;
} Case;

static void *deepest(void *ud) {
    Case *c = ud;
    rlua_Config config;
    lua_State *L;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.profile = c->profile;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    c->status = luaL_dostring(L, c->shape);
    CHECK_OK(rlua_check(L));
    lua_close(L);
    return NULL;
}

TEST(every_nesting_ends_on_a_small_stack) {
    size_t i;
    int profile;
    for (i = 0; i < COUNT_OF(shapes); i++)
        for (profile = 0; profile < 2; profile++) {
            Case c = {shapes[i], profile, -1};
            pthread_attr_t attributes;
            pthread_t thread;
            CHECK_EQ(pthread_attr_init(&attributes), 0);
            CHECK_EQ(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
            CHECK_EQ(pthread_create(&thread, &attributes, deepest, &c), 0);
            CHECK_EQ(pthread_join(thread, NULL), 0);
            CHECK_EQ(pthread_attr_destroy(&attributes), 0);
            CHECK(c.status >= 0);
        }
}

TEST(the_limit_is_lua_orgs) {
    lua_State *L = open_vm(4 * MIB, 0);
    run(L, "function deep(n) if n == 0 then return 0 end "
           "return 1 + select(2, assert(pcall(deep, n - 1))) end");
    CHECK_EVAL(L, "deep(190)", "190");
    CHECK_EVAL(L, "pcall(deep, 200)", "false");
    CHECK_EVAL(L, "select(2, pcall(load, ('('):rep(300)))", "nil");
    lua_close(L);
}
