/* names.c: in the deterministic profile a pointer has a name that is the same in every process, and
 * tables keyed by pointers have one order.
 * Method: two VMs in one process lie at different addresses, and are given different pointers of
 * the host; what their scripts see must be equal. What depends on the libraries' names alone is
 * compared with what it was when this was written. */
#include "harness.h"

#define POINTERS 400

static char early[POINTERS + 1], late[POINTERS + 1]; /* only their addresses count */

static int first_function(lua_State *L) { return lua_gettop(L); }
static int second_function(lua_State *L) { return -1 + !lua_gettop(L); }
static int third_function(lua_State *L) { return lua_gettop(L) > 1; }

static lua_State *open_profile(int profile, uint64_t seed) {
    rlua_Config config;
    lua_State *L;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 8 * MIB;
    config.max_snapshots = 4;
    config.profile = profile;
    config.seed = seed;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    return L;
}

static void set_light(lua_State *L, const char *name, void *pointer) {
    lua_pushlightuserdata(L, pointer);
    lua_setglobal(L, name);
}

/* Keys `t` of the global table by the pointers, in that order. */
static void fill(lua_State *L, const char *pointers, int count) {
    int i;
    lua_getglobal(L, "t");
    for (i = 0; i < count; i++) {
        lua_pushinteger(L, i);
        lua_rawsetp(L, -2, pointers + i);
    }
    lua_pop(L, 1);
}

/* Evaluates in both; the texts must be equal. */
static void check_same(lua_State *a, lua_State *b, const char *expression) {
    static char of_a[8192], of_b[8192];
    eval(a, expression, of_a, sizeof of_a);
    CHECK_STR(eval(b, expression, of_b, sizeof of_b), of_a);
    CHECK(strlen(of_a) > 0);
}

static const char order[] =
    "function order(t) local s = {} for k, v in pairs(t) do s[#s + 1] = tostring(v) end "
    "return table.concat(s, ' ') end";

TEST(texts_of_objects_are_offsets) {
    lua_State *a = open_vm(MIB, 1), *b = open_vm(2 * MIB, 1);
    static const char *const expressions[] = {
        "tostring({})", "tostring(function() end)", "tostring(coroutine.create(print))",
        "tostring(io.stdout)", "tostring(math.random)", "tostring(coroutine.wrap(print))",
        "tostring(setmetatable({}, {__name = 'Thing'}))", "('%p'):format({})",
        "('%p'):format('a string')", "('%p'):format(('long'):rep(50))",
        "tostring(debug.upvalueid(coroutine.wrap(print), 1))",
        "select(2, pcall(error, 'x' .. tostring({})))", "tostring(debug.getregistry())"};
    size_t i;
    for (i = 0; i < COUNT_OF(expressions); i++) check_same(a, b, expressions[i]);
    CHECK_EVAL(a, "tostring({}):match('^table: 0x0000%x%x%x%x%x%x%x%x$') ~= nil", "true");
    CHECK_EVAL(a, "tostring({}) ~= tostring({})", "true");
    lua_newtable(a);
    CHECK((uintptr_t)lua_topointer(a, -1) > UINT32_MAX); /* the host's API tells the address */
    lua_close(a);
    lua_close(b);
}

TEST(texts_are_the_same_after_a_rollback) {
    char before[100], after[100];
    lua_State *L = open_vm(MIB, 1);
    run(L, "kept = {}");
    CHECK_OK(rlua_snap(L));
    eval(L, "tostring(kept) .. tostring({}) .. tostring(print)", before, sizeof before);
    CHECK_OK(rlua_rollback(L, 1));
    eval(L, "tostring(kept) .. tostring({}) .. tostring(print)", after, sizeof after);
    CHECK_STR(after, before);
    lua_close(L);
}

