/* many.c: fourteen thousand VMs live in one process, the last is made as easily as the first, and
 * what is mapped between them is nobody's VM.
 * Method: all are open at once, each with its own number and snapshot; they are closed in
 * another order. The system calls of an open are counted, by an mmap of our own in front of the
 * system's, which can also answer that an address is taken. A state of another allocator lives in
 * the 4 GiB around a VM. RLUA_TEST_SCALE divides the numbers. The VM that cannot be made:
 * nomemory.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "harness.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static long maps;
static int all_taken;

/* Where an address may not replace a mapping (MAP_FIXED_NOREPLACE), it is taken if we say so. */
static void *map(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    maps++;
    if (all_taken && flags & 0x100000) {
        errno = EEXIST;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, size, prot, flags, file, offset);
}
void *mmap(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return map(at, size, prot, flags, file, offset);
}
#undef mmap64 /* musl's header has it for another name of mmap */
void *mmap64(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return map(at, size, prot, flags, file, offset);
}

enum { VMS = 14000, MAPS_MAX = 8 };

static lua_State *vms[VMS];

static void set_number(lua_State *L, int number) {
    lua_pushinteger(L, number);
    lua_setglobal(L, "n");
}

TEST(fourteen_thousand_vms_at_once) {
    int count = VMS / (int)test_scale(), i, searches = 0;
    for (i = 0; i < count; i++) {
        long before = maps;
        vms[i] = rlua_new_rollback(1 * MIB, 1);
        if (!vms[i]) FAIL("VM number %d: %s", i, rlua_last_error(NULL));
        /* One that finds no place may look at all places, once. */
        searches += maps - before > MAPS_MAX;
        set_number(vms[i], i);
        CHECK_OK(rlua_snap(vms[i]));
        set_number(vms[i], -1);
    }
    CHECK(searches < 10);
    for (i = 0; i < count; i++) {
        CHECK_EQ(global_int(vms[i], "n"), -1);
        CHECK_OK(rlua_rollback(vms[i], 1));
        CHECK_EQ(global_int(vms[i], "n"), i);
    }
    for (i = 0; i < count; i += 2) lua_close(vms[i]);
    for (i = 1; i < count; i += 2) {
        CHECK_EQ(global_int(vms[i], "n"), i);
        lua_close(vms[i]);
    }
}

TEST(vms_one_after_the_other_leave_nothing_behind) {
    int count = VMS / (int)test_scale(), i;
    for (i = 0; i < count; i++) {
        lua_State *L = rlua_new_rollback(0, 1);
        if (!L) FAIL("VM number %d: %s", i, rlua_last_error(NULL));
        CHECK_OK(rlua_snap(L));
        lua_close(L);
    }
}

TEST(an_open_where_every_address_is_taken_makes_few_calls) {
    lua_State *L;
    int i, opened = 0;
    long before = 0;
    all_taken = 1;
    for (i = 0; i < 20; i++) {
        if (i == 4) before = maps; /* by then it knows */
        L = rlua_new_rollback((size_t)(i + 1) * MIB, 1); /* no spare region fits */
        if (!L) FAIL("VM number %d: %s", i, rlua_last_error(NULL));
        CHECK_OK(rlua_snap(L));
        lua_close(L);
        opened += i >= 4;
    }
    all_taken = 0;
    if (maps - before > MAPS_MAX * opened)
        FAIL("%ld mappings for %d VMs", maps - before, opened);
}

/* -- a state of another allocator beside a VM -------------------------------------------------- */

enum { FOREIGN_BYTES = 1 << 20 };

typedef struct Foreign {
    char *base;
    size_t used, live;
} Foreign;

static void *foreign_alloc(void *ud, void *block, size_t held, size_t size) {
    Foreign *foreign = (Foreign *)ud;
    void *made;
    if (!block) held = 0;
    foreign->live += size - held;
    if (size <= held) return size ? block : NULL;
    if (foreign->used + size > FOREIGN_BYTES) return NULL;
    made = foreign->base + foreign->used;
    foreign->used += (size + 15) / 16 * 16;
    if (block) memcpy(made, block, held);
    return made;
}

static uintptr_t slot_of(const void *pointer) { return (uintptr_t)pointer >> 32; }

/* `offset` from the VM's 4 GiB boundary. */
static lua_State *foreign_state(Foreign *foreign, lua_State *vm, size_t offset) {
    char *at = (char *)(slot_of(vm) << 32) + offset;
    memset(foreign, 0, sizeof *foreign);
    foreign->base = (char *)mmap(at, FOREIGN_BYTES, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(foreign->base != (char *)MAP_FAILED);
    if (slot_of(foreign->base) != slot_of(vm)) return NULL;
    return lua_newstate(foreign_alloc, foreign);
}

static void see_foreign(lua_State *foreign) {
    size_t count;
    rlua_Info info;
    info.size = sizeof info;
    CHECK_REFUSED(rlua_snap(foreign), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_rollback(foreign, 1), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_pushnil(foreign), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_getref(foreign, 1), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_info(foreign, &info), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_snapshot_count(foreign, &count), RLUA_NOT_ROLLBACK);
    CHECK(rlua_alloc(foreign, 10) == NULL);
    CHECK(rlua_ref(foreign) == 0);
}

static void beside(size_t offset, int vm_goes_first) {
    lua_State *L = rlua_new_rollback(1 * MIB, 2), *stranger;
    Foreign foreign;
    CHECK(L != NULL);
    set_number(L, 5);
    CHECK_OK(rlua_snap(L));
    stranger = foreign_state(&foreign, L, offset);
    if (!stranger) NOT_RUN("the system gives no memory beside a VM");
    luaL_openlibs(stranger);
    see_foreign(stranger);
    if (vm_goes_first) {
        lua_close(L);
        see_foreign(stranger);
    }
    run(stranger, "t = {} for i = 1, 100 do t[i] = {i} end");
    CHECK(foreign.live > 1000);
    lua_close(stranger);
    CHECK_EQ(foreign.live, 0);
    if (!vm_goes_first) {
        set_number(L, 6);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(global_int(L, "n"), 5);
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
    munmap(foreign.base, FOREIGN_BYTES);
}

TEST(a_state_behind_a_vm_in_its_slot_is_foreign) { beside(2 * GIB, 0); }
TEST(a_state_right_behind_a_vm_is_foreign) { beside(1 * MIB, 0); }
TEST(a_state_at_the_end_of_a_slot_is_foreign) { beside(4 * GIB - FOREIGN_BYTES, 0); }
TEST(a_state_behind_a_closed_vm_is_foreign) { beside(2 * GIB, 1); }

TEST(a_state_beside_a_vm_that_found_no_slot_is_foreign) {
    all_taken = 1;
    beside(2 * GIB, 0);
    all_taken = 0;
}
