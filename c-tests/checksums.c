/* checksums.c: a VM that keeps snapshots makes only those digests again whose units changed. Here
 * everything is done to it that can change a state, and after each step the checksum is that of a
 * clone, which has no digests yet and makes all of them.
 */
#include "acts.h"

static int same(lua_State *L) {
    lua_State *clone;
    rlua_Checksum kept, made;
    CHECK_OK(rlua_checksum(L, &kept));
    CHECK_OK(rlua_clone(L, &clone));
    CHECK_OK(rlua_set_max_snapshots(clone, 0));
    CHECK_OK(rlua_checksum(clone, &made));
    lua_close(clone);
    return memcmp(&kept, &made, sizeof kept) == 0;
}

static void follow(uint64_t seed, const char *mode, int acts, int every) {
    rlua_Config config;
    Blocks blocks = {{NULL}, {0}};
    lua_State *L;
    int frame;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 16 << 20;
    config.max_snapshots = 5;
    CHECK_OK(rlua_open(&config, &L));
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_dostring(L, acts_world));
    random_seed(seed);
    if (mode != NULL) CHECK_OK(rlua_dostring(L, mode));
    for (frame = 1; frame <= acts; frame++) {
        int what = (int)any_act(L, &blocks, frame, 0);
        if (random_below((unsigned)every) == 0 && !same(L))
            FAIL("seed %llu, act %d (%d): the checksum is not that of the state",
                 (unsigned long long)seed, frame, what);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(a_checksum_is_that_of_the_state_after_every_act) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 40 / (uint64_t)test_scale(); seed++) follow(seed, NULL, 400, 1);
}

TEST(a_checksum_is_that_of_the_state_now_and_then) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 40 / (uint64_t)test_scale(); seed++)
        follow(seed << 32, NULL, 900, 9);
}

TEST(a_checksum_is_that_of_the_state_in_generations) {
    uint64_t seed;
    for (seed = 1; seed <= 1 + 24 / (uint64_t)test_scale(); seed++)
        follow(seed << 40, "collectgarbage 'generational'", 500, 3);
}

/* Peers have one checksum whatever they did to get there. */
TEST(a_checksum_does_not_tell_how_it_came_to_the_state) {
    rlua_Checksum sums[2];
    int way, i;
    for (way = 0; way < 2; way++) {
        lua_State *L = rlua_new_rollback(16 << 20, 6);
        CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
        CHECK_OK(rlua_dostring(L, acts_world));
        CHECK_OK(rlua_snap(L));
        for (i = 1; i < 60; i++) {
            char text[64];
            snprintf(text, sizeof text, "act(%d, 30)", i);
            if (way == 1) {
                CHECK_OK(rlua_checksum(L, &sums[1]));
                CHECK_OK(rlua_dostring(L, "act(99, 70)"));
                CHECK_OK(rlua_rollback(L, 1));
            }
            CHECK_OK(rlua_dostring(L, text));
            if (way == 1 && i % 3 == 0) {
                CHECK_OK(rlua_snap(L));
                CHECK_OK(rlua_dostring(L, "act(77, 50)"));
                CHECK_OK(rlua_checksum(L, &sums[1]));
                CHECK_OK(rlua_rollback(L, 1));
            }
            CHECK_OK(rlua_snap(L));
        }
        CHECK_OK(rlua_checksum(L, &sums[way]));
        lua_close(L);
    }
    CHECK(memcmp(&sums[0], &sums[1], sizeof sums[0]) == 0);
}

/* References have serials that do not go back: they are no part of what peers compare. */
TEST(a_checksum_is_the_same_where_references_were_made_again) {
    lua_State *L = rlua_new_rollback(1 << 20, 4);
    rlua_Checksum sums[2];
    rlua_Ref refs[2];
    int i;
    CHECK_OK(rlua_snap(L));
    for (i = 0; i < 2; i++) {
        lua_pushinteger(L, 7);
        refs[i] = rlua_ref(L);
        CHECK_OK(rlua_checksum(L, &sums[i]));
        CHECK(same(L));
        CHECK_OK(rlua_rollback(L, 1));
    }
    CHECK(refs[0] != refs[1]);
    CHECK(memcmp(&sums[0], &sums[1], sizeof sums[0]) == 0);
    lua_close(L);
}

static void release(lua_State *L, void *object, void *unused) {
    (void)L, (void)object, (void)unused;
}

TEST(a_checksum_tells_whether_a_resource_has_ended) {
    static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, NULL};
    lua_State *L = rlua_new_rollback(1 << 20, 4);
    rlua_Checksum alive, ended, again;
    CHECK_OK(rlua_pushresource(L, places, &type));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_checksum(L, &alive));
    CHECK_OK(rlua_closeresource(L, 1, &type));
    CHECK_OK(rlua_checksum(L, &ended));
    CHECK(memcmp(&alive, &ended, sizeof alive) != 0);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_checksum(L, &again));
    CHECK(memcmp(&alive, &again, sizeof alive) == 0);
    lua_close(L);
}

/* Of three blocks one comes and one goes, and nothing tells it but the free list: the header of
 * their slab is what it was, and so is what lies in them behind the first line. */
TEST(a_checksum_tells_which_blocks_are_free) {
    lua_State *L = rlua_new_rollback(1 << 20, 4);
    char *blocks[48], *last, *first;
    size_t i;
    for (i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = rlua_alloc(L, 300);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 7, 300);
    }
    rlua_free(L, blocks[40]);
    rlua_free(L, blocks[41]);
    CHECK_OK(rlua_snap(L));
    CHECK(same(L));
    last = rlua_alloc(L, 300);
    first = rlua_alloc(L, 300);
    CHECK(last == blocks[41] && first == blocks[40]);
    memset(first, 7, 300);
    rlua_free(L, blocks[42]);
    rlua_free(L, last);
    CHECK_OK(rlua_snap(L));
    CHECK(same(L));
    lua_close(L);
}

/* A host keeps a pointer to a block that it gave back, where the state has ended since: it is one
 * into the VM there, too, and does not become one when the top rises over it. */
TEST(a_pointer_behind_the_end_is_one_into_the_vm) {
    lua_State *vms[2], *clone;
    rlua_Checksum low[2], high[2];
    int i;
    for (i = 0; i < 2; i++) {
        lua_State *L = vms[i] = open_vm(8 * MIB, 3);
        char **block = lua_newuserdatauv(L, sizeof *block, 0);
        lua_setglobal(L, "pointer");
        *block = (char *)block + MIB;
        CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_checksum(L, &low[i]));
        CHECK_REFUSED(rlua_clone(L, &clone), RLUA_UNSAVABLE);
        CHECK_OK(rlua_dostring(L, "high = string.rep('x', 1 << 21)"));
        CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_checksum(L, &high[i]));
    }
    CHECK(memcmp(&low[0], &low[1], sizeof low[0]) == 0);
    CHECK(memcmp(&high[0], &high[1], sizeof high[0]) == 0);
    lua_close(vms[0]);
    lua_close(vms[1]);
}
