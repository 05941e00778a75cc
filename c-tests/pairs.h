/* pairs.h: a world that makes and drops things at random, and one that was loaded from it and
 * follows it by deltas. What it plays, each test file says (`play`).
 * Not here: the things (things.h), and how a follower is led. */
#ifndef PAIRS_H
#define PAIRS_H

#include "things.h"
#include "random.h"

enum { SLOTS = 12 };

/* A script that defines `slots`, which the registry has at 77, and functions of a slot. */
typedef struct Play {
    const char *world;
    const char *const *acts;
    unsigned act_count;
} Play;

static const Play play;

static const rlua_Trust trusts[] = {RLUA_TRUST_PROVED, RLUA_TRUST_OWN};

static lua_State *open_slots(const rlua_Config *config) {
    lua_State *L = open_world(config);
    run(L, play.world);
    return L;
}

static void act(lua_State *L) {
    char code[64];
    unsigned act = random_below(play.act_count), slot = 1 + random_below(SLOTS);
    snprintf(code, sizeof code, "%s(%u)", play.acts[act], slot);
    run(L, code);
}

/* What lies behind a slot. */
static Thing *behind(lua_State *L, int slot) {
    void *object = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, 77);
    lua_rawgeti(L, -1, slot);
    if (lua_isuserdata(L, -1)) {
        if (lua_rawlen(L, -1) == sizeof(Thing *)) object = *(Thing **)lua_touserdata(L, -1);
        else CHECK_OK(rlua_toresource(L, -1, &texture, &object));
    }
    lua_pop(L, 2);
    return object;
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

/* -- pairs ------------------------------------------------------------------------------------- */

/* A world in its frame 0, and one that was loaded from there, to follow it. */
typedef struct Pair {
    lua_State *a, *b;
    Bytes image;
} Pair;

static Pair pair_of(lua_State *a, const rlua_Config *own, const char *code) {
    Pair pair = {a, NULL, {NULL, 0}};
    run(a, code);
    CHECK_OK(rlua_snap_frame(a, 0));
    pair.image = save(a);
    pair.b = load(pair.image, own);
    return pair;
}

static Pair open_pair(const rlua_Config *config, const rlua_Config *own, const char *code) {
    return pair_of(open_slots(config), own, code);
}

static void close_pair(Pair pair) {
    lua_close(pair.a);
    lua_close(pair.b);
    CHECK_EQ(living(), 0);
    free(pair.image.start);
}

/* -- followers of a random world --------------------------------------------------------------- */

/* What followers have loaded, by width. */
static Thing *loaded[MOST];
static int times[MOST];

static void note(Thing *thing) {
    CHECK(thing->width > 0);
    loaded[thing->width] = thing;
    times[thing->width]++;
}

static int note_texture(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    int answer = load_texture(bytes, length, object, size, ud);
    CHECK(answer == 0);
    note(*(Thing **)object);
    return answer;
}

static const rlua_ObjectType noted_textures = {sizeof noted_textures, "Texture", &texture,
                                               save_texture, note_texture, &loads};

typedef struct Follow {
    const rlua_ObjectType *const *types;
    /* Leads `b` from the frame before to this one of `a`, and sees that it is there. */
    void (*lead)(lua_State *a, lua_State *b, int64_t frame, size_t snapshots);
    int loads_again; /* what it has had */
} Follow;

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

static void next_frame(lua_State *a, int64_t frame) {
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
}

static void follow(const Follow *how, rlua_Trust trust, size_t snapshots, uint64_t seed) {
    rlua_Config config = config_of(3), own = config_of(snapshots);
    lua_State *b = NULL;
    int all_loads = 0;
    begin();
    random_seed(seed);
    own.trust = trust;
    own.types = how->types;
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
        next_frame(a, frame);
        if (snapshots > 0) CHECK_OK(rlua_snap(b));
        how->lead(a, b, frame, snapshots);
        living();
        if (random_below(12) == 0) {
            all_loads += loads;
            loads = 0;
            end_follower(a, b, snapshots == 0 && !how->loads_again);
            b = NULL;
        }
    }
    CHECK(all_loads > 40);
    lua_close(a);
    if (b != NULL) lua_close(b);
    CHECK_EQ(living(), 0);
}

static void follow_all(const Follow *how) {
    long seeds = 20 / test_scale() + 1;
    for (long seed = 1; seed <= seeds; seed++)
        for (size_t snapshots = 0; snapshots < 6; snapshots += 5) {
            follow(how, RLUA_TRUST_OWN, snapshots, (uint64_t)seed);
            follow(how, RLUA_TRUST_PROVED, snapshots, (uint64_t)seed);
        }
}

#endif
