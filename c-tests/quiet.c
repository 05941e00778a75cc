/* quiet.c: no shortcut loses a write. An untouched VM is not looked at, and one of which little was
 * written is looked at where that was; who wrote, and what the system lets the library ask, must
 * not matter.
 * Method, in the first part: a host block is written by the process itself under seccomp filters
 * that refuse what the library may ask the kernel, or answer without doing it, set before and after
 * the VM is opened, and by children that share the memory (vfork, clone).
 * In the second part nothing else in the process faults or calls, so that every shortcut is taken.
 * The host writes straight into two blocks of userdata, without a call, in patterns that make pages
 * hot and cold again, while the upper block comes and goes, and with it the end of the used pages,
 * and the VM snaps and goes back. A model in static memory, touched beforehand, tells what must be
 * there. */
#define _GNU_SOURCE
#include "harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The first part. It comes first since a process that was forked from one which has opened a VM
 * with uffd may not use it: here only children open VMs. */

enum { ROUNDS = 20, BLOCK_BYTES = 128 * 4096 };

static volatile unsigned char *block;

static void write_directly(size_t at, unsigned char value) { block[at] = value; }

static void write_in_vfork(size_t at, unsigned char value) {
    int status = -1;
    pid_t child = vfork();
    if (child == 0) {
        block[at] = value;
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static struct {
    size_t at;
    unsigned char value;
} order;

static int obey(void *unused) {
    (void)unused;
    block[order.at] = order.value;
    return 0;
}

static void write_in_clone(size_t at, unsigned char value) {
    static _Alignas(16) char stack[64 * 1024];
    int status = -1;
    pid_t child;
    order.at = at;
    order.value = value;
    child = clone(obey, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static lua_State *open_with(int tracker) {
    rlua_Config config;
    lua_State *L = NULL;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = 8;
    config.tracker = tracker;
    if (rlua_open(&config, &L) != RLUA_OK) return NULL;
    block = rlua_alloc(L, BLOCK_BYTES);
    CHECK(block != NULL);
    return L;
}

/* Enough captures for every choice to be made, and for nothing to be hot. */
static void settle_down(lua_State *L) {
    int i;
    for (i = 0; i < 12; i++) CHECK_OK(rlua_snap(L));
}

/* A write after a snapshot is undone; one between two snapshots is in the second alone. */
static void check_writes(lua_State *L, void (*write_byte)(size_t, unsigned char)) {
    int round;
    for (round = 1; round <= ROUNDS; round++) {
        size_t at = (size_t)round * 3001 % BLOCK_BYTES;
        unsigned char before = block[at];
        CHECK_OK(rlua_snap(L));
        write_byte(at, (unsigned char)~before);
        CHECK_OK(rlua_rollback(L, 1));
        if (block[at] != before) FAIL("round %d: a rollback did not see the write", round);
        CHECK_OK(rlua_snap(L));
        write_byte(at, (unsigned char)round);
        CHECK_OK(rlua_snap(L));
        block[at] = 0xee;
        CHECK_OK(rlua_rollback(L, 1));
        if (block[at] != round) FAIL("round %d: a snapshot did not see the write", round);
        CHECK_OK(rlua_rollback(L, 2));
        if (block[at] != before) FAIL("round %d: an older snapshot was overwritten", round);
        CHECK_OK(rlua_rollback(L, 1));
    }
    CHECK_OK(rlua_check(L));
}

static int has_uffd(void) {
    lua_State *L = open_with(RLUA_TRACKER_UFFD);
    if (!L) return 0;
    lua_close(L);
    return 1;
}

/* From here on the system call answers `error`, 0 among them, without being made. */
static void refuse(long call, unsigned error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {COUNT_OF(code), code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0), 0);
}

typedef struct Refusal {
    int tracker;
    long call;
    unsigned error;
    int when; /* 0: before the VM is opened, 1: after, 2: when it is watched */
} Refusal;

static void play_refused(void *argument) {
    const Refusal *refusal = argument;
    lua_State *L;
    if (refusal->when == 0) refuse(refusal->call, refusal->error);
    L = open_with(refusal->tracker);
    if (!L) {
        CHECK(refusal->when == 0 && refusal->tracker == RLUA_TRACKER_UFFD);
        return;
    }
    if (refusal->when == 1) refuse(refusal->call, refusal->error);
    settle_down(L);
    if (refusal->when == 2) refuse(refusal->call, refusal->error);
    check_writes(L, write_directly);
    settle_down(L);
    check_writes(L, write_directly);
    lua_close(L);
}

/* Each in a process of its own: a filter stays, and so does what the library found out. */
static void play_all_refused(long call) {
    static const int trackers[] = {RLUA_TRACKER_UFFD, RLUA_TRACKER_AUTO};
    static const unsigned errors[] = {EPERM, ENOSYS, EINVAL, 0};
    size_t t, e;
    for (t = 0; t < COUNT_OF(trackers); t++) {
        for (e = 0; e < COUNT_OF(errors); e++) {
            Refusal refusal = {trackers[t], call, errors[e], 0};
            for (; refusal.when <= 2; refusal.when++)
                if (in_child(play_refused, &refusal) != 0)
                    FAIL("tracker %d, answer %u, when %d", refusal.tracker, refusal.error,
                         refusal.when);
        }
    }
}

/* The library must not have asked in this process yet, so whether uffd is there is asked in
 * another. */
static void ask_for_uffd(void *unused) {
    (void)unused;
    exit(has_uffd() ? 0 : 77);
}

#define NEEDS_UFFD_IN_CHILD() \
    if (in_child(ask_for_uffd, NULL) == 77) NOT_RUN("uffd is refused here")

TEST(without_ioctl_no_write_is_lost) {
    NEEDS_UFFD_IN_CHILD();
    play_all_refused(SYS_ioctl);
}

TEST(without_userfaultfd_no_write_is_lost) {
    NEEDS_UFFD_IN_CHILD();
    play_all_refused(SYS_userfaultfd);
}

/* Descriptors that ran out come back, and so does the tracker; the sentence says what it was. */
static void run_out_of_descriptors(void *unused) {
    int taken[1024], count = 0;
    lua_State *L;
    (void)unused;
    struct rlimit few = {64, 64};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 1024 && (taken[count] = dup(1)) >= 0) count++;
    CHECK(open_with(RLUA_TRACKER_UFFD) == NULL);
    if (!strstr(rlua_last_error(NULL), "descriptor")) FAIL("it says: %s", rlua_last_error(NULL));
    L = open_with(RLUA_TRACKER_AUTO);
    CHECK(L != NULL);
    settle_down(L);
    check_writes(L, write_directly);
    CHECK_EQ(info_of(L).tracker, RLUA_TRACKER_CARDS);
    while (count > 0) close(taken[--count]);
    check_writes(L, write_directly);
    lua_close(L);
    L = open_with(RLUA_TRACKER_UFFD);
    if (!L) FAIL("the refusal was remembered: %s", rlua_last_error(NULL));
    settle_down(L);
    check_writes(L, write_directly);
    lua_close(L);
}

TEST(a_lack_of_descriptors_is_not_remembered) {
    NEEDS_UFFD_IN_CHILD();
    CHECK_EQ(in_child(run_out_of_descriptors, NULL), 0);
}

#define NEEDS_UFFD() \
    if (!has_uffd()) NOT_RUN("uffd: %s", rlua_last_error(NULL))

static void play_shared(void (*write_byte)(size_t, unsigned char)) {
    static const int trackers[] = {RLUA_TRACKER_UFFD, RLUA_TRACKER_AUTO};
    size_t t;
    for (t = 0; t < COUNT_OF(trackers); t++) {
        lua_State *L = open_with(trackers[t]);
        CHECK(L != NULL);
        settle_down(L);
        check_writes(L, write_byte);
        lua_close(L);
    }
}

TEST(writes_of_a_vfork_child_are_seen) {
    NEEDS_UFFD();
    play_shared(write_in_vfork);
}

TEST(writes_of_a_child_that_shares_the_memory_are_seen) {
    NEEDS_UFFD();
    play_shared(write_in_clone);
}

/* The second part. */

enum { PAGES = 48, SNAPSHOTS = 6, BYTES = PAGES * 4096 };

typedef struct Model {
    unsigned char *upper; /* NULL while there is none */
    unsigned char lower_bytes[BYTES], upper_bytes[BYTES];
} Model;

static Model models[SNAPSHOTS + 1]; /* oldest first, then the live blocks */
static size_t held;
static unsigned char *lower;
static unsigned random_state;

static unsigned random_below(unsigned n) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 12) % n;
}

