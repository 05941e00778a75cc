/* agreement.c: the digest of a config tells what peers must have in common, and nothing else.
 * Method: one field after another is changed, and the digest has to change, or to stay. */
#include "harness.h"

static rlua_Config plain(void) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = MIB;
    config.max_snapshots = 4;
    return config;
}

static uint64_t digest_of(const rlua_Config *config) {
    lua_State *L;
    uint64_t digest = 0;
    CHECK_OK(rlua_open(config, &L));
    CHECK_OK(rlua_config_digest(L, &digest));
    lua_close(L);
    return digest;
}

TEST(every_field_that_a_script_can_see_counts) {
    rlua_Config config = plain();
    uint64_t digests[24];
    size_t count = 0, i, j;
    digests[count++] = digest_of(&config);
#define WITH(field, value) \
    (config = plain(), config.field = (value), digests[count++] = digest_of(&config))
    WITH(memory_size, 2 * MIB);
    WITH(memory_size, 0);
    WITH(seed, 1);
    WITH(seed, 256);
    WITH(seed, (uint64_t)1 << 63);
    WITH(gc_pause, 201);
    WITH(gc_step_multiplier, 5);
    WITH(gc_step_size, 13);
    WITH(gc_sweep_divisor, 7);
    WITH(guard, RLUA_GUARD_REFUSE);
    WITH(guard, RLUA_GUARD_OFF);
    WITH(profile, RLUA_PROFILE_STOCK);
    WITH(announces, 1);
    config = plain();
    config.guard = RLUA_GUARD_REFUSE;
    config.max_snapshots = 0; /* refuses nothing */
    digests[count++] = digest_of(&config);
    for (i = 0; i < count; i++)
        for (j = 0; j < i; j++) CHECK(digests[i] != digests[j]);
}

TEST(what_no_script_can_see_does_not_count) {
    rlua_Config config = plain();
    uint64_t digest = digest_of(&config), other;
    lua_State *L;
    CHECK_EQ(digest_of(&config), digest);
#define WITHOUT_EFFECT(field, value)              \
    do {                                          \
        config = plain();                         \
        config.field = (value);                   \
        CHECK_EQ(digest_of(&config), digest);     \
    } while (0)
    WITHOUT_EFFECT(tracker, RLUA_TRACKER_COMPARE);
    WITHOUT_EFFECT(audit, -1);
    WITHOUT_EFFECT(max_snapshots, 0);
    WITHOUT_EFFECT(max_snapshots, 60);
    WITHOUT_EFFECT(memory_size, MIB + 5); /* rounded */
    WITHOUT_EFFECT(gc_pause, 200);        /* the default by name */
    WITHOUT_EFFECT(gc_step_multiplier, 4);
    WITHOUT_EFFECT(gc_step_size, 12);
    WITHOUT_EFFECT(gc_sweep_divisor, 8);
    L = rlua_new_rollback(MIB, 1);
    CHECK_OK(rlua_config_digest(L, &other));
    CHECK_EQ(other, digest);
    luaL_openlibs(L);
    run(L, "x = {} collectgarbage()");
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_config_digest(L, &other));
    CHECK_EQ(other, digest);
    lua_close(L);
}

TEST(a_random_seed_cannot_be_agreed_on) {
    uint64_t digest = 7;
    lua_State *L = luaL_newstate(), *vm = open_vm(MIB, 0);
    CHECK_REFUSED(rlua_config_digest(L, &digest), RLUA_UNSUPPORTED);
    CHECK_REFUSED(rlua_config_digest(vm, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_config_digest(NULL, &digest), RLUA_NULL_ARG);
    CHECK_EQ(digest, 7);
    lua_close(L);
    lua_close(vm);
}
