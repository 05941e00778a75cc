/* graph.c: whatever a script and a host did, a rollback gives back every byte, and the same calls
 * then give the same bytes again.
 * Method: frames of random operations on a random graph (graph.lua, and the host's below) with
 * random snapshots and rollbacks between. Nets:
 *   back     after a rollback the used region equals the copy that was taken at the snapshot
 *   again    the same frames after a rollback give the copies that the first run gave. What comes
 *            from outside may differ, and only this: the serial of a reference, the id of a
 *            resource. Each was noted when it was given, in both runs, and must be that one.
 *            (The C stack must not: frames are run from one place.)
 *   checked  rlua_check after each rollback
 *   refused  what needs an idle VM is BUSY inside Lua; a rollback to nowhere changes nothing
 * Not here: wrong arguments (api.c). */
#include "fuzz.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char graph_lua[] =
#include "fuzz/graph.lua.inc"
    ;

enum { BLOCKS = 24, REFS = 24, TRAIL = 48, HELD = 40, OUTWARD = 4096, STACK_MAX = 60 };
#define USED_MAX (6 * MIB) /* then much is dropped */
#define USED_END (24 * MIB) /* then the run ends: copies take too long */
enum { STEPS, SNAPSHOTS, ROLLBACKS, REPLAYS, BYTES, MASKED, LUA_ERRORS };

/* What the host keeps of the VM. Copied with each snapshot, put back with each rollback. */
typedef struct Host {
    unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    int refs[REFS]; /* 1 + place in `made`; 0: none */
    int marked;     /* slots of the main stack below this one hold a variable to be closed */
} Host;

/* Words from outside, in the order in which the VM got them. */
typedef struct Outward {
    uint64_t words[OUTWARD];
    int count;
} Outward;

/* A state: a snapshot that is held, or one that a replay is to give again. */
typedef struct State {
    int64_t label;
    int is_snapshot;
    size_t used;
    unsigned char *bytes;
    Host host;
    int outward;           /* words from outside before it */
    uint64_t trail[TRAIL]; /* seeds of the frames between the state before and this one */
    int frames;
} State;

static lua_State *L;
static Random choice; /* what the driver does; an operation has a generator of its own */
static Host host;
static Outward outward, first; /* of this run, and of the one that is replayed */
static State held[HELD], expected[HELD + 1];
static int held_count, expected_count, expected_at, at_frame;
static int parted; /* words from outside that were there before the two runs parted */
static size_t max_snapshots;
static int operations; /* of graph.lua */
static uint64_t trail[TRAIL];
static int trail_frames;
static int released;

static unsigned char *region(void) {
    return (unsigned char *)((uintptr_t)L & ~(uintptr_t)0xFFFFFFFFu);
}

/* -- states ---------------------------------------------------------------------------------- */

static void drop(State *state) {
    free(state->bytes);
    state->bytes = NULL;
}

static void keep(State *state, int64_t label, int is_snapshot) {
    memset(state, 0, sizeof *state);
    state->label = label;
    state->is_snapshot = is_snapshot;
    state->used = info_of(L).used_bytes;
    state->bytes = malloc(state->used);
    CHECK(state->bytes != NULL);
    memcpy(state->bytes, region(), state->used);
    state->host = host;
    state->outward = outward.count;
    memcpy(state->trail, trail, sizeof trail);
    state->frames = trail_frames;
    fuzz->counts[BYTES] += state->used;
}

/* Whether the bytes that differ are those of a word from outside: of all of it, or of what is left
 * of it in memory that was given to another object. */
static int is_outward(uint64_t now, uint64_t then) {
    uint64_t differing = 0;
    int i, shift;
    for (shift = 0; shift < 64; shift += 8)
        if ((now ^ then) >> shift & 0xFF) differing |= (uint64_t)0xFF << shift;
    for (i = parted; i < outward.count && i < first.count; i++)
        if (!((outward.words[i] ^ now) & differing) && !((first.words[i] ^ then) & differing))
            return 1;
    return 0;
}

