/* protected.c: calls for hosts that cannot survive a longjmp.
 * Method: each call's good path, its failure (the error value is on the stack, the operands are
 * gone) and, with a VM that is full, its failure in the middle; no call may ever jump, which a
 * panic function that ends the test watches. */
#include "harness.h"

static int no_panic(lua_State *L) {
    FAIL("a protected call raised: %s", lua_tostring(L, -1));
}

static lua_State *open_watched(size_t memory_size) {
    lua_State *L = rlua_new_rollback(memory_size, 2);
    CHECK(L != NULL);
    lua_atpanic(L, no_panic);
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_EQ(lua_gettop(L), 0);
    return L;
}

TEST(dostring_gives_results_and_errors) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_dostring(L, "return 1, 'two', nil"));
    CHECK_EQ(lua_gettop(L), 3);
    CHECK_STR(lua_tostring(L, 2), "two");
    lua_settop(L, 0);
    CHECK_STATUS(rlua_dostring(L, "return return"), RLUA_ERR_SYNTAX);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK(strstr(lua_tostring(L, 1), "unexpected") != NULL);
    lua_settop(L, 0);
    CHECK_STATUS(rlua_dostring(L, "error({code = 7})"), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_OK(rlua_getfield(L, 1, "code"));
    CHECK_EQ(lua_tointeger(L, -1), 7);
    lua_settop(L, 0);
    CHECK_STATUS(rlua_dostring(L, "local t = {} while true do t[#t + 1] = {} end"), RLUA_ERR_MEM);
    CHECK_EQ(lua_gettop(L), 1);
    lua_close(L);
}

TEST(loadbuffer_call_and_message_handler) {
    static const char chunk[] = "local a, b = ... return a + b, #... ~= nil";
    lua_State *L = open_watched(8 * MIB); /* an error in each handler's error takes a while */
    CHECK_STATUS(rlua_loadbuffer(L, chunk, 8, "=cut", NULL), RLUA_ERR_SYNTAX);
    lua_settop(L, 0);
    CHECK_STATUS(rlua_loadbuffer(L, "return 1", 8, "=text", "b"), RLUA_ERR_SYNTAX);
    lua_settop(L, 0);
    CHECK_OK(rlua_loadbuffer(L, "local a, b = ... return a + b", 29, "=sum", "t"));
    CHECK_OK(rlua_pushinteger(L, 2));
    CHECK_OK(rlua_pushinteger(L, 3));
    CHECK_OK(rlua_call(L, 2, 1, 0));
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_EQ(lua_tointeger(L, 1), 5);
    lua_settop(L, 0);
    CHECK_OK(rlua_dostring(L, "return function(e) return 'handled: ' .. e end"));
    CHECK_OK(rlua_dostring(L, "return error"));
    CHECK_OK(rlua_pushlstring(L, "reason", 6));
    CHECK_STATUS(rlua_call(L, 1, LUA_MULTRET, 1), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_STR(lua_tostring(L, 2), "handled: reason");
    lua_settop(L, 0);
    CHECK_OK(rlua_dostring(L, "return function(e) error(e) end, error, 'x'"));
    CHECK_STATUS(rlua_call(L, 1, 0, 1), RLUA_ERR_ERR);
    CHECK_EQ(lua_gettop(L), 2);
    lua_close(L);
}

TEST(call_of_what_is_not_there_is_refused) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_REFUSED(rlua_call(L, 0, 0, 0), RLUA_BAD_ARG);
    CHECK_OK(rlua_pushnil(L));
    CHECK_REFUSED(rlua_call(L, 5, 0, 0), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_call(L, -1, 0, 0), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_call(L, INT32_MAX, 0, 0), RLUA_BAD_ARG);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_STATUS(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
    CHECK(strstr(lua_tostring(L, -1), "attempt to call") != NULL);
    lua_close(L);
}

TEST(dofile_runs_fails_and_misses) {
    char path[] = "/tmp/rlua-test-XXXXXX";
    lua_State *L = open_watched(1 * MIB);
    int file = mkstemp(path);
    CHECK(file >= 0);
    CHECK_EQ(write(file, "x = 5 return x", 14), 14);
    CHECK_OK(rlua_dofile(L, path));
    CHECK_EQ(lua_tointeger(L, -1), 5);
    lua_settop(L, 0);
    CHECK_EQ(ftruncate(file, 3), 0);
    CHECK_STATUS(rlua_dofile(L, path), RLUA_ERR_SYNTAX);
    close(file);
    unlink(path);
    lua_settop(L, 0);
    CHECK_STATUS(rlua_dofile(L, path), RLUA_ERR_FILE);
    CHECK(strstr(lua_tostring(L, -1), path) != NULL);
    lua_close(L);
}

TEST(globals_fields_and_indices) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_pushnumber(L, 2.5));
    CHECK_OK(rlua_setglobal(L, "g"));
    CHECK_EQ(lua_gettop(L), 0);
    CHECK_OK(rlua_getglobal(L, "g"));
    CHECK(lua_tonumber(L, 1) == 2.5);
    lua_settop(L, 0);
    CHECK_OK(rlua_createtable(L, 2, 2));
    CHECK_OK(rlua_pushboolean(L, 1));
    CHECK_OK(rlua_setfield(L, 1, "k"));
    CHECK_OK(rlua_pushinteger(L, 9));
    CHECK_OK(rlua_seti(L, 1, 3));
    CHECK_OK(rlua_pushlstring(L, "a\0b", 3));
    CHECK_OK(rlua_pushvalue(L, -1));
    CHECK_OK(rlua_settable(L, 1));
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_OK(rlua_getfield(L, 1, "k"));
    CHECK_OK(rlua_geti(L, 1, 3));
    CHECK_OK(rlua_pushlstring(L, "a\0b", 3));
    CHECK_OK(rlua_gettable(L, 1));
    CHECK_EQ(lua_gettop(L), 4);
    CHECK_EQ(lua_toboolean(L, 2), 1);
    CHECK_EQ(lua_tointeger(L, 3), 9);
    CHECK_EQ(lua_rawlen(L, 4), 3);
    lua_close(L);
}

