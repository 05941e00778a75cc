/* resources.c: an object outside the VM is released exactly once, when nobody can reach it.
 * Method: each object counts its releases and the order is logged; handles are collected, rolled
 * back, rolled back to, closed, and left to lua_close. tests/resources.rs does the same at random
 * against a model. */
#include "harness.h"

enum { OBJECTS = 64 };
typedef struct Texture {
    int number, released;
} Texture;

static Texture textures[OBJECTS];
static int log_numbers[4 * OBJECTS], log_count;
static void (*on_release)(lua_State *L, Texture *texture);

static void release(lua_State *L, void *object, void *ud) {
    Texture *texture = object;
    CHECK(ud == textures);
    texture->released++;
    log_numbers[log_count++] = texture->number;
    if (on_release) on_release(L, texture);
}

static int number_of(lua_State *L, void *ud);
static int close_it(lua_State *L, void *ud);
static int text_of(lua_State *L, void *ud);
static const rlua_Method methods[] = {
    {"number", number_of}, {"close", close_it}, {"__tostring", text_of}, {NULL, NULL}};
static const rlua_ResourceType type = {sizeof type, "Texture", release, textures, methods};
static const rlua_ResourceType sound = {sizeof sound, "Sound", release, textures, NULL};

static int number_of(lua_State *L, void *ud) {
    void *object;
    CHECK(ud == textures);
    if (rlua_toresource(L, 1, &type, &object) != RLUA_OK) {
        rlua_pushlstring(L, "no texture", 10);
        return RLUA_RAISE;
    }
    CHECK_OK(rlua_pushinteger(L, ((Texture *)object)->number));
    return 1;
}

static int close_it(lua_State *L, void *ud) {
    (void)ud;
    CHECK_OK(rlua_closeresource(L, 1, &type));
    return 0;
}

static int text_of(lua_State *L, void *ud) {
    (void)ud;
    CHECK_OK(rlua_pushlstring(L, "a texture", 9));
    return 1;
}

static lua_State *open_fresh(size_t snapshots) {
    int i;
    for (i = 0; i < OBJECTS; i++) textures[i] = (Texture){i, 0};
    log_count = 0;
    on_release = NULL;
    return open_vm(1 * MIB, snapshots);
}

/* Makes texture `number` and stores it in the global `name`. */
static void make(lua_State *L, int number, const char *name) {
    CHECK_OK(rlua_pushresource(L, &textures[number], &type));
    CHECK_OK(rlua_setglobal(L, name));
}

static void expect_log(const int *numbers, int count) {
    int i;
    CHECK_EQ(log_count, count);
    for (i = 0; i < count; i++) CHECK_EQ(log_numbers[i], numbers[i]);
}
#define EXPECT_LOG(...) expect_log((int[]){__VA_ARGS__}, COUNT_OF(((int[]){__VA_ARGS__})))

TEST(collected_without_snapshots_is_released_at_once) {
    lua_State *L = open_fresh(2);
    make(L, 0, "t");
    run(L, "collectgarbage()");
    CHECK_EQ(log_count, 0);
    run(L, "t = nil collectgarbage()");
    EXPECT_LOG(0);
    lua_close(L);
    EXPECT_LOG(0);
}

TEST(collected_and_rolled_back_to_is_alive_again) {
    lua_State *L = open_fresh(4);
    make(L, 1, "t");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(log_count, 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:number()", "1");
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_discard_before(L, 0));
    CHECK_EQ(log_count, 0);
    CHECK_OK(rlua_discard_before(L, 1));
    EXPECT_LOG(1);
    CHECK_OK(rlua_check(L));
    lua_close(L);
    EXPECT_LOG(1);
}

TEST(made_and_rolled_back_away_is_released_in_creation_order) {
    lua_State *L = open_fresh(4);
    make(L, 0, "z");
    CHECK_OK(rlua_snap(L));
    make(L, 2, "c");
    make(L, 1, "b");
    CHECK_OK(rlua_snap(L));
    make(L, 3, "a");
    run(L, "b = nil z = nil collectgarbage()");
    CHECK_EQ(log_count, 0);
    CHECK_OK(rlua_rollback(L, 2));
    EXPECT_LOG(2, 1, 3);
    CHECK_EVAL(L, "z:number()", "0");
    make(L, 4, "d");
    CHECK_OK(rlua_rollback(L, 1));
    EXPECT_LOG(2, 1, 3, 4);
    lua_close(L);
    EXPECT_LOG(2, 1, 3, 4, 0);
}

