/* history.c: snapshots, as the library holds them, and the references that are in them.
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
    PyObject *failure = vm->failure;
    vm->failure = NULL;
    if (status != RLUA_OK) {
        vm_fail(vm, status);
        if (failure != NULL) {
            PyObject *type, *error, *trace;
            PyErr_Fetch(&type, &error, &trace);
            PyErr_NormalizeException(&type, &error, &trace);
            PyException_SetCause(error, failure); /* takes it */
            PyErr_Restore(type, error, trace);
        }
    } else if (failure != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(failure), failure);
        Py_DECREF(failure);
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

PyMethodDef history_methods[] = {
    {"_snap", vm_snap, METH_VARARGS, NULL},
    {"_rollback", vm_rollback, METH_VARARGS, NULL},
    {"_rollback_to", vm_rollback_to, METH_O, NULL},
    {"_discard_before", vm_discard_before, METH_O, NULL},
    {"_set_limit", vm_set_limit, METH_O, NULL},
    {"_frames", vm_frames, METH_NOARGS, NULL},
    {"_held_count", vm_held_count, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};
