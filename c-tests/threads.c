/* threads.c: VMs run on several threads at once, each independent of the others; a VM may move
 * from thread to thread; two threads in one VM, a mistake, is answered and not a crash.
 * Method: POSIX threads that run, snap and roll back; each checks its own VM's numbers. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "harness.h"
#include "tsan.h"

#include <pthread.h>
#include <stdatomic.h>

static const char *const public_functions[] = {
#define PUBLIC(name) #name,
#include "functions.inc"
};

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

/* -- a second thread in every function -------------------------------------------------------- */

static int no_capture(void *ud, int64_t frame, void **token) {
    (void)ud;
    (void)frame;
    (void)token;
    return 0;
}
static void no_restore(void *ud, void *token) {
    (void)ud;
    (void)token;
}
static void no_release(lua_State *L, void *object, void *ud) {
    (void)L;
    (void)object;
    (void)ud;
}
static int no_c_function(lua_State *L) {
    (void)L;
    return 0;
}
static int no_function(lua_State *L, void *ud) {
    (void)L;
    (void)ud;
    return 0;
}
static const rlua_Participant participant = {sizeof participant, no_capture, no_restore, NULL};
static const rlua_ResourceType type = {sizeof type, "t", no_release, NULL, NULL};

static int no_save(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    (void)object, (void)size, (void)writer, (void)to, (void)ud;
    return 1;
}

static int no_load(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    (void)bytes, (void)length, (void)object, (void)size, (void)ud;
    return 1;
}

static const rlua_ObjectType object_type = {sizeof object_type, "t", &type, no_save, no_load,
                                            NULL};

/* What no status tells: whatever it answers is in order, as long as nothing is touched. */
enum { NO_STATUS = -1 };

#define CALL(name, ...) \
    static int call_##name(lua_State *L) { (void)L; return __VA_ARGS__; }

static rlua_Info any_info;
static size_t any_size;
static int any_int;
static const char *any_text;
static void *any_block;
static lua_State *any_thread;