TEST(history_that_is_full_releases_what_the_oldest_alone_could_reach) {
    lua_State *L = open_fresh(2);
    make(L, 0, "t");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(log_count, 0);
    CHECK_OK(rlua_snap(L));
    EXPECT_LOG(0);
    make(L, 1, "t");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(log_count, 1);
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    EXPECT_LOG(0, 1);
    lua_close(L);
}

TEST(close_releases_everything_in_creation_order_after_the_finalizers) {
    lua_State *L = open_fresh(2);
    int i;
    for (i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", (i * 5) % 8);
        make(L, i, name);
    }
    run(L, "fin = setmetatable({}, {__gc = function() seen = t3:number() end})");
    CHECK_OK(rlua_snap(L));
    run(L, "t1 = nil collectgarbage()");
    CHECK_EQ(log_count, 0);
    lua_close(L);
    EXPECT_LOG(0, 1, 2, 3, 4, 5, 6, 7);
}

TEST(closed_early_is_stale_and_alive_after_the_rollback) {
    lua_State *L = open_fresh(2);
    void *object;
    make(L, 0, "t");
    CHECK_OK(rlua_snap(L));
    run(L, "t:close()");
    CHECK_EQ(log_count, 0);
    CHECK_OK(rlua_getglobal(L, "t"));
    CHECK_REFUSED(rlua_toresource(L, -1, &type, &object), RLUA_STALE);
    CHECK_REFUSED(rlua_closeresource(L, -1, &type), RLUA_STALE);
    CHECK(object == NULL);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:number()", "0");
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    run(L, "t:close()");
    EXPECT_LOG(0);
    CHECK_EVAL(L, "pcall(t.number, t)", "false");
    run(L, "t = nil collectgarbage()");
    EXPECT_LOG(0);
    make(L, 1, "t");
    run(L, "do local x <close> = t end");
    EXPECT_LOG(0, 1);
    lua_close(L);
    EXPECT_LOG(0, 1);
}

