/* handles.c: resources go with deltas: what stays is the follower's own, what is new is loaded,
 * what is gone ends.
 * Method: a world makes, drops and closes textures at random. It is followed by VMs that trust it,
 * that prove all, that keep snapshots and go back; each has the same sum after each delta, and
 * behind each handle the thing that it had, or a new one. Then what ends when, what fails, what is
 * refused. */
#include "things.h"
#include "random.h"

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

enum { SLOTS = 12 };

static lua_State *open_slots(const rlua_Config *config) {
    lua_State *L = open_world(config);
    run(L, world);
    return L;
}

static const rlua_Trust trusts[] = {RLUA_TRUST_PROVED, RLUA_TRUST_OWN};

/* A world in its frame 0, and one that was loaded from there, to follow it. */
typedef struct Pair {
    lua_State *a, *b;
    Bytes image;
} Pair;

static Pair open_pair(const rlua_Config *config, const rlua_Config *own, const char *code) {
    Pair pair = {open_slots(config), NULL, {NULL, 0}};
    run(pair.a, code);
    CHECK_OK(rlua_snap_frame(pair.a, 0));
    pair.image = save(pair.a);
    pair.b = load(pair.image, own);
    return pair;
}

static void close_pair(Pair pair) {
    lua_close(pair.a);
    lua_close(pair.b);
    CHECK_EQ(living(), 0);
    free(pair.image.start);
}

static void act(lua_State *L) {
    static const char *const acts[] = {"make", "make", "drop", "again", "move", "hide",
                                       "fill", "clear", "close"};
    char code[64];
    unsigned act = random_below(COUNT_OF(acts)), slot = 1 + random_below(SLOTS);
    snprintf(code, sizeof code, "%s(%u)", acts[act], slot);
    run(L, code);
}

/* What lies behind a slot, without a change of the state. */
static Thing *behind(lua_State *L, int slot) {
    void *object = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, 77);
    lua_rawgeti(L, -1, slot);
    if (lua_isuserdata(L, -1)) CHECK_OK(rlua_toresource(L, -1, &texture, &object));
    lua_pop(L, 2);
    return object;
}

static const void *handle_of(lua_State *L, int slot) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, 77);
    lua_rawgeti(L, -1, slot);
    const void *handle = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return handle;
}

static void same_things(lua_State *a, lua_State *b) {
    for (int slot = 1; slot <= SLOTS; slot++) {
        const Thing *of_a = behind(a, slot), *of_b = behind(b, slot);
        CHECK((of_a == NULL) == (of_b == NULL));
        if (of_a == NULL) continue;
        CHECK(of_a != of_b && of_a->width == of_b->width);
        CHECK(of_a->ended == 0 && of_b->ended == 0);
    }
}

/* -- where it works ---------------------------------------------------------------------------- */

/* What followers have loaded, by width. */
static Thing *loaded[MOST];
static int times[MOST];

static int load_and_note(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    int answer = load_texture(bytes, length, object, size, ud);
    const Thing *thing = *(Thing **)object;
    CHECK(answer == 0 && thing->width > 0);
    loaded[thing->width] = *(Thing **)object;
    times[thing->width]++;
    return answer;
}

static const rlua_ObjectType noted = {sizeof noted, "Texture", &texture, save_texture,
                                      load_and_note, &loads};
static const rlua_ObjectType *const noted_types[] = {&noted, NULL};

/* Looking changes the state, so a follower is looked at once, at its end. */
static void end_follower(lua_State *a, lua_State *b, int is_straight) {
    same_things(a, b);
    for (int slot = 1; slot <= SLOTS; slot++) {
        const Thing *thing = behind(b, slot);
        if (thing == NULL) continue;
        CHECK(loaded[thing->width] == thing);
        if (is_straight) CHECK_EQ(times[thing->width], 1);
    }
    run(b, "collectgarbage() for k = 1, 12 do drop(k) end");
    CHECK_OK(rlua_check(b));
    lua_close(b);
}

static void follow(rlua_Trust trust, size_t snapshots, uint64_t seed) {
    rlua_Config config = config_of(3), own = config_of(snapshots);
    lua_State *b = NULL;
    int all_loads = 0;
    begin();
    random_seed(seed);
    own.trust = trust;
    own.types = noted_types;
    lua_State *a = open_slots(&config);
    run(a, "make(1) make(2)");
    CHECK_OK(rlua_snap_frame(a, 0));
    for (int frame = 1; frame <= 120; frame++) {
        if (b == NULL) {
            Bytes image = {NULL, 0};
            memset(times, 0, sizeof times);
            CHECK_OK(rlua_save_snapshot(a, frame - 1, append, &image));
            b = load(image, &own);
            free(image.start);
        }
        int acts = 1 + (int)random_below(6);
        for (int i = 0; i < acts; i++) act(a);
        CHECK_OK(rlua_snap_frame(a, frame));
        if (random_below(4) == 0) { /* a guess that was wrong */
            act(a);
            CHECK_OK(rlua_rollback_to(a, frame - 1));
            act(a);
            act(a);
            CHECK_OK(rlua_snap_frame(a, frame));
        }
        Bytes delta = delta_of(a, frame - 1, frame);
        if (snapshots > 0) CHECK_OK(rlua_snap(b));
        CHECK_OK(apply(b, delta));
        CHECK_OK(rlua_check(b));
        same_sums(a, b);
        if (snapshots > 0 && random_below(3) == 0) { /* there and back */
            CHECK_OK(rlua_rollback(b, 1));
            CHECK_OK(rlua_check(b));
            CHECK_OK(apply(b, delta));
            same_sums(a, b);
        }
        living();
        free(delta.start);
        if (random_below(12) == 0) {
            all_loads += loads;
            loads = 0;
            end_follower(a, b, snapshots == 0);
            b = NULL;
        }
    }
    CHECK(all_loads > 40);
    lua_close(a);
    if (b != NULL) lua_close(b);
    CHECK_EQ(living(), 0);
}

TEST(what_stays_is_kept_and_what_is_new_is_loaded) {
    long seeds = 20 / test_scale() + 1;
    for (long seed = 1; seed <= seeds; seed++)
        for (size_t snapshots = 0; snapshots < 6; snapshots += 5) {
            follow(RLUA_TRUST_OWN, snapshots, (uint64_t)seed);
            follow(RLUA_TRUST_PROVED, snapshots, (uint64_t)seed);
        }
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
