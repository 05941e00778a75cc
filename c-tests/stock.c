/* stock.c: a program that knows nothing of rollback finds what lua.org's library does.
 * Method: the ordinary calls, in the ways the manual describes; what ends the process runs in
 * a forked child whose output is read. */
#include "harness.h"

#include <setjmp.h>

TEST(newstate_runs_scripts) {
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    CHECK(lua_version(L) == 504);
    CHECK_EVAL(L, "_VERSION", "Lua 5.4");
    CHECK_EVAL(L, "string.format('%5.2f|%q|%d', 3.14159, 'x', 42)", " 3.14|\"x\"|42");
    CHECK_EVAL(L, "select('#', table.unpack({1, 2, nil, 4}, 1, 4))", "4");
    CHECK_EVAL(L, "type(os.time()) .. type(io.stdout) .. type(debug.getinfo(1))",
               "numberuserdatatable");
    lua_close(L);
}

TEST(newstate_has_snapshots_when_they_are_asked_for) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_REFUSED(rlua_snap(L), RLUA_DISABLED);
    CHECK_EQ(info_of(L).max_snapshots, 0);
    CHECK_OK(rlua_set_max_snapshots(L, 2));
    run(L, "n = 1");
    CHECK_OK(rlua_snap(L));
    run(L, "n = 2");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 1);
    lua_close(L);
}

TEST(newstate_takes_much_memory_when_a_script_needs_it) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    run(L, "s = {} for i = 1, 64 do s[i] = ('x'):rep(1 << 20) .. i end");
    CHECK(info_of(L).used_bytes > 64 * MIB);
    /* A buffer is finalized, freed, and then its slab is empty. */
    run(L, "s = nil for i = 1, 3 do collectgarbage() end");
    CHECK(info_of(L).used_bytes < 4 * MIB);
    lua_close(L);
}

typedef struct HostMemory { size_t used_bytes, limit_bytes; } HostMemory;

static void *host_alloc(void *ud, void *block, size_t old_size, size_t new_size) {
    HostMemory *memory = (HostMemory *)ud;
    void *result;
    if (!block) old_size = 0;
    if (new_size == 0) {
        free(block);
        memory->used_bytes -= old_size;
        return NULL;
    }
    if (memory->used_bytes - old_size + new_size > memory->limit_bytes) return NULL;
    result = realloc(block, new_size);
    if (result) memory->used_bytes += new_size - old_size;
    return result;
}

static int set_flag(lua_State *L) {
    ++*(int *)lua_touserdata(L, lua_upvalueindex(1));
    return 0;
}

TEST(newstate_with_the_hosts_allocator) {
    HostMemory memory = {0, 64 * MIB};
    lua_State *L = lua_newstate(host_alloc, &memory);
    void *ud = NULL;
    int flag = 0;
    CHECK(lua_getallocf(L, &ud) == host_alloc);
    CHECK(ud == &memory);
    luaL_openlibs(L);
    run(L, "t = {} for i = 1, 10000 do t[i] = {i, tostring(i)} end "
           "co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)");
    CHECK_EVAL(L, "co() + co() + #t", "10003");
    CHECK(memory.used_bytes > 500000);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushlightuserdata(L, &flag);
    lua_pushcclosure(L, set_flag, 1);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    CHECK_STATUS(rlua_snap(L), RLUA_NOT_ROLLBACK);
    lua_close(L);
    CHECK_EQ(flag, 1);
    CHECK_EQ(memory.used_bytes, 0);
}

TEST(hosts_allocator_that_refuses) {
    size_t limit;
    for (limit = 0; limit < 60 * KIB; limit += 512 * (size_t)test_scale()) {
        HostMemory memory = {0, limit};
        lua_State *L = lua_newstate(host_alloc, &memory);
        if (L) {
            lua_pushcfunction(L, luaopen_base);
            if (lua_pcall(L, 0, 0, 0) == LUA_OK) {
                luaL_loadstring(L, "local t = {} while true do t[#t + 1] = {} end");
                CHECK(lua_pcall(L, 0, 0, 0) != LUA_OK);
            }
            lua_close(L);
        }
        CHECK_EQ(memory.used_bytes, 0);
    }
}

TEST(the_allocator_of_an_arena_vm_can_be_used) {
    lua_State *L = open_vm(1 * MIB, 1);
    void *ud;
    lua_Alloc alloc = lua_getallocf(L, &ud);
    char *block = (char *)alloc(ud, NULL, 0, 100000);
    size_t used = info_of(L).used_bytes;
    CHECK(block != NULL);
    memset(block, 'a', 100000);
    CHECK_OK(rlua_snap(L));
    memset(block, 'b', 100000);
    CHECK(alloc(ud, block, 100000, 200000) != NULL);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(block[0] == 'a' && block[99999] == 'a');
    CHECK_EQ(info_of(L).used_bytes, used);
    CHECK(alloc(ud, NULL, 0, 64 * MIB) == NULL);
    alloc(ud, block, 100000, 0);
    CHECK(info_of(L).used_bytes < used);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(extra_space_is_there_and_inherited) {
    lua_State *L = luaL_newstate(), *thread;
    void *mark = &mark, *read = NULL;
    memcpy(lua_getextraspace(L), &mark, sizeof mark);
    thread = lua_newthread(L);
    memcpy(&read, lua_getextraspace(thread), sizeof read);
    CHECK(read == mark);
    lua_close(L);
}

static jmp_buf jump;

static int panic(lua_State *L) {
    (void)L;
    longjmp(jump, 1);
}

TEST(after_a_panic_that_jumps_the_vm_is_usable_and_snaps) {
    lua_State *L = open_vm(1 * MIB, 2);
    lua_CFunction old = lua_atpanic(L, panic);
    CHECK(old != NULL); /* as after luaL_newstate */
    run(L, "n = 1");
    CHECK_OK(rlua_snap(L));
    if (setjmp(jump) == 0) {
        lua_pushliteral(L, "unprotected");
        lua_error(L);
    }
    CHECK_STR(lua_tostring(L, -1), "unprotected");
    CHECK_OK(rlua_recover(L)); /* Lua has marked the thread as dead */
    if (setjmp(jump) == 0) {
        luaL_loadstring(L, "n = 2 local function f() error('deep') end f()");
        lua_call(L, 0, 0);
    }
    CHECK_EQ(global_int(L, "n"), 2);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 1);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Runs `body` in a child with its output going to `text`; gives in_child()'s answer. */
static int output_of(void (*body)(void *), void *argument, char *text, size_t size) {
    int ends[2], status, saved[2];
    ssize_t got;
    size_t length = 0;
    CHECK_EQ(pipe(ends), 0);
    fflush(stdout);
    saved[0] = dup(1);
    saved[1] = dup(2);
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[1]);
    status = in_child(body, argument);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    while ((got = read(ends[0], text + length, size - 1 - length)) > 0) length += (size_t)got;
    close(ends[0]);
    text[length] = '\0';
    return status;
}

