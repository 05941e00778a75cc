/* writes.c: a rollback undoes every write, whoever made it: the kernel, another thread, a child
 * that shares the memory, a write through /proc, also where the system refuses to count faults.
 * Method: bytes of an rlua_alloc block, one on each of its pages; a snapshot; one write by one of
 * these ways and nothing else; a rollback; the byte must be back. With every tracker. Each test
 * is a process, since what it forbids stays forbidden. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "harness.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { PAGES = 24, PAGE = 4096, NOT_POSSIBLE = 77 };

typedef void (*Write)(volatile unsigned char *place);

static volatile unsigned char *target;

static void plainly(volatile unsigned char *place) { *place = 2; }

static void by_read(volatile unsigned char *place) {
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "\2", 1) == 1);
    CHECK(read(ends[0], (void *)place, 1) == 1);
    close(ends[0]);
    close(ends[1]);
}

static void *in_thread(void *place) {
    *(volatile unsigned char *)place = 2;
    return NULL;
}
static void by_thread(volatile unsigned char *place) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, in_thread, (void *)place), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* A vfork child stores into its parent's memory; so does what posix_spawn and system() make. */
static void by_vfork(volatile unsigned char *place) {
    pid_t child;
    target = place;
    child = vfork();
    if (child == 0) {
        *target = 2;
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
}

static int in_clone(void *place) {
    *(volatile unsigned char *)place = 2;
    return 0;
}
static void by_clone(volatile unsigned char *place) {
    static char stack[65536] __attribute__((aligned(16)));
    pid_t child = clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)place);
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
}

static void by_proc(volatile unsigned char *place) {
    int memory = open("/proc/self/mem", O_RDWR);
    if (memory < 0) _exit(NOT_POSSIBLE);
    CHECK(pwrite(memory, "\2", 1, (off_t)(uintptr_t)place) == 1);
    close(memory);
}

static void by_another_process(volatile unsigned char *place) {
    char byte = 2;
    struct iovec mine = {&byte, 1}, theirs = {(void *)place, 1};
    pid_t parent = getpid(), child = fork();
    int status;
    if (child == 0) _exit(process_vm_writev(parent, &mine, 1, &theirs, 1, 0) == 1 ? 0 : 1);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    if (status != 0) _exit(NOT_POSSIBLE);
}

/* From here on the system call answers EPERM, as in a sandbox. */
static void forbid(long call) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(filter), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(NOT_POSSIBLE);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(NOT_POSSIBLE);
}

typedef struct Case {
    Write write;
    long forbidden; /* a system call, or -1 */
    int before_open;
    int tracker;
} Case;

static void one_case(void *argument) {
    const Case *chosen = (const Case *)argument;
    rlua_Config config;
    lua_State *L;
    unsigned char *block;
    int i, round, status, lost = 0;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = 4;
    config.memory_size = 4 * MIB;
    config.tracker = chosen->tracker;
    if (chosen->forbidden >= 0 && chosen->before_open) forbid(chosen->forbidden);
    status = rlua_open(&config, &L);
    if (status == RLUA_UNSUPPORTED) _exit(NOT_POSSIBLE);
    CHECK_EQ(status, RLUA_OK);
    block = (unsigned char *)rlua_alloc(L, PAGES * PAGE);
    CHECK(block != NULL);
    memset(block, 1, PAGES * PAGE);
    /* A tracker that chooses has settled then. */
    for (i = 0; i < 64; i++) CHECK_OK(rlua_snap(L));
    if (chosen->forbidden >= 0 && !chosen->before_open) forbid(chosen->forbidden);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < PAGES; i++) {
            volatile unsigned char *place = block + i * PAGE + 5 * i;
            CHECK_OK(rlua_snap(L));
            CHECK_OK(rlua_rollback(L, 1));
            chosen->write(place);
            CHECK_EQ(*place, 2);
            if (round == 1) CHECK_OK(rlua_snap(L)); /* the write is in a snapshot */
            CHECK_OK(rlua_rollback(L, round == 1 ? 2 : 1));
            lost += *place != 1;
            *place = 1;
        }
    }
    if (lost) FAIL("%d of %d writes were not undone", lost, 3 * PAGES);
    lua_close(L);
}

static void with_every_tracker(Write write, long forbidden, int before_open) {
    static const int trackers[] = {RLUA_TRACKER_AUTO, RLUA_TRACKER_COMPARE, RLUA_TRACKER_UFFD};
    size_t i;
    int status;
    for (i = 0; i < COUNT_OF(trackers); i++) {
        Case chosen;
        chosen.write = write;
        chosen.forbidden = forbidden;
        chosen.before_open = before_open;
        chosen.tracker = trackers[i];
        status = in_child(one_case, &chosen);
        if (status == NOT_POSSIBLE) {
            printf("     tracker %d: not possible here\n", trackers[i]);
            continue;
        }
        if (status != 0) FAIL("tracker %d", trackers[i]);
    }
}

#define UNDONE(name, write, forbidden, before_open) \
    TEST(name) { with_every_tracker(write, forbidden, before_open); }

UNDONE(write_of_the_program_is_undone, plainly, -1, 0)
UNDONE(write_of_the_kernel_is_undone, by_read, -1, 0)
UNDONE(write_of_a_thread_is_undone, by_thread, -1, 0)
UNDONE(write_of_a_vfork_child_is_undone, by_vfork, -1, 0)
UNDONE(write_of_a_child_that_shares_the_memory_is_undone, by_clone, -1, 0)
UNDONE(write_through_proc_is_undone, by_proc, -1, 0)
UNDONE(write_of_another_process_is_undone, by_another_process, -1, 0)
UNDONE(writes_are_undone_where_getrusage_is_refused, plainly, SYS_getrusage, 1)
UNDONE(writes_are_undone_where_getrusage_is_refused_later, plainly, SYS_getrusage, 0)
UNDONE(writes_are_undone_where_ioctl_is_refused, plainly, SYS_ioctl, 1)
UNDONE(writes_are_undone_where_userfaultfd_is_refused, plainly, SYS_userfaultfd, 1)
UNDONE(writes_are_undone_where_madvise_is_refused, plainly, SYS_madvise, 1)

/* Where the kernel stops to tell, it is said, or the pages are compared: never a wrong state. */
static void ioctl_later(void *argument) {
    lua_State *L = open_vm(2 * MIB, 3);
    int i, status;
    (void)argument;
    run(L, "n = 0");
    for (i = 0; i < 64; i++) CHECK_OK(rlua_snap(L));
    forbid(SYS_ioctl);
    for (i = 1; i < 40; i++) {
        run(L, "n = n + 1");
        status = i % 2 ? rlua_snap(L) : rlua_rollback(L, 1);
        if (status == RLUA_OK) {
            CHECK_EQ(global_int(L, "n"), i % 2 ? i : i - 1);
            lua_pushinteger(L, i);
            lua_setglobal(L, "n");
        } else {
            CHECK(strlen(rlua_last_error(L)) > 8);
            CHECK_EQ(global_int(L, "n"), i);
        }
    }
    lua_close(L);
}

TEST(a_kernel_that_stops_to_tell_gives_no_wrong_state) {
    int status = in_child(ioctl_later, NULL);
    if (status == NOT_POSSIBLE) NOT_RUN("no seccomp here");
    CHECK_EQ(status, 0);
}
