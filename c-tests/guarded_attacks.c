/* guarded_attacks.c: guarded userdata in the hands of an attacker, and of a tired programmer.
 * Method: finalizers that bring objects back, arm them again, close the VM, raise in the warn
 * function; metatables exchanged under the object's feet. After each: every finalizer ran once, no
 * block went back, rlua_check finds nothing.
 * Not here: what is promised, situation by situation (guarded.c); programs at random
 * (guarded_model.c). */
#include "counted.h"

/* As modules do: the finalizer frees what the block names, and says so in the block. */
static int free_it(lua_State *L, Block *block) {
    (void)L;
    block->closed = 1;
    return 0;
}

static lua_State *open_attacked(size_t snapshots) {
    lua_State *L = open_with_things(4 * MIB, snapshots);
    on_finalize = free_it;
    return L;
}

static void check_no_open_end(lua_State *L, const char *name) {
    Block *block;
    lua_getglobal(L, name);
    block = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (block && thing_finalized[block->number] && !block->closed)
        FAIL("'%s' was finalized, and its block says that it is open", name);
}

/* A wrapper in Lua and the object in it die together; the wrapper's finalizer runs second, and puts
 * the object, which is kept, where scripts find it. */
static const char *WRAPPER =
    "local wrapper = setmetatable({}, {__gc = function(w) risen = w.thing end}) "
    "wrapper.thing = counted.new(5)";

TEST(risen_while_a_snapshot_has_it) {
    int64_t frame;
    lua_State *L = open_attacked(4);
    run(L, WRAPPER);
    CHECK_OK(rlua_snap_frame(L, 0));
    run(L, "collectgarbage()");
    CHECK_EVAL(L, "risen:value()", "5");
    for (frame = 1; frame < 4; frame++) CHECK_OK(rlua_snap_frame(L, frame));
    CHECK_EQ(finalized_things(), 0);
    CHECK_OK(rlua_snap_frame(L, 4)); /* frame 0 goes, and the object ends */
    CHECK_EQ(finalized_things(), 1);
    check_no_open_end(L, "risen");
    for (frame = 4; frame >= 1; frame--) {
        CHECK_OK(rlua_rollback_to(L, frame));
        CHECK_OK(rlua_check(L));
        check_no_open_end(L, "risen");
        run(L, "collectgarbage() collectgarbage()");
        check_no_open_end(L, "risen");
    }
    close_and_count(L);
}

