/* blocks.c: guarded userdata go with deltas, as resources do: what stays is the follower's own,
 * what is new is loaded into its block, what is gone is finalized, and none of that leaves a trace
 * in the state.
 * Method: a world makes and drops textures and meters at random. It is followed by VMs that trust
 * it, that prove all, that keep snapshots and go back; each has the same sum after each delta, and
 * in each block the thing that it had, or a new one. Then what ends when, what fails, what is
 * refused.
 * Not here: resources alone (handles.c). */
#include "pairs.h"

static const char world[] =
    "slots, made, filler = {}, 0, {} "
    "debug.getregistry()[77] = slots "
    "function make(k) made = made + 1 "
    "  slots[k] = (made % 3 == 0 and new_texture or new_meter)(made) end "
    "function drop(k) slots[k] = nil collectgarbage() end "
    "function forget(k) slots[k] = nil end "
    "function again(k) drop(k) make(k) end "
    "function move(k) slots[k], slots[k % 12 + 1] = slots[k % 12 + 1], slots[k] end "
    "function mark(k) if type(slots[k]) == 'userdata' then debug.setuservalue(slots[k], k) end end "
    "function hide(k) slots[k] = setmetatable({slots[k]}, {__mode = 'v'}) end "
    "function fill(k) for i = 1, k * 20 do filler[i] = {i} end end "
    "function clear() filler = {} collectgarbage('step', 10) end ";

static const char *const acts[] = {"make", "make", "drop", "forget", "again", "move",
                                   "mark", "hide", "fill", "clear"};
static const Play play = {world, acts, COUNT_OF(acts)};

/* The next frame of one, to which the other is led. */
static void lead(Pair pair, int64_t frame, const char *code) {
    run(pair.a, code);
    CHECK_OK(rlua_snap_frame(pair.a, frame));
    Bytes delta = delta_of(pair.a, frame - 1, frame);
    CHECK_OK(apply(pair.b, delta));
    CHECK_OK(rlua_check(pair.b));
    CHECK_OK(rlua_rollback_to(pair.a, frame)); /* finalizers have run behind the snapshot */
    same_sums(pair.a, pair.b);
    free(delta.start);
}

static void same_state(lua_State *L, const rlua_Checksum *before) {
    rlua_Checksum after;
    CHECK_OK(rlua_checksum(L, &after));
    CHECK(memcmp(before, &after, sizeof after) == 0);
}

/* -- where it works ---------------------------------------------------------------------------- */

static int note_meter(const void *bytes, size_t length, void *block, size_t size, void *ud) {
    int answer = load_meter(bytes, length, block, size, ud);
    if (answer == 0 && *(Thing **)block != NULL) note(*(Thing **)block);
    return answer;
}

static const rlua_ObjectType noted_meters = {sizeof noted_meters, "Meter", NULL, save_meter,
                                             note_meter, NULL};
static const rlua_ObjectType *const noted_types[] = {&noted_textures, &noted_meters, NULL};

static int refusals;

/* A snapshot of the follower's own may have what ends: then it goes first. */
static void lead_to(lua_State *b, Bytes delta) {
    rlua_Checksum before;
    int alive = living();
    CHECK_OK(rlua_checksum(b, &before));
    if (apply(b, delta) == RLUA_OK) return;
    CHECK(strstr(rlua_last_error(b), "a snapshot of this VM has a userdata") != NULL);
    same_state(b, &before);
    CHECK_EQ(living(), alive);
    CHECK_OK(rlua_check(b));
    CHECK_OK(rlua_discard_before(b, INT64_MAX));
    CHECK_OK(apply(b, delta));
    refusals++;
}

