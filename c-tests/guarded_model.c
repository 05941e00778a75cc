/* guarded_model.c: thousands of guarded userdata under random programs, against a model.
 * Method: a table of slots holds objects; random steps create, drop, write, close, collect, snap,
 * replace the newest snapshot, discard, roll back, change how many snapshots are kept; some objects
 * die in a wrapper whose finalizer, in Lua, brings them back. The model knows for the live state
 * and for each snapshot which objects it reaches and which it may still have as garbage, and beside
 * both what each block holds, which never goes back. After each step:
 *   - nothing that the live state or a snapshot reaches has been finalized, nothing twice;
 *   - each slot has its object, and the object's block what was last written to it;
 *   - what was brought back, and finalized since, says so in its block;
 *   - after a full collection, all that neither may have has been finalized.
 * A failure tells the seed; RLUA_TEST_SEED=n runs that program alone.
 * Not here: situations with a name (guarded.c). */
#include "counted.h"
#include "random.h"

enum { SLOTS = 400, SNAPSHOTS = 8, WATCHED = 20000, RISEN = 32 };

typedef struct World {
    int slot[SLOTS];                /* the object in each slot, or -1 */
    unsigned char maybe[WATCHED];   /* this state may have the object, reached or as garbage */
    int64_t frame;
} World;

static World live, held[SNAPSHOTS];
static int held_count, max_held;
static lua_Integer value_of[WATCHED];
static unsigned char is_closed[WATCHED];
static unsigned char was_wrapped[WATCHED]; /* brought back, it lives as long as it likes */
static uint64_t seed;

#define BAD(...)                                                     \
    do {                                                             \
        fprintf(stderr, "RLUA_TEST_SEED=%llu\n", (unsigned long long)seed); \
        FAIL(__VA_ARGS__);                                           \
    } while (0)

static Block *block_in(lua_State *L, int slot) {
    Block *block;
    lua_getglobal(L, "slots");
    lua_rawgeti(L, -1, slot + 1);
    block = lua_touserdata(L, -1);
    lua_pop(L, 2);
    return block;
}

static void check_world(const World *world) {
    int i;
    for (i = 0; i < SLOTS; i++)
        if (world->slot[i] >= 0 && thing_finalized[world->slot[i]])
            BAD("thing %d is in reach (frame %lld) and was finalized", world->slot[i],
                (long long)world->frame);
}

static void check_safety(lua_State *L) {
    int i;
    if (thing_errors) BAD("a finalizer saw no thing");
    for (i = 0; i < thing_count; i++)
        if (thing_finalized[i] > 1) BAD("thing %d was finalized %d times", i, thing_finalized[i]);
    check_world(&live);
    for (i = 0; i < held_count; i++) check_world(&held[i]);
    for (i = 0; i < SLOTS; i++) {
        Block *block = block_in(L, i);
        int number = live.slot[i];
        if ((block == NULL) != (number < 0)) BAD("slot %d is not as in the model", i);
        if (!block) continue;
        if (block->canary != CANARY || block->number != number)
            BAD("slot %d: thing %d instead of %d", i, block->number, number);
        if (block->value != value_of[number] || block->closed != is_closed[number])
            BAD("thing %d: the block went back", number);
    }
}

/* As modules do: what the block names is freed, and the block says so. */
static int free_it(lua_State *L, Block *block) {
    (void)L;
    block->closed = 2;
    return 0;
}

static void check_risen(lua_State *L) {
    int i;
    lua_getglobal(L, "risen");
    for (i = 0; i < RISEN; i++) {
        Block *block;
        lua_rawgeti(L, -1, i);
        block = lua_touserdata(L, -1);
        lua_pop(L, 1);
        if (block && thing_finalized[block->number] && block->closed != 2)
            BAD("thing %d is in reach and finalized, and its block went back", block->number);
    }
    lua_pop(L, 1);
}

/* After a full collection the live state has exactly what it reaches. */
static void check_liveness(void) {
    static unsigned char reached[WATCHED];
    int i, j;
    memset(reached, 0, sizeof reached);
    for (i = 0; i < SLOTS; i++)
        if (live.slot[i] >= 0) reached[live.slot[i]] = 1;
    memcpy(live.maybe, reached, sizeof reached);
    for (i = 0; i < thing_count; i++) {
        int kept = reached[i];
        for (j = 0; j < held_count; j++) kept |= held[j].maybe[i];
        if (!kept && !thing_finalized[i] && !was_wrapped[i])
            BAD("thing %d is lost: nothing has it", i);
    }
}

static void create(lua_State *L, int slot) {
    char chunk[128];
    int number = thing_count, linked = (int)random_below(3) == 0;
    if (number >= WATCHED) return;
    value_of[number] = (lua_Integer)random_below(1000000);
    snprintf(chunk, sizeof chunk, "local t = counted.new(%lld) slots[%d] = t%s",
             (long long)value_of[number], slot + 1,
             linked ? " debug.setuservalue(t, {t, tostring(t)}, 1)" : "");
    run(L, chunk);
    is_closed[number] = was_wrapped[number] = 0;
    live.slot[slot] = number;
    live.maybe[number] = 1;
}

static void drop(lua_State *L, int slot) {
    char chunk[64];
    int wrap = live.slot[slot] >= 0 && random_below(6) == 0;
    if (wrap) was_wrapped[live.slot[slot]] = 1;
    snprintf(chunk, sizeof chunk, "%s(%d) slots[%d] = nil", wrap ? "wrap" : "type", slot + 1,
             slot + 1);
    run(L, chunk);
    live.slot[slot] = -1;
}

