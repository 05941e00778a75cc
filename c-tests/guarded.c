/* guarded.c: a userdata with a C finalizer belongs to somebody who never heard of snapshots. Its
 * finalizer runs exactly once, when neither the live state nor a held snapshot can reach it, and
 * its block does not roll back.
 * Method: a module that counts (counted.h); its objects are collected, rolled back away, rolled
 * back to, closed and left to lua_close, one situation a test.
 * Not here: the same at random (guarded_model.c), modes of the guard (guard_modes.c), the io
 * library (iofiles.c), modules of others (modules.c). */
#include "counted.h"

static lua_State *open_things(void) { return open_with_things(4 * MIB, 8); }

/* A finalizer for metatables that are not the module's own. */
static int plain_runs;
static int plain_gc(lua_State *L) {
    (void)L;
    plain_runs++;
    return 0;
}

TEST(collected_without_snapshots_is_finalized_as_ever) {
    lua_State *L = open_things();
    run(L, "t = counted.new() collectgarbage()");
    CHECK_EQ(finalized_things(), 0);
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(thing_finalized[0], 1);
    run(L, "collectgarbage()");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

TEST(collected_and_rolled_back_to_is_alive_and_untouched) {
    lua_State *L = open_things();
    int round;
    run(L, "t = counted.new(7)");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        run(L, "t = nil collectgarbage() collectgarbage()");
        CHECK_EQ(finalized_things(), 0);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
        CHECK_EVAL(L, "t:value()", "7");
        run(L, "collectgarbage()");
        CHECK_EVAL(L, "t:value()", "7");
    }
    CHECK_EQ(finalized_things(), 0);
    close_and_count(L);
}

TEST(finalized_when_the_last_snapshot_that_has_it_goes) {
    lua_State *L = open_things();
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_snap_frame(L, 2));
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_OK(rlua_discard_before(L, 2));
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_discard_before(L, 3));
    CHECK_EQ(thing_finalized[0], 1);
    CHECK_OK(rlua_check(L));
    run(L, "collectgarbage() collectgarbage()");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

TEST(history_that_is_full_finalizes_what_the_oldest_alone_had) {
    lua_State *L = open_with_things(4 * MIB, 3);
    int frame;
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 0));
    run(L, "t = nil collectgarbage()");
    for (frame = 1; frame < 3; frame++) CHECK_OK(rlua_snap_frame(L, frame));
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_EQ(thing_finalized[0], 1);
    close_and_count(L);
}

TEST(fewer_snapshots_finalize_too) {
    lua_State *L = open_things();
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_set_max_snapshots(L, 1));
    CHECK_EQ(thing_finalized[0], 1);
    close_and_count(L);
}

TEST(made_and_rolled_back_away_is_finalized_by_that_rollback) {
    lua_State *L = open_things();
    CHECK_OK(rlua_snap(L));
    run(L, "for i = 1, 5 do t = counted.new(i) end");
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(finalized_things(), 5);
    CHECK_OK(rlua_check(L));
    run(L, "collectgarbage()");
    close_and_count(L);
}

TEST(made_in_a_dropped_snapshot_is_finalized_by_the_rollback) {
    lua_State *L = open_things();
    CHECK_OK(rlua_snap_frame(L, 1));
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 2));
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_rollback_to(L, 2));
    CHECK_EQ(finalized_things(), 0);
    CHECK_EVAL(L, "t:number()", "0");
    CHECK_OK(rlua_rollback_to(L, 1));
    CHECK_EQ(thing_finalized[0], 1);
    close_and_count(L);
}

TEST(replacing_the_newest_snapshot_finalizes_what_it_alone_had) {
    lua_State *L = open_things();
    CHECK_OK(rlua_snap_frame(L, 1));
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 2));
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_EQ(thing_finalized[0], 1);
    CHECK_OK(rlua_rollback_to(L, 1));
    close_and_count(L);
}