static void lead_to_and_fro(lua_State *a, lua_State *b, int64_t frame, size_t snapshots) {
    Bytes delta = delta_of(a, frame - 1, frame), back = delta_of(a, frame, frame - 1);
    (void)snapshots; /* a refusal may have cost them */
    lead_to(b, delta);
    CHECK_OK(rlua_check(b));
    CHECK_OK(rlua_rollback_to(a, frame)); /* finalizers have run behind the snapshot */
    same_sums(a, b);
    rlua_Info info;
    info.size = sizeof info;
    CHECK_OK(rlua_info(b, &info));
    if (info.snapshot_count > 0 && random_below(3) == 0) { /* there and back */
        CHECK_OK(rlua_rollback(b, 1));
        CHECK_OK(rlua_check(b));
        lead_to(b, delta);
        same_sums(a, b);
    }
    if (random_below(3) == 0) { /* the same by deltas */
        lead_to(b, back);
        CHECK_OK(rlua_check(b));
        lead_to(b, delta);
        CHECK_OK(rlua_check(b));
        same_sums(a, b);
    }
    free(delta.start), free(back.start);
}

TEST(what_stays_is_kept_and_what_is_new_is_loaded) {
    follow_all(&(Follow){noted_types, lead_to_and_fro, 1});
    CHECK(refusals > 0);
}

/* Forward and backward, to a state that has no such type. */
TEST(each_is_loaded_once_and_ends_once) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(4), own = config_of(0);
        begin();
        own.trust = trusts[way];
        Pair pair = open_pair(&config, &own, "filler[2] = 2");
        lua_State *a = pair.a, *b = pair.b;
        CHECK_EQ(living(), 0);
        lead(pair, 1, "slots[1] = new_meter(7) slots[2] = new_meter(8)");
        CHECK(living() == 4 && loads == 2);
        lead(pair, 2, "slots[3] = slots[1] slots[1] = nil filler[1] = {}");
        CHECK(living() == 4 && loads == 2);
        lead(pair, 3, "slots[3] = nil collectgarbage()");
        CHECK_EQ(living(), 3); /* the world's own is in its snapshots */
        Bytes back = delta_of(a, 3, 2), all = delta_of(a, 2, 0);
        CHECK_OK(apply(b, back));
        CHECK(living() == 4 && loads == 3);
        CHECK_OK(apply(b, all));
        CHECK_EQ(living(), 2);
        CHECK_EVAL(b, "slots[2]", "nil");
        CHECK_OK(rlua_check(b));
        close_pair(pair);
        free(back.start), free(all.start);
    }
}

TEST(a_block_that_stays_is_the_followers_own) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(4), own = config_of(4);
        begin();
        config.trust = own.trust = trusts[way];
        Pair pair = open_pair(&config, &own, "slots[1] = new_meter(10)");
        lua_State *a = pair.a, *b = pair.b;
        Thing *of_a = &things[0], *of_b = &things[1];
        of_b->width = 20;
        CHECK_OK(rlua_snap(b));
        /* Its user value is the state's, its block is not. */
        lead(pair, 1, "debug.setuservalue(slots[1], 'mine') slots[2] = slots[1]");
        lead(pair, 2, "slots[3] = new_meter(30)");
        CHECK(behind(a, 1) == of_a && behind(b, 1) == of_b && of_b->ended == 0);
        CHECK_EVAL(b, "debug.getuservalue(slots[2]) .. slots[1]()", "mine21");
        CHECK_EQ(living(), 4);
        CHECK_OK(rlua_rollback(b, 1)); /* the one that came with a delta goes, the other stays */
        CHECK_EQ(living(), 3);
        CHECK(behind(b, 1) == of_b && behind(b, 3) == NULL);
        CHECK_EVAL(b, "tostring(debug.getuservalue(slots[1])) .. slots[1]()", "nil22");
        CHECK_OK(rlua_check(b));
        close_pair(pair);
    }
}

/* A snapshot of the follower's own has what a delta takes away: it has to go first. */
TEST(what_a_snapshot_has_does_not_end) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(3), own = config_of(3);
        begin();
        config.trust = own.trust = trusts[way];
        Pair pair = open_pair(&config, &own, "slots[1] = new_meter(1) slots[2] = new_meter(2)");
        lua_State *a = pair.a, *b = pair.b;
        rlua_Checksum before;
        run(a, "drop(1) make(5)");
        CHECK_OK(rlua_snap_frame(a, 1));
        Bytes delta = delta_of(a, 0, 1);
        CHECK_OK(rlua_snap(b));
        CHECK_OK(rlua_checksum(b, &before));
        loads = 0;
        CHECK_REFUSED(apply(b, delta), RLUA_UNSUPPORTED);
        CHECK(strstr(rlua_last_error(b), "rlua_discard_before") != NULL);
        CHECK(living() == 5 && loads == 0);
        same_state(b, &before);
        CHECK_OK(rlua_rollback(b, 1));
        CHECK_OK(rlua_discard_before(b, INT64_MAX));
        CHECK_OK(apply(b, delta));
        CHECK_EQ(living(), 5); /* one more, and one less */
        same_sums(a, b);
        CHECK_OK(rlua_check(b));
        close_pair(pair);
        free(delta.start);
    }
}