CALL(version, (rlua_version(), NO_STATUS))
CALL(strerror, (rlua_strerror(3), NO_STATUS))
CALL(last_error, (rlua_last_error(L), NO_STATUS))
CALL(info, (any_info.size = sizeof any_info, rlua_info(L, &any_info)))
CALL(check, rlua_check(L))
CALL(snap, rlua_snap(L))
CALL(snap_frame, rlua_snap_frame(L, 1000))
CALL(rollback, rlua_rollback(L, 1))
CALL(rollback_to, rlua_rollback_to(L, 0))
CALL(discard_before, rlua_discard_before(L, 1000))
CALL(snapshot_count, rlua_snapshot_count(L, &any_size))
CALL(set_max_snapshots, rlua_set_max_snapshots(L, 2))
CALL(openlibs, rlua_openlibs(L, RLUA_LIB_ALL))
CALL(newenv, rlua_newenv(L, RLUA_LIB_SANDBOX))
static uint64_t any_units;
CALL(set_budget, rlua_set_budget(L, RLUA_NO_BUDGET))
CALL(budget_left, rlua_budget_left(L, &any_units))
static rlua_Checksum any_checksum;
static size_t no_reader(void *ud, void *bytes, size_t length) {
    (void)ud, (void)bytes, (void)length;
    return 0;
}
static int no_writer(void *ud, const void *bytes, size_t length) {
    (void)ud, (void)bytes, (void)length;
    return 0;
}
CALL(save, rlua_save(L, no_writer, NULL))
CALL(save_buffer, rlua_save_buffer(L, NULL, 0, &any_size))
CALL(save_snapshot, rlua_save_snapshot(L, 0, no_writer, NULL))
CALL(save_bound, rlua_save_bound(L, &any_size))
CALL(save_delta, rlua_save_delta(L, 0, 0, no_writer, NULL))
CALL(apply_delta, rlua_apply_delta(L, NULL, no_reader, NULL))
CALL(load, (rlua_load(NULL, NULL, NULL, &any_thread), NO_STATUS))
CALL(load_buffer, (rlua_load_buffer(NULL, "", 0, &any_thread), NO_STATUS))
CALL(checksum, rlua_checksum(L, &any_checksum))
CALL(clone, rlua_clone(L, &any_thread))
CALL(diff, (rlua_diff(NULL, "", 0, "", 0, 0, NULL, NULL), NO_STATUS))
CALL(diff_vms, rlua_diff_vms(L, L, 0, NULL, NULL))
static int no_frame(lua_State *L, void *ud, unsigned frame, int again) {
    (void)L, (void)ud, (void)frame, (void)again;
    return 0;
}
CALL(synctest, rlua_synctest(L, no_frame, NULL, 1, 1, NULL))
CALL(loadbuffer, rlua_loadbuffer(L, "return", 6, "=x", "t"))
CALL(call, rlua_call(L, 0, 0, 0))
CALL(getglobal, rlua_getglobal(L, "n"))
CALL(setglobal, rlua_setglobal(L, "n"))
CALL(getfield, rlua_getfield(L, 1, "x"))
CALL(setfield, rlua_setfield(L, 1, "x"))
CALL(geti, rlua_geti(L, 1, 1))
CALL(seti, rlua_seti(L, 1, 1))
CALL(gettable, rlua_gettable(L, 1))
CALL(settable, rlua_settable(L, 1))
CALL(createtable, rlua_createtable(L, 0, 0))
CALL(pushlstring, rlua_pushlstring(L, "x", 1))
CALL(pushinteger, rlua_pushinteger(L, 1))
CALL(pushnumber, rlua_pushnumber(L, 1))
CALL(pushboolean, rlua_pushboolean(L, 1))
CALL(pushnil, rlua_pushnil(L))
CALL(pushvalue, rlua_pushvalue(L, 1))
CALL(gc, rlua_gc(L, LUA_GCCOLLECT, 0))
CALL(dostring, rlua_dostring(L, "n = 0"))
CALL(dofile, rlua_dofile(L, "/dev/null"))
CALL(resume, rlua_resume(L, NULL, 0, &any_int))
CALL(next, rlua_next(L, 1, &any_int))
CALL(tolstring, rlua_tolstring(L, 1, &any_text, &any_size))
CALL(pushfunction, rlua_pushfunction(L, no_function, NULL, "f"))
CALL(newuserdata, rlua_newuserdata(L, 8, 0, &any_block))
CALL(newthread, rlua_newthread(L, &any_thread))
CALL(pushcclosure, rlua_pushcclosure(L, no_c_function, 0))
CALL(loadfile, rlua_loadfile(L, "/dev/null", NULL))
CALL(requiref, rlua_requiref(L, "m", no_c_function, 0))
CALL(len, rlua_len(L, 1))
CALL(concat, rlua_concat(L, 0))
CALL(compare, rlua_compare(L, 1, 1, LUA_OPEQ, &any_int))
CALL(arith, rlua_arith(L, LUA_OPUNM))
CALL(pushtostring, rlua_pushtostring(L, 1))
CALL(traceback, rlua_traceback(L, L, NULL, 0))
CALL(rawget, rlua_rawget(L, 1))
CALL(rawgeti, rlua_rawgeti(L, 1, 1))
CALL(rawset, rlua_rawset(L, 1))
CALL(rawseti, rlua_rawseti(L, 1, 1))
CALL(getsubtable, rlua_getsubtable(L, 1, "x"))
CALL(newmetatable, rlua_newmetatable(L, "x", &any_int))
CALL(getmetatable, rlua_getmetatable(L, "x"))
CALL(setmetatable, rlua_setmetatable(L, "x"))
CALL(testudata, rlua_testudata(L, 1, "x", &any_block))
CALL(settop, rlua_settop(L, 0))
CALL(toclose, rlua_toclose(L, 1))
CALL(closeslot, rlua_closeslot(L, 1))
CALL(xmove, rlua_xmove(L, L, 1))
/* These tell their status by the sentence alone. */
CALL(alloc, rlua_alloc(L, 8) ? RLUA_OK : RLUA_BUSY)
CALL(realloc, rlua_realloc(L, NULL, 8) ? RLUA_OK : RLUA_BUSY)
CALL(ref, rlua_ref(L) ? RLUA_OK : RLUA_BUSY)
CALL(free, rlua_free(L, NULL))
CALL(touch, rlua_touch(L, L, 8))
CALL(getref, rlua_getref(L, 1))
CALL(unref, rlua_unref(L, 1))
CALL(pushresource, rlua_pushresource(L, &any_int, &type))
CALL(toresource, rlua_toresource(L, 1, &type, &any_block))
CALL(closeresource, rlua_closeresource(L, 1, &type))
CALL(add_participant, rlua_add_participant(L, &participant, NULL))
CALL(remove_participant, rlua_remove_participant(L, &participant, NULL))
#ifdef RLUA_VERSION
static int64_t any_frame;
static uint64_t any_digest;
CALL(newest_frame, rlua_newest_frame(L, &any_frame))
CALL(register, rlua_register(L, "name", no_c_function))
CALL(register_pointer, rlua_register_pointer(L, "pointer", &any_frame))
CALL(register_type, rlua_register_type(L, &object_type))
CALL(set_time, rlua_set_time(L, 1, 2))
CALL(config_digest, rlua_config_digest(L, &any_digest))
CALL(error, (rlua_error(L, "x"), NO_STATUS))
CALL(argerror, (rlua_argerror(L, 1, "x"), NO_STATUS))
#endif