/* Fails where the VM differs from a kept state. */
static void compare(const State *state, int replayed, const char *what) {
    size_t used = info_of(L).used_bytes, offset, differing = 0, at = 0;
    uint64_t now, then, first_now = 0, first_then = 0;
    if (used != state->used)
        FAIL("%s: %zu bytes are used, %zu were (label %lld)", what, used, state->used,
             (long long)state->label);
    if (memcmp(region(), state->bytes, used) == 0) return;
    for (offset = 0; offset < used; offset += 8) {
        memcpy(&now, region() + offset, 8);
        memcpy(&then, state->bytes + offset, 8);
        if (now == then) continue;
        if (replayed && is_outward(now, then)) {
            fuzz->counts[MASKED]++;
            continue;
        }
        if (differing++ == 0) at = offset, first_now = now, first_then = then;
    }
    if (differing)
        FAIL("%s: %zu words differ (label %lld), the first at offset 0x%zx of 0x%zx: 0x%llx, was "
             "0x%llx", what, differing, (long long)state->label, at, used,
             (unsigned long long)first_now, (unsigned long long)first_then);
}

/* -- what graph.lua calls --------------------------------------------------------------------- */

static int new_userdata(lua_State *thread) {
    size_t size = (size_t)luaL_checkinteger(thread, 1), i;
    unsigned char *block = lua_newuserdatauv(thread, size, (int)luaL_checkinteger(thread, 2));
    Random random = {(uint64_t)luaL_checkinteger(thread, 3)};
    if (one_in(&random, 4)) return 1; /* what is never written is part of the state too */
    for (i = 0; i < size; i += 1 + i / 64) block[i] = (unsigned char)random_u64(&random);
    return 1;
}

static int pcallk_done(lua_State *thread, int status, lua_KContext context) {
    (void)context;
    lua_pushinteger(thread, status);
    return lua_gettop(thread);
}

static int host_pcallk(lua_State *thread) {
    luaL_checkany(thread, 1);
    return pcallk_done(thread, lua_pcallk(thread, lua_gettop(thread) - 1, LUA_MULTRET, 0, 0,
                                          pcallk_done), 0);
}

static int host_busy(lua_State *thread) {
    size_t count = 0;
    CHECK_STATUS(rlua_snap(thread), RLUA_BUSY);
    CHECK_STATUS(rlua_snap_frame(thread, INT64_MAX), RLUA_BUSY);
    CHECK_STATUS(rlua_rollback(thread, 1), RLUA_BUSY);
    CHECK_STATUS(rlua_rollback_to(thread, 0), RLUA_BUSY);
    CHECK_STATUS(rlua_discard_before(thread, INT64_MAX), RLUA_BUSY);
    CHECK_STATUS(rlua_set_max_snapshots(thread, 3), RLUA_BUSY);
    CHECK_STATUS(rlua_check(thread), RLUA_BUSY);
    lua_close(thread);
    CHECK_OK(rlua_snapshot_count(thread, &count));
    CHECK_EQ(count, held_count);
    return 0;
}

static int host_function(lua_State *thread, void *ud) {
    CHECK(ud == &host);
    if (rlua_pushvalue(thread, 1) != RLUA_OK) return 0;
    return lua_isstring(thread, 1) ? RLUA_RAISE : 1;
}

static void release(lua_State *thread, void *object, void *ud) {
    CHECK(object == (void *)&released && ud == &host);
    CHECK_STATUS(rlua_snap(thread), RLUA_BUSY);
}

static const rlua_Method methods[] = {{"touch", host_function}, {NULL, NULL}};
static const rlua_ResourceType type = {sizeof type, "graph", release, &host, methods};

/* -- operations of the host ------------------------------------------------------------------- */

static void note_outward(uint64_t word) {
    if (outward.count < OUTWARD) outward.words[outward.count++] = word;
}

/* Lua's own errors leave a message; one of the library's leaves nothing. */
static int done(int status) {
    if (status >= RLUA_ERR_RUN) {
        fuzz->counts[LUA_ERRORS]++;
        lua_pop(L, 1);
    }
    return status == RLUA_OK;
}