/* -- odd ones ---------------------------------------------------------------------------------- */

/* A userdata that gets its metatable later, or loses it. */
static int new_raw(lua_State *L) {
    *(Thing **)lua_newuserdatauv(L, sizeof(Thing *), 1) = NULL;
    return 1;
}

static int arm(lua_State *L) {
    *(Thing **)lua_touserdata(L, 1) = new_thing((int)luaL_checkinteger(L, 2));
    luaL_setmetatable(L, "Meter");
    lua_pushvalue(L, 1);
    luaL_setmetatable(L, "Meter");
    return 0;
}

static int disarm(lua_State *L) {
    Thing **block = luaL_checkudata(L, 1, "Meter");
    (*block)->ended++;
    *block = NULL;
    lua_pushnil(L);
    lua_setmetatable(L, 1);
    return 0;
}

/* It finds another one by its user value, and does something to the state. */
static int child_gc(lua_State *L) {
    Thing **block = lua_touserdata(L, 1);
    if (*block == NULL) return 0;
    lua_getiuservalue(L, 1, 1);
    if (lua_isuserdata(L, -1)) {
        Thing *const *parent = lua_touserdata(L, -1);
        CHECK(*parent != NULL && (*parent)->ended == 0);
        (*parent)->width++;
    }
    lua_pushfstring(L, "finalized %p", (void *)*block);
    lua_setglobal(L, "last");
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, *block);
    luaL_ref(L, LUA_REGISTRYINDEX);
    (*block)->ended++;
    *block = NULL;
    return 0;
}

static int new_child(lua_State *L) {
    static const luaL_Reg functions[] = {{"__gc", child_gc}, {NULL, NULL}};
    push_guarded(L, "Child", functions);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

/* It makes more of what lies outside, and does not end it. */
static int mother_gc(lua_State *L) {
    Thing **block = lua_touserdata(L, 1);
    if (*block == NULL) return 0;
    lua_pushcfunction(L, new_meter);
    lua_pushinteger(L, 1000);
    lua_call(L, 1, 1);
    lua_setglobal(L, "born");
    CHECK_OK(rlua_pushresource(L, new_thing(1001), &texture));
    lua_setglobal(L, "born_too");
    (*block)->ended++;
    *block = NULL;
    return 0;
}

static int new_mother(lua_State *L) {
    static const luaL_Reg functions[] = {{"__gc", mother_gc}, {NULL, NULL}};
    push_guarded(L, "Mother", functions);
    return 1;
}

static const rlua_Name more_names[] = {{"new_texture", new_texture, NULL, NULL},
                                       {"new_meter", new_meter, NULL, NULL},
                                       {"meter_read", meter_read, NULL, NULL},
                                       {"meter_gc", meter_gc, NULL, NULL},
                                       {"new_raw", new_raw, NULL, NULL},
                                       {"arm", arm, NULL, NULL},
                                       {"disarm", disarm, NULL, NULL},
                                       {"new_child", new_child, NULL, NULL},
                                       {"child_gc", child_gc, NULL, NULL},
                                       {"new_mother", new_mother, NULL, NULL},
                                       {"mother_gc", mother_gc, NULL, NULL},
                                       {NULL, NULL, NULL, NULL}};
static const rlua_ObjectType children = {sizeof children, "Child", NULL, save_meter, load_meter,
                                         NULL};
static const rlua_ObjectType mothers = {sizeof mothers, "Mother", NULL, save_meter, load_meter,
                                        NULL};
static const rlua_ObjectType *const more_types[] = {&textures, &meters, &children, &mothers, NULL};

static Pair open_more(size_t snapshots, size_t way, const char *code) {
    rlua_Config config = config_of(snapshots), own = config_of(0);
    begin();
    config.names = own.names = more_names;
    config.types = own.types = more_types;
    own.trust = trusts[way];
    lua_State *a = open_slots(&config);
    for (const rlua_Name *name = more_names; name->name != NULL; name++) {
        CHECK_OK(rlua_register(a, name->name, name->function));
        lua_register(a, name->name, name->function);
    }
    return pair_of(a, &own, code);
}

TEST(one_that_becomes_guarded_is_new) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        Pair pair = open_more(4, way, "m = new_meter(1) slots[1] = new_raw()");
        lua_State *a = pair.a, *b = pair.b;
        lead(pair, 1, "arm(slots[1], 5)");
        CHECK_EQ(living(), 4);
        Bytes back = delta_of(a, 1, 0), there = delta_of(a, 0, 1);
        CHECK_OK(apply(b, back));
        CHECK_EQ(living(), 3);
        CHECK_OK(rlua_check(b));
        CHECK_OK(apply(b, there));
        CHECK_EQ(living(), 4);
        same_things(a, b);
        CHECK_OK(rlua_check(b));
        close_pair(pair);
        free(there.start), free(back.start);
    }
}

