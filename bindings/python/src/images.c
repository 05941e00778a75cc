/* images.c: the state as bytes, what changed between two, what stands for it, where two differ.
 *
 * The bytes are collected while nobody else is in the VM; Python is asked for memory behind that.
 *
 * Not here: a State from an image (vm.c), the classes of failures (rlua/_errors.py). */
#include "vm.h"

typedef struct Bytes {
    char *start;
    size_t length, room;
} Bytes;

static int take_bytes(void *ud, const void *start, size_t length) {
    Bytes *bytes = ud;
    if (length > bytes->room - bytes->length) {
        size_t room = 2 * (bytes->length + length);
        char *grown = PyMem_RawRealloc(bytes->start, room);
        if (grown == NULL) return 1;
        bytes->start = grown;
        bytes->room = room;
    }
    memcpy(bytes->start + bytes->length, start, length);
    bytes->length += length;
    return 0;
}

static PyObject *leave(Vm *vm, int status, Bytes *bytes) {
    PyObject *result = NULL;
    vm->history_busy = 0;
    if (status != RLUA_OK) vm_fail(vm, status);
    else if (bytes == NULL) result = Py_NewRef(Py_None);
    else result = PyBytes_FromStringAndSize(bytes->start, (Py_ssize_t)bytes->length);
    if (bytes != NULL) PyMem_RawFree(bytes->start);
    vm_leave(vm);
    return result;
}

static int enter(Vm *vm, const char *what) {
    if (vm_enter_idle(vm, what) < 0) return -1;
    vm->history_busy = 1;
    return 0;
}

static PyObject *vm_save(PyObject *object, PyObject *frame) {
    Vm *vm = (Vm *)object;
    Bytes bytes = {NULL, 0, 0};
    long long label = frame == Py_None ? 0 : PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (enter(vm, "save") < 0) return NULL;
    return leave(vm, frame == Py_None ? rlua_save(vm->main, take_bytes, &bytes)
                                      : rlua_save_snapshot(vm->main, label, take_bytes, &bytes),
                 &bytes);
}

static PyObject *vm_save_delta(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    Bytes bytes = {NULL, 0, 0};
    long long from, to;
    if (!PyArg_ParseTuple(args, "LL:save_delta", &from, &to)) return NULL;
    if (enter(vm, "save_delta") < 0) return NULL;
    return leave(vm, rlua_save_delta(vm->main, from, to, take_bytes, &bytes), &bytes);
}

static size_t give_bytes(void *ud, void *start, size_t length) {
    Bytes *rest = ud;
    if (length > rest->length) length = rest->length;
    memcpy(start, rest->start, length);
    rest->start += length;
    rest->length -= length;
    return length;
}

static PyObject *vm_apply_delta(PyObject *object, PyObject *delta) {
    Vm *vm = (Vm *)object;
    Py_buffer view;
    if (PyObject_GetBuffer(delta, &view, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *result = NULL;
    if (enter(vm, "apply_delta") == 0) {
        Bytes rest = {view.buf, (size_t)view.len, 0};
        result = leave(vm, rlua_apply_delta(vm->main, NULL, give_bytes, &rest), NULL);
    }
    PyBuffer_Release(&view);
    return result;
}

static PyObject *vm_checksum(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    rlua_Checksum sum;
    if (enter(vm, "checksum") < 0) return NULL;
    int status = rlua_checksum(vm->main, &sum);
    vm->history_busy = 0;
    if (status != RLUA_OK) vm_fail(vm, status);
    vm_leave(vm);
    return status != RLUA_OK ? NULL : PyBytes_FromStringAndSize((char *)&sum, sizeof sum);
}

static int add_difference(void *ud, const rlua_Difference *difference) {
    PyObject *one = Py_BuildValue("(isss)", difference->kind, difference->path, difference->a,
                                  difference->b);
    int failed = one == NULL || PyList_Append(ud, one) < 0;
    Py_XDECREF(one);
    return failed;
}

static PyObject *vm_diff(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object, *other;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!n:diff", &Vm_Type, &other, &most)) return NULL;
    if (vm == other || most < 0) {
        vm_refuse(RLUA_BAD_ARG, vm == other ? "diff: both are one State" : "diff: most is below 0");
        return NULL;
    }
    PyObject *found = PyList_New(0);
    if (found == NULL) return NULL;
    if (enter(vm, "diff") == 0) {
        if (enter(other, "diff") == 0) {
            int status = rlua_diff_vms(vm->main, other->main, (size_t)most, add_difference, found);
            if (status != RLUA_OK) vm_fail(vm, status);
            other->history_busy = 0;
            vm_leave(other);
        }
        vm->history_busy = 0;
        vm_leave(vm);
    }
    if (PyErr_Occurred()) Py_CLEAR(found);
    return found;
}

PyMethodDef image_methods[] = {
    {"_save", vm_save, METH_O, NULL},
    {"_save_delta", vm_save_delta, METH_VARARGS, NULL},
    {"_apply_delta", vm_apply_delta, METH_O, NULL},
    {"_checksum", vm_checksum, METH_NOARGS, NULL},
    {"_diff", vm_diff, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