static void op_blocks(Random *random) {
    int i = below(random, BLOCKS);
    size_t size = (size_t)below(random, one_in(random, 8) ? 20000 : 300), at;
    unsigned char *block = host.blocks[i];
    if (block && one_in(random, 3)) {
        CHECK_OK(rlua_free(L, block));
        host.blocks[i] = NULL;
    } else if ((block = rlua_realloc(L, block, size)) != NULL) {
        host.blocks[i] = block;
        host.sizes[i] = size;
    }
    for (i = 0; i < BLOCKS; i++) {
        if (!host.blocks[i] || !host.sizes[i] || one_in(random, 2)) continue;
        at = random_u64(random) % host.sizes[i];
        host.blocks[i][at] = (unsigned char)random_u64(random);
    }
}

/* A write that the kernel makes, not the program. */
static void op_kernel_write(Random *random) {
    int i = below(random, BLOCKS), ends[2];
    char bytes[64];
    size_t size = host.sizes[i] < sizeof bytes ? host.sizes[i] : sizeof bytes;
    if (!host.blocks[i] || size == 0 || pipe(ends) != 0) return;
    memset(bytes, below(random, 256), sizeof bytes);
    CHECK(write(ends[1], bytes, size) == (ssize_t)size);
    CHECK(read(ends[0], host.blocks[i], size) == (ssize_t)size);
    close(ends[0]);
    close(ends[1]);
}

static void op_refs(Random *random) {
    int i = below(random, REFS);
    rlua_Ref ref;
    if (host.refs[i]) {
        uint64_t serial = outward.words[host.refs[i] - 1];
        /* The slot is not kept: a reference is found again by its serial. */
        for (ref = 1; ref < 200; ref++) {
            int status = rlua_getref(L, ref | serial << 32);
            if (status == RLUA_NO_MEMORY) return; /* no room on the Lua stack */
            if (status != RLUA_OK) continue;
            CHECK_OK(rlua_unref(L, ref | serial << 32));
            break;
        }
        CHECK(ref < 200);
        host.refs[i] = 0;
        return;
    }
    if (outward.count == OUTWARD || lua_gettop(L) == 0 || lua_gettop(L) <= host.marked) return;
    ref = rlua_ref(L);
    if (!ref) return;
    note_outward(ref >> 32);
    host.refs[i] = outward.count;
}

static void op_resource(Random *random) {
    uint64_t *handle;
    if (outward.count == OUTWARD) return;
    if (!done(rlua_pushresource(L, &released, &type))) return;
    handle = lua_touserdata(L, -1);
    note_outward(handle[1]);
    if (one_in(random, 3)) CHECK_OK(rlua_closeresource(L, -1, &type));
}

static void op_push(Random *random) {
    lua_State *thread;
    switch (below(random, 8)) {
        case 0: done(rlua_pushinteger(L, below(random, 1000))); break;
        case 1: done(rlua_pushlstring(L, graph_lua, (size_t)below(random, 5000))); break;
        case 2: done(rlua_createtable(L, below(random, 40), below(random, 40))); break;
        case 3: done(rlua_newthread(L, &thread)); break;
        case 4:
            done(rlua_newuserdata(L, (size_t)below(random, 5000), below(random, 3), NULL));
            break;
        case 5: done(rlua_pushfunction(L, host_function, &host, "fuzz")); break;
        case 6: done(rlua_getglobal(L, "closable")); break;
        default: if (lua_gettop(L)) done(rlua_pushvalue(L, 1 + below(random, lua_gettop(L))));
    }
    if (lua_gettop(L) > host.marked && luaL_getmetafield(L, -1, "__close") != LUA_TNIL) {
        lua_pop(L, 1);
        if (one_in(random, 2) && done(rlua_toclose(L, -1))) host.marked = lua_gettop(L);
    }
}

static void op_settop(Random *random) {
    int top = below(random, lua_gettop(L) + 1);
    if (host.marked > top) host.marked = 0; /* see below */
    if (!done(rlua_settop(L, top))) return;
    /* The marks below stay; that none is known to be there only makes fewer calls. */
    if (host.marked == 0) host.marked = top;
}

static void op_global(Random *random) {
    char name[16];
    snprintf(name, sizeof name, "h%d", below(random, 40));
    if (lua_gettop(L) > host.marked && one_in(random, 2)) done(rlua_setglobal(L, name));
    else if (lua_gettop(L) < STACK_MAX) done(rlua_getglobal(L, name));
}