/* Where a linker or a compiler folds two equal functions, one of them has the other's name. */
TEST(functions_of_the_libraries_have_their_names) {
    lua_State *L = open_vm(MIB, 1);
    run(L, "local closures = {[math.random] = 1, [math.randomseed] = 1, [require] = 1}\n"
           "local aliases = {['math.atan2'] = 'math.atan'}\n"
           "local seen, n = {}, 0\n"
           "for library, t in pairs(package.loaded) do for name, f in pairs(t) do\n"
           "  if type(f) == 'function' and not closures[f] then\n"
           "    local full = library == '_G' and name or library .. '.' .. name\n"
           "    assert(tostring(f) == 'function: builtin: ' .. (aliases[full] or full), full)\n"
           "    n = n + 1 end end end\n"
           "assert(n > 120, n)\n"
           "local file = getmetatable(io.stdout)\n"
           "for name, f in pairs(file.__index) do\n"
           "  assert(tostring(f) == 'function: builtin: file.' .. name) end\n"
           "for name, f in pairs(getmetatable('')) do if name ~= '__index' then\n"
           "  assert(tostring(f) == 'function: builtin: string.' .. name, name) end end");
    CHECK_EVAL(L, "tostring((ipairs {}))", "function: builtin: ipairs.next");
    CHECK_EVAL(L, "tostring((pairs {}))", "function: builtin: next");
    CHECK_EVAL(L, "tostring((utf8.codes ''))", "function: builtin: utf8.codes.next");
    CHECK_EVAL(L, "tostring((utf8.codes('', true)))", "function: builtin: utf8.codes.next_lax");
    CHECK_EVAL(L, "tostring(getmetatable(io.stdout).__gc)", "function: builtin: file.__gc");
    lua_close(L);
}

TEST(a_format_has_a_width) {
    lua_State *L = open_vm(MIB, 1);
    CHECK_EVAL(L, "('%16p|%-16p|'):format(print, print)", "  builtin: print|builtin: print  |");
    CHECK_EVAL(L, "('%p %p %8p'):format(1, nil, true)", "(null) (null)   (null)");
    CHECK_EVAL(L, "#('%90p'):format({}) + #('%-60p'):format({})", "150");
    CHECK_EVAL(L, "select(2, pcall(string.format, '%010p', {}))",
               "invalid conversion specification: '%010p'");
    CHECK_EVAL(L, "('%p'):format({}) == ('%p'):format({})", "false");
    CHECK_STR(lua_pushfstring(L, "at %p, %p", (void *)NULL, (void *)(uintptr_t)17),
              "at (null), 0x000000000011");
    lua_close(L);
}

/* Two processes: other addresses, and each meets its own pointers in the same order. */
TEST(pointers_of_the_host_have_numbers) {
    lua_State *a = open_vm(MIB, 1), *b = open_vm(MIB, 1);
    set_light(a, "x", early + 1), set_light(a, "y", early + 100), set_light(a, "small", (void *)7);
    set_light(b, "x", late + 100), set_light(b, "y", late + 1), set_light(b, "small", (void *)7);
    CHECK_EVAL(a, "tostring(x) .. ' ' .. tostring(y)", "userdata: native: 1 userdata: native: 2");
    CHECK_EVAL(b, "tostring(x) .. ' ' .. tostring(y)", "userdata: native: 1 userdata: native: 2");
    CHECK_EVAL(a, "tostring(small)", "userdata: 0x000000000007");
    lua_pushcfunction(a, first_function);
    lua_setglobal(a, "f");
    CHECK_EVAL(a, "tostring(f)", "function: native: 3");
    CHECK_EVAL(a, "tostring(x)", "userdata: native: 1");
    lua_close(a);
    lua_close(b);
}

