/* images.c: the state as bytes, what changed between two, what stands for it, where two differ;
 * what names in images stand for.
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
    if (status != RLUA_OK) vm_blame(vm, status);
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

static PyObject *vm_save_bound(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    size_t length = 0;
    if (enter(vm, "save_bound") < 0) return NULL;
    int status = rlua_save_bound(vm->main, &length);
    PyObject *none = leave(vm, status, NULL);
    Py_XDECREF(none);
    return none == NULL ? NULL : PyLong_FromSize_t(length);
}

static PyObject *vm_save_delta(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    Bytes bytes = {NULL, 0, 0};
    long long from, to;
    if (!PyArg_ParseTuple(args, "LL:save_delta", &from, &to)) return NULL;
    if (enter(vm, "save_delta") < 0) return NULL;
    return leave(vm, rlua_save_delta(vm->main, from, to, take_bytes, &bytes), &bytes);
}

/* Each adds its names, and returns where the next one goes; NULL with an exception set. */

static rlua_Name *add_methods(Vm *vm, rlua_Name *next) {
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next)
        for (Method *method = kind->methods; method->label != NULL; method++)
            *next++ = (rlua_Name){PyUnicode_AsUTF8(method->label), NULL, named_function,
                                  (void *)method->key};
    return next;
}

static rlua_Name *add_functions(Vm *vm, PyObject *functions, rlua_Name *next) {
    PyObject *name, *callable;
    Py_ssize_t at = 0;
    while (PyDict_Next(functions, &at, &name, &callable)) {
        const char *text = PyUnicode_AsUTF8(name);
        size_t key = (size_t)at; /* told apart, and never called */
        if (text == NULL || vm == NULL) ; /* names alone, or an exception */
        else if (PyCallable_Check(callable)) key = slot_named(vm, name, callable);
        else
            PyErr_Format(PyExc_TypeError, "functions[%R]: %.100s is not callable", name,
                         Py_TYPE(callable)->tp_name);
        if (PyErr_Occurred()) return NULL;
        *next++ = (rlua_Name){text, NULL, named_function, (void *)key};
    }
    return next;
}

static rlua_Name *add_c_functions(Vm *vm, PyObject *c_functions, rlua_Name *next) {
    PyObject *name, *address;
    Py_ssize_t at = 0;
    while (PyDict_Next(c_functions, &at, &name, &address)) {
        const char *text;
        lua_CFunction function = (lua_CFunction)(uintptr_t)at; /* as above */
        if (vm == NULL) text = PyUnicode_AsUTF8(name);
        else if ((function = c_function(name, address, &text)) != NULL)
            vm_note_c_function(vm, name, address);
        if (PyErr_Occurred()) return NULL;
        *next++ = (rlua_Name){text, function, NULL, NULL};
    }
    return next;
}

rlua_Name *image_names(Vm *vm, PyObject *functions, PyObject *c_functions) {
    size_t count = (size_t)(PyDict_GET_SIZE(functions) + PyDict_GET_SIZE(c_functions)) + 2;
    for (Kind *kind = vm == NULL ? NULL : vm->kinds; kind != NULL; kind = kind->next)
        for (Method *method = kind->methods; method->label != NULL; method++) count++;
    rlua_Name *names = PyMem_Calloc(count, sizeof *names), *next = names;
    if (names == NULL) return (rlua_Name *)PyErr_NoMemory();
    *next++ = (rlua_Name){OWNER, NULL, NULL, vm != NULL ? (void *)vm : &python};
    if (vm != NULL) next = add_methods(vm, next);
    next = add_functions(vm, functions, next);
    if (next != NULL) next = add_c_functions(vm, c_functions, next);
    if (next != NULL) return names;
    PyMem_Free(names);
    return NULL;
}

/* (functions, C functions, types): what a State that goes on with an image of this one needs. */
static PyObject *vm_outside(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    PyObject *functions = PyDict_New(), *types = PyList_New(0), *name, *key;
    PyObject *c_functions = vm->c_names == NULL ? PyDict_New() : PyDict_Copy(vm->c_names);
    int failed = functions == NULL || types == NULL || c_functions == NULL;
    Py_ssize_t at = 0;
    while (!failed && vm->names != NULL && PyDict_Next(vm->names, &at, &name, &key))
        failed = PyDict_SetItem(functions, name, slot_find(vm, PyLong_AsSize_t(key))->value);
    for (Kind *kind = vm->kinds; !failed && kind != NULL; kind = kind->next)
        failed = PyList_Append(types, kind->type);
    PyObject *all = failed ? NULL : PyTuple_Pack(3, functions, c_functions, types);
    Py_XDECREF(functions);
    Py_XDECREF(c_functions);
    Py_XDECREF(types);
    return all;
}

static size_t give_bytes(void *ud, void *start, size_t length) {
    Bytes *rest = ud;
    if (length > rest->length) length = rest->length;
    memcpy(start, rest->start, length);
    rest->start += length;
    rest->length -= length;
    return length;
}

static PyObject *vm_apply_delta(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *functions, *c_functions, *result = NULL;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "y*O!O!:apply_delta", &view, &PyDict_Type, &functions, &PyDict_Type,
                          &c_functions)) return NULL;
    if (enter(vm, "apply_delta") == 0) {
        Bytes rest = {view.buf, (size_t)view.len, 0};
        rlua_Name *names = image_names(vm, functions, c_functions);
        result = leave(vm, names == NULL ? RLUA_BAD_ARG
                           : rlua_apply_delta(vm->main, names, give_bytes, &rest), NULL);
        PyMem_Free(names);
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

/* Of two images, without a State. */
PyObject *image_diff(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *config, *functions, *found = NULL;
    Py_buffer a, b;
    Py_ssize_t most;
    Settings settings;
    if (!PyArg_ParseTuple(args, "y*y*OO!n:diff", &a, &b, &config, &PyDict_Type, &functions, &most))
        return NULL;
    if (most < 0) vm_refuse(RLUA_BAD_ARG, "diff: most is below 0");
    else if (vm_settings(config, &settings) == 0) {
        rlua_Name *names = image_names(NULL, functions, functions);
        settings.raw.names = names;
        found = names == NULL ? NULL : PyList_New(0);
        int status = found == NULL ? RLUA_OK
            : rlua_diff(&settings.raw, a.buf, (size_t)a.len, b.buf, (size_t)b.len, (size_t)most,
                        add_difference, found);
        if (status != RLUA_OK) vm_fail(NULL, status);
        PyMem_Free(names);
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    if (PyErr_Occurred()) Py_CLEAR(found);
    return found;
}

PyMethodDef image_methods[] = {
    {"_save", vm_save, METH_O, NULL},
    {"_save_delta", vm_save_delta, METH_VARARGS, NULL},
    {"save_bound", vm_save_bound, METH_NOARGS,
     "How many bytes save() would give now, for whoever needs a size ahead."},
    {"_apply_delta", vm_apply_delta, METH_VARARGS, NULL},
    {"_outside", vm_outside, METH_NOARGS, NULL},
    {"_checksum", vm_checksum, METH_NOARGS, NULL},
    {"_diff", vm_diff, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
