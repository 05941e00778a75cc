/* refusals.c: a refused protected call names function, argument, value and reason, and changes
 * nothing.
 * Method: each function is called with what it must refuse; the sentence must hold the words, and
 * the stack must be what it was. Under `make assert` a call that passed would end the process. */
#include "harness.h"

static void *host_alloc(void *ud, void *block, size_t old_size, size_t new_size) {
    (void)ud, (void)old_size;
    if (new_size == 0) return free(block), NULL;
    return realloc(block, new_size);
}

/* First, so that no VM was ever opened in this process. */
TEST(before_the_first_vm_every_state_is_foreign) {
    lua_State *L = lua_newstate(host_alloc, NULL);
    CHECK_REFUSED(rlua_pushinteger(L, 1), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_dostring(L, "x = 1"), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_recover(L), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_pushinteger((lua_State *)(uintptr_t)64, 1), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_pushinteger(NULL, 1), RLUA_NULL_ARG);
    CHECK_EQ(rlua_error(L, "x"), RLUA_RAISE);
    CHECK_EQ(lua_gettop(L), 0);
    lua_close(L);
}

static lua_State *state; /* with three values: a table, a number, a function */

static void begin(void) {
    state = open_vm(1 * MIB, 1);
    CHECK_OK(rlua_dostring(state, "return {}, 5, print"));
}

static void check_sentence(int line, int status, int expected, const char *const *words) {
    const char *sentence = rlua_last_error(state);
    harness_status(__FILE__, line, "the call", status, expected);
    for (; *words; words++)
        if (strstr(sentence, *words) == NULL)
            harness_fail(__FILE__, line, "\"%s\" does not say: %s", sentence, *words);
    harness_eq(__FILE__, line, "lua_gettop", lua_gettop(state), 3);
}

#define BAD(call, ...) \
    do { \
        static const char *const words[] = {__VA_ARGS__, NULL}; \
        check_sentence(__LINE__, call, RLUA_BAD_ARG, words); \
    } while (0)
#define MISSING(call, ...) \
    do { \
        static const char *const words[] = {__VA_ARGS__, "is NULL", NULL}; \
        check_sentence(__LINE__, call, RLUA_NULL_ARG, words); \
    } while (0)

TEST(an_index_is_named_with_its_value) {
    begin();
    BAD(rlua_getfield(state, 0, "x"), "rlua_getfield: index = 0 names no position of this stack",
        "which holds 3 values");
    BAD(rlua_getfield(state, -4, "x"), "rlua_getfield", "index = -4", "3 values");
    BAD(rlua_getfield(state, 10000, "x"), "rlua_getfield", "index = 10000");
    BAD(rlua_setfield(state, INT32_MAX, "x"), "rlua_setfield", "index = 2147483647");
    BAD(rlua_geti(state, INT32_MIN, 1), "rlua_geti", "index = -2147483648 names no upvalue");
    BAD(rlua_seti(state, lua_upvalueindex(1), 1), "rlua_seti", "names no upvalue of a running C");
    BAD(rlua_gettable(state, lua_upvalueindex(256)), "rlua_gettable", "names no upvalue");
    BAD(rlua_settable(state, lua_upvalueindex(300)), "rlua_settable", "names no upvalue");
    BAD(rlua_next(state, 2, &(int){0}), "rlua_next: index = 2 names a number, not a table");
    BAD(rlua_next(state, 99, &(int){0}), "rlua_next: index = 99");
    BAD(rlua_tolstring(state, 99, &(const char *){0}, NULL), "rlua_tolstring: index = 99");
    BAD(rlua_pushvalue(state, 0), "rlua_pushvalue: index = 0");
    BAD(rlua_len(state, 0), "rlua_len: index = 0");
    BAD(rlua_compare(state, 1, -9, LUA_OPEQ, &(int){0}), "rlua_compare: second = -9");
    BAD(rlua_compare(state, 99, 1, LUA_OPEQ, &(int){0}), "rlua_compare: first = 99");
    BAD(rlua_pushtostring(state, 5), "rlua_pushtostring: index = 5 names a free position");
    BAD(rlua_pushtostring(state, 0), "rlua_pushtostring: index = 0");
    BAD(rlua_rawget(state, 3), "rlua_rawget: index = 3 names a function, not a table");
    BAD(rlua_rawgeti(state, 4, 1), "rlua_rawgeti: index = 4 names a free position");
    BAD(rlua_rawset(state, 2), "rlua_rawset: index = 2 names a number");
    BAD(rlua_rawseti(state, -7, 1), "rlua_rawseti: index = -7");
    BAD(rlua_getsubtable(state, 0, "x"), "rlua_getsubtable: index = 0");
    BAD(rlua_testudata(state, 99, "x", &(void *){0}), "rlua_testudata: index = 99");
    BAD(rlua_settop(state, -5), "rlua_settop: index = -5 would take more off this stack than it "
        "holds: 3 values");
    BAD(rlua_settop(state, INT32_MIN), "rlua_settop: index = -2147483648");
    BAD(rlua_toclose(state, 4), "rlua_toclose: index = 4");
    BAD(rlua_toclose(state, LUA_REGISTRYINDEX), "rlua_toclose");
    BAD(rlua_closeslot(state, 2), "rlua_closeslot: index = 2 does not name the newest variable");
    CHECK_OK(rlua_getfield(state, LUA_REGISTRYINDEX, "x"));
    lua_close(state);
}