/* As in images: its module has ended it for all snapshots. */
TEST(one_that_has_lost_its_finalizer_is_refused) {
    Pair pair = open_more(2, 0, "m = new_meter(1)");
    Bytes none = {NULL, 0};
    run(pair.a, "disarm(m)");
    CHECK_OK(rlua_snap_frame(pair.a, 1));
    CHECK_REFUSED(rlua_save_delta(pair.a, 0, 1, append, &none), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(pair.a), "has lost its finalizer") != NULL);
    run(pair.a, "m = nil collectgarbage()");
    CHECK_OK(rlua_discard_before(pair.a, INT64_MAX));
    run(pair.a, "collectgarbage()");
    CHECK_OK(rlua_snap_frame(pair.a, 2));
    lua_close(pair.b);
    free(pair.image.start);
    pair.image = save(pair.a);
    rlua_Config own = config_of(0);
    own.names = more_names;
    pair.b = load(pair.image, &own);
    lead(pair, 3, "filler[1] = {}");
    close_pair(pair);
    free(none.start);
}

/* A finalizer runs in the state before: what it needs is there, and what it does to it is undone,
 * but for the blocks of others. */
TEST(a_finalizer_leaves_no_trace_in_the_state) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        Pair pair = open_more(8, way, "m = new_meter(1) slots[1] = new_child(2, m)");
        lua_State *a = pair.a, *b = pair.b;
        Thing *parent = NULL;
        for (int i = 2; i < made; i++)
            if (things[i].width == 1) parent = &things[i];
        CHECK(parent != NULL);
        lead(pair, 1, "drop(1) slots[2] = new_child(3, m)");
        CHECK(living() == 4 + 1 && parent->width == 2);
        lead(pair, 2, "filler[1] = {}");
        Bytes back = delta_of(a, 2, 0);
        CHECK_OK(apply(b, back));
        CHECK(living() == 5 && parent->width == 3);
        CHECK_EVAL(b, "last", "nil");
        CHECK_OK(rlua_check(b));
        close_pair(pair);
        free(back.start);
    }
}

TEST(what_a_finalizer_makes_ends_too) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        Pair pair = open_more(8, way, "slots[1] = new_mother(1)");
        lead(pair, 1, "filler[1] = {}");
        lead(pair, 2, "drop(1)");
        CHECK(living() == 1 && made == 4);
        lead(pair, 3, "filler[2] = {}");
        CHECK_OK(rlua_discard_before(pair.a, INT64_MAX));
        CHECK_EQ(living(), 2); /* of the world's own finalizer */
        close_pair(pair);
    }
}

