/* edges.c: what the fuzzers found, each as a test of its own.
 * Method: the smallest program that showed it. */
#include "harness.h"

#include <setjmp.h>

static jmp_buf panicked;

static int panic(lua_State *L) {
    (void)L;
    longjmp(panicked, 1);
}

/* -- a refusal leaves the stack as it was ------------------------------------------------------ */

static lua_State *suspended(lua_State *L) {
    int results;
    lua_State *co = lua_newthread(L);
    CHECK_EQ(luaL_loadstring(co, "coroutine.yield() error('dead')"), LUA_OK);
    CHECK_STATUS(rlua_resume(co, L, 0, &results), RLUA_YIELD);
    return co;
}

TEST(dostring_and_dofile_on_a_suspended_coroutine_leave_nothing) {
    lua_State *L = open_vm(1 * MIB, 0), *co = suspended(L);
    CHECK_REFUSED(rlua_dostring(co, "return 1"), RLUA_BAD_ARG);
    CHECK_EQ(lua_gettop(co), 0);
    CHECK_REFUSED(rlua_dofile(co, "/dev/null"), RLUA_BAD_ARG);
    CHECK_EQ(lua_gettop(co), 0);
    lua_close(L);
}

/* Slots of the stack that a call needs are there or not; either way the height is right. */
static void near_the_end_of_the_stack(int (*call)(lua_State *L), int results) {
    lua_State *L = open_vm(128 * KIB, 0);
    int height, status, refused = 0;
    run(L, "t = {} while pcall(function() t[#t + 1] = {} end) do end collectgarbage('stop')");
    for (height = 0; height < 400; height++) {
        status = call(L);
        if (status == RLUA_OK) {
            CHECK_EQ(lua_gettop(L), height + results);
        } else if (status < RLUA_ERR_RUN) {
            CHECK_EQ(lua_gettop(L), height);
            refused++;
        } else {
            CHECK_EQ(lua_gettop(L), height + 1);
        }
        lua_settop(L, height);
        if (!lua_checkstack(L, 1)) break;
        lua_pushnil(L);
    }
    printf("     %d refusals\n", refused);
    lua_close(L);
}

static int nothing(lua_State *L, void *ud) {
    (void)L;
    (void)ud;
    return 0;
}
static int push_function(lua_State *L) { return rlua_pushfunction(L, nothing, NULL, "a"); }
static int do_string(lua_State *L) { return rlua_dostring(L, ""); }
static int do_file(lua_State *L) { return rlua_dofile(L, "/dev/null"); }

TEST(pushfunction_without_room_leaves_nothing) { near_the_end_of_the_stack(push_function, 1); }
TEST(dostring_without_room_leaves_nothing) { near_the_end_of_the_stack(do_string, 0); }
TEST(dofile_without_room_leaves_nothing) { near_the_end_of_the_stack(do_file, 0); }

/* What luaL_requiref pushes on its way needs room too: with Lua's API checks on (make assert), one
 * slot too few is an assertion. */
static int open_module(lua_State *L) {
    lua_pushnil(L);
    return 1;
}
static int require_module(lua_State *L) { return rlua_requiref(L, "m", open_module, 1); }

TEST(requiref_near_the_end_of_the_stack_has_room) { near_the_end_of_the_stack(require_module, 1); }

/* -- nothing raises out of the library --------------------------------------------------------- */

TEST(resume_of_a_dead_coroutine_without_memory_does_not_raise) {
    lua_State *L = open_vm(256 * KIB, 0), *co = suspended(L), *running = lua_newthread(L);
    int results, status, i;
    lua_atpanic(L, panic);
    CHECK_STATUS(rlua_resume(co, L, 0, &results), RLUA_ERR_RUN);
    lua_settop(co, 0);
    /* Everything that is left is taken, down to the smallest string. */
    CHECK(lua_checkstack(running, 5));
    run(L, "collectgarbage('generational') collectgarbage('stop')");
    for (i = 1 << 16; i > 0; i /= 2)
        while (rlua_alloc(L, (size_t)i) != NULL) {}
    while (rlua_pushlstring(L, (const char[]){(char)lua_gettop(L), 'q', 'x'}, 3) == RLUA_OK &&
           lua_gettop(L) < 250) {}
    for (i = 0; i < 3; i++) {
        if (setjmp(panicked) != 0) FAIL("rlua_resume raised");
        status = rlua_resume(co, L, 0, &results);
        CHECK(status != RLUA_OK && status != RLUA_YIELD);
        CHECK(rlua_last_error(L)[0] != 0);
        lua_settop(co, 0);
    }
    lua_close(L);
}

/* -- rlua_check does not call a whole state damaged -------------------------------------------- */

TEST(check_counts_calls_as_lua_does) { /* in a number of 16 bits */
    lua_State *L = open_vm(64 * MIB, 0);
    run(L, "local function r() return 1 + r() end pcall(r)");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(check_knows_a_userdata_without_a_byte) {
    lua_State *L = open_vm(1 * MIB, 0);
    CHECK_OK(rlua_newuserdata(L, 0, 0, NULL));
    CHECK_OK(rlua_newuserdata(L, 0, 1, NULL));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(check_knows_that_a_thread_has_no_barrier) {
    lua_State *L = open_vm(1 * MIB, 0);
    int i;
    run(L, "collectgarbage('generational') cos = {}");
    for (i = 0; i < 40; i++) {
        run(L, "cos[#cos + 1] = coroutine.create(function() while true do local t = {{}, {}} "
               "coroutine.yield(t) end end) collectgarbage('step', 0) "
               "for _, co in ipairs(cos) do coroutine.resume(co) end");
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

/* -- a struct's size is that of a struct ------------------------------------------------------- */

#ifdef RLUA_VERSION
/* A size that ends inside a pointer leaves half of it: no header ever had such a struct. */
static void released(lua_State *L, void *object, void *ud) {
    (void)L;
    (void)object;
    (void)ud;
}

TEST(size_that_ends_inside_a_pointer_is_refused) {
    rlua_ResourceType type = {sizeof type, "t", released, NULL, NULL};
    lua_State *L = open_vm(1 * MIB, 1);
    for (type.size = 9; type.size < sizeof type; type.size++) {
        if (type.size % sizeof(void *) == 0) continue;
        CHECK_REFUSED(rlua_pushresource(L, L, &type), RLUA_BAD_CONFIG);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}
#endif
