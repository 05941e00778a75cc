/* guard_modes.c: rlua_Config.guard says what a C finalizer means: guarded, refused, or nothing.
 * Method: the counting module in a VM of each mode, with and without snapshots.
 * Not here: what guarding does (guarded.c). */
#include "counted.h"

static lua_State *open_in_mode(int32_t guard, size_t max_snapshots) {
    rlua_Config config;
    lua_State *L = NULL;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 4 * MIB;
    config.max_snapshots = max_snapshots;
    config.guard = guard;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    forget_things();
    return L;
}

static void require_counted(lua_State *L) {
    luaL_requiref(L, "counted", open_counted, 1);
    lua_pop(L, 1);
}

TEST(on_is_zero_and_the_default) {
    lua_State *L = open_in_mode(RLUA_GUARD_ON, 4);
    CHECK_EQ(RLUA_GUARD_ON, 0);
    CHECK_EQ(RLUA_GUARD_REFUSE, 1);
    CHECK_EQ(RLUA_GUARD_OFF, 2);
    require_counted(L);
    run(L, "t = counted.new(1)");
    CHECK_OK(rlua_snap(L));
    run(L, "t:value(2) t = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:value()", "2");
    close_and_count(L);
}

TEST(other_numbers_are_refused) {
    int32_t wrong[] = {-1, 3, 1000, INT32_MIN};
    size_t i;
    for (i = 0; i < COUNT_OF(wrong); i++) {
        rlua_Config config;
        lua_State *L = (lua_State *)&config;
        memset(&config, 0, sizeof config);
        config.size = sizeof config;
        config.guard = wrong[i];
        CHECK_REFUSED(rlua_open(&config, &L), RLUA_BAD_CONFIG);
        CHECK(L == NULL);
    }
}

