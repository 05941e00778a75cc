/* deltas.c: saved snapshots, deltas between them, VMs that follow, whom to trust, compression.
 *
 * A follower has the same state as the VM that it follows, byte by byte in an image, and the same
 * future. What is refused has changed nothing.
 */
#include "acts.h"
#include "counted.h"

typedef struct Bytes {
    char *start;
    size_t length, room;
} Bytes;

static const char world[] =
    "entities, n, weak = {}, 0, setmetatable({}, {__mode = 'k'})\n"
    "for i = 1, 300 do entities[i] = {x = i, y = -i, name = 'entity ' .. i, tags = {}} end\n"
    "co = coroutine.wrap(function(a) while true do a = coroutine.yield(a * 2, {a}) end end)\n"
    "function step() n = n + 1\n"
    "  for i = 1, 9 do local e = entities[(n * 31 + i * 7) % #entities + 1]\n"
    "    e.x, e.y, e.tags[n % 5] = e.x + 0.5, e.y .. '', {n} weak[e] = {} end\n"
    "  if n % 4 == 0 then entities[#entities + 1] = {x = n, y = n, tags = {}} end\n"
    "  if n % 10 == 0 then big = ('x'):rep(n * 500) end\n"
    "  if n % 25 == 0 then big, entities[math.random(#entities)].tags = nil, {} end\n"
    "  last = co(n) + math.random(100) end";

static int take(void *ud, const void *start, size_t length) {
    Bytes *bytes = ud;
    if (bytes->length + length > bytes->room) {
        bytes->room = 2 * (bytes->length + length);
        bytes->start = realloc(bytes->start, bytes->room);
        if (bytes->start == NULL) return 1;
    }
    memcpy(bytes->start + bytes->length, start, length);
    bytes->length += length;
    return 0;
}

typedef struct Reader {
    Bytes bytes;
    size_t at, step;
} Reader;

static size_t give(void *ud, void *start, size_t length) {
    Reader *reader = ud;
    size_t left = reader->bytes.length - reader->at;
    if (length > left) length = left;
    if (reader->step != 0 && length > reader->step) length = reader->step;
    memcpy(start, reader->bytes.start + reader->at, length);
    reader->at += length;
    return length;
}

static rlua_Config config_of(int trust) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = 8;
    config.memory_size = 16 << 20;
    config.trust = trust;
    return config;
}

static lua_State *open_world(const rlua_Config *config) {
    lua_State *L;
    CHECK_OK(rlua_open(config, &L));
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_dostring(L, world));
    return L;
}

static void step(lua_State *L) {
    CHECK_OK(rlua_dostring(L, "step()"));
}

static Bytes save(lua_State *L) {
    Bytes image = {NULL, 0, 0};
    CHECK_OK(rlua_save(L, take, &image));
    return image;
}

static Bytes delta_of(lua_State *L, int64_t from, int64_t to) {
    Bytes delta = {NULL, 0, 0};
    CHECK_OK(rlua_save_delta(L, from, to, take, &delta));
    return delta;
}

static lua_State *load(const rlua_Config *config, Bytes image) {
    lua_State *L;
    CHECK_OK(rlua_load_buffer(config, image.start, image.length, &L));
    return L;
}

static int apply(lua_State *L, Bytes delta, size_t length) {
    Reader reader = {delta, 0, 1000};
    reader.bytes.length = length;
    return rlua_apply_delta(L, NULL, give, &reader);
}

static void check_same(Bytes a, Bytes b) {
    CHECK_EQ(a.length, b.length);
    CHECK(memcmp(a.start, b.start, a.length) == 0);
}

static void check_same_state(lua_State *a, lua_State *b) {
    Bytes one = save(a), other = save(b);
    rlua_Checksum sums[2];
    check_same(one, other);
    CHECK_OK(rlua_checksum(a, &sums[0]));
    CHECK_OK(rlua_checksum(b, &sums[1]));
    CHECK(memcmp(&sums[0], &sums[1], sizeof sums[0]) == 0);
    free(one.start);
    free(other.start);
}