TEST(risen_by_a_kept_one_that_ends_first) {
    lua_State *L = open_attacked(8);
    run(L, "local mt = {} for k, v in pairs(getmetatable(counted.new())) do mt[k] = v end "
           "a = counted.new(1)");
    CHECK_OK(rlua_snap_frame(L, 1));
    run(L, WRAPPER);
    CHECK_OK(rlua_snap_frame(L, 2));
    run(L, "collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 2)); /* replaced: nothing has it, but this very snapshot */
    check_no_open_end(L, "risen");
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_OK(rlua_rollback_to(L, 2));
    check_no_open_end(L, "risen");
    run(L, "collectgarbage() collectgarbage()");
    check_no_open_end(L, "risen");
    CHECK_OK(rlua_rollback_to(L, 2));
    check_no_open_end(L, "risen");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

TEST(risen_and_armed_again_is_finalized_once) {
    int64_t frame;
    lua_State *L = open_attacked(4);
    run(L, WRAPPER);
    CHECK_OK(rlua_snap_frame(L, 0));
    run(L, "collectgarbage() debug.setmetatable(risen, getmetatable(risen)) "
           "for i = 1, 3 do counted.new(i) end collectgarbage()");
    for (frame = 1; frame < 6; frame++) {
        CHECK_OK(rlua_snap_frame(L, frame));
        run(L, "collectgarbage()");
        check_no_open_end(L, "risen");
        CHECK_OK(rlua_check(L));
    }
    CHECK_OK(rlua_rollback(L, 4));
    check_no_open_end(L, "risen");
    run(L, "if risen then debug.setmetatable(risen, getmetatable(risen)) end collectgarbage() "
           "risen = nil collectgarbage() collectgarbage()");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

/* An object that has ended, and is armed anew: while a snapshot has it from before its end, the
 * table has it twice. A rollback leaves the second one alone. */
TEST(ended_and_armed_anew_is_finalized_for_both) {
    int64_t frame;
    lua_State *L = open_attacked(4);
    run(L, WRAPPER);
    CHECK_OK(rlua_snap_frame(L, 0));
    run(L, "collectgarbage()");
    for (frame = 1; frame < 5; frame++) CHECK_OK(rlua_snap_frame(L, frame));
    CHECK_EQ(thing_finalized[0], 1);
    run(L, "debug.setmetatable(risen, getmetatable(risen))");
    CHECK_OK(rlua_snap_frame(L, 5));
    CHECK_OK(rlua_rollback_to(L, 5));
    CHECK_OK(rlua_check(L));
    run(L, "collectgarbage() risen = nil collectgarbage() collectgarbage()");
    for (frame = 6; frame < 12; frame++) {
        CHECK_OK(rlua_snap_frame(L, frame));
        run(L, "collectgarbage() x = {}");
        CHECK_OK(rlua_rollback_to(L, frame));
        CHECK_OK(rlua_check(L));
    }
    CHECK_EQ(thing_finalized[0], 2);
    lua_close(L);
    CHECK_EQ(thing_finalized[0], 2);
}

/* What lies on the block of an object that has ended is somebody else's, or still the object's. */
TEST(ended_object_of_old_snapshots_gives_its_place_to_nobody) {
    lua_State *L = open_attacked(3);
    int64_t frame = 0;
    int i, step;
    run(L, "t = counted.new(1) u = counted.new(2) for i = 1, 40 do counted.new(i) end");
    for (step = 0; step < 200; step++) {
        CHECK_OK(rlua_snap_frame(L, ++frame));
        run(L, "t, u = u, counted.new(3) collectgarbage() for i = 1, 5 do counted.new(i) end");
        if (step % 4 == 3) {
            size_t n = 1 + (size_t)step / 4 % 3;
            CHECK_OK(rlua_rollback(L, n));
            frame -= (int64_t)n - 1;
        }
        CHECK_OK(rlua_check(L));
        run(L, "assert(t:number() and u:number())");
        for (i = 0; i < thing_count; i++) CHECK(thing_finalized[i] <= 1);
    }
    close_and_count(L);
}

TEST(info_does_not_count_what_has_ended) {
    lua_State *L = open_attacked(2);
    size_t before = info_of(L).guarded_count;
    run(L, "t = counted.new(1)");
    CHECK_OK(rlua_snap_frame(L, 0));
    run(L, "t = nil collectgarbage()");
    CHECK_EQ(info_of(L).guarded_count, before + 1);
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_EQ(finalized_things(), 1);
    CHECK_EQ(info_of(L).guarded_count, before);
    close_and_count(L);
}

static int close_inside(lua_State *L, Block *block) {
    (void)block;
    lua_close(L);
    return 0;
}

TEST(closing_in_a_finalizer_is_refused) {
    lua_State *L = open_with_things(4 * MIB, 4);
    CHECK_OK(rlua_snap(L));
    on_finalize = close_inside;
    run(L, "a = counted.new() counted.new() collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "b = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 10));
    run(L, "b = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 11));
    CHECK_OK(rlua_discard_before(L, 11));
    CHECK_EQ(finalized_things(), 3);
    close_and_count(L);
}

/* A warn function that raises, for finalizers that raise. */
static void warn_by_raising(void *ud, const char *message, int tocont) {
    (void)message;
    if (!tocont) luaL_error(ud, "the warn function fails");
}

static int fail_it(lua_State *L, Block *block) {
    (void)block;
    return luaL_error(L, "the finalizer fails");
}

TEST(warn_functions_that_raise_leave_the_vm_whole) {
    lua_State *L = open_with_things(4 * MIB, 4);
    int round;
    lua_setwarnf(L, warn_by_raising, L);
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap_frame(L, 1));
    on_finalize = fail_it;
    for (round = 0; round < 3; round++) {
        run(L, "u = counted.new()");
        CHECK_OK(rlua_rollback_to(L, 1));
        CHECK_EQ(lua_gettop(L), 0);
        CHECK_OK(rlua_check(L));
    }
    run(L, "t = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_discard_before(L, 2));
    CHECK_EQ(finalized_things(), 4);
    CHECK_EQ(lua_gettop(L), 0);
    close_and_count(L);
}

static int yield_inside(lua_State *L, Block *block) {
    (void)block;
    return lua_yield(L, 0);
}

TEST(yielding_in_a_finalizer_is_an_error_of_its_own) {
    lua_State *L = open_with_things(4 * MIB, 4);
    CHECK_OK(rlua_snap(L));
    on_finalize = yield_inside;
    run(L, "coroutine.wrap(function() t = counted.new() t = nil collectgarbage() end)() "
           "t = counted.new()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(finalized_things(), 2);
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

static int stack_deep(lua_State *L, Block *block) {
    (void)block;
    luaL_checkstack(L, 5000, NULL);
    return luaL_dostring(L, "local function f(n) if n > 0 then return 1 + f(n - 1) end "
                            "return 0 end "
                            "f(5000) f = coroutine.wrap(function() f(3000) end)");
}

TEST(finalizers_that_make_the_stack_grow) {
    lua_State *L = open_with_things(4 * MIB, 4);
    int round;
    run(L, "t = counted.new()");
    CHECK_OK(rlua_snap(L));
    on_finalize = stack_deep;
    for (round = 0; round < 3; round++) {
        run(L, "for i = 1, 5 do counted.new() end");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
        run(L, "t = nil collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
    }
    close_and_count(L);
}

TEST(metatables_exchanged_afterwards) {
    static const char *exchanges[] = {
        "getmetatable(t).__gc = nil",
        "debug.setmetatable(t, {__gc = function() lua_gc = true end})",
        "debug.setmetatable(t, {__gc = counted.gc, __rollback = true})",
        "local mt = getmetatable(t) local gc = mt.__gc mt.__gc = nil t = nil collectgarbage() "
        "collectgarbage() mt.__gc = gc",
        "local mt = getmetatable(t) local gc = mt.__gc mt.__gc = 'nonsense' t = nil "
        "collectgarbage() mt.__gc = gc",
        "getmetatable(t).__gc = function() end",
        "getmetatable(t).__rollback = true debug.setmetatable(t, getmetatable(t))",
    };
    size_t i;
    int round;
    for (i = 0; i < COUNT_OF(exchanges); i++) {
        lua_State *L = open_attacked(4);
        run(L, "t = counted.new(1)");
        CHECK_OK(rlua_snap_frame(L, 1));
        for (round = 0; round < 3; round++) {
            run(L, exchanges[i]);
            run(L, "collectgarbage()");
            CHECK_OK(rlua_check(L));
            CHECK_OK(rlua_snap_frame(L, 2 + round));
            run(L, "t = nil u = nil collectgarbage() collectgarbage()");
            CHECK_OK(rlua_check(L));
            CHECK_OK(rlua_rollback_to(L, 1));
            CHECK_EVAL(L, "t:value()", "1");
        }
        run(L, exchanges[i]);
        run(L, "t = nil collectgarbage()");
        CHECK_OK(rlua_snap_frame(L, 2));
        CHECK_OK(rlua_discard_before(L, 2));
        run(L, "collectgarbage()");
        CHECK_OK(rlua_check(L));
        lua_close(L);
        CHECK(thing_finalized[0] <= 1);
    }
}

/* The block's bytes decide nothing: what looks like a handle of a file or of a resource is none. */
static int forged(lua_State *L) {
    size_t size = (size_t)luaL_checkinteger(L, 1);
    unsigned char *block = lua_newuserdatauv(L, size, 0);
    memset(block, 0x61, size);
    return 1;
}

TEST(forged_blocks_under_the_metatable_of_files) {
    lua_State *L = open_attacked(4);
    int round;
    lua_register(L, "forged", forged);
    run(L, "files = getmetatable(io.stdout)");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "for size = 48, 120, 8 do t = forged(size) "
               "debug.setmetatable(t, {__gc = counted.gc})"
               " end t = nil collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

TEST(ephemerons_of_kept_objects) {
    lua_State *L = open_attacked(4);
    int round;
    run(L, "e = setmetatable({}, {__mode = 'k'}) a = counted.new(1) b = counted.new(2) "
           "e[a] = {b, name = 'of a'} e[b] = {e, name = 'of b'} "
           "debug.setuservalue(a, setmetatable({}, {__mode = 'kv'}), 1) "
           "debug.getuservalue(a, 1)[1] = b debug.setuservalue(b, function() return a, e end, 1)");
    CHECK_OK(rlua_snap_frame(L, 1));
    for (round = 0; round < 3; round++) {
        run(L, round % 2 ? "collectgarbage 'generational'" : "collectgarbage 'incremental'");
        run(L, "a, b = nil for i = 1, 3 do collectgarbage() junk = {} for j = 1, 300 do "
               "junk[j] = {j} end end assert(next(e) == nil)");
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_snap_frame(L, 2));
        CHECK_OK(rlua_rollback_to(L, 1));
        CHECK_EVAL(L, "e[a][1] == b and e[b].name == 'of b' and e[a].name == 'of a'", "true");
        CHECK_EVAL(L, "debug.getuservalue(a, 1)[1] == b", "true");
    }
    run(L, "a, b = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_discard_before(L, 2));
    CHECK_EQ(finalized_things(), 2);
    run(L, "collectgarbage() collectgarbage()");
    CHECK_OK(rlua_check(L));
    close_and_count(L);
}

/* Snapshots are turned off and on, fewer and more, while objects are kept for them. */
TEST(number_of_snapshots_changed_while_objects_are_kept) {
    static const size_t numbers[] = {3, 1, 0, 8, 2, 0, 5, 5, 1};
    lua_State *L = open_attacked(8);
    size_t i;
    int64_t frame = 0;
    for (i = 0; i < COUNT_OF(numbers); i++) {
        int step;
        for (step = 0; step < 6; step++) {
            run(L, "old, t = t, counted.new(1) spare = counted.new() spare = nil");
            if (rlua_snap_frame(L, ++frame) != RLUA_OK) continue;
            run(L, "t = nil collectgarbage()");
            if (step % 3 == 2) {
                CHECK_OK(rlua_rollback(L, 1));
                run(L, "assert(t:number())");
            }
            CHECK_OK(rlua_check(L));
        }
        CHECK_OK(rlua_set_max_snapshots(L, numbers[i]));
        CHECK_OK(rlua_check(L));
        run(L, "collectgarbage()");
        if (numbers[i] == 0) CHECK(finalized_things() >= thing_count - 2);
    }
    close_and_count(L);
}

/* As mlua's `take` and lua-zlib do: what has ended has another metatable, or none. */
static int end_by_metatable(lua_State *L) {
    Block *block = counted_check(L, 1);
    thing_finalized[block->number]++;
    if (lua_toboolean(L, 2)) {
        lua_createtable(L, 0, 0);
    } else {
        lua_pushnil(L);
    }
    lua_setmetatable(L, 1);
    return 0;
}

TEST(ended_by_their_metatable_they_stay_ended) {
    int with_another, rounds;
    for (with_another = 0; with_another < 2; with_another++) {
        lua_State *L = open_with_things(4 * MIB, 4);
        lua_register(L, "finish", end_by_metatable);
        lua_pushboolean(L, with_another);
        lua_setglobal(L, "another");
        run(L, "t, other = counted.new(1), counted.new(2)");
        CHECK_OK(rlua_snap_frame(L, 0));
        CHECK_OK(rlua_snap_frame(L, 1));
        run(L, "finish(t, another)");
        for (rounds = 0; rounds < 3; rounds++) {
            CHECK_OK(rlua_rollback_to(L, rounds < 2 ? 1 : 0));
            run(L, "assert(not pcall(function() return t:value() end)) assert(other:value() == 2) "
                   "assert(debug.getmetatable(t) == nil) collectgarbage()");
            CHECK_OK(rlua_check(L));
        }
        close_and_count(L);
    }
}