typedef struct Function {
    const char *name;
    int (*call)(lua_State *L);
} Function;

#define ROW(name) {"rlua_" #name, call_##name}
/* They are of no VM, or promise that nobody is in it. */
#define LEFT_OUT(name) {"rlua_" #name, NULL}

static const Function functions[] = {
    ROW(version), ROW(strerror), ROW(last_error), LEFT_OUT(new_rollback), LEFT_OUT(open), ROW(info),
    ROW(check), ROW(snap), ROW(snap_frame), ROW(rollback), ROW(rollback_to), ROW(discard_before),
    ROW(snapshot_count), ROW(set_max_snapshots), ROW(openlibs), ROW(loadbuffer), ROW(call),
    ROW(getglobal), ROW(setglobal), ROW(getfield), ROW(setfield), ROW(geti), ROW(seti),
    ROW(gettable), ROW(settable), ROW(createtable), ROW(pushlstring), ROW(pushinteger),
    ROW(pushnumber), ROW(pushboolean), ROW(pushnil), ROW(pushvalue), ROW(gc), ROW(dostring),
    ROW(dofile), ROW(resume), ROW(next), ROW(tolstring), ROW(pushfunction), ROW(newuserdata),
    ROW(newthread), ROW(pushcclosure), ROW(loadfile), ROW(requiref), ROW(len), ROW(concat),
    ROW(compare), ROW(arith), ROW(pushtostring), ROW(traceback), ROW(rawget), ROW(rawgeti),
    ROW(rawset), ROW(rawseti), ROW(getsubtable), ROW(newmetatable), ROW(getmetatable),
    ROW(setmetatable), ROW(testudata), ROW(settop), ROW(toclose), ROW(closeslot), ROW(xmove),
    ROW(alloc), ROW(realloc), ROW(free), ROW(touch), ROW(ref), ROW(getref), ROW(unref),
    ROW(pushresource),
    ROW(toresource), ROW(closeresource), ROW(add_participant), ROW(remove_participant),
#ifdef RLUA_VERSION
    ROW(newest_frame), LEFT_OUT(recover), ROW(error), ROW(argerror), ROW(register),
    ROW(register_pointer), ROW(register_type), ROW(set_time), ROW(config_digest), ROW(newenv),
    ROW(save),
    ROW(save_buffer), ROW(save_snapshot), ROW(save_bound), ROW(save_delta), ROW(apply_delta),
    ROW(load), ROW(load_buffer), ROW(checksum), ROW(clone), ROW(set_budget), ROW(budget_left),
    ROW(diff), ROW(diff_vms), ROW(synctest),
#endif
};

static void *every_function(void *argument) {
    lua_State *L = argument;
    size_t i;
    int status;
    for (i = 0; i < COUNT_OF(functions); i++) {
        if (!functions[i].call) continue;
        status = functions[i].call(L);
        if (status == NO_STATUS) continue;
        if (status != RLUA_BUSY)
            FAIL("%s answered %d on a second thread", functions[i].name, status);
        if (!strstr(rlua_last_error(NULL), "thread"))
            FAIL("%s: %s", functions[i].name, rlua_last_error(NULL));
    }
    lua_close(L);
    return NULL;
}

/* Holds the VM while a second thread tries everything. */
static int hold(lua_State *L, void *ud) {
    pthread_t second;
    int top = lua_gettop(L);
    CHECK_EQ(pthread_create(&second, NULL, every_function, ud), 0);
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_EQ(lua_gettop(L), top);
    return 0;
}

static lua_State *vm_to_hold(void) {
    lua_State *L = open_vm(2 * MIB, 3);
    run(L, "n = 7");
    lua_newtable(L);
    CHECK_OK(rlua_snap(L));
    return L;
}

static void see_untouched(lua_State *L) {
    CHECK_EQ(global_int(L, "n"), 7);
    CHECK_EQ(snapshot_count(L), 1);
    CHECK_EQ(lua_gettop(L), 1);
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_rollback(L, 1));
    lua_close(L);
}

TEST(second_thread_in_every_function_is_busy_while_lua_runs) {
    lua_State *L = vm_to_hold();
    CHECK_OK(rlua_pushfunction(L, hold, L, "hold"));
    CHECK_OK(rlua_call(L, 0, 0, 0));
    see_untouched(L);
}

static int capture_and_hold(void *ud, int64_t frame, void **token) {
    lua_State *L = ud;
    (void)frame;
    (void)token;
    hold(L, L);
    return 1; /* the snap is not made */
}