TEST(counts_and_options_are_named_with_their_values) {
    begin();
    BAD(rlua_call(state, -1, 0, 0), "rlua_call: nargs = -1 is negative");
    BAD(rlua_call(state, 3, 0, 0), "rlua_call: nargs = 3 and the function below", "3 values");
    BAD(rlua_call(state, 0, -2, 0), "rlua_call: nresults = -2");
    BAD(rlua_call(state, 0, 0, 3), "rlua_call: msgh = 3 is not below the function");
    BAD(rlua_call(state, 0, 0, 9), "rlua_call: msgh = 9 names no position");
    BAD(rlua_call(state, 0, 0, LUA_REGISTRYINDEX), "rlua_call: msgh = ");
    BAD(rlua_call(state, 0, 0, 1), "rlua_call: msgh = 1 names a table, not a function");
    BAD(rlua_call(state, 0, 0, -2), "rlua_call: msgh = -2 names a number");
    BAD(rlua_call(state, 1, 0, 2), "rlua_call: msgh = 2 is not below the function");
    BAD(rlua_createtable(state, -1, 0), "rlua_createtable: narr = -1");
    BAD(rlua_createtable(state, 0, -7), "rlua_createtable: nrec = -7");
    BAD(rlua_concat(state, -1), "rlua_concat: count = -1");
    BAD(rlua_concat(state, 4), "rlua_concat: it takes 4 off this stack, which holds 3 values");
    BAD(rlua_compare(state, 1, 2, 3, &(int){0}), "rlua_compare: op = 3");
    BAD(rlua_arith(state, 14), "rlua_arith: op = 14");
    BAD(rlua_newuserdata(state, 1, -1, NULL), "rlua_newuserdata: nuvalue = -1 is outside");
    BAD(rlua_newuserdata(state, 1, 32767, NULL), "nuvalue = 32767 is outside 0 to 32766");
    BAD(rlua_pushcclosure(state, luaopen_base, 256), "rlua_pushcclosure: upvalues = 256");
    BAD(rlua_pushcclosure(state, luaopen_base, 4), "rlua_pushcclosure: it takes 4");
    BAD(rlua_xmove(state, state, 4), "rlua_xmove: it takes 4");
    BAD(rlua_xmove(state, state, -4), "rlua_xmove: count = -4");
    BAD(rlua_traceback(state, state, NULL, -1), "rlua_traceback: level = -1");
    BAD(rlua_setmetatable(state, "nobody's"), "rlua_setmetatable: name = \"nobody's\" names no");
    lua_settop(state, 0);
    CHECK_REFUSED(rlua_setfield(state, LUA_REGISTRYINDEX, "x"), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(state), "it takes 1 off this stack, which holds 0 values"));
    CHECK_OK(rlua_pushnil(state));
    CHECK_REFUSED(rlua_arith(state, LUA_OPADD), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(state), "it takes 2 off this stack, which holds 1 value"));
    lua_close(state);
}