TEST(a_follower_has_the_same_state_and_future) {
    rlua_Config config = config_of(RLUA_TRUST_PROVED);
    lua_State *L = open_world(&config), *follower;
    Bytes image, delta;
    int64_t frame;
    size_t whole;
    CHECK_OK(rlua_snap_frame(L, 0));
    image = save(L);
    whole = image.length;
    follower = load(&config, image);
    free(image.start);
    for (frame = 1; frame <= 60; frame++) {
        step(L);
        if (frame % 7 == 0) lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_snap_frame(L, frame));
        delta = delta_of(L, frame - 1, frame);
        CHECK(delta.length < whole);
        CHECK_OK(apply(follower, delta, delta.length));
        free(delta.start);
        CHECK_OK(rlua_check(follower));
        check_same_state(L, follower);
        CHECK_OK(rlua_snap_frame(follower, frame)); /* for its own use */
        if (frame % 9 == 0) { /* its own future, and back again */
            step(follower);
            CHECK_OK(rlua_rollback(follower, 2));
            CHECK_OK(rlua_check(follower));
            CHECK_OK(rlua_snap_frame(follower, frame));
            delta = delta_of(L, frame - 1, frame);
            CHECK_OK(apply(follower, delta, delta.length));
            free(delta.start);
        }
    }
    for (frame = 0; frame < 20; frame++) {
        step(L);
        step(follower);
        check_same_state(L, follower);
    }
    CHECK_OK(rlua_rollback(follower, 3));
    CHECK_OK(rlua_check(follower));
    lua_close(follower);
    lua_close(L);
}

TEST(deltas_lead_to_and_fro_over_any_distance) {
    rlua_Config config = config_of(RLUA_TRUST_OWN);
    lua_State *L = open_world(&config), *at[8];
    int i, k;
    for (i = 0; i < 8; i++) {
        Bytes image = {NULL, 0, 0}, live;
        for (k = 0; k < 1 + i * 3; k++) step(L);
        CHECK_OK(rlua_snap_frame(L, i * 10));
        live = save(L);
        CHECK_OK(rlua_save_snapshot(L, i * 10, take, &image));
        check_same(image, live);
        at[i] = load(&config, image);
        free(image.start);
        free(live.start);
    }
    for (i = 0; i < 8; i++) { /* older ones, whose pages were replaced since */
        Bytes image = {NULL, 0, 0}, then = save(at[i]);
        CHECK_OK(rlua_save_snapshot(L, i * 10, take, &image));
        check_same(image, then);
        free(image.start);
        free(then.start);
    }
    for (i = 0; i < 8; i++)
        for (k = 0; k < 8; k++) {
            Bytes there = delta_of(L, i * 10, k * 10), back = delta_of(L, k * 10, i * 10);
            CHECK_OK(apply(at[i], there, there.length));
            check_same_state(at[i], at[k]);
            if (i != k) {
                CHECK_OK(apply(at[i], back, back.length));
            }
            free(there.start);
            free(back.start);
        }
    for (i = 0; i < 8; i++) lua_close(at[i]);
    lua_close(L);
}