TEST(registered_pointers_have_their_names) {
    lua_State *L = open_vm(MIB, 1);
    lua_pushcfunction(L, first_function);
    lua_setglobal(L, "f");
    set_light(L, "x", early);
    CHECK_OK(rlua_register(L, "game.spawn", first_function));
    CHECK_OK(rlua_register_pointer(L, "game.key", early));
    CHECK_EVAL(L, "tostring(f)", "function: builtin: game.spawn");
    CHECK_EVAL(L, "tostring(x)", "userdata: builtin: game.key");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(names_are_part_of_the_state) {
    lua_State *L = open_vm(MIB, 1);
    set_light(L, "x", early);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_register_pointer(L, "key", early));
    CHECK_EVAL(L, "tostring(x)", "userdata: builtin: key");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "tostring(x)", "userdata: native: 1");
    CHECK_OK(rlua_register_pointer(L, "key", early));
    CHECK_EVAL(L, "tostring(x)", "userdata: builtin: key");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(registering_is_refused_where_names_would_be_ambiguous) {
    char name[70];
    lua_State *L = open_vm(MIB, 1), *stock = open_profile(RLUA_PROFILE_STOCK, 0);
    memset(name, 'n', sizeof name);
    name[65] = '\0';
    CHECK_OK(rlua_register(L, "a", first_function));
    CHECK_OK(rlua_register(L, "a", first_function)); /* again */
    CHECK_REFUSED(rlua_register(L, "a", second_function), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, "b", first_function), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register_pointer(L, "a", early), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, "string.format", second_function), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, "print", second_function), RLUA_BAD_ARG);
    lua_getglobal(L, "print");
    CHECK_REFUSED(rlua_register(L, "my.print", lua_tocfunction(L, -1)), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, "", second_function), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, "a b", second_function), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, "a\n", second_function), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(L, name, second_function), RLUA_BAD_ARG);
    CHECK_OK(rlua_register(L, name + 1, second_function));
    CHECK_REFUSED(rlua_register(L, NULL, second_function), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_register(L, "c", NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_register_pointer(L, "c", NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_register_pointer(L, "c", (void *)9), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register_pointer(L, "c", L), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_register(NULL, "c", third_function), RLUA_NULL_ARG);
    CHECK_OK(rlua_register_pointer(L, "c", stock)); /* another VM is outside */
    CHECK_OK(rlua_check(L));
    lua_close(L);
    lua_close(stock);
}

/* The order is known by heart: it depends on names, not on this build. */
TEST(order_of_the_libraries_functions_is_the_same_everywhere) {
    lua_State *L = open_vm(MIB, 1);
    run(L, order);
    run(L, "t = {} for i, name in ipairs {'byte', 'char', 'find', 'format', 'gmatch', 'gsub', "
           "'len', 'lower', 'match', 'rep', 'reverse', 'sub', 'upper'} do "
           "t[string[name]] = name end "
           "t[ipairs {}], t[print], t[table.concat], t[utf8.char] = 'i', 'p', 'c', 'u'");
    CHECK_EVAL(L, "order(t)",
               "upper format c gmatch find gsub p len lower u i rep match char sub reverse byte");
    lua_close(L);
}

TEST(order_of_the_hosts_pointers_is_the_same_everywhere) {
    lua_State *a = open_vm(MIB, 1), *b = open_vm(MIB, 1);
    int i;
    char backwards[POINTERS]; /* on the stack, and so elsewhere again */
    run(a, order), run(b, order);
    run(a, "t = {}"), run(b, "t = {}");
    fill(a, early, POINTERS), fill(b, backwards, POINTERS);
    check_same(a, b, "order(t)");
    run(a, "t = {}"), run(b, "t = {}");
    CHECK_OK(rlua_register_pointer(a, "one", late));
    CHECK_OK(rlua_register_pointer(a, "two", late + 1));
    CHECK_OK(rlua_register(a, "f", first_function));
    CHECK_OK(rlua_register(b, "f", third_function)); /* in another order, others */
    CHECK_OK(rlua_register_pointer(b, "two", early + 7));
    CHECK_OK(rlua_register_pointer(b, "one", early + 3));
    fill(a, late, 1);
    lua_pushcfunction(a, first_function), lua_setglobal(a, "f");
    lua_pushcfunction(b, third_function), lua_setglobal(b, "f");
    set_light(a, "one", late), set_light(a, "two", late + 1);
    set_light(b, "one", early + 3), set_light(b, "two", early + 7);
    for (i = 0; i < 2; i++) {
        lua_State *L = i ? a : b;
        run(L, "t = {} t[two], t[one], t[f], t[print], t[12], t.x, t[true] = "
               "2, 1, 'f', 'p', 12, 'x', true");
        CHECK_EVAL(L, "t[one] .. t[two] .. t[f]", "12f");
    }
    check_same(a, b, "order(t)");
    lua_close(a);
    lua_close(b);
}

TEST(order_is_the_same_after_a_rollback) {
    static char before[8192], after[8192];
    lua_State *L = open_vm(4 * MIB, 2);
    int round;
    run(L, order);
    run(L, "t = {} for name, f in pairs(string) do t[f] = name end");
    fill(L, early, 20);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        fill(L, late, 300);
        run(L, "for i = 1, 50 do t[{}] = i t[coroutine.create(print)] = -i t[i / 7] = i end");
        eval(L, "order(t)", round ? after : before, sizeof before);
        if (round) CHECK_STR(after, before);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        if (round == 1) fill(L, late + 150, 100); /* another future */
        if (round == 1) CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
}

/* A name that comes late must not hide what is in tables already. */
TEST(naming_a_key_leaves_its_tables_whole) {
    lua_State *L = open_vm(4 * MIB, 1);
    char name[24];
    int i;
    run(L, "t = {}");
    fill(L, early, POINTERS);
    for (i = 0; i < POINTERS; i++) {
        snprintf(name, sizeof name, "pointer%d", i);
        CHECK_OK(rlua_register_pointer(L, name, early + i));
    }
    fill(L, late, POINTERS); /* the table grows, and all are placed anew */
    lua_getglobal(L, "t");
    for (i = 0; i < POINTERS; i++) {
        lua_rawgetp(L, 1, early + i);
        lua_rawgetp(L, 1, late + i);
        CHECK(lua_tointeger(L, -1) == i && lua_tointeger(L, -2) == i);
        lua_settop(L, 1);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Were they all in one chain, this would take minutes. */
TEST(many_pointers_are_found_at_once) {
    lua_State *L = open_vm(64 * MIB, 1);
    long i, count = 200000 / test_scale();
    char *pointers = malloc((size_t)count);
    lua_newtable(L);
    for (i = 0; i < count; i++) {
        lua_pushinteger(L, i);
        lua_rawsetp(L, 1, pointers + i);
    }
    for (i = 0; i < count; i++) {
        lua_rawgetp(L, 1, pointers + i);
        CHECK_EQ(lua_tointeger(L, -1), i);
        lua_pop(L, 1);
    }
    CHECK_EQ(lua_rawgetp(L, 1, pointers + count), LUA_TNIL);
    CHECK_OK(rlua_check(L));
    free(pointers);
    lua_close(L);
}

/* All ways to a key: each table is searched afterwards. */
static int by_every_way(lua_State *L) {
    int i;
    lua_newtable(L);
    for (i = 0; i < 8; i++) {
        lua_pushlightuserdata(L, early + i);
        lua_pushcfunction(L, i % 2 ? first_function : second_function);
        lua_insert(L, -1 - i % 2);
        switch (i / 2) {
            case 0: lua_settable(L, 1); break;
            case 1: lua_rawset(L, 1); break;
            case 2: lua_getglobal(L, "set"), lua_insert(L, -3), lua_pushvalue(L, 1);
                    lua_insert(L, -3), lua_call(L, 3, 0); break;
            default: lua_getglobal(L, "rawset"), lua_insert(L, -3), lua_pushvalue(L, 1);
                     lua_insert(L, -3), lua_call(L, 3, 0); break;
        }
    }
    lua_pushnil(L);
    for (i = 0; lua_next(L, 1); i++) {
        lua_pushvalue(L, -2);
        lua_rawget(L, 1);
        CHECK(lua_rawequal(L, -1, -2));
        lua_pop(L, 2);
    }
    CHECK_EQ(i, 5); /* four pointers, one function */
    return 0;
}

TEST(every_way_to_a_key_gives_it_a_number) {
    lua_State *L = open_vm(MIB, 1), *stock = luaL_newstate();
    luaL_openlibs(stock);
    run(L, "function set(t, k, v) t[k] = v end");
    run(stock, "function set(t, k, v) t[k] = v end");
    lua_pushcfunction(L, by_every_way);
    CHECK_EQ(lua_pcall(L, 0, 0, 0), LUA_OK);
    CHECK_OK(rlua_check(L));
    lua_pushcfunction(stock, by_every_way);
    CHECK_EQ(lua_pcall(stock, 0, 0, 0), LUA_OK);
    lua_close(L);
    lua_close(stock);
}

static int insert_until_full(lua_State *L) {
    const char *pointer = lua_touserdata(L, 2);
    for (; pointer != NULL; pointer++) {
        lua_pushboolean(L, 1);
        lua_rawsetp(L, 1, pointer);
    }
    return 0;
}

TEST(no_memory_for_a_number_is_an_error_and_nothing_else) {
    size_t limit;
    for (limit = 60 * KIB; limit < 200 * KIB; limit += 4 * KIB * (size_t)test_scale()) {
        lua_State *L = rlua_new_rollback(limit, 1);
        int i;
        CHECK(L != NULL);
        CHECK_OK(rlua_snap(L));
        lua_pushcfunction(L, insert_until_full);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setglobal(L, "t");
        lua_pushlightuserdata(L, early);
        CHECK_EQ(lua_pcall(L, 2, 0, 0), LUA_ERRMEM);
        lua_settop(L, 0);
        CHECK_OK(rlua_check(L));
        for (i = 0; i < 60; i++) { /* and for a name */
            char name[16];
            int status = (snprintf(name, sizeof name, "%d", i),
                          rlua_register_pointer(L, name, late + i));
            CHECK(status == RLUA_OK || status == RLUA_NO_MEMORY);
        }
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

TEST(stock_profile_tells_addresses) {
    char expected[40];
    lua_State *states[2];
    int i;
    states[0] = open_profile(RLUA_PROFILE_STOCK, 0);
    states[1] = luaL_newstate();
    luaL_openlibs(states[1]);
    for (i = 0; i < 2; i++) {
        lua_State *L = states[i];
        lua_newtable(L);
        lua_setglobal(L, "t");
        lua_getglobal(L, "t");
        snprintf(expected, sizeof expected, "%p", lua_topointer(L, -1));
        CHECK_EVAL(L, "('%p'):format(t)", expected);
        CHECK_EVAL(L, "tostring(print):match('^function: %w+$') ~= nil", "true");
        CHECK_OK(rlua_register(L, "name", first_function)); /* for images */
        lua_close(L);
    }
}

TEST(random_numbers_come_from_the_seed) {
    static const char draw[] = "math.random(0) .. ' ' .. table.concat({math.randomseed()}, ' ') .. "
                               "' ' .. math.random(0) .. ' ' .. math.randomseed()";
    char first[200], again[200];
    lua_State *a = open_profile(RLUA_PROFILE_DETERMINISTIC, 5),
              *b = open_profile(RLUA_PROFILE_DETERMINISTIC, 5),
              *other = open_profile(RLUA_PROFILE_DETERMINISTIC, 6);
    check_same(a, b, draw);
    check_same(a, b, draw);
    CHECK(strcmp(eval(b, draw, first, sizeof first), eval(other, draw, again, sizeof again)) != 0);
    CHECK_OK(rlua_snap(a));
    eval(a, draw, first, sizeof first);
    CHECK(strcmp(eval(a, draw, again, sizeof again), first) != 0); /* it goes on */
    CHECK_OK(rlua_rollback(a, 1));
    CHECK_STR(eval(a, draw, again, sizeof again), first);
    CHECK_EVAL(a, "select('#', math.randomseed(42)) .. ' ' .. math.random(1, 1000000)", "2 161510");
    lua_close(a);
    lua_close(b);
    lua_close(other);
}

TEST(nothing_of_the_environment_is_seen) {
    lua_State *L;
    setenv("LUA_PATH", "/tmp/?.lua;;", 1);
    setenv("LUA_CPATH_5_4", "/tmp/?.so", 1);
    L = open_vm(MIB, 1);
    CHECK_EVAL(L, "package.path:sub(1, 32) .. package.path:sub(-13)",
               "/usr/local/share/lua/5.4/?.lua;/;./?/init.lua");
    CHECK_EVAL(L, "(package.path .. package.cpath):find('/tmp', 1, true)", "nil");
    CHECK_EVAL(L, "os.getenv('LUA_PATH')", "nil");
    CHECK_EVAL(L, "pcall(os.tmpname)", "false");
    CHECK_EVAL(L, "select(2, io.open('/nonexistent/file'))",
               "/nonexistent/file: No such file or directory");
    lua_close(L);
    L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_EVAL(L, "package.path:find('^/tmp/%?%.lua;[^;]')", "1");
    CHECK_EVAL(L, "os.getenv('LUA_CPATH_5_4')", "/tmp/?.so");
    lua_close(L);
}

#ifdef __aarch64__
#define OTHER_FOLDER "/usr/lib/x86_64-linux-gnu/"
#else
#define OTHER_FOLDER "/usr/lib/aarch64-linux-gnu/"
#endif

/* One path everywhere, with the folders of both machines; what lies in the other's is not taken.
 * Under qemu (cross/aarch64.sh) there is something: Debian's modules for this machine. */
TEST(modules_of_another_machine_are_not_found) {
    lua_State *L = open_vm(MIB, 1);
    CHECK_EVAL(L, "package.cpath",
               "/usr/local/lib/lua/5.4/?.so;/usr/lib/x86_64-linux-gnu/lua/5.4/?.so;"
               "/usr/lib/aarch64-linux-gnu/lua/5.4/?.so;/usr/lib/lua/5.4/?.so;"
               "/usr/lib64/lua/5.4/?.so;./?.so");
    CHECK_EVAL(L, "package.searchpath('lpeg', '" OTHER_FOLDER "lua/5.4/?.so')", "nil");
    lua_close(L);
    setenv("LUA_CPATH_5_4", ";;", 1); /* the default */
    L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_EVAL(L, "package.cpath:find('" OTHER_FOLDER "', 1, true)", "nil");
#ifdef MULTIARCH
    CHECK_EVAL(L, "package.cpath:find('/usr/lib/" MULTIARCH "/lua/5.4/?.so', 1, true) ~= nil",
               "true");
#endif
    lua_close(L);
}