TEST(collector_options_make_sense_or_are_refused) {
    static const int without[] = {LUA_GCCOLLECT, LUA_GCSTOP, LUA_GCRESTART, LUA_GCCOUNT,
                                  LUA_GCCOUNTB, LUA_GCISRUNNING};
    size_t i;
    begin();
    BAD(rlua_gc(state, 999, 0), "rlua_gc: what = 999 is no option of lua_gc");
    BAD(rlua_gc(state, -1, 0), "rlua_gc: what = -1");
    BAD(rlua_gc(state, 8, 0), "rlua_gc: what = 8");
    BAD(rlua_gc(state, LUA_GCSTEP, -1), "rlua_gc: data = -1 is outside 0 to 2147483647");
    BAD(rlua_gc(state, LUA_GCSETPAUSE, 1001), "rlua_gc: data = 1001 is outside 0 to 1000");
    BAD(rlua_gc(state, LUA_GCGEN, 201), "rlua_gc: data = 201 is outside 0 to 200");
    BAD(rlua_gc(state, LUA_GCINC, -1), "rlua_gc: data = -1");
    for (i = 0; i < COUNT_OF(without); i++) {
        CHECK_OK(rlua_gc(state, without[i], 0));
        CHECK_REFUSED(rlua_gc(state, without[i], 1), RLUA_BAD_ARG);
    }
    CHECK_OK(rlua_gc(state, LUA_GCSETPAUSE, 1000));
    CHECK_OK(rlua_gc(state, LUA_GCSETSTEPMUL, 0));
    CHECK_OK(rlua_gc(state, LUA_GCGEN, 200));
    CHECK_OK(rlua_gc(state, LUA_GCINC, 0));
    CHECK_OK(rlua_gc(state, LUA_GCSTEP, INT32_MAX));
    CHECK_OK(rlua_check(state));
    lua_close(state);
}

TEST(pointers_are_named) {
    begin();
    MISSING(rlua_loadbuffer(state, NULL, 1, "=x", NULL), "rlua_loadbuffer", "chunk");
    MISSING(rlua_loadbuffer(state, "", 0, NULL, NULL), "rlua_loadbuffer", "name");
    MISSING(rlua_loadfile(state, NULL, NULL), "rlua_loadfile", "filename");
    MISSING(rlua_dostring(state, NULL), "rlua_dostring", "chunk");
    MISSING(rlua_dofile(state, NULL), "rlua_dofile", "filename");
    MISSING(rlua_resume(state, NULL, 0, NULL), "rlua_resume", "nresults");
    MISSING(rlua_getglobal(state, NULL), "rlua_getglobal", "name");
    MISSING(rlua_setglobal(state, NULL), "rlua_setglobal", "name");
    MISSING(rlua_getfield(state, 1, NULL), "rlua_getfield", "key");
    MISSING(rlua_setfield(state, 1, NULL), "rlua_setfield", "key");
    MISSING(rlua_next(state, 1, NULL), "rlua_next", "more");
    MISSING(rlua_tolstring(state, 1, NULL, NULL), "rlua_tolstring", "text");
    MISSING(rlua_pushlstring(state, NULL, 1), "rlua_pushlstring", "text");
    MISSING(rlua_pushfunction(state, NULL, NULL, "f"), "rlua_pushfunction", "function");
    MISSING(rlua_newthread(state, NULL), "rlua_newthread", "thread");
    MISSING(rlua_pushcclosure(state, NULL, 0), "rlua_pushcclosure", "function");
    MISSING(rlua_requiref(state, NULL, luaopen_base, 0), "rlua_requiref", "name");
    MISSING(rlua_requiref(state, "x", NULL, 0), "rlua_requiref", "open");
    MISSING(rlua_compare(state, 1, 1, 0, NULL), "rlua_compare", "result");
    MISSING(rlua_traceback(state, NULL, NULL, 0), "rlua_traceback", "of");
    MISSING(rlua_getsubtable(state, 1, NULL), "rlua_getsubtable", "name");
    MISSING(rlua_newmetatable(state, NULL, NULL), "rlua_newmetatable", "name");
    MISSING(rlua_getmetatable(state, NULL), "rlua_getmetatable", "name");
    MISSING(rlua_setmetatable(state, NULL), "rlua_setmetatable", "name");
    MISSING(rlua_testudata(state, 1, "x", NULL), "rlua_testudata", "block");
    MISSING(rlua_xmove(state, NULL, 0), "rlua_xmove", "to");
    lua_close(state);
}