static void op_gc(Random *random) {
    static const int what[] = {LUA_GCCOLLECT, LUA_GCSTEP, LUA_GCSTEP, LUA_GCSTOP, LUA_GCRESTART,
                               LUA_GCRESTART, LUA_GCGEN, LUA_GCINC, LUA_GCSETPAUSE, LUA_GCCOUNT};
    done(rlua_gc(L, what[below(random, COUNT_OF(what))], below(random, 120)));
}

/* A coroutine of the host's: its stack is fed and resumed from C. */
static void op_coroutine(Random *random) {
    lua_State *thread;
    int results = 0, status;
    if (!done(rlua_newthread(L, &thread))) return;
    if (!done(rlua_getglobal(thread, "body")) || !done(rlua_pushinteger(thread, below(random, 99))))
        return;
    status = rlua_resume(thread, NULL, 1, &results);
    if (status == RLUA_YIELD && one_in(random, 2)) {
        lua_pop(thread, results);
        rlua_resume(thread, L, 0, &results);
    }
}

static void op_lua(Random *random) {
    int number = 1 + below(random, operations), status;
    lua_Integer seed = (lua_Integer)random_u64(random);
    doing("operation %d of graph.lua, seed %lld", number, (long long)seed);
    if (!done(rlua_getglobal(L, "operate"))) return;
    if (rlua_pushinteger(L, number) != RLUA_OK || rlua_pushinteger(L, seed) != RLUA_OK) return;
    status = one_in(random, 2) ? rlua_call(L, 2, 0, 0) : lua_pcall(L, 2, 0, 0);
    if (status == LUA_OK) return;
    fuzz->counts[LUA_ERRORS]++;
    lua_pop(L, 1);
}

static void op_node(Random *random) {
    (void)random;
    if (done(rlua_getglobal(L, "node"))) done(rlua_call(L, 0, 1, 0));
}

typedef struct Operation {
    const char *name;
    void (*run)(Random *random);
    int weight;
} Operation;

static const Operation host_operations[] = {
    {"blocks", op_blocks, 4},   {"a kernel's write", op_kernel_write, 1},
    {"refs", op_refs, 2},       {"resource", op_resource, 1},
    {"push", op_push, 4},       {"settop", op_settop, 2},
    {"global", op_global, 2},   {"gc", op_gc, 2},
    {"coroutine", op_coroutine, 1}, {"node", op_node, 2},
    {"Lua", op_lua, 40},
};

/* One frame: the same seed on the same state does the same. Called from one place, so that the C
 * stack below is the same too. */
__attribute__((noinline)) static void run_frame(uint64_t seed) {
    Random random = {seed};
    int count = 1 + below(&random, 24), whole = 0, pick;
    const Operation *operation;
    size_t i;
    for (i = 0; i < COUNT_OF(host_operations); i++) whole += host_operations[i].weight;
    while (count-- > 0) {
        pick = below(&random, whole);
        for (operation = host_operations; pick >= operation->weight; operation++)
            pick -= operation->weight;
        fuzz->step++;
        fuzz->counts[STEPS]++;
        doing("%s", operation->name);
        operation->run(&random);
        if (lua_gettop(L) > STACK_MAX) op_settop(&random);
    }
    if (info_of(L).used_bytes < USED_MAX) return;
    doing("a collection of all");
    done(rlua_settop(L, 0));
    host.marked = 0;
    done(rlua_gc(L, LUA_GCRESTART, 0));
    done(rlua_gc(L, LUA_GCCOLLECT, 0));
}

/* -- snapshots and rollbacks ------------------------------------------------------------------ */

static void drop_oldest(int count) {
    int i;
    for (i = 0; i < count; i++) drop(&held[i]);
    memmove(held, held + count, (size_t)(held_count - count) * sizeof held[0]);
    held_count -= count;
}

static void see_counts(void) {
    rlua_Info info = info_of(L);
    CHECK_EQ(info.snapshot_count, held_count);
    CHECK_EQ(info.max_snapshots, max_snapshots);
    if (held_count == 0) return;
    CHECK_EQ(info.oldest_frame, held[0].label);
    CHECK_EQ(info.newest_frame, held[held_count - 1].label);
}

