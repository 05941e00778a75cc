/* references.c: references know when they are stale.
 * Method: references made before and after snapshots, with slots reused a thousand times over, are
 * asked after each rollback; a model keeps what each must answer. */
#include "harness.h"

static rlua_Ref ref_int(lua_State *L, lua_Integer n) {
    rlua_Ref ref;
    CHECK_OK(rlua_pushinteger(L, n));
    ref = rlua_ref(L);
    CHECK(ref != 0);
    return ref;
}

static lua_Integer int_of(lua_State *L, rlua_Ref ref) {
    lua_Integer n;
    CHECK_OK(rlua_getref(L, ref));
    CHECK(lua_isinteger(L, -1));
    n = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

TEST(reference_keeps_a_value_alive_until_it_is_released) {
    lua_State *L = open_vm(1 * MIB, 1);
    rlua_Ref ref;
    run(L, "weak = setmetatable({}, {__mode = 'v'})");
    CHECK_OK(rlua_dostring(L, "local t = {7} weak[1] = t return t"));
    ref = rlua_ref(L);
    CHECK(ref != 0);
    CHECK_EQ(lua_gettop(L), 0);
    run(L, "collectgarbage()");
    CHECK_EVAL(L, "weak[1][1]", "7");
    CHECK_OK(rlua_getref(L, ref));
    CHECK_EQ(lua_rawlen(L, 1), 1);
    lua_settop(L, 0);
    CHECK_OK(rlua_unref(L, ref));
    CHECK_REFUSED(rlua_unref(L, ref), RLUA_STALE);
    CHECK_REFUSED(rlua_getref(L, ref), RLUA_STALE);
    CHECK_EQ(lua_gettop(L), 0);
    run(L, "collectgarbage()");
    CHECK_EVAL(L, "weak[1]", "nil");
    lua_close(L);
}

TEST(reference_made_after_the_snapshot_is_stale_after_the_rollback) {
    lua_State *L = open_vm(4 * MIB, 2);
    rlua_Ref before = ref_int(L, 1), after, others[1000];
    int i;
    CHECK_OK(rlua_snap(L));
    after = ref_int(L, 2);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_STATUS(rlua_getref(L, after), RLUA_STALE);
    for (i = 0; i < 1000; i++) others[i] = ref_int(L, 100 + i);
    CHECK_EQ((uint32_t)others[0], (uint32_t)after); /* the slot was given again */
    CHECK_STATUS(rlua_getref(L, after), RLUA_STALE);
    CHECK_STATUS(rlua_unref(L, after), RLUA_STALE);
    for (i = 0; i < 1000; i++) CHECK_EQ(int_of(L, others[i]), 100 + i);
    CHECK_EQ(int_of(L, before), 1);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(released_reference_of_the_past_is_back_after_the_rollback) {
    lua_State *L = open_vm(1 * MIB, 2);
    rlua_Ref old = ref_int(L, 5), other;
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_unref(L, old));
    other = ref_int(L, 6);
    CHECK_EQ((uint32_t)other, (uint32_t)old);
    CHECK_STATUS(rlua_getref(L, old), RLUA_STALE);
    CHECK_EQ(int_of(L, other), 6);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(int_of(L, old), 5);
    CHECK_STATUS(rlua_getref(L, other), RLUA_STALE);
    CHECK_OK(rlua_unref(L, old));
    lua_close(L);
}

TEST(any_value_can_be_kept_nil_too) {
    static const char *const values[] = {"nil", "false", "1.5", "'text'", "print", "{}",
                                         "coroutine.create(print)", "io.stdout"};
    lua_State *L = open_vm(1 * MIB, 1);
    rlua_Ref refs[COUNT_OF(values)];
    size_t i;
    char chunk[64];
    for (i = 0; i < COUNT_OF(values); i++) {
        snprintf(chunk, sizeof chunk, "return %s", values[i]);
        CHECK_OK(rlua_dostring(L, chunk));
        refs[i] = rlua_ref(L);
        CHECK(refs[i] != 0);
    }
    run(L, "collectgarbage()");
    for (i = 0; i < COUNT_OF(values); i++) CHECK_OK(rlua_getref(L, refs[i]));
    CHECK_EQ(lua_type(L, 1), LUA_TNIL);
    CHECK_EQ(lua_type(L, 2), LUA_TBOOLEAN);
    CHECK_EQ(lua_type(L, 7), LUA_TTHREAD);
    CHECK_EQ(lua_type(L, 8), LUA_TUSERDATA);
    lua_close(L);
}

TEST(nonsense_is_refused) {
    lua_State *L = open_vm(1 * MIB, 1);
    static const rlua_Ref bad[] = {0, 1, (rlua_Ref)1 << 32, (rlua_Ref)1 << 32 | 1, UINT64_MAX,
                                   (rlua_Ref)1 << 32 | UINT32_MAX, (rlua_Ref)5 << 32 | INT32_MAX};
    size_t i;
    int round;
    CHECK_EQ(rlua_ref(L), 0);
    CHECK(strlen(rlua_last_error(L)) > 8);
    CHECK_EQ(rlua_ref(NULL), 0);
    CHECK_STATUS(rlua_getref(NULL, 1), RLUA_NULL_ARG);
    for (round = 0; round < 2; round++) {
        for (i = 0; i < COUNT_OF(bad); i++) {
            if (round == 1 && bad[i] == ((rlua_Ref)1 << 32 | 1)) continue; /* the first one made */
            CHECK_STATUS(rlua_getref(L, bad[i]), RLUA_STALE);
            CHECK_STATUS(rlua_unref(L, bad[i]), RLUA_STALE);
        }
        CHECK_EQ(int_of(L, ref_int(L, round)), round);
    }
    lua_close(L);
    CHECK_STATUS(rlua_getref(L, bad[3]), RLUA_NOT_ROLLBACK);
}

TEST(no_memory_for_a_reference_leaves_the_value) {
    lua_State *L = rlua_new_rollback(128 * KIB, 1);
    int count = 0;
    rlua_Ref ref, first = 0;
    for (;;) {
        CHECK_OK(rlua_pushinteger(L, count));
        ref = rlua_ref(L);
        if (ref == 0) break;
        if (count++ == 0) first = ref;
        CHECK(count < 100000);
    }
    CHECK(count > 100);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_EQ(lua_tointeger(L, 1), count);
    CHECK_EQ(int_of(L, first), 0);
    CHECK_OK(rlua_unref(L, first));
    CHECK_EQ(int_of(L, rlua_ref(L)), count);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* A model of what each reference ever made must answer, across snapshots. */
enum { REFS = 4000, HELD = 4 };
static rlua_Ref made[REFS];
static char live[HELD + 1][REFS]; /* [0]: now; [k]: in the k-th newest snapshot */

TEST(random_references_match_a_model) {
    lua_State *L = open_vm(8 * MIB, HELD);
    int count = 0, i, snaps = 0, steps;
    unsigned random = 12345;
    long end = 20000 / test_scale();
    memset(live, 0, sizeof live);
    for (steps = 0; steps < end; steps++) {
        unsigned what = (random = random * 1103515245 + 12345) >> 16 & 255;
        unsigned which = (random = random * 1103515245 + 12345) >> 8;
        if (what < 120 && count < REFS) {
            made[count] = ref_int(L, count);
            live[0][count++] = 1;
        } else if (what < 230 && count > 0) {
            i = (int)(which % (unsigned)count);
            CHECK_STATUS(rlua_unref(L, made[i]), live[0][i] ? RLUA_OK : RLUA_STALE);
            live[0][i] = 0;
        } else if (what < 245) {
            CHECK_OK(rlua_snap(L));
            memmove(live[1], live[0], sizeof live[0] * HELD);
            if (snaps < HELD) snaps++;
        } else if (snaps > 0) {
            int n = 1 + (int)(which % (unsigned)snaps);
            CHECK_OK(rlua_rollback(L, (size_t)n));
            memmove(live[1], live[n], sizeof live[0] * (size_t)(HELD + 1 - n));
            memcpy(live[0], live[1], sizeof live[0]);
            snaps -= n - 1;
        }
        if (steps % 64 == 0)
            for (i = 0; i < count; i++) {
                CHECK_STATUS(rlua_getref(L, made[i]), live[0][i] ? RLUA_OK : RLUA_STALE);
                if (live[0][i]) CHECK_EQ(lua_tointeger(L, -1), i);
                lua_settop(L, 0);
            }
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* -- luaL_ref ---------------------------------------------------------------------------------- */

static int ref_of(lua_State *L, lua_Integer value) {
    lua_pushinteger(L, value);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static lua_Integer value_of(lua_State *L, int ref) {
    lua_Integer value;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

TEST(numbers_of_luaL_ref_are_used_again_as_in_stock_lua) {
    lua_State *L = open_vm(1 * MIB, 1);
    int first = ref_of(L, 1), second = ref_of(L, 2), third = ref_of(L, 3);
    CHECK(first > 0 && second == first + 1 && third == first + 2);
    luaL_unref(L, LUA_REGISTRYINDEX, first);
    luaL_unref(L, LUA_REGISTRYINDEX, third);
    CHECK_EQ(ref_of(L, 4), third);
    CHECK_EQ(ref_of(L, 5), first);
    CHECK_EQ(ref_of(L, 6), third + 1);
    CHECK_EQ(value_of(L, first), 5);
    CHECK_EQ(value_of(L, second), 2);
    CHECK_EQ(value_of(L, third), 4);
    lua_pushnil(L);
    CHECK_EQ(luaL_ref(L, LUA_REGISTRYINDEX), LUA_REFNIL);
    luaL_unref(L, LUA_REGISTRYINDEX, LUA_REFNIL);
    luaL_unref(L, LUA_REGISTRYINDEX, LUA_NOREF);
    lua_newtable(L);
    lua_pushboolean(L, 1);
    CHECK_EQ(luaL_ref(L, -2), 1);
    lua_close(L);
}

/* A C module that frees a number twice, or one that the state does not know since a rollback. */
TEST(numbers_of_luaL_ref_that_are_not_in_use_free_nothing) {
    lua_State *L = open_vm(1 * MIB, 2);
    int kept = ref_of(L, 1), late, i, refs[8], j;
    CHECK_OK(rlua_snap(L));
    late = ref_of(L, 2);
    luaL_unref(L, LUA_REGISTRYINDEX, late);
    luaL_unref(L, LUA_REGISTRYINDEX, late);
    CHECK_EQ(ref_of(L, 3), late);
    CHECK(ref_of(L, 4) != late);
    CHECK_OK(rlua_rollback(L, 1));
    luaL_unref(L, LUA_REGISTRYINDEX, late);
    luaL_unref(L, LUA_REGISTRYINDEX, late + 1);
    luaL_unref(L, LUA_REGISTRYINDEX, 1 << 30);
    for (i = 0; i < 8; i++) refs[i] = ref_of(L, 10 + i);
    for (i = 0; i < 8; i++) {
        CHECK_EQ(value_of(L, refs[i]), 10 + i);
        for (j = 0; j < i; j++) CHECK(refs[j] != refs[i]);
    }
    CHECK_EQ(value_of(L, kept), 1);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* A module that clears a slot before it gives the number back loses none. */
TEST(numbers_of_cleared_slots_are_given_again) {
    lua_State *L = open_vm(1 * MIB, 2);
    int i, first, second;
    lua_pushliteral(L, "first");
    first = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushliteral(L, "second");
    second = luaL_ref(L, LUA_REGISTRYINDEX);
    for (i = 0; i < 1000; i++) {
        lua_pushnil(L);
        lua_rawseti(L, LUA_REGISTRYINDEX, first);
        luaL_unref(L, LUA_REGISTRYINDEX, first);
        lua_pushinteger(L, i);
        CHECK_EQ(luaL_ref(L, LUA_REGISTRYINDEX), first);
    }
    luaL_unref(L, LUA_REGISTRYINDEX, 1 << 20); /* never given out */
    lua_pushinteger(L, 5);
    CHECK_EQ(luaL_ref(L, LUA_REGISTRYINDEX), second + 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, second);
    CHECK_STR(lua_tostring(L, -1), "second");
    lua_close(L);
}