TEST(type_is_checked) {
    lua_State *L = open_fresh(2);
    rlua_ResourceType other = type, small = type;
    void *object = L;
    make(L, 0, "t");
    CHECK_OK(rlua_pushresource(L, &textures[1], &sound));
    CHECK_OK(rlua_setglobal(L, "s"));
    CHECK_OK(rlua_getglobal(L, "t"));
    CHECK_OK(rlua_getglobal(L, "s"));
    CHECK_OK(rlua_toresource(L, 1, &type, &object));
    CHECK(object == &textures[0]);
    CHECK_REFUSED(rlua_toresource(L, 2, &type, &object), RLUA_BAD_ARG);
    CHECK(object == NULL);
    CHECK_REFUSED(rlua_toresource(L, 1, &sound, &object), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_toresource(L, 3, &type, &object), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_toresource(L, -9, &type, &object), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_toresource(L, LUA_REGISTRYINDEX, &type, &object), RLUA_BAD_ARG);
    CHECK_OK(rlua_getglobal(L, "io"));
    CHECK_OK(rlua_getfield(L, -1, "stdout"));
    CHECK_REFUSED(rlua_toresource(L, -1, &type, &object), RLUA_BAD_ARG);
    other.ud = NULL;
    CHECK_REFUSED(rlua_pushresource(L, &textures[2], &other), RLUA_BAD_ARG);
    small.size = 7;
    CHECK_REFUSED(rlua_pushresource(L, &textures[2], &small), RLUA_BAD_CONFIG);
    small.size = 2 * sizeof(size_t); /* an older header's, without `release` */
    CHECK_REFUSED(rlua_pushresource(L, &textures[2], &small), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_pushresource(L, NULL, &type), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_pushresource(L, &textures[2], NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_pushresource(NULL, &textures[2], &type), RLUA_NULL_ARG);
    CHECK_EVAL(L, "tostring(t)", "a texture");
    CHECK_EVAL(L, "getmetatable(t)", "Texture");
    CHECK_EVAL(L, "tostring(s):match('^Sound: ') ~= nil", "true");
    CHECK_EVAL(L, "select(2, pcall(t.number, s))", "no texture");
    CHECK_EVAL(L, "select(2, pcall(t.number, io.stdout))", "no texture");
    lua_close(L);
    EXPECT_LOG(0, 1);
}

/* A userdata with the bytes of a handle, and a handle's own __gc called by hand. */
TEST(forged_handles_release_nothing) {
    lua_State *L = open_fresh(2);
    void *forged, *object;
    make(L, 0, "t");
    CHECK_OK(rlua_getglobal(L, "t"));
    CHECK_OK(rlua_newuserdata(L, 16, 0, &forged));
    memcpy(forged, lua_touserdata(L, 1), 16);
    CHECK_STATUS(rlua_toresource(L, 2, &type, &object), RLUA_STALE);
    CHECK(lua_getmetatable(L, 1));
    lua_setmetatable(L, 2);
    lua_settop(L, 0);
    run(L, "collectgarbage()");
    CHECK_EQ(log_count, 0);
    run(L, "local gc = debug.getmetatable(t).__gc gc(t) gc(t) gc(1) gc() gc(io.stdout)");
    EXPECT_LOG(0);
    run(L, "t = nil collectgarbage()");
    lua_close(L);
    EXPECT_LOG(0);
}

/* -- release calls back ------------------------------------------------------------------- */

static int busy_calls;

static void call_back(lua_State *L, Texture *texture) {
    int top = lua_gettop(L);
    CHECK_STATUS(rlua_snap(L), RLUA_BUSY);
    CHECK_STATUS(rlua_rollback(L, 1), RLUA_BUSY);
    CHECK_STATUS(rlua_discard_before(L, 100), RLUA_BUSY);
    CHECK_STATUS(rlua_set_max_snapshots(L, 0), RLUA_BUSY);
    lua_close(L);
    CHECK_OK(rlua_dostring(L, "released = (released or 0) + 1 collectgarbage() return released"));
    CHECK_OK(rlua_settop(L, top));
    busy_calls++;
    if (texture->number < 20) {
        CHECK_OK(rlua_pushresource(L, &textures[texture->number + 20], &type));
        CHECK_OK(rlua_settop(L, top));
    }
}

TEST(release_may_call_back) {
    lua_State *L = open_fresh(4);
    busy_calls = 0;
    on_release = call_back;
    CHECK_OK(rlua_snap(L));
    make(L, 0, "a");
    make(L, 1, "b");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(textures[0].released == 1 && textures[1].released == 1);
    CHECK_EQ(snapshot_count(L), 1);
    make(L, 2, "c");
    run(L, "c = nil collectgarbage()");
    CHECK_EQ(textures[2].released, 1);
    make(L, 3, "d");
    CHECK_OK(rlua_check(L));
    lua_close(L);
    CHECK(textures[3].released == 1);
    CHECK(textures[20].released == 1 && textures[21].released == 1);
    CHECK(textures[22].released == 1 && textures[23].released == 1);
    CHECK_EQ(busy_calls, 8);
}

typedef struct Wrapped {
    lua_Alloc function;
    void *ud;
    size_t calls;
} Wrapped;

static void *wrapping(void *ud, void *block, size_t old_size, size_t new_size) {
    Wrapped *wrapped = (Wrapped *)ud;
    wrapped->calls++;
    return wrapped->function(wrapped->ud, block, old_size, new_size);
}

static void exit_closing(void *wraps) {
    static Wrapped wrapped;
    lua_State *L = open_fresh(2);
    if (wraps) {
        wrapped.function = lua_getallocf(L, &wrapped.ud);
        lua_setallocf(L, wrapping, &wrapped);
    }
    make(L, 0, "t");
    CHECK_OK(rlua_snap(L));
    CHECK(!wraps || wrapped.calls > 0);
    on_release = NULL;
    run(L, "local t = t; fin = setmetatable({}, {__gc = function() io.write(t:number()) end})");
    if (luaL_dostring(L, "os.exit(7, true)") != LUA_OK) exit(1);
}

static void exit_reports(void) {
    if (harness.in_child && textures[0].released != 1) _exit(9);
}

TEST(os_exit_that_closes_releases_too) {
    atexit(exit_reports);
    CHECK_EQ(in_child(exit_closing, NULL), 7);
}

/* Whose allocation function it is does not tell whose VM it is. */
TEST(os_exit_releases_where_the_host_wrapped_the_allocator) {
    int wraps = 1;
    atexit(exit_reports);
    CHECK_EQ(in_child(exit_closing, &wraps), 7);
}

/* Lua's own pattern, for comparison: the __gc of plain data runs again after a rollback. */
static int gc_runs;
static int count_gc(lua_State *L, void *ud) {
    (void)L;
    (void)ud;
    gc_runs++;
    return 0;
}

TEST(plain_gc_runs_again_after_a_rollback) {
    lua_State *L = open_fresh(2);
    gc_runs = 0;
    CHECK_OK(rlua_newmetatable(L, "plain", NULL));
    CHECK_OK(rlua_pushfunction(L, count_gc, NULL, "gc"));
    CHECK_OK(rlua_setfield(L, -2, "__gc"));
    CHECK_OK(rlua_pushboolean(L, 1));
    CHECK_OK(rlua_setfield(L, -2, "__rollback"));
    CHECK_OK(rlua_newuserdata(L, 8, 2, NULL));
    CHECK_OK(rlua_setmetatable(L, "plain"));
    CHECK_OK(rlua_pushinteger(L, 5));
    CHECK_EQ(lua_setiuservalue(L, -2, 1), 1);
    CHECK_OK(rlua_setglobal(L, "u"));
    lua_settop(L, 0);
    CHECK_OK(rlua_snap(L));
    run(L, "u = nil collectgarbage()");
    CHECK_EQ(gc_runs, 1);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "debug.getuservalue(u, 1)", "5");
    run(L, "u = nil collectgarbage()");
    CHECK_EQ(gc_runs, 2);
    lua_close(L);
}