static void write_byte(unsigned page) {
    Model *live = &models[held];
    unsigned at = page % PAGES * 4096 + random_below(4096);
    unsigned char value = (unsigned char)random_below(256);
    if (live->upper && random_below(2)) live->upper_bytes[at] = live->upper[at] = value;
    else live->lower_bytes[at] = lower[at] = value;
}

static void snap(lua_State *L) {
    CHECK_OK(rlua_snap(L));
    if (held == SNAPSHOTS) {
        memmove(&models[0], &models[1], sizeof models - sizeof *models);
    } else {
        models[held + 1] = models[held];
        held++;
    }
}

static void back(lua_State *L, size_t n) {
    const Model *live;
    CHECK_OK(rlua_rollback(L, n));
    held -= n - 1;
    models[held] = models[held - 1];
    live = &models[held];
    if (memcmp(lower, live->lower_bytes, BYTES) != 0) FAIL("rollback(%zu) lost a write", n);
    if (live->upper && memcmp(live->upper, live->upper_bytes, BYTES) != 0)
        FAIL("rollback(%zu) lost a write to the upper block", n);
}

static void make_or_drop_upper(lua_State *L) {
    Model *live = &models[held];
    if (live->upper) {
        live->upper = NULL;
        run(L, "upper = nil collectgarbage()");
    } else {
        live->upper = lua_newuserdatauv(L, BYTES, 0);
        memset(live->upper, 0, BYTES);
        memset(live->upper_bytes, 0, BYTES);
        lua_setglobal(L, "upper");
    }
}

