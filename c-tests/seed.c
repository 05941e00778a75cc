/* seed.c: the program this library was first asked for, and the eleven situations that the
 * authors of the design it grew from test in theirs.
 * Method: each situation is played through the C API; limits.c has the eleventh in full. */
#include "harness.h"

static const char COUNTER[] = "local i = 0; function inc() i = i + 1; return i end";

static long long inc(lua_State *L) {
    long long value;
    lua_getglobal(L, "inc");
    lua_call(L, 0, 1);
    value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

TEST(set_snap_set_rollback_reads_one) {
    lua_State *L = rlua_new_rollback(1 * MIB, 1);
    CHECK(L != NULL);
    lua_pushinteger(L, 1);
    lua_setglobal(L, "value");
    CHECK_EQ(global_int(L, "value"), 1);
    CHECK_OK(rlua_snap(L));
    lua_pushinteger(L, 2);
    lua_setglobal(L, "value");
    CHECK_EQ(global_int(L, "value"), 2);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "value"), 1);
    lua_close(L);
}

TEST(counter_closure_goes_back) {
    lua_State *L = open_vm(256 * KIB, 1);
    run(L, COUNTER);
    CHECK_OK(rlua_snap(L));
    inc(L);
    inc(L);
    CHECK_EQ(inc(L), 3);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(inc(L), 1);
    lua_close(L);
}

TEST(rollback_past_a_modified_snapshot) {
    lua_State *L = open_vm(256 * KIB, 5);
    run(L, COUNTER);
    CHECK_OK(rlua_snap(L));
    inc(L);
    inc(L);
    CHECK_EQ(inc(L), 3);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(inc(L), 1);
    lua_close(L);
}

TEST(snapshots_of_an_unmodified_vm) {
    lua_State *L = open_vm(256 * KIB, 5);
    CHECK_OK(rlua_snap(L));
    run(L, COUNTER);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
    inc(L);
    inc(L);
    CHECK_EQ(inc(L), 3);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(inc(L), 1);
    lua_close(L);
}

TEST(table_across_two_rollbacks) {
    lua_State *L = open_vm(256 * KIB, 2);
    CHECK_OK(rlua_snap(L));
    lua_newtable(L);
    lua_pushinteger(L, 1);
    lua_setfield(L, -2, "key");
    lua_setglobal(L, "test");
    CHECK_OK(rlua_snap(L));
    run(L, "test.key = 2");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "test.key", "1");
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EVAL(L, "test", "nil");
    lua_close(L);
}

static const char *registry_string(lua_State *L, int ref) {
    const char *text;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    text = lua_tostring(L, -1); /* the registry keeps it alive */
    lua_pop(L, 1);
    return text;
}

TEST(registry_value_goes_back) {
    lua_State *L = open_vm(256 * KIB, 2);
    int ref;
    CHECK_OK(rlua_snap(L));
    lua_pushstring(L, "a");
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    CHECK_STR(registry_string(L, ref), "a");
    CHECK_OK(rlua_snap(L));
    lua_pushstring(L, "b");
    lua_rawseti(L, LUA_REGISTRYINDEX, ref);
    CHECK_STR(registry_string(L, ref), "b");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_STR(registry_string(L, ref), "a");
    CHECK_OK(rlua_rollback(L, 2));
    CHECK(registry_string(L, ref) == NULL);
    lua_close(L);
}

TEST(named_registry_value_goes_back) {
    lua_State *L = open_vm(256 * KIB, 2);
    CHECK_OK(rlua_snap(L));
    lua_pushstring(L, "hello");
    lua_setfield(L, LUA_REGISTRYINDEX, "test");
    CHECK_EQ(lua_getfield(L, LUA_REGISTRYINDEX, "test"), LUA_TSTRING);
    CHECK_STR(lua_tostring(L, -1), "hello");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(lua_gettop(L), 0);
    CHECK_EQ(lua_getfield(L, LUA_REGISTRYINDEX, "test"), LUA_TNIL);
    lua_close(L);
}

