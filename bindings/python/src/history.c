/* history.c: snapshots, as the library holds them, and the references that are in them; the sync
 * test, which takes its own.
 *
 * `held` follows the library's history: which labels, in which order of taking. With it a reference
 * that was dropped is known to be in a held snapshot or not.
 *
 * Not here: rlua.History, which names these for people (rlua/_state.py). */
#include "vm.h"

/* After a rollback to the newest held snapshot: what it has and nobody holds is released again. */
static void release_again(Vm *vm) {
    uint64_t target = vm->held[vm->held_count - 1].serial;
    size_t kept = 0;
    Dropped *items = vm->graves.items + vm->graves.first;
    for (size_t i = 0; i < vm->graves.count; i++) {
        if (items[i].born >= target) continue; /* no held snapshot has it */
        rlua_unref(vm->main, items[i].ref);
        items[kept++] = items[i];
    }
    vm->graves.count = kept;
}

static void forget_graves(Vm *vm) {
    while (vm->graves.count > 0 && (vm->held_count == 0 ||
           vm->graves.items[vm->graves.first].dropped < vm->held[0].serial)) {
        vm->graves.first++;
        vm->graves.count--;
    }
}

static int history_enter(Vm *vm, const char *what) {
    if (vm_enter_idle(vm, what) < 0) return -1;
    vm->history_busy = 1;
    return 0;
}

/* Makes `held` what the library holds. */
static void follow_history(Vm *vm, int snapped) {
    rlua_Info info = {.size = sizeof info};
    if (rlua_info(vm->main, &info) != RLUA_OK) return;
    size_t first = 0;
    if (snapped) {
        vm->clock++;
        if (vm->held_count > 0 && vm->held[vm->held_count - 1].frame == info.newest_frame)
            vm->held_count--;
        vm->held[vm->held_count++] = (Held){info.newest_frame, vm->clock};
    }
    while (vm->held_count > 0 && info.snapshot_count > 0 &&
           vm->held[vm->held_count - 1].frame > info.newest_frame)
        vm->held_count--;
    while (vm->held_count - first > info.snapshot_count) first++;
    if (first > 0) {
        vm->held_count -= first;
        memmove(vm->held, vm->held + first, vm->held_count * sizeof *vm->held);
    }
}

/* Room for one more snapshot's entry, before the snap: afterwards nothing may fail. */
static int reserve_held(Vm *vm) {
    if (vm->held_count + 1 < vm->held_room) return 0;
    size_t room = vm->held_room == 0 ? 64 : 2 * vm->held_room;
    Held *held = PyMem_Realloc(vm->held, room * sizeof *held);
    if (held == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    vm->held = held;
    vm->held_room = room;
    return 0;
}

static PyObject *history_leave(Vm *vm, int status, int snapped, int restored) {
    if (status == RLUA_OK) {
        follow_history(vm, snapped);
        if (restored && vm->held_count > 0) release_again(vm);
        forget_graves(vm);
    }
    vm->history_busy = 0;
    if (status != RLUA_OK) {
        vm_blame(vm, status);
    } else if (vm->failure != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(vm->failure), vm->failure);
        Py_CLEAR(vm->failure);
        status = -1;
    }
    vm_leave(vm);
    if (status != RLUA_OK) return NULL;
    if (!snapped) Py_RETURN_NONE;
    return PyLong_FromLongLong(vm->held[vm->held_count - 1].frame);
}

static PyObject *vm_snap(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *frame = Py_None;
    if (!PyArg_ParseTuple(args, "|O:snap", &frame)) return NULL;
    long long label = frame == Py_None ? 0 : PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "snap") < 0) return NULL;
    int status = reserve_held(vm) < 0 ? RLUA_NO_MEMORY
        : frame == Py_None ? rlua_snap(vm->main) : rlua_snap_frame(vm->main, label);
    return history_leave(vm, status, status == RLUA_OK, 0);
}

static PyObject *vm_rollback(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    Py_ssize_t n = 1;
    if (!PyArg_ParseTuple(args, "|n:rollback", &n)) return NULL;
    if (history_enter(vm, "rollback") < 0) return NULL;
    return history_leave(vm, rlua_rollback(vm->main, n < 0 ? 0 : (size_t)n), 0, 1);
}

static PyObject *vm_rollback_to(PyObject *object, PyObject *frame) {
    Vm *vm = (Vm *)object;
    long long label = PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "rollback_to") < 0) return NULL;
    return history_leave(vm, rlua_rollback_to(vm->main, label), 0, 1);
}

static PyObject *vm_discard_before(PyObject *object, PyObject *frame) {
    Vm *vm = (Vm *)object;
    long long label = PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "discard_before") < 0) return NULL;
    return history_leave(vm, rlua_discard_before(vm->main, label), 0, 0);
}