static lua_State *either_state(void *argument) {
    if (argument) return open_vm(1 * MIB, 1);
    return luaL_newstate();
}

static void unprotected_error(void *argument) {
    lua_State *L = either_state(argument);
    lua_pushliteral(L, "nobody catches this");
    lua_error(L);
}

TEST(panic_without_a_function_says_so_and_aborts) {
    NOT_ON_WINDOWS("what a child wrote is gone where the test is gone through anew");
    char text[1024];
    int arena;
    for (arena = 0; arena < 2; arena++) {
        CHECK_EQ(output_of(unprotected_error, arena ? &arena : NULL, text, sizeof text), -SIGABRT);
        CHECK(strstr(text, "PANIC: unprotected error in call to Lua API") != NULL);
        CHECK(strstr(text, "nobody catches this") != NULL);
    }
}

static void warn_twice(void *argument) {
    lua_State *L = either_state(argument);
    lua_warning(L, "silent: warnings are off at first", 0);
    lua_warning(L, "@on", 0);
    lua_warning(L, "now ", 1);
    lua_warning(L, "heard", 0);
    lua_close(L);
}

TEST(warnings_are_off_and_can_be_turned_on) {
    NOT_ON_WINDOWS("what a child wrote is gone where the test is gone through anew");
    char text[1024];
    int arena;
    for (arena = 0; arena < 2; arena++) {
        CHECK_EQ(output_of(warn_twice, arena ? &arena : NULL, text, sizeof text), 0);
        CHECK_STR(text, "Lua warning: now heard\n");
    }
}

static int write_closed(lua_State *L) {
    (void)L;
    return write(1, "closed\n", 7) == 7 ? 0 : 1;
}

static void exit_with_close(void *argument) {
    lua_State *L = either_state(argument);
    luaL_openlibs(L);
    lua_register(L, "write_closed", write_closed);
    (void)luaL_dostring(L, "kept = setmetatable({}, {__gc = write_closed}) os.exit(true, true)");
    FAIL("os.exit came back");
}

static void exit_without_close(void *argument) {
    lua_State *L = either_state(argument);
    luaL_openlibs(L);
    lua_register(L, "write_closed", write_closed);
    (void)luaL_dostring(L, "kept = setmetatable({}, {__gc = write_closed}) os.exit(7)");
    FAIL("os.exit came back");
}

static void exit_from_a_coroutine(void *argument) {
    lua_State *L = either_state(argument);
    luaL_openlibs(L);
    lua_register(L, "write_closed", write_closed);
    (void)luaL_dostring(L, "kept = setmetatable({}, {__gc = write_closed}) "
                           "coroutine.wrap(function() os.exit(3, true) end)()");
    FAIL("os.exit came back");
}

TEST(os_exit_closes_the_state_when_asked_to) {
    NOT_ON_WINDOWS("what a child wrote is gone where the test is gone through anew");
    char text[1024];
    int arena;
    for (arena = 0; arena < 2; arena++) {
        CHECK_EQ(output_of(exit_with_close, arena ? &arena : NULL, text, sizeof text), 0);
        CHECK_STR(text, "closed\n");
        CHECK_EQ(output_of(exit_without_close, arena ? &arena : NULL, text, sizeof text), 7);
        CHECK_STR(text, "");
        CHECK_EQ(output_of(exit_from_a_coroutine, arena ? &arena : NULL, text, sizeof text), 3);
        CHECK_STR(text, "closed\n");
    }
}

TEST(close_through_any_thread_and_pending_closes) {
    lua_State *L = luaL_newstate(), *thread = lua_newthread(L);
    int flag = 0;
    lua_newtable(L);
    lua_newtable(L);
    lua_pushlightuserdata(L, &flag);
    lua_pushcclosure(L, set_flag, 1);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_toclose(L, -1);
    lua_close(thread);
    CHECK_EQ(flag, 1);
}

TEST(dump_and_undump) {
    lua_State *L = open_vm(1 * MIB, 1);
    run(L, "code = string.dump(function(a) return a * 2 end)");
    CHECK_OK(rlua_snap(L));
    CHECK_EVAL(L, "load(code, 'x', 'b')(21)", "42");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "load(code, 'x', 'b')(21)", "42");
    lua_close(L);
}

TEST(many_states_opened_and_closed) {
    int i, count = 500 / (int)test_scale();
    for (i = 0; i < count; i++) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        run(L, "x = {}");
        lua_close(L);
    }
}
