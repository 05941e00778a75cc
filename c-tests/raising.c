/* raising.c: errors of host functions carry the script's position and the function's name.
 * Method: host functions that raise by rlua_error and rlua_argerror are called in every way a
 * script can, beside C functions that do the same by luaL_error and luaL_argerror: the texts are
 * equal. Then with no memory, with wrong arguments, and through rlua_call with a traceback. */
#include "harness.h"

static int fails(lua_State *L, void *ud) {
    (void)ud;
    return rlua_error(L, "no such unit");
}

static int dislikes(lua_State *L, void *ud) {
    return rlua_argerror(L, *(int *)ud, "no such unit");
}

static int fails_by_lua(lua_State *L) { return luaL_error(L, "no such unit"); }
static int dislikes_by_lua(lua_State *L) { return luaL_argerror(L, 1, "no such unit"); }

static int one = 1, two = 2, minus = -5;

static void push(lua_State *L, rlua_HostFunction function, void *ud, const char *name) {
    CHECK_OK(rlua_pushfunction(L, function, ud, name));
    CHECK_OK(rlua_setglobal(L, name));
}

static lua_State *begin(void) {
    lua_State *L = open_vm(1 * MIB, 1);
    push(L, fails, NULL, "fails");
    push(L, dislikes, &one, "dislikes");
    lua_register(L, "fails_by_lua", fails_by_lua);
    lua_register(L, "dislikes_by_lua", dislikes_by_lua);
    return L;
}