/* It was given up, a snapshot has it, and a script finds it again. The follower's has ended. */
TEST(one_that_came_back_has_ended) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        Pair pair = open_more(3, way, "m = new_meter(1)");
        lua_State *a = pair.a, *b = pair.b;
        lead(pair, 1, "setmetatable({m}, {__gc = function(t) slots[1] = t[1] end}) "
                      "m = nil collectgarbage() collectgarbage()");
        CHECK_EVAL(a, "slots[1]()", "2");
        CHECK(living() == 1 && behind(b, 1) == NULL);
        CHECK_OK(rlua_rollback_to(a, 1));
        Bytes image = save(a); /* the same by an image */
        rlua_Config own = config_of(0);
        own.names = more_names, own.types = more_types, own.trust = trusts[way];
        lua_close(b);
        pair.b = b = load(image, &own);
        CHECK_EQ(living(), 1);
        same_sums(a, b);
        for (int frame = 2; frame < 9; frame++) {
            char code[64];
            snprintf(code, sizeof code, "filler[%d] = {} collectgarbage('step')", frame);
            lead(pair, frame, code);
        }
        CHECK_EQ(living(), 0);
        lead(pair, 9, "slots[1] = nil collectgarbage() collectgarbage()");
        lead(pair, 10, "for i = 1, 9 do slots[i] = new_meter(i) end");
        CHECK_EQ(living(), 18);
        close_pair(pair);
        free(image.start);
    }
}

/* -- where it does not ------------------------------------------------------------------------- */

TEST(a_function_that_fails_changes_nothing) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(2), own = config_of(2);
        Bytes none = {NULL, 0};
        begin();
        own.trust = trusts[way];
        Pair pair = open_pair(&config, &own, "for k = 1, 4 do make(k) end");
        lua_State *a = pair.a, *b = pair.b;
        run(a, "for k = 1, 8 do if k ~= 2 then again(k) end end");
        CHECK_OK(rlua_snap_frame(a, 1));
        Bytes delta = delta_of(a, 0, 1);
        int alive = living();
        for (fail_at = 0; fail_at < 7; fail_at++) {
            rlua_Checksum before;
            saves = loads = 0;
            CHECK_REFUSED(rlua_save_delta(a, 0, 1, append, &none), RLUA_STREAM);
            CHECK_OK(rlua_checksum(b, &before));
            CHECK_REFUSED(apply(b, delta), RLUA_STREAM);
            CHECK(strstr(rlua_last_error(b), "load function answered 8") != NULL);
            same_state(b, &before);
            CHECK_EQ(living(), alive);
            CHECK_OK(rlua_check(b));
        }
        fail_at = -1;
        CHECK_OK(apply(b, delta));
        CHECK_EQ(living(), alive + 4); /* seven more, and three of before ended */
        CHECK_OK(rlua_check(b));
        same_things(a, b);
        close_pair(pair);
        free(delta.start), free(none.start);
    }
}

TEST(a_type_that_nobody_told_is_refused_where_one_is_new) {
    for (size_t way = 0; way < COUNT_OF(trusts); way++) {
        Pair pair = open_more(4, way, "m = new_child(1)");
        rlua_Config own = config_of(0);
        own.names = more_names;
        own.trust = trusts[way];
        rlua_Config maker = own;
        maker.types = more_types;
        lua_State *a = pair.a, *b = pair.b;
        /* The follower knows the type no longer: what stays is no obstacle. */
        lua_State *c = load(pair.image, &maker);
        run(a, "debug.setuservalue(m, 1) slots[1] = m");
        CHECK_OK(rlua_snap_frame(a, 1));
        Bytes first = delta_of(a, 0, 1);
        CHECK_OK(apply(b, first));
        CHECK_OK(apply(c, first));
        same_sums(a, c);
        lua_close(c);
        close_pair(pair);
        free(first.start);
    }
    rlua_Config config = config_of(4), own = config_of(0);
    Bytes none = {NULL, 0};
    begin();
    config.types = own.types = NULL;
    Pair pair = open_pair(&config, &own, "");
    run(pair.a, "slots[1] = new_meter(1) pocket = {slots[1]}");
    CHECK_OK(rlua_snap_frame(pair.a, 1));
    CHECK_REFUSED(rlua_save_delta(pair.a, 0, 1, append, &none), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(pair.a), "'Meter'") != NULL);
    run(pair.a, "debug.setuservalue(slots[1], 7)");
    CHECK_OK(rlua_snap_frame(pair.a, 2));
    Bytes stays = delta_of(pair.a, 1, 2); /* both have it */
    CHECK_OK(rlua_register_type(pair.a, &meters));
    Bytes delta = delta_of(pair.a, 0, 1);
    CHECK_REFUSED(apply(pair.b, delta), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(pair.b), "'Meter'") != NULL);
    CHECK_OK(rlua_register_type(pair.b, &meters));
    CHECK_OK(apply(pair.b, delta));
    CHECK_OK(apply(pair.b, stays));
    same_sums(pair.a, pair.b);
    close_pair(pair);
    free(delta.start), free(stays.start), free(none.start);
}