TEST(refuse_raises_where_such_a_metatable_is_set) {
    lua_State *L = open_in_mode(RLUA_GUARD_REFUSE, 4);
    require_counted(L);
    CHECK(luaL_dostring(L, "t = counted.new()") != LUA_OK);
    CHECK(strstr(lua_tostring(L, -1), "__gc") != NULL);
    lua_settop(L, 0);
    CHECK_EVAL(L, "select('#', pcall(counted.new))", "2");
    CHECK_OK(rlua_snap(L));
    CHECK(luaL_dostring(L, "return counted.new()") != LUA_OK);
    lua_settop(L, 0);
    CHECK_EVAL(L, "t", "nil");
    run(L, "collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    lua_close(L);
    CHECK_EQ(finalized_things(), 0);
}

TEST(refuse_lets_what_is_pure_pass) {
    lua_State *L = open_in_mode(RLUA_GUARD_REFUSE, 4);
    require_counted(L);
    run(L, "plain = counted.adopt {__gc = counted.gc, __rollback = true} "
           "lua = counted.adopt {__gc = function() end} bare = counted.adopt {} "
           "tab = setmetatable({}, {__gc = counted.gc}) "
           "text = ('x'):rep(100000):upper():gsub('X', 'y') "
           "co = coroutine.wrap(function() return table.concat {text, text} end)()");
    CHECK_OK(rlua_snap(L));
    run(L, "plain, lua, bare, tab, text, co = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "#text", "100000");
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(refuse_names_the_type) {
    lua_State *L = open_in_mode(RLUA_GUARD_REFUSE, 4);
    run(L, "ok, message = pcall(debug.setmetatable, io.stdout, nil)");
    require_counted(L);
    CHECK(luaL_dostring(L, "counted.new()") != LUA_OK);
    CHECK(strstr(lua_tostring(L, -1), "counted") != NULL);
    lua_close(L);
}

TEST(refuse_without_snapshots_refuses_nothing) {
    lua_State *L = open_in_mode(RLUA_GUARD_REFUSE, 0);
    require_counted(L);
    run(L, "t = counted.new() t = nil collectgarbage()");
    CHECK_EQ(thing_finalized[0], 1);
    close_and_count(L);
}

TEST(refuse_keeps_no_snapshots_of_what_it_refuses) {
    lua_State *L = open_in_mode(RLUA_GUARD_REFUSE, 0);
    require_counted(L);
    run(L, "t = counted.new()");
    CHECK_REFUSED(rlua_set_max_snapshots(L, 4), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_snap(L), RLUA_DISABLED);
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_set_max_snapshots(L, 4));
    CHECK_OK(rlua_snap(L));
    close_and_count(L);
}

/* Two states would end the same thing. */
TEST(what_is_outside_is_in_no_second_state_with_snapshots_or_without) {
    static const int32_t modes[] = {RLUA_GUARD_ON, RLUA_GUARD_REFUSE};
    rlua_Checksum sums[3];
    size_t i;
    for (i = 0; i < 3; i++) {
        lua_State *L = open_in_mode(modes[i % 2], i == 2 ? 4 : 0), *copy = NULL;
        size_t length;
        require_counted(L);
        CHECK_OK(rlua_register(L, "new", counted_new));
        CHECK_OK(rlua_register(L, "adopt", counted_adopt));
        CHECK_OK(rlua_register(L, "gc", counted_gc));
        CHECK_OK(rlua_register(L, "close", counted_close));
        CHECK_OK(rlua_register(L, "number", counted_number));
        CHECK_OK(rlua_register(L, "value", counted_value));
        run(L, "t = counted.new(7)");
        CHECK_REFUSED(rlua_clone(L, &copy), RLUA_UNSAVABLE);
        CHECK(copy == NULL);
        CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_UNSAVABLE);
        CHECK(strstr(rlua_last_error(L), "_G.t") != NULL);
        CHECK_OK(rlua_checksum(L, &sums[i]));
        run(L, "t = nil collectgarbage()");
        close_and_count(L);
    }
    CHECK(memcmp(&sums[0], &sums[2], sizeof sums[0]) == 0);
}

TEST(off_is_the_plain_behaviour) {
    lua_State *L = open_in_mode(RLUA_GUARD_OFF, 4);
    require_counted(L);
    run(L, "t = counted.new(1)");
    CHECK_OK(rlua_snap(L));
    run(L, "t:value(2) t = nil collectgarbage()");
    CHECK_EQ(thing_finalized[0], 1);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:value()", "1");
    CHECK_EQ(info_of(L).guarded_count, 0);
    lua_close(L);
    CHECK_EQ(thing_finalized[0], 2);
}

TEST(info_counts_the_guarded) {
    lua_State *L = open_in_mode(RLUA_GUARD_ON, 4);
    size_t before;
    require_counted(L);
    before = info_of(L).guarded_count; /* what the standard libraries have, if anything */
    run(L, "ts = {} for i = 1, 10 do ts[i] = counted.new(i) end "
           "x = counted.adopt {__gc = counted.gc, __rollback = true} y = counted.adopt {}");
    CHECK_EQ(info_of(L).guarded_count, before + 10);
    CHECK_OK(rlua_snap_frame(L, 1));
    run(L, "ts[1], ts[2] = nil collectgarbage() collectgarbage()");
    CHECK_EQ(info_of(L).guarded_count, before + 10);
    run(L, "ts[11] = counted.new()");
    CHECK_EQ(info_of(L).guarded_count, before + 11);
    CHECK_OK(rlua_rollback_to(L, 1));
    CHECK_EQ(info_of(L).guarded_count, before + 10);
    run(L, "ts = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_discard_before(L, 2));
    run(L, "collectgarbage()");
    CHECK_EQ(info_of(L).guarded_count, before);
    lua_close(L);
}

TEST(highest_frame_tells_that_a_frame_runs_again) {
    lua_State *L = open_in_mode(RLUA_GUARD_ON, 8);
    int frame;
    for (frame = 1; frame <= 5; frame++) CHECK_OK(rlua_snap_frame(L, frame));
    CHECK_EQ(info_of(L).highest_frame, 5);
    CHECK_OK(rlua_rollback_to(L, 3));
    CHECK_EQ(info_of(L).highest_frame, 5);
    CHECK_EQ(info_of(L).newest_frame, 3);
    CHECK_OK(rlua_snap_frame(L, 4));
    CHECK_EQ(info_of(L).highest_frame, 5);
    CHECK_OK(rlua_snap_frame(L, 6));
    CHECK_EQ(info_of(L).highest_frame, 6);
    lua_close(L);
}