TEST(block_does_not_roll_back_and_user_values_do) {
    lua_State *L = open_things();
    run(L, "t = counted.new(1) debug.setuservalue(t, {'old'}, 1)");
    CHECK_OK(rlua_snap(L));
    run(L, "t:value(2) debug.setuservalue(t, {'new'}, 1) debug.setuservalue(t, 'more', 2)");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:value()", "2");
    CHECK_EVAL(L, "debug.getuservalue(t, 1)[1]", "old");
    CHECK_EVAL(L, "debug.getuservalue(t, 2)", "nil");
    run(L, "t:value(3) t = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:value()", "3");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

TEST(block_written_by_the_host_between_calls_does_not_roll_back) {
    lua_State *L = open_things();
    Block *block;
    run(L, "t = counted.new(1)");
    lua_getglobal(L, "t");
    block = lua_touserdata(L, -1);
    lua_pop(L, 1);
    CHECK_OK(rlua_snap(L));
    block->value = 5;
    CHECK_OK(rlua_snap(L));
    block->value = 6;
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(block->value, 6);
    run(L, "t = nil collectgarbage()");
    block->value = 7;
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:value()", "7");
    close_and_count(L);
}

TEST(closed_stays_closed_and_says_so) {
    lua_State *L = open_things();
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap(L));
    run(L, "t:close()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "select(2, pcall(t.close, t))", "attempt to use a closed thing");
    CHECK_EQ(thing_closed[0], 1);
    run(L, "do local s <close> = counted.new() end t = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "t:number()", "0");
    close_and_count(L);
}

TEST(big_blocks_keep_every_byte) {
    lua_State *L = open_things();
    size_t size, at, sizes[] = {sizeof(Block), 64, 200, 4096, 5000, 70000};
    unsigned char *blocks[COUNT_OF(sizes)];
    size_t i;
    run(L, "big = {}");
    lua_getglobal(L, "big");
    for (i = 0; i < COUNT_OF(sizes); i++) {
        size = sizes[i] < sizeof(Block) ? sizeof(Block) : sizes[i];
        blocks[i] = lua_newuserdatauv(L, size, 1);
        memset(blocks[i], 0x11, size);
        ((Block *)(void *)blocks[i])->canary = CANARY;
        ((Block *)(void *)blocks[i])->number = thing_count++;
        luaL_setmetatable(L, "counted");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pop(L, 1);
    CHECK_OK(rlua_snap(L));
    run(L, "big = nil collectgarbage() collectgarbage()");
    for (i = 0; i < COUNT_OF(sizes); i++)
        for (at = sizeof(Block); at < sizes[i]; at++) blocks[i][at] = (unsigned char)(at ^ i);
    run(L, "junk = {} for i = 1, 2000 do junk[i] = ('x'):rep(i % 700) .. i end");
    CHECK_OK(rlua_rollback(L, 1));
    for (i = 0; i < COUNT_OF(sizes); i++)
        for (at = sizeof(Block); at < sizes[i]; at++)
            CHECK_EQ(blocks[i][at], (unsigned char)(at ^ i));
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

TEST(metatable_made_after_the_snapshot_is_there_in_the_finalizer) {
    lua_State *L = open_vm(4 * MIB, 4);
    forget_things();
    CHECK_OK(rlua_snap(L));
    luaL_requiref(L, "counted", open_counted, 1);
    lua_pop(L, 1);
    run(L, "a = counted.new() b = counted.new() b = nil collectgarbage()");
    CHECK_EQ(thing_finalized[1], 1);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(thing_finalized[0], 1);
    CHECK_EQ(thing_errors, 0);
    CHECK_EVAL(L, "counted", "nil");
    luaL_requiref(L, "counted", open_counted, 1);
    lua_pop(L, 1);
    run(L, "c = counted.new()");
    close_and_count(L);
}

TEST(snapshots_turned_on_later_guard_what_was_there) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    forget_things();
    luaL_requiref(L, "counted", open_counted, 1);
    lua_pop(L, 1);
    run(L, "before = counted.new(1)");
    CHECK_OK(rlua_set_max_snapshots(L, 4));
    run(L, "after = counted.new(2)");
    CHECK_OK(rlua_snap(L));
    run(L, "before:value(3) after:value(4) before = nil after = nil collectgarbage()");
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "before:value() .. after:value()", "34");
    run(L, "before = nil after = nil collectgarbage()");
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    CHECK_EQ(finalized_things(), 2);
    run(L, "t = counted.new() t = nil collectgarbage()");
    CHECK_EQ(finalized_things(), 3);
    close_and_count(L);
}

TEST(gc_field_set_after_the_metatable_does_not_count_as_in_lua) {
    lua_State *L = open_things();
    run(L, "local mt = {} t = counted.adopt(mt) mt.__gc = counted.gc");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    lua_close(L);
    CHECK_EQ(thing_finalized[0], 0);
}

/* A finalizer that misbehaves: by the number of its thing. */
static int misbehave(lua_State *L, Block *block) {
    switch (block->number % 6) {
        case 0: return luaL_error(L, "finalizer %d fails", block->number);
        case 1:
            lua_createtable(L, 1000, 0);
            lua_pushfstring(L, "%s of %d", "a string", block->number);
            return 0;
        case 2:
            lua_getglobal(L, "called");
            if (lua_isfunction(L, -1)) lua_call(L, 0, 0);
            return 0;
        case 3: lua_gc(L, LUA_GCCOLLECT); return 0;
        case 4: return luaL_dostring(L, "for i = 1, 20 do spawned = counted.new(i) end");
        default: lua_pushnil(L); return lua_error(L);
    }
}

TEST(finalizers_that_raise_allocate_call_and_make_more) {
    lua_State *L = open_things();
    int round;
    run(L, "calls = 0 function called() calls = calls + 1 coroutine.wrap(function() "
           "coroutine.yield() end)() end ts = {} for i = 1, 12 do ts[i] = counted.new() end");
    CHECK_OK(rlua_snap_frame(L, 1));
    on_finalize = misbehave;
    for (round = 0; round < 6; round++) {
        run(L, "ts = nil for i = 1, 12 do local t = counted.new() end");
        run(L, "collectgarbage()");
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_snap_frame(L, 2));
        run(L, "for i = 1, 12 do local t = counted.new() kept = t end");
        CHECK_OK(rlua_rollback_to(L, 1));
        CHECK_OK(rlua_check(L));
        CHECK_EVAL(L, "#ts", "12");
    }
    run(L, "ts = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_OK(rlua_discard_before(L, 3));
    CHECK_OK(rlua_check(L));
    CHECK_EQ(thing_finalized[0], 1);
    lua_close(L);
    CHECK_EQ(thing_errors, 0);
    for (round = 0; round < thing_count; round++) CHECK(thing_finalized[round] <= 1);
}

static int snap_inside(lua_State *L, Block *block) {
    (void)block;
    CHECK_STATUS(rlua_snap(L), RLUA_BUSY);
    CHECK_STATUS(rlua_rollback(L, 1), RLUA_BUSY);
    CHECK_STATUS(rlua_discard_before(L, 100), RLUA_BUSY);
    CHECK_STATUS(rlua_set_max_snapshots(L, 0), RLUA_BUSY);
    return 0;
}

TEST(snap_and_rollback_in_a_finalizer_are_busy) {
    lua_State *L = open_things();
    run(L, "a = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 1));
    on_finalize = snap_inside;
    run(L, "b = counted.new() c = counted.new() c = nil collectgarbage()");
    CHECK_OK(rlua_rollback_to(L, 1));
    run(L, "a = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_discard_before(L, 2));
    CHECK_EQ(finalized_things(), 3);
    close_and_count(L);
}

static int allocate_much(lua_State *L, Block *block) {
    (void)block;
    lua_newuserdatauv(L, 256 * KIB, 0);
    return 0;
}

TEST(finalizers_at_the_memory_limit_run_once) {
    lua_State *L = open_with_things(1 * MIB, 8);
    int round;
    run(L, "kept = {} for i = 1, 50 do kept[i] = counted.new(i) end");
    CHECK_OK(rlua_snap_frame(L, 1));
    on_finalize = allocate_much;
    for (round = 0; round < 8; round++) {
        run(L, "for i = 1, 50 do kept[#kept + 1] = counted.new(i) end "
               "fill = {} pcall(function() while true do fill[#fill + 1] = {} end end) "
               "pcall(function() while true do kept[#kept + 1] = counted.new() end end)");
        if (round % 2) {
            lua_pushnil(L);
            lua_setglobal(L, "fill");
            run(L, "kept = {}");
        }
        CHECK_OK(rlua_snap_frame(L, 2));
        if (round % 3 == 0) (void)luaL_dostring(L, "kept = {} collectgarbage()");
        lua_settop(L, 0);
        CHECK_OK(rlua_rollback_to(L, 1));
        CHECK_OK(rlua_check(L));
        CHECK_EVAL(L, "#kept", "50");
        CHECK_EQ(finalized_things(), thing_count - 50);
    }
    close_and_count(L);
}

TEST(creation_at_the_memory_limit_leaks_nothing) {
    size_t limit;
    for (limit = 64 * KIB; limit < 200 * KIB; limit += 4096 * (size_t)test_scale()) {
        lua_State *L = open_with_things(limit, 4);
        CHECK_OK(rlua_snap(L));
        (void)luaL_dostring(L, "local t = {} while true do t[#t + 1] = counted.new() end");
        lua_settop(L, 0);
        (void)rlua_snap(L);
        (void)luaL_dostring(L, "t = {} while true do t[#t + 1] = counted.new() end");
        CHECK_OK(rlua_check(L));
        close_and_count(L);
    }
}

TEST(objects_in_metatables) {
    lua_State *L = open_things();
    int round;
    plain_runs = 0;
    lua_register(L, "plain_gc", plain_gc);
    run(L, "holder = setmetatable({}, {__index = counted.new(1), thing = counted.new(2)})");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "setmetatable(holder, nil) collectgarbage() collectgarbage()");
        run(L, "x = counted.adopt {__gc = plain_gc, thing = counted.new()} x = nil");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "getmetatable(holder).__index:value()", "1");
        CHECK_EVAL(L, "getmetatable(holder).thing:value()", "2");
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
    CHECK_EQ(thing_finalized[0], 1);
    CHECK_EQ(thing_finalized[1], 1);
    CHECK_EQ(plain_runs, 3);
}

TEST(objects_only_in_closed_coroutines_come_back_with_them) {
    lua_State *L = open_things();
    int round;
    run(L, "co = coroutine.create(function() local t = counted.new(3) local s <close> = "
           "setmetatable({}, {__close = function() closed = true end}) "
           "while true do coroutine.yield(t:value()) end end) coroutine.resume(co)");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        run(L, "coroutine.close(co) collectgarbage() co = nil collectgarbage()");
        CHECK_EQ(finalized_things(), 0);
        CHECK_EVAL(L, "closed", "true");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "select(2, coroutine.resume(co))", "3");
        CHECK_OK(rlua_check(L));
    }
    close_and_count(L);
}