/* `label` is that of a replay, or -1 for one of the driver's choice. */
static void snap(int64_t label) {
    int64_t newest = held_count ? held[held_count - 1].label : -1;
    int status;
    doing("snap");
    if (label < 0 && one_in(&choice, 2)) {
        label = newest + 1;
        status = rlua_snap(L);
    } else {
        if (label < 0) label = newest + 1 + below(&choice, 3);
        if (newest >= 0 && one_in(&choice, 4)) {
            CHECK_STATUS(rlua_snap_frame(L, newest - below(&choice, 3) - 1),
                         max_snapshots ? RLUA_BAD_FRAME : RLUA_DISABLED);
        }
        status = rlua_snap_frame(L, label);
    }
    CHECK_EQ(status, max_snapshots ? RLUA_OK : RLUA_DISABLED);
    if (status != RLUA_OK) return;
    if (held_count == (int)max_snapshots) drop_oldest(1);
    keep(&held[held_count++], label, 1);
    trail_frames = 0;
    fuzz->counts[SNAPSHOTS]++;
    compare(&held[held_count - 1], 0, "a snap wrote to the VM");
    see_counts();
}

/* The newest label again replaces that snapshot: what lies between is one trail then. */
static void snap_again(void) {
    State *newest = &held[held_count - 1];
    uint64_t both[TRAIL];
    int frames = newest->frames + trail_frames;
    doing("snap of the newest label again");
    if (held_count == 0 || frames > TRAIL) return;
    CHECK_OK(rlua_snap_frame(L, newest->label));
    memcpy(both, newest->trail, sizeof both);
    memcpy(both + newest->frames, trail, (size_t)trail_frames * sizeof both[0]);
    drop(newest);
    keep(newest, newest->label, 1);
    memcpy(newest->trail, both, sizeof both);
    newest->frames = frames;
    trail_frames = 0;
    fuzz->counts[SNAPSHOTS]++;
    see_counts();
}

static void forget_expected(void) {
    while (expected_count > 0) drop(&expected[--expected_count]);
    expected_at = at_frame = 0;
}

/* Goes back `n` snapshots. What was there before is then expected again, or forgotten. */
static void rollback(int n) {
    int target = held_count - n, i;
    doing("rollback of %d of %d", n, held_count);
    if (one_in(&choice, 4)) {
        CHECK_STATUS(rlua_rollback(L, (size_t)held_count + 1), RLUA_NO_SNAPSHOT);
        CHECK_STATUS(rlua_rollback(L, one_in(&choice, 2) ? 0 : SIZE_MAX), RLUA_NO_SNAPSHOT);
        CHECK_STATUS(rlua_rollback_to(L, held[held_count - 1].label + 1), RLUA_NO_SNAPSHOT);
    }
    forget_expected();
    for (i = target + 1; i < held_count; i++) expected[expected_count++] = held[i];
    keep(&expected[expected_count++], 0, 0);
    first = outward;
    held_count = target + 1;
    if (one_in(&choice, 2)) CHECK_OK(rlua_rollback(L, (size_t)n));
    else CHECK_OK(rlua_rollback_to(L, held[target].label));
    fuzz->counts[ROLLBACKS]++;
    host = held[target].host;
    outward.count = parted = held[target].outward;
    trail_frames = 0;
    compare(&held[target], 0, "a rollback did not give the snapshot back");
    see_counts();
    doing("the check after a rollback of %d", n);
    CHECK_OK(rlua_check(L));
    if (one_in(&choice, 4)) forget_expected();
    else expected_count -= below(&choice, expected_count);
}

static void change_history(void) {
    int count;
    if (one_in(&choice, 2)) {
        size_t most = (size_t)(one_in(&choice, 6) ? 0 : 1 + below(&choice, HELD - 2));
        doing("set_max_snapshots(%zu)", most);
        CHECK_OK(rlua_set_max_snapshots(L, most));
        CHECK_STATUS(rlua_set_max_snapshots(L, SIZE_MAX), RLUA_BAD_CONFIG);
        max_snapshots = most;
        if ((size_t)held_count > most) drop_oldest(held_count - (int)most);
    } else if (held_count) {
        int64_t label = held[below(&choice, held_count)].label + below(&choice, 2);
        doing("discard_before(%lld)", (long long)label);
        CHECK_OK(rlua_discard_before(L, label));
        for (count = 0; count < held_count && held[count].label < label; count++) {}
        drop_oldest(count);
    }
    see_counts();
}

