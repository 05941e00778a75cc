/* functions.c: functions and coroutines of Lua, as Python sees them.
 *
 * Not here: the call itself, and functions of Python (calls.c). */
#include "vm.h"

static PyObject *function_call(PyObject *object, PyObject *const *args, size_t flags,
                               PyObject *names) {
    Proxy *self = (Proxy *)object;
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    Vm *vm = self->vm;
    if (names != NULL && PyTuple_GET_SIZE(names) > 0) {
        PyErr_SetString(PyExc_TypeError, "a Lua function takes no keyword arguments");
        return NULL;
    }
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *result = NULL;
    if (vm_push_handler(L) < 0) vm_full();
    else if (proxy_push(self, L) == 0) {
        Py_ssize_t i = 0;
        while (i < count && vm_push(vm, L, args[i]) == 0) i++;
        if (i == count) result = vm_call(vm, L, (int)count);
    }
    proxy_leave(self, L, base);
    return result;
}

static PyObject *new_function(PyTypeObject *type, Py_ssize_t items) {
    PyObject *self = PyType_GenericAlloc(type, items);
    if (self != NULL) ((Proxy *)self)->call = function_call;
    return self;
}

static PyObject *function_coroutine(PyObject *object, PyObject *args) {
    Proxy *self = (Proxy *)object;
    Vm *vm = self->vm;
    int base, status;
    lua_State *thread = NULL, *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *coroutine = NULL;
    status = rlua_newthread(L, &thread);
    if (status != RLUA_OK) vm_raise(vm, L, status);
    else if (lua_pushvalue(L, base + 1), (status = rlua_xmove(L, thread, 1)) != RLUA_OK)
        vm_fail(vm, status);
    else {
        Py_ssize_t i = 0, count = PyTuple_GET_SIZE(args);
        while (i < count && vm_push(vm, thread, PyTuple_GET_ITEM(args, i)) == 0) i++;
        if (i == count) coroutine = proxy_new(vm, L, base + 2, &Coroutine_Type);
    }
    proxy_leave(self, L, base);
    return coroutine;
}

static PyMethodDef function_methods[] = {
    {"coroutine", function_coroutine, METH_VARARGS,
     "A new coroutine of this function; the arguments are those of its first resume."},
    {NULL, NULL, 0, NULL}};

PyTypeObject Function_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.Function",
    .tp_doc = "A function of Lua. One result is returned as itself, none as None, more as a tuple.",
    .tp_base = &Proxy_Type, .tp_basicsize = sizeof(Proxy), .tp_alloc = new_function,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_traverse = proxy_traverse, .tp_dealloc = proxy_dealloc, .tp_methods = function_methods,
    .tp_getset = function_getset, .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Proxy, call)};

/* Coroutines */

enum { SUSPENDED, DEAD, RUNNING, NORMAL };
static const char *const status_names[] = {"suspended", "dead", "running", "normal"};

static int thread_status(Vm *vm, lua_State *thread) {
    lua_Debug frame;
    if (thread == vm->current) return RUNNING;
    if (lua_status(thread) == LUA_YIELD) return SUSPENDED;
    if (lua_status(thread) != LUA_OK) return DEAD;
    if (thread == vm->main || lua_getstack(thread, 0, &frame)) return NORMAL;
    return lua_gettop(thread) == 0 ? DEAD : SUSPENDED;
}

/* Resumes; at the end sets StopIteration where it is an iterator, and raises for one that cannot
 * be resumed. */
static PyObject *resume(Proxy *self, PyObject *const *args, Py_ssize_t count, int iterating) {
    Vm *vm = self->vm;
    int base, finished = 0;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    lua_State *thread = lua_tothread(L, -1);
    int status = thread_status(vm, thread);
    PyObject *value = NULL;
    if (status == SUSPENDED) {
        /* To send None to a coroutine that has not begun is to begin it, as with generators. */
        int fresh = lua_status(thread) == LUA_OK;
        if (fresh && iterating && count == 1 && args[0] == Py_None) count = 0;
        value = vm_resume(vm, L, thread, args, count, &finished);
    } else if (status != DEAD || !iterating) {
        PyObject *message = PyUnicode_FromFormat("cannot resume a %s coroutine",
                                                 status_names[status]);
        PyObject *type = PyObject_GetAttrString(python, "LuaError");
        if (message != NULL && type != NULL) PyErr_SetObject(type, message);
        Py_XDECREF(message);
        Py_XDECREF(type);
    }
    proxy_leave(self, L, base);
    if (value != NULL && finished && iterating) {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
        if (stop != NULL) PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_CLEAR(value);
    }
    return value;
}

static PyObject *coroutine_next(PyObject *self) {
    return resume((Proxy *)self, NULL, 0, 1);
}

static PyObject *coroutine_send(PyObject *self, PyObject *value) {
    PyObject *result = resume((Proxy *)self, &value, 1, 1);
    if (result == NULL && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
    return result;
}

static PyObject *coroutine_resume(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    return resume((Proxy *)self, args, count, 0);
}

static PyObject *coroutine_close(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    Vm *vm = self->vm;
    int base, status;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    lua_State *thread = lua_tothread(L, -1);
    int before = thread_status(vm, thread), failed = 0;
    if (before == RUNNING || before == NORMAL) {
        failed = vm_refuse(RLUA_BUSY, "a coroutine that is running cannot be closed");
    } else {
        OUTSIDE(vm, status = lua_closethread(thread, L)); /* the variables' __close run protected */
        if (status != LUA_OK && before != DEAD && lua_gettop(thread) > 0) {
            vm_raise(vm, thread, RLUA_ERR_RUN);
            failed = 1;
        }
        lua_settop(thread, 0);
    }
    proxy_leave(self, L, base);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *coroutine_status(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    int status = thread_status(self->vm, lua_tothread(L, -1));
    proxy_leave(self, L, base);
    return PyUnicode_FromString(status_names[status]);
}

static PyMethodDef coroutine_methods[] = {
    {"send", coroutine_send, METH_O, "Resumes with a value; StopIteration has what it returned."},
    {"resume", (PyCFunction)(void (*)(void))coroutine_resume, METH_FASTCALL,
     "Resumes with arguments; returns what it yielded or returned."},
    {"close", coroutine_close, METH_NOARGS, "Ends it, and closes its variables."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef coroutine_getset[] = {
    {"status", coroutine_status, NULL, "As coroutine.status tells.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject Coroutine_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.Coroutine",
    .tp_doc = "A coroutine of Lua: an iterator over what it yields.", .tp_base = &Proxy_Type,
    .tp_basicsize = sizeof(Proxy), .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = proxy_traverse, .tp_dealloc = proxy_dealloc, .tp_iter = PyObject_SelfIter,
    .tp_iternext = coroutine_next, .tp_methods = coroutine_methods,
    .tp_getset = coroutine_getset};
