/* handles.c: resources go with deltas: what stays is the follower's own, what is new is loaded,
 * what is gone ends.
 * Method: a world makes, drops and closes textures at random. It is followed by VMs that trust it,
 * that prove all, that keep snapshots and go back; each has the same sum after each delta, and
 * behind each handle the thing that it had, or a new one. Then what ends when, what fails, what is
 * refused. */
#include "pairs.h"

static const char world[] =
    "slots, made, filler = {}, 0, {} "
    "debug.getregistry()[77] = slots "
    "function make(k) made = made + 1 slots[k] = new_texture(made) end "
    "function drop(k) slots[k] = nil collectgarbage() end "
    "function again(k) drop(k) make(k) end "
    "function move(k) slots[k], slots[k % 12 + 1] = slots[k % 12 + 1], slots[k] end "
    "function hide(k) slots[k] = setmetatable({slots[k]}, {__mode = 'v'}) end "
    "function fill(k) for i = 1, k * 20 do filler[i] = {i} end end "
    "function clear() filler = {} collectgarbage('step', 10) end "
    "function close(k) local t <close> = new_texture(-1) end ";

static const char *const acts[] = {"make", "make", "drop", "again", "move", "hide",
                                   "fill", "clear", "close"};
static const Play play = {world, acts, COUNT_OF(acts)};

static const void *handle_of(lua_State *L, int slot) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, 77);
    lua_rawgeti(L, -1, slot);
    const void *handle = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return handle;
}

/* -- where it works ---------------------------------------------------------------------------- */

static void lead(lua_State *a, lua_State *b, int64_t frame, size_t snapshots) {
    Bytes delta = delta_of(a, frame - 1, frame);
    CHECK_OK(apply(b, delta));
    CHECK_OK(rlua_check(b));
    same_sums(a, b);
    if (snapshots > 0 && random_below(3) == 0) { /* there and back */
        CHECK_OK(rlua_rollback(b, 1));
        CHECK_OK(rlua_check(b));
        CHECK_OK(apply(b, delta));
        same_sums(a, b);
    }
    free(delta.start);
}

TEST(what_stays_is_kept_and_what_is_new_is_loaded) {
    static const rlua_ObjectType *const noted_types[] = {&noted_textures, NULL};
    follow_all(&(Follow){noted_types, lead, 0});
}

/* Where it lay, another one lies: no byte of the state tells, so the delta does. */
TEST(another_one_at_the_same_place_is_another_one) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(3);
        begin();
        config.trust = trusts[way];
        Pair pair = open_pair(&config, &config, "for i = 1, 30 do again(1) end collectgarbage()");
        lua_State *a = pair.a, *b = pair.b;
        const void *place = handle_of(a, 1);
        run(a, "drop(1) drop(1) make(2) make(1)");
        CHECK(handle_of(a, 1) == place);
        CHECK_OK(rlua_snap_frame(a, 1));
        Bytes delta = delta_of(a, 0, 1), back = delta_of(a, 1, 0);
        int alive = living();
        CHECK_OK(apply(b, delta));
        CHECK_EQ(living(), alive + 1); /* two more, one less */
        CHECK_OK(rlua_check(b));
        CHECK_OK(apply(b, back)); /* of one that only a snapshot of the saver has */
        CHECK_EQ(living(), alive);
        CHECK_EVAL(b, "tostring(slots[2]) .. slots[1]:width()", "nil30");
        CHECK_OK(rlua_check(b));
        close_pair(pair);
        free(delta.start), free(back.start);
    }
}

/* A follower's own snapshot has what a delta took away. */
TEST(what_is_gone_stays_for_a_snapshot) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(2);
        begin();
        config.trust = trusts[way];
        Pair pair = open_pair(&config, &config, "make(1) make(2)");
        lua_State *a = pair.a, *b = pair.b;
        Thing *first = &things[made - 2], *second = &things[made - 1];
        if (first->width != 1) first++, second--;
        run(a, "drop(1)");
        CHECK_OK(rlua_snap_frame(a, 1));
        Bytes delta = delta_of(a, 0, 1);
        CHECK_OK(rlua_snap(b));
        CHECK_OK(apply(b, delta));
        CHECK(first->ended == 0 && behind(b, 1) == NULL && behind(b, 2) == second);
        CHECK_OK(rlua_rollback(b, 1));
        CHECK(behind(b, 1) == first && behind(b, 2) == second);
        CHECK_EVAL(b, "slots[1]:width() .. slots[2]:width()", "12");
        CHECK_OK(rlua_rollback(b, 1)); /* looking was a change */
        CHECK_OK(apply(b, delta));
        CHECK_OK(rlua_snap(b));
        CHECK_EQ(first->ended, 0);
        CHECK_OK(rlua_snap(b)); /* the snapshot goes */
        CHECK_EQ(first->ended, 1);
        CHECK_OK(rlua_check(b));
        close_pair(pair);
        free(delta.start);
    }
}

/* -- where it does not ------------------------------------------------------------------------- */