static lua_State *busy;
static int comes_back(const void *bytes, size_t length, void *block, size_t size, void *ud) {
    Bytes none = {NULL, 0};
    CHECK_STATUS(rlua_snap(busy), RLUA_BUSY);
    CHECK_STATUS(rlua_save(busy, append, &none), RLUA_BUSY);
    CHECK_STATUS(apply(busy, none), RLUA_BUSY);
    CHECK_STATUS(rlua_dostring(busy, "slots = nil"), RLUA_BUSY);
    CHECK_STATUS(rlua_pushresource(busy, &none, &texture), RLUA_BUSY);
    lua_close(busy); /* refused, too: it is used below */
    return load_meter(bytes, length, block, size, ud);
}

/* Lua's own functions nobody can keep it from. */
static int writes_to_the_vm(const void *bytes, size_t length, void *block, size_t size, void *ud) {
    lua_pushstring(busy, "a string that was not there");
    lua_setglobal(busy, "written");
    lua_pushcfunction(busy, new_meter);
    lua_pushinteger(busy, 99);
    lua_call(busy, 1, 0);
    return load_meter(bytes, length, block, size, ud);
}

TEST(a_load_function_that_uses_the_vm_is_kept_from_it_or_undone) {
    for (size_t way = 0; way < 2 * COUNT_OF(trusts); way++) {
        rlua_Config config = config_of(2), own = config_of(2);
        rlua_ObjectType type = meters;
        const rlua_ObjectType *const list[] = {&type, NULL};
        int writes = way >= COUNT_OF(trusts);
        begin();
        type.load = writes ? writes_to_the_vm : comes_back;
        own.types = list;
        own.trust = trusts[way % COUNT_OF(trusts)];
        Pair pair = open_pair(&config, &own, "");
        busy = pair.b;
        run(pair.a, "slots[1] = new_meter(2)");
        CHECK_OK(rlua_snap_frame(pair.a, 1));
        Bytes delta = delta_of(pair.a, 0, 1);
        rlua_Checksum before;
        CHECK_OK(rlua_checksum(busy, &before));
        if (writes) {
            CHECK_REFUSED(apply(busy, delta), RLUA_BAD_IMAGE);
            CHECK(strstr(rlua_last_error(busy), "a load function has changed the state") != NULL);
            same_state(busy, &before);
            CHECK_EQ(living(), 1);
        } else {
            CHECK_OK(apply(busy, delta));
            same_things(pair.a, busy);
        }
        CHECK_OK(rlua_check(busy));
        close_pair(pair);
        free(delta.start);
    }
}

/* Files are outside, too, and no delta has them open; behind their end it leads on. */
TEST(a_file_has_to_be_closed) {
    rlua_Config config = config_of(3), own = config_of(0);
    Bytes none = {NULL, 0};
    begin();
    Pair pair = open_pair(&config, &own, "m = new_meter(1)");
    run(pair.a, "f = io.tmpfile() f:write('x')");
    CHECK_OK(rlua_snap_frame(pair.a, 1));
    CHECK_REFUSED(rlua_save_delta(pair.a, 0, 1, append, &none), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(pair.a), "a file is open") != NULL);
    run(pair.a, "f:close()");
    CHECK_OK(rlua_snap_frame(pair.a, 2));
    Bytes delta = delta_of(pair.a, 0, 2);
    CHECK_OK(apply(pair.b, delta));
    same_sums(pair.a, pair.b);
    lead(pair, 3, "g, slots[1] = f, new_meter(5) collectgarbage()");
    CHECK_EVAL(pair.b, "io.type(g)", "closed file");
    close_pair(pair);
    free(delta.start), free(none.start);
}
