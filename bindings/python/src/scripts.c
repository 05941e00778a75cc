/* scripts.c: what a State runs, makes and tells.
 *
 * Not here: its life (vm.c), its snapshots (history.c), what it owns (objects.c). */
#include "fields.inc"
#include "vm.h"

/* Loads a chunk, and gives it an environment. A new function is on top. */
static int load(Vm *vm, lua_State *L, PyObject *source, const char *name, PyObject *environment,
                int file) {
    Py_buffer view;
    int status;
    if (PyUnicode_Check(source)) {
        Py_ssize_t length;
        const char *text = PyUnicode_AsUTF8AndSize(source, &length);
        if (text == NULL) return -1;
        status = file ? rlua_loadfile(L, text, "t")
                      : rlua_loadbuffer(L, text, (size_t)length, name, "t");
    } else if (!PyObject_CheckBuffer(source)) {
        PyErr_Format(PyExc_TypeError, "a chunk is a str or bytes, not %.100s",
                     Py_TYPE(source)->tp_name);
        return -1;
    } else {
        if (PyObject_GetBuffer(source, &view, PyBUF_SIMPLE) < 0) return -1;
        status = rlua_loadbuffer(L, view.buf, (size_t)view.len, name, "t");
        PyBuffer_Release(&view);
    }
    if (status != RLUA_OK) {
        vm_raise(vm, L, status);
        return -1;
    }
    if (environment == Py_None) return 0;
    int function = lua_gettop(L);
    if (vm_push(vm, L, environment) < 0) return -1;
    if (lua_type(L, -1) != LUA_TTABLE) {
        PyErr_Format(PyExc_TypeError, "env is a Table, not %.100s",
                     Py_TYPE(environment)->tp_name);
        return -1;
    }
    if (lua_setupvalue(L, function, 1) == NULL) lua_settop(L, function);
    return 0;
}

static PyObject *vm_load(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *source, *environment;
    const char *name;
    int file;
    if (!PyArg_ParseTuple(args, "OsOp", &source, &name, &environment, &file)) return NULL;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *function = NULL;
    if (!lua_checkstack(L, 8)) vm_full();
    else if (load(vm, L, source, name, environment, file) == 0)
        function = proxy_new(vm, L, base + 1, &Function_Type);
    lua_settop(L, base);
    vm_leave(vm);
    return function;
}

static PyObject *vm_execute(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *source, *environment, *arguments;
    const char *name;
    if (!PyArg_ParseTuple(args, "OsOO!", &source, &name, &environment, &PyTuple_Type, &arguments))
        return NULL;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *result = NULL;
    if (vm_push_handler(L) < 0) vm_full();
    else if (load(vm, L, source, name, environment, 0) == 0) {
        Py_ssize_t i = 0, count = PyTuple_GET_SIZE(arguments);
        while (i < count && vm_push(vm, L, PyTuple_GET_ITEM(arguments, i)) == 0) i++;
        if (i == count) result = vm_call(vm, L, (int)count);
    }
    lua_settop(L, base);
    vm_leave(vm);
    return result;
}

/* A value of its own: a table of a mapping or a sequence, a function of a callable, ... */
static PyObject *vm_value(PyObject *object, PyObject *value) {
    Vm *vm = (Vm *)object;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *result = NULL;
    if (vm_push(vm, L, value) == 0) {
        result = lua_type(L, base + 1) == LUA_TFUNCTION
            ? proxy_new(vm, L, base + 1, &Function_Type) : vm_read(vm, L, base + 1);
    }
    lua_settop(L, base);
    vm_leave(vm);
    return result;
}

/* A function with a name. */
static PyObject *vm_named(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *name, *callable, *result = NULL;
    if (!PyArg_ParseTuple(args, "UO", &name, &callable)) return NULL;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    if (!lua_checkstack(L, 8)) vm_full();
    else if (vm_push_named(vm, L, name, callable) == 0)
        result = proxy_new(vm, L, base + 1, &Function_Type);
    lua_settop(L, base);
    vm_leave(vm);
    return result;
}

static PyObject *vm_resource(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *type, *value;
    if (!PyArg_ParseTuple(args, "OO", &type, &value)) return NULL;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *result = NULL;
    if (!lua_checkstack(L, 8)) vm_full();
    else if (vm_push_new_resource(vm, L, type, value) == 0) {
        result = proxy_new(vm, L, base + 1, &Resource_Type);
        if (result == NULL) resource_disown(vm, L, base + 1);
    }
    lua_settop(L, base);
    vm_leave(vm);
    return result;
}

static PyObject *vm_globals(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *table = NULL;
    int status = lua_checkstack(L, 8) ? rlua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS)
                                      : vm_full();
    if (status == RLUA_OK) table = proxy_new(vm, L, base + 1, &Table_Type);
    else vm_raise(vm, L, status);
    lua_settop(L, base);
    vm_leave(vm);
    return table;
}