TEST(what_is_refused_has_changed_nothing) {
    rlua_Config config = config_of(RLUA_TRUST_PROVED);
    lua_State *L = open_world(&config), *follower, *none = NULL;
    Bytes image, delta, before;
    Reader reader = {{NULL, 0, 0}, 0, 0};
    size_t at;
    CHECK_OK(rlua_snap_frame(L, 1));
    image = save(L);
    follower = load(&config, image);
    before = save(follower);
    step(L);
    CHECK_OK(rlua_snap_frame(L, 2));
    step(L);
    CHECK_OK(rlua_snap_frame(L, 3));
    delta = delta_of(L, 2, 3);
    CHECK_STATUS(apply(follower, delta, delta.length), RLUA_BAD_IMAGE);
    CHECK(strstr(rlua_last_error(follower), "another state") != NULL);
    free(delta.start);
    delta = delta_of(L, 1, 2);
    for (at = 0; at < delta.length; at += at < 200 ? 1 : 1 + delta.length / 150) {
        CHECK(apply(follower, delta, at) == RLUA_BAD_IMAGE);
        delta.start[at] ^= 0x20;
        CHECK(apply(follower, delta, delta.length) != RLUA_OK);
        delta.start[at] ^= 0x20;
    }
    CHECK_STATUS(apply(follower, image, image.length), RLUA_BAD_IMAGE);
    CHECK(rlua_load_buffer(&config, delta.start, delta.length, &none) == RLUA_BAD_IMAGE && !none);
    free(image.start);
    image = save(follower);
    check_same(before, image);
    CHECK_REFUSED(rlua_apply_delta(follower, NULL, NULL, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_save_delta(follower, 1, 2, NULL, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_save_delta(follower, 1, 2, take, &image), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_save_snapshot(follower, 1, take, &image), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_save_snapshot(follower, 1, NULL, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_save_bound(follower, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_apply_delta(NULL, NULL, give, &reader), RLUA_NULL_ARG);
    CHECK_OK(apply(follower, delta, delta.length));
    CHECK_OK(rlua_check(follower));
    CHECK_STATUS(apply(follower, delta, delta.length), RLUA_BAD_IMAGE); /* a second time */
    free(delta.start);
    free(image.start);
    free(before.start);
    lua_close(follower);
    lua_close(L);
}

TEST(userdata_made_behind_a_delta_is_guarded) {
    static const rlua_Name names[] = {{"counted.new", counted_new, NULL, NULL},
                                      {"counted.gc", counted_gc, NULL, NULL},
                                      {NULL, NULL, NULL, NULL}};
    rlua_Config config = config_of(RLUA_TRUST_PROVED);
    lua_State *L, *follower;
    Bytes image, delta;
    int round;
    forget_things();
    config.names = names;
    L = open_world(&config);
    CHECK_OK(rlua_register(L, "counted.new", counted_new));
    CHECK_OK(rlua_register(L, "counted.gc", counted_gc));
    lua_pushcfunction(L, counted_new);
    lua_setglobal(L, "new");
    luaL_newmetatable(L, "counted");
    lua_pushcfunction(L, counted_gc);
    lua_setfield(L, -2, "__gc");
    lua_settop(L, 0);
    CHECK_OK(rlua_snap_frame(L, 0));
    image = save(L);
    follower = load(&config, image);
    step(L);
    CHECK_OK(rlua_snap_frame(L, 1));
    delta = delta_of(L, 0, 1);
    CHECK_OK(apply(follower, delta, delta.length));
    CHECK_OK(rlua_dostring(follower, "thing = new(7)"));
    CHECK_OK(rlua_snap_frame(follower, 1));
    for (round = 0; round < 2; round++) {
        CHECK_OK(rlua_dostring(follower, "thing = nil collectgarbage() collectgarbage()"));
        CHECK_EQ(finalized_things(), 0);
        CHECK_OK(rlua_rollback(follower, 1));
        CHECK_OK(rlua_check(follower));
    }
    lua_close(L);
    close_and_count(follower);
    free(image.start);
    free(delta.start);
}

/* -- deltas made from the last one ------------------------------------------------------------- */

static const rlua_Name *names_of_acts(void) {
    static rlua_Name names[17];
    static char texts[16][8];
    unsigned i;
    for (i = 0; i < 8; i++) {
        snprintf(texts[i], sizeof texts[i], "f%u", i);
        snprintf(texts[8 + i], sizeof texts[i], "place%u", i);
        names[i].name = texts[i];
        names[i].function = functions[i];
        names[8 + i].name = texts[8 + i];
        names[8 + i].pointer = &places[i];
    }
    return names;
}

static lua_State *load_snapshot(const rlua_Config *config, lua_State *L, int64_t frame) {
    Bytes image = {NULL, 0, 0};
    lua_State *loaded;
    CHECK_OK(rlua_save_snapshot(L, frame, take, &image));
    loaded = load(config, image);
    free(image.start);
    return loaded;
}

static void check_is_snapshot(lua_State *follower, lua_State *L, int64_t frame) {
    Bytes image = {NULL, 0, 0}, other = save(follower);
    CHECK_OK(rlua_save_snapshot(L, frame, take, &image));
    check_same(image, other);
    free(image.start);
    free(other.start);
}

static void act_along(lua_State *follower) {
    char text[64];
    snprintf(text, sizeof text, "act(%u, 9)", 1 + random_below(1 << 30));
    CHECK_OK(rlua_dostring(follower, text));
}

/* What a follower does of its own between two deltas. Mostly it goes back; 0 where it is another
 * state then. `*kept` is what its newest snapshot is. */
static int go_apart(lua_State *follower, int64_t at, int64_t *kept) {
    rlua_Checksum sum;
    switch (random_below(7)) {
        case 0: CHECK_OK(rlua_snap(follower)); break;
        case 1:
            CHECK_OK(rlua_snap(follower));
            act_along(follower);
            CHECK_OK(rlua_checksum(follower, &sum));
            CHECK_OK(rlua_rollback(follower, 1));
            break;
        case 2:
            CHECK_OK(rlua_snap(follower));
            act_along(follower);
            CHECK_OK(rlua_snap(follower));
            act_along(follower);
            CHECK_OK(rlua_rollback(follower, 2));
            break;
        case 3: act_along(follower); return 0;
        case 4:
            CHECK_OK(rlua_set_max_snapshots(follower, 0));
            CHECK_OK(rlua_set_max_snapshots(follower, 8));
            *kept = -1;
            return 1;
        default: return 1;
    }
    *kept = at;
    return 1;
}

/* A follower goes from one held snapshot to another, newer or older, while everything is done to
 * the leader; after each delta it is what that snapshot is, and so are its own snapshots. Each is
 * made twice: the second time from where the first one ended. */
static void go_along(uint64_t seed, int acts) {
    rlua_Config config = config_of(RLUA_TRUST_OWN);
    Blocks blocks = {{NULL}, {0}};
    lua_State *L, *follower = NULL;
    int64_t at = -1, kept = -1; /* what the follower is, and what its newest snapshot */
    int act;
    config.names = names_of_acts();
    CHECK_OK(rlua_open(&config, &L));
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_dostring(L, acts_world));
    random_seed(seed);
    for (act = 1; act <= acts; act++) {
        Bytes delta, again;
        Reader reader;
        int64_t to;
        int what = (int)any_act(L, &blocks, act, 1);
        rlua_Info info = info_of(L);
        if (info.snapshot_count == 0) continue;
        if (what == 13 && at == info.newest_frame) at = -1;
        if (what == 13 && kept == info.newest_frame) kept = -1;
        if (at < info.oldest_frame || at > info.newest_frame) at = -1;
        if (kept < info.oldest_frame || kept > info.newest_frame) kept = -1;
        if (random_below(3) != 0) continue;
        to = info.oldest_frame;
        to += random_below((unsigned)(info.newest_frame - info.oldest_frame + 1));
        if (at < 0) {
            if (follower != NULL) lua_close(follower);
            follower = load_snapshot(&config, L, at = to);
            kept = -1;
            continue;
        }
        delta = delta_of(L, at, to);
        again = delta_of(L, at, to);
        check_same(delta, again);
        reader = (Reader){delta, 0, 0};
        if (go_apart(follower, at, &kept)) {
            CHECK_OK(rlua_apply_delta(follower, config.names, give, &reader));
            CHECK_OK(rlua_check(follower));
            check_is_snapshot(follower, L, at = to);
            if (kept >= 0 && random_below(4) == 0) {
                CHECK_OK(rlua_rollback(follower, 1));
                check_is_snapshot(follower, L, at = kept);
            }
        } else {
            Bytes before = save(follower), after;
            CHECK_STATUS(rlua_apply_delta(follower, config.names, give, &reader), RLUA_BAD_IMAGE);
            after = save(follower);
            check_same(before, after);
            free(before.start);
            free(after.start);
            at = -1;
        }
        free(delta.start);
        free(again.start);
    }
    if (follower != NULL) lua_close(follower);
    lua_close(L);
}

TEST(a_delta_is_what_changed_whatever_was_done) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 24 / (uint64_t)test_scale(); seed++) go_along(seed, 300);
}

/* A delta that its key holder made, but for the state of another limit. */
TEST(a_delta_is_for_vms_of_its_limit) {
    rlua_Config config = config_of(RLUA_TRUST_OWN);
    lua_State *L = open_world(&config), *other;
    Bytes delta;
    CHECK_OK(rlua_snap_frame(L, 1));
    step(L);
    CHECK_OK(rlua_snap_frame(L, 2));
    delta = delta_of(L, 1, 2);
    config.memory_size = 8 << 20;
    other = open_world(&config);
    CHECK_STATUS(apply(other, delta, delta.length), RLUA_BAD_IMAGE);
    CHECK_OK(rlua_check(other));
    free(delta.start);
    lua_close(other);
    lua_close(L);
}

/* Nor do its bytes tell how the state is to be kept: what of the first rolls back, the second would
 * end. */
TEST(a_delta_is_for_vms_that_were_made_alike) {
    rlua_Config config = config_of(RLUA_TRUST_OWN), others[2];
    lua_State *L = open_world(&config);
    Bytes delta;
    size_t i;
    CHECK_OK(rlua_snap_frame(L, 1));
    step(L);
    CHECK_OK(rlua_snap_frame(L, 2));
    delta = delta_of(L, 1, 2);
    others[0] = others[1] = config;
    others[0].guard = RLUA_GUARD_OFF;
    others[1].announces = 1;
    for (i = 0; i < COUNT_OF(others); i++) {
        lua_State *other = open_world(&others[i]);
        CHECK_STATUS(apply(other, delta, delta.length), RLUA_BAD_IMAGE);
        CHECK(strstr(rlua_last_error(other), "guard") != NULL);
        lua_close(other);
    }
    free(delta.start);
    lua_close(L);
}

/* A reference that the follower made, and rolled back away, names nothing ever after. */
TEST(a_delta_takes_no_serial_back) {
    rlua_Config config = config_of(RLUA_TRUST_OWN);
    lua_State *L = open_world(&config), *follower;
    rlua_Ref before, behind;
    Bytes image, delta;
    CHECK_OK(rlua_snap_frame(L, 1));
    image = save(L);
    step(L);
    CHECK_OK(rlua_snap_frame(L, 2));
    delta = delta_of(L, 1, 2);
    follower = load(&config, image);
    CHECK_OK(rlua_snap(follower));
    lua_pushliteral(follower, "before");
    before = rlua_ref(follower);
    CHECK_OK(rlua_rollback(follower, 1));
    CHECK_OK(apply(follower, delta, delta.length));
    lua_pushliteral(follower, "behind");
    behind = rlua_ref(follower);
    CHECK_STATUS(rlua_getref(follower, before), RLUA_STALE);
    CHECK_OK(rlua_getref(follower, behind));
    free(image.start);
    free(delta.start);
    lua_close(follower);
    lua_close(L);
}

TEST(only_whom_the_config_trusts_is_loaded) {
    static const unsigned char key[32] = {7};
    rlua_Config config = config_of(RLUA_TRUST_KEY), keyed = config;
    lua_State *L = open_world(&config), *copy = NULL;
    Bytes image = save(L);
    CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &copy), RLUA_UNTRUSTED);
    CHECK(copy == NULL && strstr(rlua_last_error(NULL), "trust") != NULL);
    CHECK_STATUS(rlua_load_buffer(NULL, image.start, image.length, &copy), RLUA_UNTRUSTED);
    config.trust = RLUA_TRUST_PROVED;
    lua_close(load(&config, image));
    config.trust = RLUA_TRUST_OWN;
    lua_close(load(&config, image));
    config.trust = 3;
    CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &copy), RLUA_BAD_CONFIG);
    free(image.start);
    lua_close(L);
    keyed.image_key = key;
    L = open_world(&keyed);
    image = save(L);
    lua_close(load(&keyed, image));
    image.start[image.length / 2] ^= 1;
    CHECK_STATUS(rlua_load_buffer(&keyed, image.start, image.length, &copy), RLUA_BAD_IMAGE);
    free(image.start);
    lua_close(L);
}