static PyObject *vm_set_limit(PyObject *object, PyObject *count) {
    Vm *vm = (Vm *)object;
    size_t limit = PyLong_AsSize_t(count);
    if (limit == (size_t)-1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "limit") < 0) return NULL;
    return history_leave(vm, rlua_set_max_snapshots(vm->main, limit), 0, 0);
}

static PyObject *vm_frames(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    PyObject *frames = PyTuple_New((Py_ssize_t)vm->held_count);
    for (size_t i = 0; frames != NULL && i < vm->held_count; i++) {
        PyObject *frame = PyLong_FromLongLong(vm->held[i].frame);
        if (frame == NULL) Py_CLEAR(frames);
        else PyTuple_SET_ITEM(frames, (Py_ssize_t)i, frame);
    }
    return frames;
}

static PyObject *vm_held_count(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    return PyLong_FromSize_t(((Vm *)object)->held_count);
}

/* The sync test. The library takes snapshots and restores them; a participant of ours follows, so
 * that `held` is right in each frame. */

static int sync_capture(void *ud, int64_t frame, void **token) {
    Vm *vm = ud;
    if (reserve_held(vm) < 0) return -1;
    vm->held[vm->held_count++] = (Held){frame, ++vm->clock};
    *token = (void *)(uintptr_t)vm->clock;
    return 0;
}

static void sync_restore(void *ud, void *token) {
    Vm *vm = ud;
    while (vm->held[vm->held_count - 1].serial > (uintptr_t)token) vm->held_count--;
    release_again(vm);
}

static const rlua_Participant sync_follower = {sizeof sync_follower, sync_capture, sync_restore,
                                               NULL};

typedef struct SyncTest {
    Vm *vm;
    PyObject *frame;
} SyncTest;

/* An exception stays set until the test has returned, which calls nobody any more. */
static int sync_frame(lua_State *Py_UNUSED(L), void *ud, unsigned int number, int again) {
    SyncTest *test = ud;
    Vm *vm = test->vm;
    follow_history(vm, 0);
    forget_graves(vm);
    if (vm->failure != NULL) { /* of a restore */
        PyErr_SetObject((PyObject *)Py_TYPE(vm->failure), vm->failure);
        Py_CLEAR(vm->failure);
        return RLUA_ERR_RUN;
    }
    vm->history_busy = 0;
    if (vm->waiting.count > 0) vm_settle(vm);
    PyObject *result = PyObject_CallFunction(test->frame, "IO", number,
                                             again ? Py_True : Py_False);
    int failed = result == NULL;
    Py_XDECREF(result);
    vm->history_busy = 1;
    return failed ? RLUA_ERR_RUN : RLUA_OK;
}

/* Gives the Desync that is set what the report has. */
static void tell_report(const rlua_SyncReport *report) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    PyObject *told = PyObject_CallMethod(
        python, "tell_report", "OIiisssy#y#", error, report->frame, report->rolled_back,
        report->kind, report->path, report->a, report->b,
        (const char *)&report->first, (Py_ssize_t)sizeof report->first,
        (const char *)&report->second, (Py_ssize_t)sizeof report->second);
    if (told == NULL) PyErr_WriteUnraisable(error);
    Py_XDECREF(told);
    PyErr_Restore(type, error, trace);
}

static PyObject *vm_synctest(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    SyncTest test = {vm, NULL};
    unsigned int distance, frames;
    if (!PyArg_ParseTuple(args, "OII:synctest", &test.frame, &distance, &frames)) return NULL;
    if (history_enter(vm, "synctest") < 0) return NULL;
    rlua_SyncReport report = {.size = sizeof report};
    int status = rlua_add_participant(vm->main, &sync_follower, vm);
    if (status == RLUA_OK) {
        status = rlua_synctest(vm->main, sync_frame, &test, distance, frames, &report);
        rlua_remove_participant(vm->main, &sync_follower, vm);
        follow_history(vm, 0);
    }
    PyObject *result = history_leave(vm, status, 0, 0);
    if (status == RLUA_DESYNC) tell_report(&report);
    return result;
}

PyMethodDef history_methods[] = {
    {"_snap", vm_snap, METH_VARARGS, NULL},
    {"_rollback", vm_rollback, METH_VARARGS, NULL},
    {"_rollback_to", vm_rollback_to, METH_O, NULL},
    {"_discard_before", vm_discard_before, METH_O, NULL},
    {"_set_limit", vm_set_limit, METH_O, NULL},
    {"_synctest", vm_synctest, METH_VARARGS, NULL},
    {"_frames", vm_frames, METH_NOARGS, NULL},
    {"_held_count", vm_held_count, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};