static void check_error(lua_State *L, const char *chunk, const char *expected) {
    CHECK_OK(rlua_loadbuffer(L, chunk, strlen(chunk), "@ai.lua", "t"));
    CHECK_STATUS(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
    CHECK_STR(lua_tostring(L, -1), expected);
    lua_settop(L, 0);
}

TEST(an_error_has_the_position_of_the_call) {
    lua_State *L = begin();
    check_error(L, "\n\nfails()", "ai.lua:3: no such unit");
    check_error(L, "\nlocal function f() \n fails() end\n f()", "ai.lua:3: no such unit");
    check_error(L, "local co = coroutine.create(function()\n fails() end)\n"
                   "error(select(2, coroutine.resume(co)), 0)", "ai.lua:2: no such unit");
    check_error(L, "pcall(error) local ok, e = pcall(fails) error(e, 0)", "no such unit");
    CHECK_OK(rlua_getglobal(L, "fails")); /* called by the host: there is no position */
    CHECK_STATUS(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
    CHECK_STR(lua_tostring(L, -1), "no such unit");
    lua_close(L);
}

TEST(an_argument_error_names_function_and_argument) {
    lua_State *L = begin();
    check_error(L, "dislikes(1)", "ai.lua:1: bad argument #1 to 'dislikes' (no such unit)");
    check_error(L, "\nlocal show = dislikes show(1)",
                "ai.lua:2: bad argument #1 to 'show' (no such unit)");
    check_error(L, "local t = {show = dislikes}\n t.show(1)",
                "ai.lua:2: bad argument #1 to 'show' (no such unit)");
    check_error(L, "local t = {show = dislikes}\n t:show(1)",
                "ai.lua:2: calling 'show' on bad self (no such unit)");
    push(L, dislikes, &two, "second");
    check_error(L, "second()", "ai.lua:1: bad argument #2 to 'second' (no such unit)");
    check_error(L, "local t = {show = second}\n t:show()",
                "ai.lua:2: bad argument #1 to 'show' (no such unit)");
    push(L, dislikes, &minus, "minus");
    check_error(L, "minus()", "ai.lua:1: bad argument #-5 to 'minus' (no such unit)");
    lua_close(L);
}

/* Where Lua finds no name for it, the function's own is there. */
TEST(the_registered_name_is_used_where_lua_finds_none) {
    lua_State *L = begin();
    CHECK_OK(rlua_pushfunction(L, dislikes, &one, "units.show"));
    CHECK_STATUS(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
    CHECK_STR(lua_tostring(L, -1), "bad argument #1 to 'units.show' (no such unit)");
    CHECK_OK(rlua_pushfunction(L, dislikes, &one, "units.show"));
    CHECK_OK(rlua_setglobal(L, "f"));
    CHECK_OK(rlua_dostring(L, "local g = f f = nil return select(2, pcall(g))"));
    CHECK_STR(lua_tostring(L, -1), "bad argument #1 to 'units.show' (no such unit)");
    lua_close(L);
}

TEST(texts_are_those_of_lauxlib) {
    static const char *const ways[] = {"%s()", "\n\n local f = %s f()", "local t = {f = %s} t.f()",
        "local t = {f = %s} t:f()", "coroutine.wrap(function() %s() end)()", "pcall(%s) %s()",
        "table.sort({1, 2}, %s)", "('x'):gsub('x', %s)", "setmetatable({}, {__index = %s}).x = 1 "
        "local t = setmetatable({}, {__index = %s}) t = t.x", "for _ in %s do end",
        "local t <close> = setmetatable({}, {__close = %s})", "return %s()"};
    static const char *const pairs[][2] = {{"fails", "fails_by_lua"},
                                           {"dislikes", "dislikes_by_lua"}};
    lua_State *L = begin();
    size_t i, k, who;
    for (i = 0; i < COUNT_OF(ways); i++)
        for (k = 0; k < COUNT_OF(pairs); k++) {
            char texts[2][200];
            for (who = 0; who < 2; who++) {
                char chunk[300];
                const char *name = pairs[k][who];
                snprintf(chunk, sizeof chunk, ways[i], name, name);
                CHECK_OK(rlua_loadbuffer(L, chunk, strlen(chunk), "@ai.lua", "t"));
                CHECK_STATUS(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
                snprintf(texts[who], sizeof texts[who], "%s", lua_tostring(L, -1));
                lua_settop(L, 0);
            }
            if (strlen(texts[0]) < strlen(texts[1])) { /* the names differ by "_by_lua" */
                char *at = strstr(texts[1], "_by_lua");
                while (at != NULL) {
                    memmove(at, at + 7, strlen(at + 7) + 1);
                    at = strstr(texts[1], "_by_lua");
                }
            }
            CHECK_STR(texts[0], texts[1]);
        }
    lua_close(L);
}

static int miscounts(lua_State *L, void *ud) {
    (void)L, (void)ud;
    return 7;
}

static int raises_nothing(lua_State *L, void *ud) {
    (void)L, (void)ud;
    lua_settop(L, 0);
    return RLUA_RAISE;
}

TEST(errors_of_the_library_have_a_position_too) {
    lua_State *L = begin();
    push(L, miscounts, NULL, "miscounts");
    push(L, raises_nothing, NULL, "raises_nothing");
    check_error(L, "\nmiscounts()",
                "ai.lua:2: host function 'miscounts' returned 7 results, but its stack holds 0");
    check_error(L, "\nraises_nothing()",
                "ai.lua:2: host function 'raises_nothing' raised, but its stack is empty");
    lua_close(L);
}

static int careless(lua_State *L, void *ud) {
    switch (*(int *)ud) {
        case 1: return rlua_error(L, NULL);
        case 2: return rlua_argerror(L, 1, NULL);
        case 3: return rlua_error(NULL, "lost");
        default: return rlua_error(L, "percent %s %d %n is data");
    }
}

TEST(careless_calls_raise_something) {
    lua_State *L = begin();
    int what = 1;
    push(L, careless, &what, "careless");
    check_error(L, "careless()", "ai.lua:1: (null)");
    CHECK(strstr(rlua_last_error(L), "rlua_call") != NULL);
    what = 2;
    check_error(L, "careless()", "ai.lua:1: bad argument #1 to 'careless' ((null))");
    what = 3;
    check_error(L, "careless()",
                "ai.lua:1: host function 'careless' raised, but its stack is empty");
    check_error(L, "careless('an argument')", "an argument");
    what = 4;
    check_error(L, "careless()", "ai.lua:1: percent %s %d %n is data");
    CHECK_EQ(rlua_error(NULL, "x"), RLUA_RAISE);
    CHECK_EQ(rlua_argerror(NULL, 1, "x"), RLUA_RAISE);
    lua_close(L);
}

/* -- no memory, no room ---------------------------------------------------------------------- */

static int fills_and_fails(lua_State *L, void *ud) {
    static const char text[] = "some bytes";
    int fill_stack = *(int *)ud;
    for (;;) {
        if (fill_stack ? rlua_pushinteger(L, 1) : rlua_newuserdata(L, 8, 0, NULL)) break;
        if (!fill_stack && rlua_pushlstring(L, text, sizeof text) != RLUA_OK) break;
    }
    if (*(int *)ud == 2) lua_settop(L, 2);
    return rlua_error(L, "a message that is longer than what is left of the memory, so that it "
                         "cannot be made: 0123456789 0123456789 0123456789 0123456789");
}

TEST(without_memory_the_error_is_that_of_memory) {
    int what;
    for (what = 0; what < 2; what++) {
        lua_State *L = rlua_new_rollback(128 * KIB, 1);
        CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
        push(L, fills_and_fails, &what, "fills");
        CHECK_STATUS(rlua_dostring(L, "fills()"), RLUA_ERR_MEM);
        CHECK_STR(lua_tostring(L, -1), "not enough memory");
        lua_settop(L, 0);
        CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_dostring(L, "x = {}"));
        lua_close(L);
    }
}

/* -- tracebacks ------------------------------------------------------------------------------ */

static const char *call_traced(lua_State *L, const char *chunk, int expected) {
    CHECK_OK(rlua_loadbuffer(L, chunk, strlen(chunk), "@ai.lua", "t"));
    CHECK_STATUS(rlua_call(L, 0, LUA_MULTRET, RLUA_TRACEBACK), expected);
    return lua_tostring(L, -1);
}

TEST(a_call_with_a_traceback) {
    lua_State *L = begin();
    const char *text;
    lua_pushliteral(L, "below");
    text = call_traced(L, "local function think()\n fails() end\n think()", RLUA_ERR_RUN);
    CHECK(strncmp(text, "ai.lua:2: no such unit\nstack traceback:", 38) == 0);
    CHECK(strstr(text, "in local 'think'") != NULL || strstr(text, "upvalue 'think'") != NULL);
    CHECK(strstr(text, "ai.lua:3: in main chunk") != NULL);
    CHECK(strstr(rlua_last_error(L), "ai.lua:2: no such unit") != NULL);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_STR(lua_tostring(L, 1), "below");
    lua_settop(L, 1);
    CHECK(call_traced(L, "error({code = 7})", RLUA_ERR_RUN) == NULL);
    CHECK_EQ(lua_getfield(L, -1, "code"), LUA_TNUMBER);
    lua_settop(L, 1);
    CHECK_STR(call_traced(L, "local t = {} while true do t[#t + 1] = {} end", RLUA_ERR_MEM),
              "not enough memory");
    lua_settop(L, 1);
    call_traced(L, "return 1, 2, 3", RLUA_OK);
    CHECK_EQ(lua_gettop(L), 4);
    CHECK_EQ(lua_tointeger(L, 2), 1);
    CHECK_EQ(lua_tointeger(L, 4), 3);
    lua_settop(L, 1);
    CHECK_OK(rlua_dostring(L, "return function(...) return select('#', ...) end"));
    CHECK_OK(rlua_pushnil(L));
    CHECK_OK(rlua_pushnil(L));
    CHECK_OK(rlua_call(L, 2, 2, RLUA_TRACEBACK));
    CHECK_EQ(lua_gettop(L), 3);
    CHECK_EQ(lua_tointeger(L, 2), 2);
    CHECK(lua_isnil(L, 3));
    CHECK_STR(lua_tostring(L, 1), "below");
    CHECK_REFUSED(rlua_call(L, 3, 0, RLUA_TRACEBACK), RLUA_BAD_ARG);
    CHECK_EQ(lua_gettop(L), 3);
    lua_close(L);
}