/* Frames as games have them: the same few pages each time, sometimes others. */
static void frames(lua_State *L) {
    unsigned first = random_below(PAGES), count = random_below(6), frame, i;
    for (frame = random_below(12); frame > 0; frame--) {
        for (i = 0; i < count; i++) write_byte(first + 3 * i);
        if (random_below(4) == 0) write_byte(random_below(PAGES));
        snap(L);
    }
}

static void play(int tracker, unsigned seed) {
    int round, rounds = 1500 / (int)test_scale();
    rlua_Config config;
    lua_State *L = NULL;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 8 * MIB;
    config.max_snapshots = SNAPSHOTS;
    config.tracker = tracker;
    if (rlua_open(&config, &L) != RLUA_OK)
        NOT_RUN("tracker %d: %s", tracker, rlua_last_error(NULL));
    luaL_openlibs(L);
    lower = lua_newuserdatauv(L, BYTES, 0);
    memset(lower, 0, BYTES);
    memset(models, 0, sizeof models);
    held = 0;
    random_state = seed;
    for (round = 0; round < rounds; round++) {
        switch (random_below(8)) {
            case 0: make_or_drop_upper(L); break;
            case 1: case 2: frames(L); break;
            case 3: write_byte(random_below(PAGES)); break;
            case 4: if (held > 0) back(L, 1 + random_below((unsigned)held)); break;
            default: snap(L);
        }
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(compare_loses_no_write) { play(RLUA_TRACKER_COMPARE, 1); }

TEST(uffd_loses_no_write) {
    unsigned seed;
    for (seed = 1; seed <= 4; seed++) play(RLUA_TRACKER_UFFD, seed);
}

TEST(auto_loses_no_write) {
    unsigned seed;
    for (seed = 1; seed <= 4; seed++) play(RLUA_TRACKER_AUTO, seed);
}