TEST(cycles_and_weak_tables) {
    lua_State *L = open_things();
    int round;
    run(L, "a = counted.new(1) b = counted.new(2) debug.setuservalue(a, b, 1) "
           "debug.setuservalue(b, a, 1) weak = setmetatable({a, b}, {__mode = 'v'}) "
           "keys = setmetatable({[a] = 'a', [b] = {b}}, {__mode = 'k'})");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        run(L, "a, b = nil, nil collectgarbage() collectgarbage()");
        CHECK_EVAL(L, "#weak", "0");
        CHECK_EVAL(L, "next(keys)", "nil");
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "weak[1] == a and keys[b][1] == b", "true");
        CHECK_EVAL(L, "debug.getuservalue(debug.getuservalue(a, 1), 1) == a", "true");
    }
    run(L, "a, b = nil, nil collectgarbage()");
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_snap_frame(L, 50));
    CHECK_OK(rlua_discard_before(L, 50));
    CHECK_EQ(finalized_things(), 2);
    close_and_count(L);
}

/* What a given-up object refers to is alive with it, for its finalizer. */
static int read_user_value(lua_State *L, Block *block) {
    if (block->value != 77) return 0;
    CHECK_EQ(lua_getiuservalue(L, 1, 1), LUA_TTABLE);
    CHECK_EQ(lua_getfield(L, -1, "name"), LUA_TSTRING);
    CHECK_STR(lua_tostring(L, -1), "the user value");
    thing_closed[block->number]++;
    return 0;
}