static PyObject *vm_newenv(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    unsigned int libs;
    if (!PyArg_ParseTuple(args, "I", &libs)) return NULL;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *table = NULL;
    int status = lua_checkstack(L, 8) ? rlua_newenv(L, libs) : vm_full();
    if (status == RLUA_OK) table = proxy_new(vm, L, base + 1, &Table_Type);
    else vm_raise(vm, L, status);
    lua_settop(L, base);
    vm_leave(vm);
    return table;
}

/* A call of the library that returns a status, and pushes an error value from RLUA_ERR_RUN on. */
#define ENTERED(vm, call) do { \
        if (vm_enter(vm) < 0) return NULL; \
        lua_State *L = vm->current; \
        int base_ = lua_gettop(L), status_; \
        status_ = (call); \
        if (status_ != RLUA_OK) vm_raise(vm, L, status_); \
        lua_settop(L, base_); \
        vm_leave(vm); \
        if (status_ != RLUA_OK) return NULL; \
    } while (0)

static PyObject *vm_openlibs(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    unsigned int libs;
    if (!PyArg_ParseTuple(args, "I", &libs)) return NULL;
    ENTERED(vm, rlua_openlibs(L, libs));
    Py_RETURN_NONE;
}

static PyObject *vm_gc(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    int what, data;
    if (!PyArg_ParseTuple(args, "ii", &what, &data)) return NULL;
    ENTERED(vm, rlua_gc(L, what, data));
    Py_RETURN_NONE;
}

static PyObject *vm_set_budget(PyObject *object, PyObject *units) {
    Vm *vm = (Vm *)object;
    unsigned long long budget = PyLong_AsUnsignedLongLong(units);
    if (budget == (unsigned long long)-1 && PyErr_Occurred()) return NULL;
    ENTERED(vm, rlua_set_budget(L, budget));
    Py_RETURN_NONE;
}

static PyObject *vm_budget_left(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    uint64_t units;
    ENTERED(vm, rlua_budget_left(L, &units));
    return PyLong_FromUnsignedLongLong(units);
}

static PyObject *vm_set_time(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    long long seconds;
    PyObject *given;
    if (!PyArg_ParseTuple(args, "LO", &seconds, &given)) return NULL;
    unsigned long nanoseconds = PyLong_AsUnsignedLong(given);
    if (nanoseconds == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    if (nanoseconds > UINT32_MAX) nanoseconds = UINT32_MAX;
    ENTERED(vm, rlua_set_time(L, seconds, (uint32_t)nanoseconds));
    Py_RETURN_NONE;
}

static PyObject *vm_config_digest(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    uint64_t digest;
    ENTERED(vm, rlua_config_digest(L, &digest));
    return PyLong_FromUnsignedLongLong(digest);
}

static PyObject *vm_check(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    ENTERED(vm, rlua_check(L));
    Py_RETURN_NONE;
}

static int put(PyObject *fields, const char *name, PyObject *value) {
    int failed = value == NULL ? -1 : PyDict_SetItemString(fields, name, value);
    Py_XDECREF(value);
    return failed;
}

static PyObject *vm_info(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    rlua_Info info = {.size = sizeof info};
    ENTERED(vm, rlua_info(L, &info));
    PyObject *fields = PyDict_New();
    if (fields == NULL) return NULL;
#define PUT(name) \
    if (put(fields, #name, _Generic(info.name, \
        size_t: PyLong_FromSize_t, int64_t: PyLong_FromLongLong, \
        int32_t: PyLong_FromLong)(info.name)) < 0) { \
        Py_DECREF(fields); \
        return NULL; \
    }
    RLUA_PY_INFO_FIELDS(PUT)
    return fields;
}

PyMethodDef script_methods[] = {
    {"_load", vm_load, METH_VARARGS, NULL},
    {"_execute", vm_execute, METH_VARARGS, NULL},
    {"_value", vm_value, METH_O, NULL},
    {"_named", vm_named, METH_VARARGS, NULL},
    {"_resource", vm_resource, METH_VARARGS, NULL},
    {"_globals", vm_globals, METH_NOARGS, NULL},
    {"_newenv", vm_newenv, METH_VARARGS, NULL},
    {"_openlibs", vm_openlibs, METH_VARARGS, NULL},
    {"_gc", vm_gc, METH_VARARGS, NULL},
    {"_set_budget", vm_set_budget, METH_O, NULL},
    {"_budget_left", vm_budget_left, METH_NOARGS, NULL},
    {"_set_time", vm_set_time, METH_VARARGS, NULL},
    {"_config_digest", vm_config_digest, METH_NOARGS, NULL},
    {"_info", vm_info, METH_NOARGS, NULL},
    {"check", vm_check, METH_NOARGS, "Walks the arena and the snapshots; raises Corrupt."},
    {NULL, NULL, 0, NULL}};
