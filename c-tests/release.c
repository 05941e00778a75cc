/* release.c: whatever makes a resource go, its release function runs in a VM that is not idle:
 * what needs an idle VM answers BUSY there, lua_close is refused, and the VM goes on.
 * Method: each way to end a resource, with a release function that tries everything.
 * The order of releases, and that each comes once: resources.c. */
#include "harness.h"

static int releases, closing;

static int c_capture(void *ud, int64_t frame, void **token) {
    (void)ud;
    (void)frame;
    (void)token;
    return 0;
}
static void c_restore(void *ud, void *token) {
    (void)ud;
    (void)token;
}
static const rlua_Participant participant = {sizeof participant, c_capture, c_restore, NULL};

static void release(lua_State *L, void *object, void *ud) {
    size_t count = 99;
    rlua_Info info;
    int top = lua_gettop(L);
    CHECK(object == (void *)&releases && ud == (void *)&closing);
    releases++;
    CHECK_REFUSED(rlua_snap(L), RLUA_BUSY);
    CHECK_REFUSED(rlua_snap_frame(L, 1000), RLUA_BUSY);
    CHECK_REFUSED(rlua_rollback(L, 1), RLUA_BUSY);
    CHECK_REFUSED(rlua_rollback_to(L, 0), RLUA_BUSY);
    CHECK_REFUSED(rlua_discard_before(L, 1000), RLUA_BUSY);
    CHECK_REFUSED(rlua_set_max_snapshots(L, 0), RLUA_BUSY);
    CHECK_REFUSED(rlua_check(L), RLUA_BUSY);
    CHECK_REFUSED(rlua_add_participant(L, &participant, NULL), RLUA_BUSY);
    CHECK_REFUSED(rlua_remove_participant(L, &participant, NULL), RLUA_BUSY);
    lua_close(L); /* refused: everything below still works */
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    CHECK_OK(rlua_info(L, &info));
    CHECK_OK(rlua_snapshot_count(L, &count));
    CHECK_EQ(info.snapshot_count, count);
    CHECK_OK(rlua_getglobal(L, "n"));
    CHECK(closing || lua_tointeger(L, -1) == 7);
    CHECK_OK(rlua_dostring(L, "released = (released or 0) + 1"));
    lua_settop(L, top);
}

static const rlua_ResourceType type = {sizeof type, "thing", release, &closing, NULL};

static lua_State *vm_with_a_resource(void) {
    lua_State *L = open_vm(2 * MIB, 3);
    releases = closing = 0;
    run(L, "n = 7");
    CHECK_OK(rlua_pushresource(L, &releases, &type));
    return L;
}

/* The resource is gone, and the VM is as good as before. */
static void see_released(lua_State *L) {
    CHECK_EQ(releases, 1);
    CHECK_OK(rlua_set_max_snapshots(L, 3));
    CHECK_OK(rlua_snap(L));
    run(L, "n = 8");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 7);
    CHECK_OK(rlua_check(L));
    closing = 1;
    lua_close(L);
    CHECK_STATUS(rlua_snap(L), RLUA_NOT_ROLLBACK);
    CHECK_EQ(releases, 1);
}

TEST(release_in_closeresource_on_an_idle_vm_is_busy) {
    lua_State *L = vm_with_a_resource();
    CHECK_OK(rlua_closeresource(L, -1, &type));
    see_released(L);
}

static int close_inside(lua_State *L, void *ud) {
    (void)ud;
    CHECK_OK(rlua_closeresource(L, 1, &type));
    return 0;
}

TEST(release_in_closeresource_inside_lua_is_busy) {
    lua_State *L = vm_with_a_resource();
    CHECK_OK(rlua_pushfunction(L, close_inside, NULL, "close"));
    lua_insert(L, 1);
    CHECK_OK(rlua_call(L, 1, 0, 0));
    see_released(L);
}

TEST(release_in_a_collection_is_busy) {
    lua_State *L = vm_with_a_resource();
    lua_settop(L, 0);
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    see_released(L);
}

TEST(release_at_the_end_of_a_marked_variable_is_busy) {
    lua_State *L = vm_with_a_resource();
    CHECK_OK(rlua_toclose(L, 1));
    CHECK_OK(rlua_settop(L, 0));
    see_released(L);
}

TEST(release_in_a_rollback_is_busy) {
    lua_State *L = vm_with_a_resource();
    lua_pop(L, 1);
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_EQ(releases, 1);
    releases = 0;
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_pushresource(L, &releases, &type));
    CHECK_OK(rlua_rollback(L, 1));
    see_released(L);
}

static lua_State *vm_whose_snapshot_holds_it(void) {
    lua_State *L = vm_with_a_resource();
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_closeresource(L, -1, &type));
    lua_settop(L, 0);
    CHECK_EQ(releases, 0);
    return L;
}

TEST(release_in_a_snap_is_busy) {
    lua_State *L = vm_whose_snapshot_holds_it();
    while (releases == 0) CHECK_OK(rlua_snap(L));
    see_released(L);
}

TEST(release_in_discard_before_is_busy) {
    lua_State *L = vm_whose_snapshot_holds_it();
    CHECK_OK(rlua_discard_before(L, 50));
    see_released(L);
}

TEST(release_in_set_max_snapshots_is_busy) {
    lua_State *L = vm_whose_snapshot_holds_it();
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    see_released(L);
}

TEST(release_in_lua_close_is_busy) {
    lua_State *L = vm_with_a_resource();
    closing = 1;
    lua_close(L);
    CHECK_EQ(releases, 1);
    CHECK_STATUS(rlua_snap(L), RLUA_NOT_ROLLBACK);
}