TEST(user_values_are_alive_in_a_late_finalizer) {
    lua_State *L = open_things();
    run(L, "t = counted.new(77) debug.setuservalue(t, {name = 'the user ' .. 'value'}, 1)");
    CHECK_OK(rlua_snap_frame(L, 1));
    on_finalize = read_user_value;
    run(L, "t = nil for i = 1, 5 do collectgarbage() "
           "junk = {} for j = 1, 500 do junk[j] = {name = 'x' .. j} end end");
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_discard_before(L, 2));
    CHECK_EQ(thing_finalized[0], 1);
    CHECK_EQ(thing_closed[0], 1);
    run(L, "t = counted.new(77) debug.setuservalue(t, {name = 'the user ' .. 'value'}, 1)");
    CHECK_OK(rlua_rollback_to(L, 2));
    CHECK_EQ(thing_closed[1], 1);
    close_and_count(L);
}

static int resurrect(lua_State *L, Block *block) {
    (void)block;
    lua_settop(L, 1);
    lua_setglobal(L, "risen");
    return 0;
}

TEST(resurrected_by_its_finalizer_is_not_finalized_again) {
    lua_State *L = open_things();
    int round;
    on_finalize = resurrect;
    run(L, "t = counted.new(9) t = nil collectgarbage()");
    CHECK_EVAL(L, "risen:value()", "9");
    CHECK_OK(rlua_snap_frame(L, 1));
    for (round = 0; round < 3; round++) {
        run(L, "risen = nil collectgarbage() collectgarbage()");
        CHECK_OK(rlua_rollback_to(L, 1));
        CHECK_EVAL(L, "risen:value()", "9");
    }
    CHECK_EQ(thing_finalized[0], 1);
    /* Given up while a snapshot had it: it rises when that snapshot goes. */
    run(L, "risen = nil u = counted.new(10)");
    CHECK_OK(rlua_snap_frame(L, 2));
    run(L, "u = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_OK(rlua_discard_before(L, 3));
    CHECK_EQ(thing_finalized[1], 1);
    run(L, "collectgarbage()");
    CHECK_EVAL(L, "risen:value()", "10");
    CHECK_OK(rlua_check(L));
    /* Rolled back away: what rises goes with the state that it rose in. */
    run(L, "v = counted.new(11)");
    CHECK_OK(rlua_rollback_to(L, 3));
    CHECK_EQ(thing_finalized[2], 1);
    run(L, "collectgarbage()");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

TEST(rollback_field_says_plain_data) {
    lua_State *L = open_things();
    run(L, "mt = {__gc = counted.gc, __rollback = true, __index = getmetatable(counted.new())} "
           "plain = counted.adopt(mt)");
    lua_getglobal(L, "plain");
    ((Block *)lua_touserdata(L, -1))->value = 1;
    CHECK_OK(rlua_snap(L));
    ((Block *)lua_touserdata(L, -1))->value = 2;
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(((Block *)lua_touserdata(L, -1))->value, 1);
    lua_settop(L, 0);
    lua_close(L);
}

TEST(finalizer_of_plain_data_runs_in_each_version_of_the_state) {
    lua_State *L = open_things();
    int round;
    plain_runs = 0;
    lua_register(L, "plain_gc", plain_gc);
    run(L, "plain = counted.adopt({__gc = plain_gc, __rollback = true})");
    CHECK_OK(rlua_snap(L));
    for (round = 1; round <= 3; round++) {
        run(L, "plain = nil collectgarbage()");
        CHECK_EQ(plain_runs, round);
        CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
    CHECK_EQ(plain_runs, 4);
}

TEST(false_in_the_rollback_field_is_as_none) {
    lua_State *L = open_things();
    plain_runs = 0;
    lua_register(L, "plain_gc", plain_gc);
    run(L, "t = counted.adopt({__gc = plain_gc, __rollback = false})");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(plain_runs, 0);
    CHECK_OK(rlua_rollback(L, 1));
    lua_close(L);
    CHECK_EQ(plain_runs, 1);
}

TEST(finalizer_written_in_lua_stays_as_it_is) {
    lua_State *L = open_things();
    int round;
    run(L, "runs = 0 t = counted.adopt({__gc = function() runs = runs + 1 end}) "
           "tab = setmetatable({}, {__gc = counted.number and function() runs = runs + 10 end "
           "or function() runs = runs + 10 end})");
    lua_getglobal(L, "t");
    ((Block *)lua_touserdata(L, -1))->value = 1;
    lua_pop(L, 1);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        lua_getglobal(L, "t");
        CHECK_EQ(((Block *)lua_touserdata(L, -1))->value, 1);
        ((Block *)lua_touserdata(L, -1))->value = 2;
        lua_pop(L, 1);
        run(L, "t = nil tab = nil collectgarbage()");
        CHECK_EVAL(L, "runs", "11");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "runs", "0");
    }
    lua_close(L);
}

TEST(table_with_a_c_finalizer_is_no_userdata) {
    lua_State *L = open_things();
    plain_runs = 0;
    lua_register(L, "plain_gc", plain_gc);
    run(L, "t = setmetatable({}, {__gc = plain_gc})");
    CHECK_OK(rlua_snap(L));
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(plain_runs, 1);
    CHECK_OK(rlua_rollback(L, 1));
    lua_close(L);
    CHECK_EQ(plain_runs, 2);
}

/* Order at lua_close is Lua's: the reverse of the order in which objects were marked. */
static int order[64], order_count;
static int note_order(lua_State *L, Block *block) {
    (void)L;
    if (order_count < 64) order[order_count++] = block->number;
    return 0;
}

TEST(close_finalizes_the_newest_first) {
    lua_State *L = open_things();
    int i;
    run(L, "ts = {} for i = 1, 10 do ts[i] = counted.new() end");
    CHECK_OK(rlua_snap(L));
    run(L, "ts[4] = nil ts[7] = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "for i = 11, 20 do ts[i] = counted.new() end");
    order_count = 0;
    on_finalize = note_order;
    close_and_count(L);
    CHECK_EQ(order_count, 20);
    for (i = 1; i < order_count; i++) CHECK(order[i] < order[i - 1]);
}

TEST(close_finalizes_what_only_snapshots_have) {
    lua_State *L = open_things();
    int frame;
    for (frame = 0; frame < 8; frame++) {
        run(L, "t = counted.new()");
        CHECK_OK(rlua_snap_frame(L, frame));
        run(L, "t = nil collectgarbage()");
    }
    CHECK_EQ(finalized_things(), 0);
    close_and_count(L);
}

static void exit_with(void *argument) {
    const char *chunk = argument;
    lua_State *L = open_things();
    run(L, "a = counted.new() b = counted.new()");
    CHECK_OK(rlua_snap(L));
    run(L, "b = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "b:number() c = counted.new()");
    (void)luaL_dostring(L, chunk);
    FAIL("os.exit came back");
}

static void expect_three(void) {
    int i;
    for (i = 0; i < 3; i++)
        if (thing_finalized[i] != 1) _exit(9);
}

static void exit_and_count(void *argument) {
    atexit(expect_three);
    exit_with(argument);
}

TEST(os_exit_that_closes_finalizes_each_once) {
    char now[] = "os.exit(5, true)", inside[] = "coroutine.wrap(function() os.exit(6, true) end)()";
    char hard[] = "os.exit(4)";
    CHECK_EQ(in_child(exit_and_count, now), 5);
    CHECK_EQ(in_child(exit_and_count, inside), 6);
    CHECK_EQ(in_child(exit_with, hard), 4);
}

TEST(collector_modes) {
    const char *modes[] = {"collectgarbage('incremental')", "collectgarbage('generational')"};
    size_t mode;
    int round, frame;
    for (mode = 0; mode < COUNT_OF(modes); mode++) {
        lua_State *L = open_things();
        run(L, modes[mode]);
        run(L, "old = {} for i = 1, 100 do old[i] = counted.new(i) end collectgarbage()");
        for (round = 0; round < 4; round++) {
            for (frame = 0; frame < 6; frame++) {
                CHECK_OK(rlua_snap_frame(L, round * 10 + frame));
                run(L, "for i = 1, 50 do old[math.random(100)] = counted.new(i) end "
                       "for i = 1, 10 do collectgarbage('step', 1) end");
                if (frame % 2) run(L, "collectgarbage()");
                CHECK_OK(rlua_check(L));
            }
            CHECK_OK(rlua_rollback(L, 1 + (size_t)round));
            run(L, "for i = 1, 100 do assert(old[i]:number()) end");
        }
        close_and_count(L);
    }
}

TEST(mode_change_between_snapshots) {
    lua_State *L = open_things();
    int round;
    run(L, "ts = {} for i = 1, 40 do ts[i] = counted.new(i) end");
    CHECK_OK(rlua_snap_frame(L, 1));
    for (round = 0; round < 3; round++) {
        run(L, "collectgarbage('generational') for i = 1, 20 do ts[i] = counted.new() end "
               "collectgarbage('step') collectgarbage('step')");
        CHECK_OK(rlua_snap_frame(L, 2));
        run(L, "collectgarbage('incremental') ts = {} collectgarbage()");
        CHECK_OK(rlua_rollback_to(L, 2));
        run(L, "for i = 1, 40 do ts[i]:number() end collectgarbage()");
        CHECK_OK(rlua_rollback_to(L, 1));
        run(L, "for i = 1, 40 do assert(ts[i]:value() == i) end");
        CHECK_OK(rlua_check(L));
    }
    close_and_count(L);
}

TEST(address_given_again_to_another_object) {
    lua_State *L = open_things();
    int round;
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 20; round++) {
        run(L, "t = counted.new() if counted.old then assert(t:number() ~= counted.old) end");
        CHECK_EQ(finalized_things(), round);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(finalized_things(), round + 1);
    }
    close_and_count(L);
}

TEST(bounded_over_many_frames) {
    lua_State *L = open_with_things(8 * MIB, 8);
    int step, steps = 3000 / (int)test_scale();
    int64_t frame = 0;
    size_t settled = 0;
    for (step = 0; step < steps; step++) {
        CHECK_OK(rlua_snap_frame(L, ++frame));
        run(L, "for i = 1, 4 do leaked = counted.new(i) end");
        if (step % 16 == 15) {
            frame -= step / 16 % 4;
            CHECK_OK(rlua_rollback_to(L, frame));
        }
        if (step % 50 == 49) run(L, "collectgarbage()");
        if (step == steps / 2) settled = info_of(L).peak_bytes;
        if (thing_count - finalized_things() > 1000)
            FAIL("%d are left in step %d", thing_count - finalized_things(), step);
    }
    if (steps >= 1000) CHECK(info_of(L).peak_bytes <= settled + settled / 4);
    close_and_count(L);
}

TEST(boxes_of_the_auxiliary_library_roll_back) {
    lua_State *L = open_things();
    int round;
    run(L, "co = coroutine.create(function() return (('x'):rep(5000)):gsub('.', "
           "function(c) coroutine.isyieldable() return c .. 'y' end) end)");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "local ok, text = coroutine.resume(co) assert(ok and #text == 10000) "
               "pcall(string.gsub, ('z'):rep(9000), '.', function() error 'inside' end) "
               "collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

TEST(resources_stay_as_they_are) {
    lua_State *L = open_things();
    run(L, "f = io.tmpfile() t = counted.new()");
    CHECK_OK(rlua_snap(L));
    run(L, "f = nil t = nil collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "f:write 'x' assert(t:number() == 0)");
    close_and_count(L);
}