/* A function with a captured userdata, which says when it is freed. The count of releases
 * lies in another userdata, so it is part of the state and rolls back with it: all of it is plain
 * data, and the metatable says so. */
static int release(lua_State *L) {
    lua_Integer *releases = (lua_Integer *)lua_touserdata(L, lua_upvalueindex(1));
    ++*releases;
    return 0;
}

static int answer(lua_State *L) {
    lua_pushboolean(L, lua_touserdata(L, lua_upvalueindex(1)) != NULL);
    return 1;
}

static lua_Integer *add_release_count(lua_State *L) {
    lua_Integer *releases = (lua_Integer *)lua_newuserdatauv(L, sizeof *releases, 0);
    *releases = 0;
    lua_setfield(L, LUA_REGISTRYINDEX, "releases");
    return releases;
}

static void set_function(lua_State *L) {
    lua_newuserdatauv(L, 16, 0);
    lua_createtable(L, 0, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, "releases");
    lua_pushcclosure(L, release, 1);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "__rollback");
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, answer, 1);
    lua_setglobal(L, "test");
}

static void drop_function(lua_State *L) {
    lua_pushnil(L);
    lua_setglobal(L, "test");
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT);
}

TEST(function_collected_is_alive_again_and_freed_once) {
    lua_State *L = open_vm(256 * KIB, 3);
    lua_Integer *releases = add_release_count(L);
    CHECK_OK(rlua_snap(L));
    set_function(L);
    CHECK_OK(rlua_snap(L));
    drop_function(L);
    CHECK_EQ(*releases, 1);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(*releases, 0);
    CHECK_EVAL(L, "test()", "true");
    drop_function(L);
    CHECK_EQ(*releases, 1);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(*releases, 0);
    CHECK_EVAL(L, "test", "nil");
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*releases, 0);
    lua_close(L);
}

/* A scoped function: the host destroys it before the snapshot; calling it is an error. */
TEST(scoped_function_stays_destroyed_and_is_freed_once) {
    lua_State *L = open_vm(256 * KIB, 3);
    lua_Integer *releases = add_release_count(L);
    CHECK_OK(rlua_snap(L));
    set_function(L);
    lua_getglobal(L, "test");
    lua_pushnil(L);
    lua_setupvalue(L, -2, 1);
    lua_pop(L, 1);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(*releases, 1);
    CHECK_OK(rlua_snap(L));
    drop_function(L);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "test()", "false");
    drop_function(L);
    CHECK_EQ(*releases, 1);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(*releases, 0);
    lua_close(L);
}

static int create_error(lua_State *L) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, "test");
    lua_setfield(L, -2, "message");
    return lua_error(L);
}

TEST(error_value_survives_a_rollback) {
    lua_State *L = open_vm(256 * KIB, 2);
    lua_register(L, "create_error", create_error);
    run(L, "_, err = pcall(create_error)");
    CHECK_OK(rlua_snap(L));
    run(L, "err = nil");
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "err.message", "test");
    lua_close(L);
}

TEST(zero_snapshots_collects_as_usual_and_snap_is_disabled) {
    lua_State *L = open_vm(256 * KIB, 0);
    lua_Integer *releases = add_release_count(L);
    set_function(L);
    drop_function(L);
    CHECK_EQ(*releases, 1);
    CHECK_REFUSED(rlua_snap(L), RLUA_DISABLED);
    lua_close(L);
}

TEST(filling_the_memory_is_an_error_a_script_can_catch) {
    lua_State *L = open_vm(128 * KIB, 1);
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(luaL_loadstring(L, "local t = {} while true do t[#t + 1] = {} end"), LUA_OK);
    CHECK_EQ(lua_pcall(L, 0, 0, 0), LUA_ERRMEM);
    lua_settop(L, 0);
    run(L, "ok, message = pcall(string.rep, 'x', 1 << 20)");
    CHECK_EVAL(L, "ok", "false");
    CHECK_EVAL(L, "message", "not enough memory");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "message", "nil");
    lua_close(L);
}