/* Frame 2 is replaced: what was made since the first snap of it is in it now, what died since is
 * no longer. */
TEST(a_replaced_snapshot_reaches_what_is_alive_now) {
    lua_State *L = open_fresh(4);
    make(L, 1, "old");
    CHECK_OK(rlua_snap_frame(L, 1));
    make(L, 2, "both");
    CHECK_OK(rlua_snap_frame(L, 2));
    make(L, 3, "young");
    run(L, "both = nil old = nil collectgarbage()");
    CHECK_EQ(log_count, 0);
    CHECK_OK(rlua_snap_frame(L, 2));
    EXPECT_LOG(2); /* frame 1 still has `old`; nobody has `both` */
    run(L, "young = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "young:number()", "3");
    CHECK_OK(rlua_rollback(L, 2));
    EXPECT_LOG(2, 3);
    CHECK_EVAL(L, "old:number()", "1");
    CHECK_OK(rlua_check(L));
    lua_close(L);
    EXPECT_LOG(2, 3, 1);
}

static void work_inside(lua_State *L, Texture *texture) {
    (void)texture;
    CHECK_STATUS(rlua_snap(L), RLUA_BUSY);
    CHECK_STATUS(rlua_rollback(L, 1), RLUA_BUSY);
    CHECK_STATUS(rlua_set_max_snapshots(L, 0), RLUA_BUSY);
    CHECK(strstr(rlua_last_error(L), "Lua is running") == NULL);
    lua_close(L);
    CHECK_OK(rlua_dostring(L, "inside = true"));
}

TEST(release_by_closeresource_on_an_idle_vm_is_busy) {
    lua_State *L = open_fresh(4);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_pushresource(L, &textures[0], &type));
    on_release = work_inside;
    CHECK_OK(rlua_closeresource(L, -1, &type));
    EXPECT_LOG(0);
    CHECK_EVAL(L, "inside", "true");
    CHECK_EQ(snapshot_count(L), 1);
    CHECK_OK(rlua_rollback(L, 1)); /* idle again */
    CHECK_OK(rlua_check(L));
    on_release = NULL;
    lua_close(L);
    EXPECT_LOG(0);
}