static void write_or_close(lua_State *L, int slot) {
    Block *block = block_in(L, slot);
    int number = live.slot[slot];
    if (!block) return;
    if (random_below(4) == 0 && !is_closed[number]) {
        char chunk[64];
        snprintf(chunk, sizeof chunk, "slots[%d]:close()", slot + 1);
        run(L, chunk);
        is_closed[number] = 1;
    } else {
        block->value = value_of[number] = (lua_Integer)random_below(1000000);
    }
}

static void snap(lua_State *L) {
    int replace = held_count > 0 && random_below(5) == 0;
    if (max_held == 0) return;
    if (replace) {
        held_count--;
    } else {
        live.frame = (held_count ? held[held_count - 1].frame : live.frame) + 1 + random_below(3);
    }
    CHECK_OK(rlua_snap_frame(L, live.frame));
    if (held_count == max_held)
        memmove(held, held + 1, sizeof held[0] * (size_t)(--held_count));
    held[held_count++] = live;
}

static void roll_back(lua_State *L) {
    int target;
    if (!held_count) return;
    target = (int)random_below((unsigned)held_count);
    CHECK_OK(rlua_rollback_to(L, held[target].frame));
    live = held[target];
    held_count = target + 1;
}

static void discard(lua_State *L) {
    int gone;
    if (held_count < 2) return;
    gone = (int)random_below((unsigned)held_count);
    CHECK_OK(rlua_discard_before(L, held[gone].frame));
    memmove(held, held + gone, sizeof held[0] * (size_t)(held_count -= gone));
}

static void keep_other_number(lua_State *L) {
    int gone;
    max_held = random_below(3) ? SNAPSHOTS : (int)random_below(SNAPSHOTS);
    CHECK_OK(rlua_set_max_snapshots(L, (size_t)max_held));
    gone = held_count > max_held ? held_count - max_held : 0;
    memmove(held, held + gone, sizeof held[0] * (size_t)(held_count -= gone));
}

static void collect(lua_State *L) {
    if (random_below(3) == 0) {
        lua_gc(L, LUA_GCSTEP, (int)random_below(8));
        return;
    }
    lua_gc(L, LUA_GCCOLLECT);
    check_liveness();
}

/* One random program; `pacing` 0: only explicit collections, 1: incremental, 2: generational. */
static void program(uint64_t this_seed, int pacing, int steps) {
    lua_State *L = open_with_things(32 * MIB, SNAPSHOTS);
    int i, step;
    seed = this_seed;
    random_seed(seed);
    memset(&live, 0, sizeof live);
    for (i = 0; i < SLOTS; i++) live.slot[i] = -1;
    held_count = 0;
    max_held = SNAPSHOTS;
    on_finalize = free_it;
    run(L, "slots, risen, rising = {}, {}, 0 "
           "function wrap(i) setmetatable({slots[i]}, {__gc = function(wrapper) "
           "risen[rising % 32] = wrapper[1] rising = rising + 1 end}) end");
    if (pacing == 0) lua_gc(L, LUA_GCSTOP);
    if (pacing == 2) lua_gc(L, LUA_GCGEN, 0, 0);
    for (step = 0; step < steps; step++) {
        unsigned kind = random_below(100);
        int count = 1 + (int)random_below(12);
        if (kind < 40) while (count--) create(L, (int)random_below(SLOTS));
        else if (kind < 55) while (count--) drop(L, (int)random_below(SLOTS));
        else if (kind < 68) while (count--) write_or_close(L, (int)random_below(SLOTS));
        else if (kind < 78) collect(L);
        else if (kind < 90) snap(L);
        else if (kind < 97) roll_back(L);
        else if (kind < 99) discard(L);
        else keep_other_number(L);
        if (step % 8 == 0) check_safety(L), check_risen(L);
        if (step % 64 == 0 && rlua_check(L) != RLUA_OK) BAD("%s", rlua_last_error(L));
    }
    check_safety(L);
    lua_close(L);
    for (i = 0; i < thing_count; i++)
        if (thing_finalized[i] != 1)
            BAD("thing %d of %d was finalized %d times in all", i, thing_count, thing_finalized[i]);
}

static void programs(int pacing) {
    const char *text = getenv("RLUA_TEST_SEED");
    uint64_t first = text ? strtoull(text, NULL, 10) : 1;
    uint64_t count = text ? 1 : 40 / (uint64_t)test_scale(), i;
    if (!text && count < 2) count = 2;
    for (i = 0; i < count; i++) program(first + i, pacing, 2000);
}

TEST(explicit_collections_only) { programs(0); }
TEST(incremental_pacing) { programs(1); }
TEST(generational_pacing) { programs(2); }

/* Most objects live long: a rollback costs by what there is, and loses none of it. */
TEST(ten_thousand_that_live) {
    lua_State *L = open_with_things(64 * MIB, 4);
    int round, i;
    run(L, "ts = {} for i = 1, 10000 do ts[i] = counted.new(i) end");
    for (round = 0; round < 10; round++) {
        CHECK_OK(rlua_snap_frame(L, 1 + round));
        run(L, "for i = 1, 500 do ts[math.random(10000)] = counted.new(i) end collectgarbage()");
        CHECK_OK(rlua_snap_frame(L, 100));
        run(L, "for i = 1, 500 do ts[math.random(10000)] = nil end collectgarbage()");
        CHECK_OK(rlua_rollback_to(L, 1 + round));
        CHECK_EQ(finalized_things(), 500 * (round + 1));
        run(L, "for i = 1, 10000 do assert(ts[i]:value() == i) end");
    }
    for (i = 0; i < 10000; i++) CHECK_EQ(thing_finalized[i], 0);
    close_and_count(L);
}