/* After a frame of the driver's own. */
static void choose(void) {
    int pick = below(&choice, 100);
    if (trail_frames == TRAIL || pick < 45) snap(-1);
    else if (pick < 70 && held_count)
        rollback(one_in(&choice, 2) ? 1 : 1 + below(&choice, held_count));
    else if (pick < 75) change_history();
    else if (pick < 78) CHECK_OK(rlua_check(L));
    else if (pick < 84 && held_count) snap_again();
    if (trail_frames == TRAIL) trail_frames = 0; /* nothing is held: nothing goes back to before */
}

/* After a frame that was run before. */
static void see_replay(void) {
    State *state = &expected[expected_at];
    if (++at_frame < state->frames) return;
    doing("the comparison of a replay (label %lld)", (long long)state->label);
    compare(state, 1, "a replay gave other bytes");
    CHECK(memcmp(host.refs, state->host.refs, sizeof host.refs) == 0);
    fuzz->counts[REPLAYS]++;
    if (state->is_snapshot) snap(state->label);
    at_frame = 0;
    if (++expected_at == expected_count) forget_expected();
}

/* States without a frame before them need none run. */
static void skip_empty(void) {
    while (expected_count && expected[expected_at].frames == 0) {
        if (expected[expected_at].is_snapshot) snap(expected[expected_at].label);
        if (++expected_at == expected_count) forget_expected();
    }
}

static void open_graph(uint64_t seed) {
    static const size_t limits[] = {256 * KIB, 512 * KIB, 384 * KIB, 1 * MIB, 2 * MIB, 4 * MIB};
    static const int trackers[] = {RLUA_TRACKER_AUTO, RLUA_TRACKER_UFFD, RLUA_TRACKER_COMPARE,
                                   RLUA_TRACKER_CARDS};
    rlua_Config config;
    int status;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = one_in(&choice, 16) ? 0 : limits[below(&choice, COUNT_OF(limits))];
    config.max_snapshots = max_snapshots = (size_t)(1 + below(&choice, HELD - 2));
    config.seed = seed;
    /* One that the environment asks for is the only one. */
    config.tracker = getenv("RLUA_TRACKER") ? RLUA_TRACKER_AUTO : trackers[seed % 4];
    if (one_in(&choice, 3)) config.gc_step_multiplier = 100, config.gc_sweep_divisor = 1;
    status = rlua_open(&config, &L);
    if (status == RLUA_UNSUPPORTED) {
        config.tracker = RLUA_TRACKER_AUTO;
        status = rlua_open(&config, &L);
    }
    CHECK_EQ(status, RLUA_OK);
    luaL_openlibs(L);
    CHECK_EQ(luaL_loadbuffer(L, graph_lua, sizeof graph_lua - 1, "=graph.lua"), LUA_OK);
    lua_pushcfunction(L, new_userdata);
    lua_pushcfunction(L, host_pcallk);
    lua_pushcfunction(L, host_busy);
    CHECK_EQ(lua_pcall(L, 3, 3, 0), LUA_OK);
    lua_setglobal(L, "node");
    operations = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_setglobal(L, "operate");
    run(L, "closable = setmetatable({}, {__close = function() closes = (closes or 0) + 1 end}) "
           "body = function(x) local c <close> = closable; x = coroutine.yield({x}) return x end");
}

static void graph(uint64_t seed, long frames) {
    choice.state = seed;
    open_graph(seed);
    for (fuzz->frame = 0; fuzz->frame < frames; fuzz->frame++) {
        uint64_t frame_seed;
        int replayed;
        skip_empty();
        replayed = expected_count > 0;
        frame_seed = replayed ? expected[expected_at].trail[at_frame] : random_u64(&choice);
        trail[trail_frames++] = frame_seed;
        run_frame(frame_seed);
        if (replayed) see_replay();
        else choose();
        if (info_of(L).used_bytes > USED_END) break;
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

int main(int argc, char **argv) {
    static const Fuzzer fuzzer = {"graph", 400, graph,
        {"steps", "snapshots", "rollbacks", "replays", "bytes copied", "masked words",
         "Lua errors"}};
    return fuzz_main(&fuzzer, argc, argv);
}