TEST(a_function_that_fails_changes_nothing) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(2);
        Bytes none = {NULL, 0};
        begin();
        config.trust = trusts[way];
        Pair pair = open_pair(&config, &config, "for k = 1, 3 do make(k) end");
        lua_State *a = pair.a, *b = pair.b;
        run(a, "for k = 1, 6 do again(k) end");
        CHECK_OK(rlua_snap_frame(a, 1));
        Bytes delta = delta_of(a, 0, 1);
        int alive = living();
        for (fail_at = 0; fail_at < 6; fail_at++) {
            rlua_Checksum before, after;
            saves = loads = 0;
            CHECK_REFUSED(rlua_save_delta(a, 0, 1, append, &none), RLUA_STREAM);
            CHECK_OK(rlua_checksum(b, &before));
            CHECK_REFUSED(apply(b, delta), RLUA_STREAM);
            CHECK(strstr(rlua_last_error(b), "load function answered 8") != NULL);
            CHECK_OK(rlua_checksum(b, &after));
            CHECK(memcmp(&before, &after, sizeof before) == 0);
            CHECK_EQ(living(), alive);
            CHECK_OK(rlua_check(b));
        }
        fail_at = -1;
        CHECK_OK(apply(b, delta));
        CHECK_EQ(living(), alive + 3); /* six more, and three of before ended */
        same_things(a, b);
        close_pair(pair);
        free(delta.start), free(none.start);
    }
}

TEST(a_type_that_nobody_told_is_refused_where_one_is_new) {
    rlua_Config config = config_of(2), with = config_of(2);
    Bytes none = {NULL, 0};
    begin();
    config.types = NULL;
    Pair pair = open_pair(&config, &config, "filler[2] = 2");
    lua_State *a = pair.a, *b = pair.b, *c = load(pair.image, &with);
    run(a, "make(1)");
    CHECK_OK(rlua_snap_frame(a, 1));
    CHECK_REFUSED(rlua_save_delta(a, 0, 1, append, &none), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(a), "Texture") != NULL);
    CHECK_OK(rlua_register_type(a, &textures));
    Bytes delta = delta_of(a, 0, 1);
    CHECK_REFUSED(apply(b, delta), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(b), "Texture") != NULL);
    CHECK_OK(rlua_register_type(b, &textures));
    CHECK_OK(apply(b, delta));
    CHECK_OK(apply(c, delta));
    same_things(a, b);
    same_things(a, c);
    lua_close(c);
    close_pair(pair);
    free(delta.start), free(none.start);
}

static lua_State *busy;
static int comes_back(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    Bytes none = {NULL, 0};
    CHECK_STATUS(rlua_snap(busy), RLUA_BUSY);
    CHECK_STATUS(rlua_save(busy, append, &none), RLUA_BUSY);
    CHECK_STATUS(apply(busy, none), RLUA_BUSY);
    CHECK_STATUS(rlua_dostring(busy, "slots = nil"), RLUA_BUSY);
    CHECK_STATUS(rlua_pushresource(busy, &none, &texture), RLUA_BUSY);
    lua_close(busy); /* refused, too: it is used below */
    return load_texture(bytes, length, object, size, ud);
}

TEST(a_load_function_finds_the_vm_busy) {
    rlua_Config config = config_of(2), own = config_of(2);
    rlua_ObjectType type = textures;
    const rlua_ObjectType *const list[] = {&type, NULL};
    begin();
    type.load = comes_back;
    own.types = list;
    Pair pair = open_pair(&config, &own, "");
    busy = pair.b;
    run(pair.a, "make(2)");
    CHECK_OK(rlua_snap_frame(pair.a, 1));
    Bytes delta = delta_of(pair.a, 0, 1);
    CHECK_OK(apply(busy, delta));
    same_things(pair.a, busy);
    close_pair(pair);
    free(delta.start);
}

/* Lua's own functions nobody can keep it from: then the state is not the one that it was. */
static int writes_to_the_vm(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    lua_pushstring(busy, "a string that was not there");
    lua_setglobal(busy, "written");
    return load_texture(bytes, length, object, size, ud);
}

TEST(a_load_function_that_changes_the_state_ends_the_delta) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(2), own = config_of(2);
        rlua_ObjectType type = textures;
        const rlua_ObjectType *const list[] = {&type, NULL};
        begin();
        type.load = writes_to_the_vm;
        own.types = list;
        own.trust = trusts[way];
        Pair pair = open_pair(&config, &own, "");
        busy = pair.b;
        run(pair.a, "make(2)");
        CHECK_OK(rlua_snap_frame(pair.a, 1));
        Bytes delta = delta_of(pair.a, 0, 1);
        CHECK_REFUSED(apply(busy, delta), RLUA_BAD_IMAGE);
        CHECK_EQ(living(), 1);
        CHECK_OK(rlua_check(busy));
        CHECK_EVAL(busy, "written", "a string that was not there");
        close_pair(pair);
        free(delta.start);
    }
}
