/* threads.c: VMs run on several threads at once, each independent of the others; a VM may move
 * from thread to thread; two threads in one VM, a mistake, is answered and not a crash.
 * Method: POSIX threads that run, snap and roll back; each checks its own VM's numbers. */
#include "harness.h"

#include <pthread.h>

enum { THREADS = 4 };

typedef struct Worker {
    pthread_t thread;
    int number, rounds;
    lua_State *L;
    int counts[3]; /* answers: OK, BUSY, any other */
} Worker;

static void start_all(Worker *workers, size_t count, void *(*body)(void *)) {
    size_t i;
    for (i = 0; i < count; i++)
        CHECK_EQ(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
}

static void join_all(Worker *workers, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) CHECK_EQ(pthread_join(workers[i].thread, NULL), 0);
}

static void play(lua_State *L, int number, int rounds) {
    int round;
    char chunk[128];
    snprintf(chunk, sizeof chunk, "n = %d list = {}", number);
    run(L, chunk);
    for (round = 0; round < rounds; round++) {
        CHECK_OK(rlua_snap(L));
        run(L, "n = n + 1 for i = 1, 50 do list[#list + 1] = {tostring(n + i)} end");
        CHECK_EQ(global_int(L, "n"), number + round + 1);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(global_int(L, "n"), number + round);
        run(L, "n = n + 1 list = {}");
    }
    CHECK_OK(rlua_check(L));
}

static void *own_vms(void *argument) {
    Worker *worker = (Worker *)argument;
    int i;
    for (i = 0; i < 10; i++) {
        lua_State *L = open_vm(2 * MIB, 4);
        play(L, 1000 * worker->number + i, worker->rounds);
        lua_close(L);
    }
    return NULL;
}

TEST(vms_on_several_threads_at_once) {
    Worker workers[THREADS];
    int i;
    memset(workers, 0, sizeof workers);
    for (i = 0; i < THREADS; i++) {
        workers[i].number = i + 1;
        workers[i].rounds = 50 / (int)test_scale() + 1;
    }
    start_all(workers, THREADS, own_vms);
    join_all(workers, THREADS);
}

static void *given_vm(void *argument) {
    Worker *worker = (Worker *)argument;
    play(worker->L, worker->number, worker->rounds);
    return NULL;
}

TEST(a_vm_moves_from_thread_to_thread) {
    Worker worker;
    int i;
    memset(&worker, 0, sizeof worker);
    worker.L = open_vm(2 * MIB, 4);
    for (i = 0; i < 6; i++) {
        worker.number = 10 * i;
        worker.rounds = 5;
        start_all(&worker, 1, given_vm);
        join_all(&worker, 1);
        play(worker.L, 7, 3);
    }
    lua_close(worker.L);
}

static void *failing(void *argument) {
    Worker *worker = (Worker *)argument;
    int i;
    for (i = 0; i < 200; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", 100 * worker->number + 1);
        CHECK_STATUS(rlua_rollback(worker->L, (size_t)(100 * worker->number + 1)),
                     RLUA_NO_SNAPSHOT);
        CHECK(strstr(rlua_last_error(NULL), number) != NULL);
        CHECK(strstr(rlua_last_error(worker->L), number) != NULL);
    }
    return NULL;
}

TEST(the_last_error_belongs_to_its_thread) {
    Worker workers[THREADS];
    int i;
    memset(workers, 0, sizeof workers);
    for (i = 0; i < THREADS; i++) {
        workers[i].number = i + 1;
        workers[i].L = open_vm(1 * MIB, 1);
    }
    start_all(workers, THREADS, failing);
    join_all(workers, THREADS);
    for (i = 0; i < THREADS; i++) lua_close(workers[i].L);
}

static void count_answer(Worker *worker, int status) {
    worker->counts[status == RLUA_OK ? 0 : status == RLUA_BUSY ? 1 : 2]++;
}

static void *snapping(void *argument) {
    Worker *worker = (Worker *)argument;
    rlua_Info info;
    size_t count;
    int i;
    for (i = 0; i < worker->rounds; i++) {
        memset(&info, 0, sizeof info);
        info.size = sizeof info;
        count_answer(worker, rlua_snap(worker->L));
        count_answer(worker, rlua_rollback(worker->L, 1));
        count_answer(worker, rlua_info(worker->L, &info));
        count_answer(worker, rlua_snapshot_count(worker->L, &count));
    }
    return NULL;
}

static void *scripting(void *argument) {
    Worker *worker = (Worker *)argument;
    int i;
    for (i = 0; i < worker->rounds; i++)
        count_answer(worker, rlua_dostring(worker->L, "for i = 1, 200 do t = {i} end"));
    return NULL;
}

/* Every answer is OK or BUSY, and the VM is whole afterwards. */
static void check_two_in_one(void *(*first)(void *), void *(*second)(void *)) {
    Worker workers[2];
    lua_State *L = open_vm(2 * MIB, 4);
    int i, round;
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 5; round++) {
        memset(workers, 0, sizeof workers);
        for (i = 0; i < 2; i++) {
            workers[i].L = L;
            workers[i].rounds = 400 / (int)test_scale() + 1;
        }
        CHECK_EQ(pthread_create(&workers[0].thread, NULL, first, &workers[0]), 0);
        CHECK_EQ(pthread_create(&workers[1].thread, NULL, second, &workers[1]), 0);
        join_all(workers, 2);
        CHECK_EQ(workers[0].counts[2], 0);
        CHECK_EQ(workers[1].counts[2], 0);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_rollback(L, 1));
        run(L, "t = 5");
    }
    lua_close(L);
}

TEST(two_threads_snap_one_vm_by_mistake) { check_two_in_one(snapping, snapping); }

TEST(one_thread_snaps_while_another_runs_scripts_by_mistake) {
    check_two_in_one(snapping, scripting);
}