/* An object whose metamethods raise: operands are popped and the error value pushed. */
TEST(raising_metamethods) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_dostring(L, "local function fail() error('meta', 0) end\n"
                              "return setmetatable({}, {__index = fail, __newindex = fail, "
                              "__tostring = fail})"));
    CHECK_STATUS(rlua_getfield(L, 1, "x"), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_STR(lua_tostring(L, 2), "meta");
    lua_settop(L, 1);
    CHECK_STATUS(rlua_geti(L, 1, 1), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    lua_settop(L, 1);
    CHECK_OK(rlua_pushinteger(L, 1));
    CHECK_STATUS(rlua_gettable(L, 1), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    lua_settop(L, 1);
    CHECK_OK(rlua_pushinteger(L, 1));
    CHECK_STATUS(rlua_setfield(L, 1, "x"), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    lua_settop(L, 1);
    CHECK_OK(rlua_pushinteger(L, 1));
    CHECK_STATUS(rlua_seti(L, 1, 1), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    lua_settop(L, 1);
    CHECK_OK(rlua_pushinteger(L, 1));
    CHECK_OK(rlua_pushinteger(L, 2));
    CHECK_STATUS(rlua_settable(L, 1), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_STR(lua_tostring(L, 2), "meta");
    lua_close(L);
}

TEST(index_of_what_is_no_table) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_pushinteger(L, 5));
    CHECK_STATUS(rlua_getfield(L, 1, "x"), RLUA_ERR_RUN);
    CHECK(strstr(lua_tostring(L, -1), "attempt to index") != NULL);
    lua_settop(L, 1);
    CHECK_OK(rlua_pushnil(L));
    CHECK_STATUS(rlua_setfield(L, 1, "x"), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    lua_close(L);
}

TEST(next_walks_a_table) {
    lua_State *L = open_watched(1 * MIB);
    int more = 1, pairs = 0;
    lua_Integer sum = 0;
    CHECK_OK(rlua_dostring(L, "return {10, 20, x = 30, y = 40}"));
    CHECK_OK(rlua_pushnil(L));
    for (;;) {
        CHECK_OK(rlua_next(L, 1, &more));
        if (!more) break;
        pairs++;
        sum += lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    CHECK_EQ(pairs, 4);
    CHECK_EQ(sum, 100);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_OK(rlua_pushlstring(L, "no such key", 11));
    CHECK_STATUS(rlua_next(L, 1, &more), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    lua_close(L);
}

TEST(tolstring_of_every_type) {
    lua_State *L = open_watched(1 * MIB);
    const char *text = NULL;
    size_t length = 0;
    CHECK_OK(rlua_pushinteger(L, 42));
    CHECK_OK(rlua_tolstring(L, 1, &text, &length));
    CHECK_STR(text, "42");
    CHECK_EQ(length, 2);
    CHECK_OK(rlua_pushlstring(L, "a\0b", 3));
    CHECK_OK(rlua_tolstring(L, 2, &text, &length));
    CHECK_EQ(length, 3);
    CHECK(memcmp(text, "a\0b", 3) == 0);
    CHECK_OK(rlua_tolstring(L, 2, &text, NULL));
    CHECK_OK(rlua_createtable(L, 0, 0));
    CHECK_OK(rlua_tolstring(L, 3, &text, &length));
    CHECK(text == NULL);
    CHECK_OK(rlua_pushnil(L));
    CHECK_OK(rlua_tolstring(L, 4, &text, &length));
    CHECK(text == NULL);
    CHECK_EQ(lua_gettop(L), 4);
    lua_close(L);
}

TEST(indices_out_of_range_are_refused) {
    static const int indices[] = {0, 5, 100000, INT32_MAX, -2, -1000, INT32_MIN};
    lua_State *L = open_watched(1 * MIB);
    const char *text;
    size_t i;
    int more;
    CHECK_OK(rlua_createtable(L, 0, 0));
    for (i = 0; i < COUNT_OF(indices); i++) {
        CHECK(rlua_getfield(L, indices[i], "x") != RLUA_OK);
        lua_settop(L, 1);
        CHECK(rlua_geti(L, indices[i], 1) != RLUA_OK);
        lua_settop(L, 1);
        rlua_tolstring(L, indices[i], &text, NULL);
        rlua_pushvalue(L, indices[i]);
        lua_settop(L, 1);
        CHECK(rlua_next(L, indices[i], &more) != RLUA_OK);
        lua_settop(L, 1);
        CHECK(lua_istable(L, 1));
    }
    CHECK_OK(rlua_dostring(L, "return 1"));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(resume_yields_finishes_and_fails) {
    lua_State *L = open_watched(1 * MIB), *co = lua_newthread(L);
    int count = -1;
    CHECK_OK(rlua_loadbuffer(co, "local a = coroutine.yield(1, 2) return a", 40, "=co", NULL));
    CHECK_STATUS(rlua_resume(co, L, 0, &count), RLUA_YIELD);
    CHECK_EQ(count, 2);
    lua_pop(co, 2);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_pushinteger(co, 7));
    CHECK_OK(rlua_resume(co, L, 1, &count));
    CHECK_EQ(count, 1);
    CHECK_EQ(lua_tointeger(co, -1), 7);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_pushinteger(co, 8));
    CHECK_OK(rlua_resume(co, NULL, 1, &count));
    CHECK_EQ(lua_tointeger(co, -1), 8);
    lua_settop(co, 0);
    CHECK_OK(rlua_loadbuffer(co, "error('in co', 0)", 17, "=co", NULL));
    CHECK_STATUS(rlua_resume(co, L, 0, &count), RLUA_ERR_RUN);
    CHECK_STR(lua_tostring(co, -1), "in co");
    CHECK(rlua_resume(co, L, 0, &count) != RLUA_OK); /* dead */
    lua_close(L);
}

TEST(gc_answers_and_collects) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_dostring(L, "setmetatable({}, {__gc = function() gone = true end})"));
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    CHECK_EVAL(L, "gone", "true");
    CHECK_OK(rlua_gc(L, LUA_GCSTEP, 10));
    CHECK_OK(rlua_dostring(L, "setmetatable({}, {__gc = function() error('in gc') end})"));
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    lua_close(L);
}

typedef struct Host { int calls, raise, results; } Host;

static int host_function(lua_State *L, void *ud) {
    Host *host = (Host *)ud;
    host->calls++;
    if (host->raise) {
        lua_pushfstring(L, "raised in call %d", host->calls);
        return RLUA_RAISE;
    }
    lua_pushinteger(L, lua_tointeger(L, 1) * 2);
    lua_pushinteger(L, lua_gettop(L) - 1);
    return host->results;
}

TEST(host_function_returns_and_raises) {
    lua_State *L = open_watched(1 * MIB);
    Host host = {0, 0, 2};
    CHECK_OK(rlua_pushfunction(L, host_function, &host, "double"));
    CHECK_OK(rlua_setglobal(L, "double"));
    CHECK_EVAL(L, "table.concat({double(21, 'x')}, ' ')", "42 2");
    host.raise = 1;
    CHECK_STATUS(rlua_dostring(L, "return double(1)"), RLUA_ERR_RUN);
    CHECK(strstr(lua_tostring(L, -1), "raised in call 2") != NULL);
    lua_settop(L, 0);
    CHECK_EVAL(L, "select(2, pcall(double))", "raised in call 3");
    host.raise = 0;
    host.results = 0;
    CHECK_EVAL(L, "select('#', double(1))", "0");
    CHECK_EQ(host.calls, 4);
    lua_close(L);
}

/* A host function's count of results is checked: it comes from another language. */
static int miscounting(lua_State *L, void *ud) {
    lua_settop(L, 0);
    return *(int *)ud;
}

TEST(host_function_that_miscounts_is_an_error_not_a_crash) {
    static int counts[] = {1, 5, 1000000, -2, -1000, INT32_MIN, INT32_MAX, RLUA_RAISE};
    lua_State *L = open_watched(1 * MIB);
    size_t i;
    for (i = 0; i < COUNT_OF(counts); i++) {
        CHECK_OK(rlua_pushfunction(L, miscounting, &counts[i], "miscounting"));
        CHECK_STATUS(rlua_call(L, 0, LUA_MULTRET, 0), RLUA_ERR_RUN);
        lua_settop(L, 0);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(host_function_across_a_rollback) {
    lua_State *L = open_watched(1 * MIB);
    Host host = {0, 0, 2};
    int round;
    CHECK_OK(rlua_pushfunction(L, host_function, &host, "double"));
    CHECK_OK(rlua_setglobal(L, "double"));
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        CHECK_OK(rlua_pushnil(L));
        CHECK_OK(rlua_setglobal(L, "double"));
        CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "(double(4))", "8");
    }
    lua_close(L);
}

static void fill(lua_State *L) {
    CHECK_STATUS(rlua_dostring(L, "hog = hog or {} "
                                  "while true do hog[#hog + 1] = ('x'):rep(100) .. #hog end"),
                 RLUA_ERR_MEM);
    lua_settop(L, 0);
    for (;;) { /* and the small rest, with values the stack keeps alive */
        static const char text[] = "0123456789";
        if (lua_gettop(L) > 4000 || rlua_pushlstring(L, text, 1 + lua_gettop(L) % 9)) break;
        if (rlua_createtable(L, 0, 0)) break;
    }
}

/* Every call that allocates, in a VM with no memory left: a status and the error value; or, when
 * there is no room on the stack even for that, NO_MEMORY and nothing. */
static void check_out_of_memory(lua_State *L, int status, int top_before) {
    if (status != RLUA_OK && status != RLUA_NO_MEMORY) CHECK_STATUS(status, RLUA_ERR_MEM);
    CHECK_EQ(lua_gettop(L), top_before + (status != RLUA_NO_MEMORY));
    if (status == RLUA_ERR_MEM) CHECK_STR(lua_tostring(L, -1), "not enough memory");
    lua_settop(L, top_before);
}

TEST(out_of_memory_in_the_middle_of_pushes) {
    static char text[5000];
    lua_State *L = open_watched(128 * KIB);
    Host host = {0, 0, 1};
    int round, top, failed = 0, status;
    memset(text, 'y', sizeof text);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        fill(L);
        top = lua_gettop(L);
        status = rlua_pushlstring(L, text, sizeof text);
        failed += status != RLUA_OK;
        check_out_of_memory(L, status, top);
        status = rlua_createtable(L, 1000, 1000);
        failed += status != RLUA_OK;
        check_out_of_memory(L, status, top);
        check_out_of_memory(L, rlua_pushfunction(L, host_function, &host, "f"), top);
        check_out_of_memory(L, rlua_pushinteger(L, 1), top);
        check_out_of_memory(L, rlua_pushnumber(L, 1.5), top);
        check_out_of_memory(L, rlua_pushboolean(L, 1), top);
        check_out_of_memory(L, rlua_pushnil(L), top);
        check_out_of_memory(L, rlua_getglobal(L, "a name never seen before in this VM"), top);
        status = rlua_loadbuffer(L, "return function() end", 21, "=x", NULL);
        check_out_of_memory(L, status, top);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(lua_gettop(L), 0);
        CHECK_OK(rlua_dostring(L, "x = {}"));
        CHECK_OK(rlua_rollback(L, 1));
    }
    CHECK(failed >= 3);
    lua_close(L);
}

/* The stack itself grows, until it cannot: pushes never write past it. */
TEST(pushes_grow_the_stack_until_memory_or_the_limit_ends) {
    static const size_t limits[] = {64 * KIB, 128 * KIB, 64 * MIB};
    size_t i;
    for (i = 0; i < COUNT_OF(limits); i++) {
        lua_State *L = open_watched(limits[i]);
        int status = RLUA_OK, top = 0;
        CHECK_OK(rlua_snap(L));
        while (status == RLUA_OK && top < 2000000) {
            top = lua_gettop(L);
            status = rlua_pushinteger(L, top);
        }
        CHECK(status == RLUA_ERR_MEM || status == RLUA_ERR_RUN || status == RLUA_BAD_ARG ||
              status == RLUA_NO_MEMORY);
        CHECK(lua_gettop(L) >= top && lua_gettop(L) <= top + 1);
        CHECK_EQ(lua_tointeger(L, 1000 < top ? 1000 : 1), 1000 < top ? 999 : 0);
        CHECK_OK(rlua_check(L));
        lua_settop(L, 0);
        CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
        CHECK_OK(rlua_dostring(L, "return 1"));
        CHECK_OK(rlua_rollback(L, 1));
        lua_close(L);
    }
}

/* -- objects.c: making, combining, below metamethods ---------------------------------------- */

static int twice(lua_State *L) {
    lua_pushnumber(L, 2 * luaL_checknumber(L, 1));
    return 1;
}

TEST(userdata_is_aligned_and_keeps_user_values) {
    lua_State *L = open_watched(1 * MIB);
    void *block;
    int count;
    for (count = 0; count < 40; count++) {
        CHECK_OK(rlua_newuserdata(L, 24, count, &block));
        CHECK_EQ((uintptr_t)block % 16, 0);
        CHECK(block == lua_touserdata(L, -1));
        memset(block, 255, 24);
        if (count > 0) {
            CHECK_OK(rlua_pushinteger(L, count));
            CHECK(lua_setiuservalue(L, -2, count));
        }
    }
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    for (count = 1; count < 40; count++) {
        CHECK_EQ(lua_getiuservalue(L, count + 1, count), LUA_TNUMBER);
        CHECK_EQ(lua_tointeger(L, -1), count);
        lua_pop(L, 1);
    }
    CHECK_OK(rlua_newuserdata(L, 0, 0, NULL));
    CHECK_REFUSED(rlua_newuserdata(L, 1, -1, &block), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_newuserdata(L, 1, 40000, &block), RLUA_BAD_ARG);
    CHECK_STATUS(rlua_newuserdata(L, 4 * MIB, 0, &block), RLUA_ERR_MEM);
    CHECK(block == NULL);
    CHECK_STATUS(rlua_newuserdata(L, SIZE_MAX, 0, &block), RLUA_ERR_RUN);
    lua_close(L);
}

TEST(operators_work_raise_and_refuse) {
    lua_State *L = open_watched(1 * MIB);
    int result = 7;
    CHECK_OK(rlua_dostring(L, "return {1, 2, 3}, 'abc', 5, 3, print"));
    CHECK_OK(rlua_len(L, 1));
    CHECK_EQ(lua_tointeger(L, -1), 3);
    CHECK_STATUS(rlua_len(L, 5), RLUA_ERR_RUN);
    lua_settop(L, 5);
    CHECK_OK(rlua_compare(L, 4, 3, LUA_OPLT, &result));
    CHECK_EQ(result, 1);
    CHECK_OK(rlua_compare(L, 4, 3, LUA_OPEQ, &result));
    CHECK_EQ(result, 0);
    CHECK_STATUS(rlua_compare(L, 1, 3, LUA_OPLE, &result), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 6);
    CHECK_REFUSED(rlua_compare(L, 1, 3, 3, &result), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_compare(L, 1, -9, 0, &result), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_compare(L, 1, 2, 0, NULL), RLUA_NULL_ARG);
    lua_settop(L, 4);
    CHECK_OK(rlua_arith(L, LUA_OPSUB));
    CHECK_EQ(lua_tointeger(L, -1), 2);
    CHECK_OK(rlua_arith(L, LUA_OPUNM));
    CHECK_EQ(lua_tointeger(L, -1), -2);
    CHECK_EQ(lua_gettop(L), 3);
    CHECK_STATUS(rlua_arith(L, LUA_OPADD), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_REFUSED(rlua_arith(L, -1), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_arith(L, 14), RLUA_BAD_ARG);
    lua_settop(L, 1);
    CHECK_REFUSED(rlua_arith(L, LUA_OPADD), RLUA_BAD_ARG);
    CHECK_OK(rlua_dostring(L, "return 'a', 1, 2.5"));
    CHECK_OK(rlua_concat(L, 3));
    CHECK_STR(lua_tostring(L, -1), "a12.5");
    CHECK_OK(rlua_concat(L, 0));
    CHECK_STR(lua_tostring(L, -1), "");
    CHECK_STATUS(rlua_concat(L, 3), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_REFUSED(rlua_concat(L, 2), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_concat(L, -1), RLUA_BAD_ARG);
    lua_close(L);
}

TEST(raw_access_passes_metamethods_by) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_dostring(L, "local function fail() error('meta') end\n"
                              "return setmetatable({}, {__index = fail, __newindex = fail})"));
    CHECK_OK(rlua_pushinteger(L, 5));
    CHECK_OK(rlua_rawseti(L, 1, 2));
    CHECK_OK(rlua_rawgeti(L, 1, 2));
    CHECK_EQ(lua_tointeger(L, -1), 5);
    CHECK_OK(rlua_rawgeti(L, 1, 3));
    CHECK_OK(rlua_pushnil(L));
    CHECK_OK(rlua_pushnil(L));
    CHECK_STATUS(rlua_rawset(L, 1), RLUA_ERR_RUN); /* a nil key */
    CHECK(strstr(lua_tostring(L, -1), "index is nil") != NULL);
    lua_settop(L, 1);
    CHECK_OK(rlua_pushlstring(L, "k", 1));
    CHECK_OK(rlua_pushboolean(L, 1));
    CHECK_OK(rlua_rawset(L, 1));
    CHECK_OK(rlua_pushlstring(L, "k", 1));
    CHECK_OK(rlua_rawget(L, 1));
    CHECK_EQ(lua_toboolean(L, -1), 1);
    CHECK_EQ(lua_gettop(L), 2);
    CHECK_REFUSED(rlua_rawget(L, 2), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_rawset(L, 2), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_rawgeti(L, 7, 1), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_rawseti(L, -7, 1), RLUA_BAD_ARG);
    lua_settop(L, 1);
    CHECK_STATUS(rlua_getsubtable(L, 1, "sub"), RLUA_ERR_RUN);
    CHECK_OK(rlua_createtable(L, 0, 0));
    CHECK_OK(rlua_getsubtable(L, -1, "sub"));
    CHECK(lua_istable(L, -1));
    lua_close(L);
}

TEST(metatables_by_name) {
    lua_State *L = open_watched(1 * MIB);
    int made = 0;
    void *block = L;
    CHECK_OK(rlua_newmetatable(L, "point", &made));
    CHECK_EQ(made, 1);
    CHECK_OK(rlua_newmetatable(L, "point", &made));
    CHECK_EQ(made, 0);
    CHECK(lua_rawequal(L, 1, 2));
    CHECK_OK(rlua_getmetatable(L, "point"));
    CHECK(lua_rawequal(L, 1, 3));
    CHECK_OK(rlua_getmetatable(L, "absent"));
    CHECK(lua_isnil(L, -1));
    lua_settop(L, 0);
    CHECK_OK(rlua_newuserdata(L, 8, 0, NULL));
    CHECK_OK(rlua_testudata(L, 1, "point", &block));
    CHECK(block == NULL);
    CHECK_REFUSED(rlua_setmetatable(L, "absent"), RLUA_BAD_ARG);
    CHECK_OK(rlua_setmetatable(L, "point"));
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_OK(rlua_testudata(L, 1, "point", &block));
    CHECK(block == lua_touserdata(L, 1));
    CHECK_OK(rlua_testudata(L, 9, "point", &block));
    CHECK(block == NULL);
    CHECK_OK(rlua_pushtostring(L, 1));
    CHECK(strstr(lua_tostring(L, -1), "point: ") != NULL);
    CHECK_REFUSED(rlua_pushtostring(L, 9), RLUA_BAD_ARG);
    lua_settop(L, 0);
    CHECK_REFUSED(rlua_setmetatable(L, "point"), RLUA_BAD_ARG);
    lua_close(L);
}

TEST(threads_closures_modules_and_files) {
    lua_State *L = open_watched(1 * MIB), *thread = NULL, *other = open_watched(1 * MIB);
    int results;
    CHECK_OK(rlua_newthread(L, &thread));
    CHECK(thread != NULL && lua_tothread(L, 1) == thread);
    CHECK_OK(rlua_pushinteger(L, 4));
    CHECK_OK(rlua_pushcclosure(L, twice, 1));
    CHECK_OK(rlua_pushinteger(L, 21));
    CHECK_REFUSED(rlua_xmove(L, other, 1), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_xmove(L, thread, 9), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_xmove(L, thread, -1), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_xmove(L, NULL, 1), RLUA_NULL_ARG);
    CHECK_OK(rlua_xmove(L, thread, 2));
    CHECK_OK(rlua_xmove(L, L, 1));
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_OK(rlua_resume(thread, L, 1, &results));
    CHECK_EQ(lua_tonumber(thread, -1), 42);
    CHECK_REFUSED(rlua_pushcclosure(L, twice, 9), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_pushcclosure(L, twice, 256), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_pushcclosure(L, NULL, 0), RLUA_NULL_ARG);
    CHECK_OK(rlua_requiref(L, "str2", luaopen_string, 1));
    CHECK_OK(rlua_dostring(L, "return str2.rep('x', 3)"));
    CHECK_STR(lua_tostring(L, -1), "xxx");
    CHECK_STATUS(rlua_requiref(L, "bad", twice, 0), RLUA_ERR_RUN);
    CHECK_STATUS(rlua_loadfile(L, "/nonexistent/file", NULL), RLUA_ERR_FILE);
    CHECK_OK(rlua_traceback(L, L, "why", 0));
    CHECK(strncmp(lua_tostring(L, -1), "why\nstack traceback:", 20) == 0);
    CHECK_REFUSED(rlua_traceback(L, other, NULL, 0), RLUA_BAD_ARG);
    lua_close(other);
    lua_close(L);
}

TEST(settop_closes_variables) {
    lua_State *L = open_watched(1 * MIB);
    CHECK_OK(rlua_dostring(L, "order = ''\n"
        "return function(n, fails) return setmetatable({}, {__close = function()\n"
        "  order = order .. n if fails then error('closing ' .. n, 0) end end}) end"));
    CHECK_OK(rlua_setglobal(L, "make"));
    CHECK_OK(rlua_dostring(L, "return 0, make(1), make(2), make(3, true), make(4), 5"));
    CHECK_OK(rlua_toclose(L, 2));
    CHECK_OK(rlua_toclose(L, 3));
    CHECK_REFUSED(rlua_toclose(L, 3), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_toclose(L, 2), RLUA_BAD_ARG);
    CHECK_STATUS(rlua_toclose(L, 6), RLUA_ERR_RUN); /* a number cannot be closed */
    CHECK_EQ(lua_gettop(L), 7);
    CHECK_OK(rlua_settop(L, -2));
    CHECK_OK(rlua_toclose(L, 4));
    CHECK_OK(rlua_toclose(L, 5));
    CHECK_REFUSED(rlua_closeslot(L, 4), RLUA_BAD_ARG);
    CHECK_OK(rlua_closeslot(L, 5));
    CHECK_EVAL(L, "order", "4");
    CHECK_STATUS(rlua_settop(L, 2), RLUA_ERR_RUN);
    CHECK_EQ(lua_gettop(L), 3);
    CHECK_STR(lua_tostring(L, 3), "closing 3");
    CHECK_EVAL(L, "order", "432");
    CHECK_OK(rlua_settop(L, 10));
    CHECK_EQ(lua_gettop(L), 10);
    CHECK_OK(rlua_settop(L, 0));
    CHECK_EVAL(L, "order", "4321");
    CHECK_REFUSED(rlua_settop(L, -2), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_settop(L, 1 << 30), RLUA_NO_MEMORY);
    CHECK_OK(rlua_settop(L, -1));
    lua_close(L);
}