TEST(second_thread_in_every_function_is_busy_while_a_snap_is_made) {
    static const rlua_Participant holder = {sizeof holder, capture_and_hold, no_restore, NULL};
    lua_State *L = vm_to_hold();
    CHECK_OK(rlua_add_participant(L, &holder, L));
    CHECK_STATUS(rlua_snap(L), RLUA_PARTICIPANT);
    CHECK_OK(rlua_remove_participant(L, &holder, L));
    see_untouched(L);
}

TEST(every_public_function_is_tried_on_a_second_thread) {
    size_t i, k;
    for (i = 0; i < COUNT_OF(public_functions); i++) {
        for (k = 0; k < COUNT_OF(functions); k++)
            if (strcmp(public_functions[i], functions[k].name) == 0) break;
        if (k == COUNT_OF(functions)) FAIL("%s is not tried", public_functions[i]);
    }
}

/* -- what is told of a VM in use is whole ------------------------------------------------------ */

static atomic_int telling;

/* Labels come one by one and three are kept, so the numbers hang together. */
static void *asking(void *argument) {
    lua_State *L = argument;
    rlua_Info info;
    size_t count;
    int status;
    while (atomic_load_explicit(&telling, memory_order_relaxed)) {
        memset(&info, 0, sizeof info);
        info.size = sizeof info;
        status = rlua_info(L, &info);
        if (status == RLUA_OK) {
            CHECK_EQ(info.newest_frame - info.oldest_frame, (int64_t)info.snapshot_count - 1);
            CHECK(info.used_bytes <= info.committed_bytes && info.used_bytes <= info.peak_bytes);
        } else CHECK_EQ(status, RLUA_BUSY);
        status = rlua_snapshot_count(L, &count);
        if (status == RLUA_OK) CHECK(count >= 1 && count <= 3);
        else CHECK_EQ(status, RLUA_BUSY);
#ifdef RLUA_VERSION
        {
            int64_t frame;
            status = rlua_newest_frame(L, &frame);
            if (status == RLUA_OK) CHECK(frame >= 0);
            else CHECK_EQ(status, RLUA_BUSY);
        }
#endif
    }
    return NULL;
}

/* The first thread's own calls are refused while the second one looks: then again. */
static void insist(int (*call)(lua_State *L), lua_State *L) {
    int status;
    while ((status = call(L)) == RLUA_BUSY) {}
    CHECK_EQ(status, RLUA_OK);
}

static int grow(lua_State *L) {
    return rlua_dostring(L, "t = t or {} for i = 1, 20 do t[#t + 1] = {i} end "
                            "if #t > 2000 then t = {} end");
}

TEST(what_is_told_of_a_vm_in_use_is_whole) {
    lua_State *L = open_vm(4 * MIB, 3);
    pthread_t second;
    int i, rounds = 2000 / (int)test_scale() + 1;
    CHECK_OK(rlua_snap(L));
    atomic_store(&telling, 1);
    CHECK_EQ(pthread_create(&second, NULL, asking, L), 0);
    for (i = 0; i < rounds; i++) {
        insist(grow, L);
        insist(call_snap, L);
        if (i % 3 == 0) insist(call_rollback, L);
    }
    atomic_store(&telling, 0);
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* -- ThreadSanitizer is on -------------------------------------------------------------------- */

#ifdef __SANITIZE_THREAD__

enum { TSAN_EXIT = 66 };

static atomic_int turn;

typedef struct Racer {
    void (*use)(lua_State *L);
    lua_State *L;
} Racer;

/* Two threads use a VM one after the other with nothing between them that orders the two: a race,
 * though it never happens at once. */
static void *out_of_order(void *argument) {
    Racer *racer = argument;
    while (!atomic_load_explicit(&turn, memory_order_relaxed)) {}
    racer->use(racer->L);
    return NULL;
}

static void race(void *argument) {
    Racer *racer = argument;
    pthread_t second;
    racer->L = open_vm(1 * MIB, 1);
    if (!freopen("/dev/null", "w", stderr)) _exit(1);
    CHECK_EQ(pthread_create(&second, NULL, out_of_order, racer), 0);
    racer->use(racer->L);
    atomic_store_explicit(&turn, 1, memory_order_relaxed);
    pthread_join(second, NULL);
}

static void in_lua(lua_State *L) { lua_pushinteger(L, 1); }
static void in_rust(lua_State *L) {
    void *ud;
    lua_Alloc allocate = lua_getallocf(L, &ud);
    CHECK(allocate(ud, NULL, LUA_TSTRING, 64) != NULL);
}

TEST(thread_sanitizer_sees_a_race_in_the_library) {
    Racer lua = {in_lua, NULL}, rust = {in_rust, NULL};
    CHECK_EQ(in_child(race, &lua), TSAN_EXIT);
    CHECK_EQ(in_child(race, &rust), TSAN_EXIT);
}

#endif
