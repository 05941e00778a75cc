/* hostmem.c: host memory inside the VM rolls back with it.
 * Method: plain structs in rlua_alloc blocks, written by the host; snapshots around each kind of
 * change; pointers that are no blocks must be refused. */
#include "harness.h"

typedef struct Entity {
    double position[2];
    int hp;
    struct Entity *target;
} Entity;

TEST(struct_in_the_arena_rolls_back) {
    lua_State *L = open_vm(1 * MIB, 4);
    Entity *one = rlua_alloc(L, sizeof *one), *two = rlua_alloc(L, sizeof *two);
    CHECK(one && two);
    CHECK(one->hp == 0 && one->target == NULL);
    one->hp = 10;
    one->target = two;
    two->hp = 20;
    CHECK_OK(rlua_snap(L));
    one->hp = 1;
    one->target = NULL;
    two->position[1] = 2.5;
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(one->hp, 10);
    CHECK(one->target == two && two->position[1] == 0);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(freed_block_of_the_past_comes_back_and_a_new_one_goes) {
    lua_State *L = open_vm(1 * MIB, 4);
    int *old = rlua_alloc(L, 4000), *new;
    size_t used;
    old[7] = 7;
    CHECK_OK(rlua_snap(L));
    used = info_of(L).used_bytes;
    new = rlua_alloc(L, 100000);
    new[0] = 1;
    CHECK_OK(rlua_free(L, old));
    CHECK_REFUSED(rlua_free(L, old), RLUA_BAD_ARG);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(old[7], 7);
    CHECK_EQ(info_of(L).used_bytes, used);
    CHECK_REFUSED(rlua_free(L, new), RLUA_BAD_ARG);
    CHECK_OK(rlua_free(L, old));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(every_size_is_aligned_zeroed_and_its_own) {
    lua_State *L = open_vm(16 * MIB, 1);
    unsigned char *blocks[1200];
    size_t size, i;
    for (size = 0; size < COUNT_OF(blocks); size++) {
        blocks[size] = rlua_alloc(L, size);
        CHECK(blocks[size] != NULL);
        CHECK_EQ((uintptr_t)blocks[size] % 16, 0);
        for (i = 0; i < size; i++) CHECK_EQ(blocks[size][i], 0);
        memset(blocks[size], (int)size & 255, size);
    }
    for (size = 0; size < COUNT_OF(blocks); size++)
        for (i = 0; i < size; i++) CHECK_EQ(blocks[size][i], size & 255);
    for (size = 0; size < COUNT_OF(blocks); size += 2) CHECK_OK(rlua_free(L, blocks[size]));
    for (size = 1; size < COUNT_OF(blocks); size += 2) {
        unsigned char *moved = rlua_realloc(L, blocks[size], size * 3);
        CHECK(moved != NULL);
        CHECK_EQ((uintptr_t)moved % 16, 0);
        for (i = 0; i < 3 * size; i++) CHECK_EQ(moved[i], i < size ? (size & 255) : 0);
        CHECK_OK(rlua_free(L, moved));
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(shrunk_and_regrown_bytes_are_zero) {
    lua_State *L = open_vm(1 * MIB, 1);
    unsigned char *block = rlua_alloc(L, 64);
    size_t i;
    memset(block, 255, 64);
    block = rlua_realloc(L, block, 50);
    block = rlua_realloc(L, block, 64);
    for (i = 0; i < 64; i++) CHECK_EQ(block[i], i < 50 ? 255 : 0);
    CHECK(rlua_realloc(L, block, 0) != NULL);
    lua_close(L);
}

TEST(limit_is_shared_and_garbage_is_collected_first) {
    lua_State *L = open_vm(1 * MIB, 1);
    char *kept, *block;
    size_t i;
    run(L, "collectgarbage('stop') for i = 1, 6000 do local t = {i, i, i} end");
    CHECK(info_of(L).used_bytes > 500 * KIB);
    kept = rlua_alloc(L, 600 * KIB);
    CHECK(kept != NULL);
    memset(kept, 'k', 600 * KIB);
    CHECK(rlua_alloc(L, 600 * KIB) == NULL);
    CHECK(strstr(rlua_last_error(L), "614400 bytes") != NULL);
    CHECK(rlua_alloc(L, SIZE_MAX) == NULL);
    CHECK(rlua_alloc(L, SIZE_MAX - 8) == NULL);
    CHECK(rlua_realloc(L, kept, 2 * MIB) == NULL);
    CHECK(rlua_realloc(L, kept, SIZE_MAX) == NULL);
    for (i = 0; i < 600 * KIB; i++) CHECK_EQ(kept[i], 'k');
    CHECK_STATUS(rlua_dostring(L, "return ('x'):rep(500 << 10)"), RLUA_ERR_MEM);
    CHECK_OK(rlua_free(L, kept));
    lua_settop(L, 0);
    CHECK_OK(rlua_dostring(L, "return ('x'):rep(300 << 10)"));
    block = rlua_alloc(L, 16);
    CHECK(block != NULL);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(what_is_no_block_is_refused) {
    lua_State *L = open_vm(1 * MIB, 1), *other = open_vm(1 * MIB, 1);
    char *block = rlua_alloc(L, 100), *foreign = rlua_alloc(other, 100), local[64];
    size_t i;
    void *bad[] = {local, foreign, block + 16, block + 8, block - 16, L, (void *)16,
                   (void *)UINTPTR_MAX, block + GIB};
    for (i = 0; i < COUNT_OF(bad); i++) {
        CHECK_REFUSED(rlua_free(L, bad[i]), RLUA_BAD_ARG);
        CHECK(rlua_realloc(L, bad[i], 10) == NULL);
    }
    CHECK_OK(rlua_free(L, NULL));
    CHECK(rlua_alloc(NULL, 1) == NULL);
    CHECK_STATUS(rlua_free(NULL, block), RLUA_NULL_ARG);
    CHECK_OK(rlua_free(L, block));
    lua_close(other);
    CHECK(rlua_alloc(other, 1) == NULL);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static int allocate_inside(lua_State *L, void *ud) {
    int **block = ud;
    *block = rlua_alloc(L, 64);
    CHECK(*block != NULL);
    (*block)[3] = 3;
    return 0;
}

TEST(host_functions_and_coroutines_may_allocate) {
    lua_State *L = open_vm(1 * MIB, 2);
    int *block = NULL;
    CHECK_OK(rlua_pushfunction(L, allocate_inside, &block, "allocate"));
    CHECK_OK(rlua_setglobal(L, "allocate"));
    run(L, "coroutine.wrap(allocate)() collectgarbage()");
    CHECK_EQ(block[3], 3);
    CHECK_OK(rlua_snap(L));
    block[3] = 4;
    run(L, "collectgarbage() allocate()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}