TEST(threads_that_cannot_do_it_are_told_so) {
    lua_State *co, *other = open_vm(1 * MIB, 1);
    int count, round;
    begin();
    BAD(rlua_resume(state, NULL, 0, &count), "rlua_resume: L is the main thread");
    BAD(rlua_resume(state, state, 0, &count), "rlua_resume: L is the main thread");
    BAD(rlua_xmove(state, other, 1), "rlua_xmove: to is no thread of the VM");
    BAD(rlua_xmove(state, (lua_State *)(uintptr_t)64, 1), "rlua_xmove: to is no thread of the VM");
    BAD(rlua_traceback(state, other, NULL, 0), "rlua_traceback: of is no thread");
    co = lua_newthread(state);
    CHECK_REFUSED(rlua_resume(co, other, 0, &count), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(state), "from is no thread of the VM") != NULL);
    CHECK_REFUSED(rlua_resume(co, state, 0, &count), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(state), "nargs = 0 and the function below them are more") != NULL);
    for (round = 0; round < 2; round++) {
        CHECK_OK(rlua_dostring(co, "return coroutine.yield"));
        CHECK_STATUS(rlua_resume(co, state, 0, &count), RLUA_YIELD);
        CHECK_REFUSED(rlua_call(co, 0, 0, 0), RLUA_BAD_ARG);
        CHECK(strstr(rlua_last_error(state), "L is suspended: it can call nothing") != NULL);
        CHECK_REFUSED(rlua_dostring(co, "x = 1"), RLUA_BAD_ARG);
        CHECK_REFUSED(rlua_resume(co, state, 1, &count), RLUA_BAD_ARG);
        CHECK(strstr(rlua_last_error(state), "nargs = 1 is more than L's stack holds: 0") != NULL);
        CHECK_REFUSED(rlua_resume(co, state, -1, &count), RLUA_BAD_ARG);
        CHECK_OK(rlua_resume(co, state, 0, &count));
        lua_settop(co, 0);
    }
    CHECK_OK(rlua_loadbuffer(co, "error('x')", 10, "=co", NULL));
    CHECK_STATUS(rlua_resume(co, state, 0, &count), RLUA_ERR_RUN);
    for (round = 0; round < 2; round++) {
        CHECK_REFUSED(rlua_resume(co, state, 0, &count), RLUA_BAD_ARG);
        CHECK(strstr(rlua_last_error(state), "L is dead") != NULL);
        CHECK_STR(lua_tostring(co, -1), "co:1: x");
        CHECK_EQ(count, 0);
    }
    CHECK_REFUSED(rlua_openlibs(co, RLUA_LIB_ALL), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(state), "the thread L is dead") != NULL);
    CHECK_OK(rlua_check(state));
    lua_close(other);
    lua_close(state);
}

/* In a callback: the thread that runs, the one that waits for it, and upvalues. */
static int resuming(lua_State *L) {
    lua_State *outer = (lua_State *)lua_touserdata(L, lua_upvalueindex(1));
    int count;
    CHECK_OK(rlua_pushvalue(L, lua_upvalueindex(1)));
    CHECK_OK(rlua_pushvalue(L, lua_upvalueindex(200))); /* reads as nil, as in Lua */
    CHECK_REFUSED(rlua_pushvalue(L, lua_upvalueindex(257)), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_resume(L, NULL, 0, &count), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(L), L == state ? "main thread" : "L runs already") != NULL);
    if (outer) {
        CHECK_REFUSED(rlua_resume(outer, L, 0, &count), RLUA_BAD_ARG);
        CHECK(strstr(rlua_last_error(L), "L runs already, or has resumed") != NULL);
    }
    lua_pushboolean(L, 1);
    return 1;
}

TEST(resuming_a_thread_that_runs_is_refused) {
    lua_State *outer;
    int count;
    begin();
    outer = lua_newthread(state);
    CHECK_OK(rlua_dostring(outer, "return function(f) return coroutine.wrap(f)() end"));
    lua_pushlightuserdata(outer, outer);
    CHECK_OK(rlua_pushcclosure(outer, resuming, 1));
    CHECK_OK(rlua_resume(outer, state, 1, &count));
    CHECK_EQ(lua_toboolean(outer, -1), 1);
    lua_pushlightuserdata(state, NULL);
    CHECK_OK(rlua_pushcclosure(state, resuming, 1));
    CHECK_OK(rlua_call(state, 0, 1, 0));
    lua_close(state);
}

TEST(extreme_levels_of_a_traceback) {
    static const int levels[] = {0, 1, 5, 1000, 1000000, INT32_MAX - 1, INT32_MAX};
    size_t i;
    begin();
    for (i = 0; i < COUNT_OF(levels); i++) {
        CHECK_OK(rlua_traceback(state, state, "m", levels[i]));
        CHECK(strncmp(lua_tostring(state, -1), "m\nstack traceback:", 18) == 0);
        lua_settop(state, 3);
    }
    lua_close(state);
}

/* The message would be lost in the attempt to handle it. */
TEST(a_handler_that_is_no_function_is_refused_before_the_call) {
    begin();
    lua_settop(state, 0);
    CHECK_OK(rlua_dostring(state, "return setmetatable({}, {__call = print})"));
    CHECK_OK(rlua_loadbuffer(state, "error('x', 0)", 13, "=x", NULL));
    CHECK_REFUSED(rlua_call(state, 0, 0, 1), RLUA_BAD_ARG);
    CHECK_EQ(lua_gettop(state), 2);
    CHECK_STATUS(rlua_call(state, 0, 0, 0), RLUA_ERR_RUN);
    CHECK_STR(lua_tostring(state, -1), "x");
    lua_close(state);
}