TEST(compressed_images_are_smaller_and_the_same_state) {
    rlua_Config config = config_of(RLUA_TRUST_PROVED), small = config;
    lua_State *L = open_world(&config), *packed, *again;
    Bytes plain = save(L), image;
    Reader reader = {{NULL, 0, 0}, 0, 7};
    size_t bound, at;
    small.compress = 1;
    CHECK_OK(rlua_save_bound(L, &bound));
    CHECK_EQ(bound, plain.length);
    packed = load(&small, plain);
    image = save(packed);
    CHECK(image.length < plain.length / 2);
    CHECK_OK(rlua_save_bound(packed, &bound));
    CHECK_EQ(bound, image.length);
    reader.bytes = image;
    CHECK_OK(rlua_load(&config, give, &reader, &again));
    check_same_state(again, L);
    for (at = 128; at < image.length; at += 1 + image.length / 300) {
        lua_State *none = NULL;
        image.start[at] ^= 0x41;
        CHECK(rlua_load_buffer(&config, image.start, image.length, &none) != RLUA_OK && !none);
        image.start[at] ^= 0x41;
    }
    small.compress = 2;
    lua_close(again);
    CHECK_STATUS(rlua_open(&small, &again), RLUA_BAD_CONFIG);
    free(plain.start);
    free(image.start);
    lua_close(packed);
    lua_close(L);
}

/* The libraries' functions have names, those too that stand in for others. */
TEST(states_with_any_choice_of_libraries_are_saved) {
    static const unsigned int choices[] = {RLUA_LIB_ALL, RLUA_LIB_DETERMINISTIC, RLUA_LIB_SANDBOX};
    size_t i;
    for (i = 0; i < COUNT_OF(choices); i++) {
        rlua_Config config = config_of(RLUA_TRUST_PROVED);
        lua_State *L, *copy;
        Bytes image;
        CHECK_OK(rlua_open(&config, &L));
        CHECK_OK(rlua_openlibs(L, choices[i]));
        CHECK_OK(rlua_dostring(L, "f = load 'return 7' m = setmetatable({}, {__index = string})"));
        image = save(L);
        copy = load(&config, image);
        CHECK_OK(rlua_dostring(copy, "x = f() + load 'return 1'() + #m.rep('a', 3)"));
        lua_getglobal(copy, "x");
        CHECK_EQ(lua_tointeger(copy, -1), 11);
        free(image.start);
        lua_close(copy);
        lua_close(L);
    }
}
