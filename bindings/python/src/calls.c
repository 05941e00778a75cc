/* calls.c: Python calls Lua, Lua calls Python, and errors on the way.
 *
 * An exception that a callable raises is to Lua a message, as any error is. vm->raised remembers
 * which exception a message stands for until the outermost call is over, so that the exception
 * itself comes out where no script has caught it.
 *
 * Not here: the text of an exception, the classes of errors (rlua/_python.py). */
#include "vm.h"

/* The message handler: keeps the traceback beside the error value, which stays as it is. Runs
 * without the GIL. */
static int keep_traceback(lua_State *L) {
    Vm *vm;
    const char *text;
    size_t length;
    memcpy(&vm, lua_getextraspace(L), sizeof vm);
    if (rlua_traceback(L, L, NULL, 1) == RLUA_OK &&
        rlua_tolstring(L, -1, &text, &length) == RLUA_OK && text != NULL) {
        char *kept = realloc(vm->traceback, length + 1);
        if (kept != NULL) {
            memcpy(kept, text, length + 1);
            vm->traceback = kept;
        }
    }
    lua_settop(L, 1);
    return 1;
}

int vm_push_handler(lua_State *L) {
    if (!lua_checkstack(L, 8)) return -1;
    lua_pushcfunction(L, keep_traceback); /* a light C function: allocates nothing */
    return 0;
}

/* What an error value is found by, or NULL without an exception. */
static PyObject *error_key(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        return PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
    }
    const void *address = lua_topointer(L, index);
    return address == NULL ? NULL : PyBytes_FromFormat("%c%p", 0, address);
}

static PyObject *error_text(lua_State *L, int index) {
    const char *text = NULL;
    size_t length = 0;
    int type = lua_type(L, index), described = type == LUA_TSTRING || type == LUA_TNUMBER;
    if (!described && lua_getmetatable(L, index)) {
        described = rlua_pushlstring(L, "__tostring", 10) == RLUA_OK &&
            rlua_rawget(L, -2) == RLUA_OK && lua_type(L, -1) != LUA_TNIL;
        lua_settop(L, index);
    }
    if (described && rlua_pushtostring(L, index) == RLUA_OK) {
        if (rlua_tolstring(L, -1, &text, &length) != RLUA_OK) text = NULL;
    }
    if (text == NULL) return PyUnicode_FromFormat("(error object is a %s value)",
                                                  lua_typename(L, type));
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "backslashreplace");
}

PyObject *vm_raise(Vm *vm, lua_State *L, int status) {
    if (status < RLUA_ERR_RUN || status == RLUA_ERR_MEM) return vm_fail(vm, status);
    int at = lua_gettop(L);
    if (!lua_checkstack(L, 8)) {
        vm_full();
        return NULL;
    }
    PyObject *key = error_key(L, at), *value = vm_read(vm, L, at);
    PyErr_Clear();
    PyObject *known = key == NULL || vm->raised == NULL ? NULL : PyDict_GetItem(vm->raised, key);
    Py_XINCREF(known);
    PyObject *text = error_text(L, at);
    PyObject *trace = vm->traceback == NULL ? Py_NewRef(Py_None)
        : PyUnicode_DecodeUTF8(vm->traceback, (Py_ssize_t)strlen(vm->traceback), "replace");
    free(vm->traceback);
    vm->traceback = NULL;
    PyObject *error = NULL;
    if (text != NULL && trace != NULL) {
        error = PyObject_CallMethod(python, "error", "iOOOOOO", status, text,
                                    value ? value : Py_None, trace, known ? known : Py_None,
                                    vm->last_raised ? vm->last_raised : Py_None,
                                    vm->noted ? vm->noted : Py_None);
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    Py_XDECREF(known);
    Py_XDECREF(text);
    Py_XDECREF(trace);
    if (error == NULL) return NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XSETREF(vm->noted, error);
    return NULL;
}

PyObject *vm_call(Vm *vm, lua_State *L, int nargs) {
    int handler = lua_gettop(L) - nargs - 1, status;
    OUTSIDE(vm, status = rlua_call(L, nargs, LUA_MULTRET, handler));
    if (status != RLUA_OK) return vm_raise(vm, L, status);
    return vm_results(vm, L, handler + 1, lua_gettop(L) - handler);
}

/* Coroutines */

/* The arguments of the first resume may be there already, above the function. */
PyObject *vm_resume(Vm *vm, lua_State *L, lua_State *thread, PyObject *const *args, Py_ssize_t n,
                    int *finished) {
    int base = lua_gettop(thread), results = 0, status;
    int there = lua_status(thread) == LUA_OK ? base - 1 : 0;
    PyObject *value = NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (vm_push(vm, thread, args[i]) < 0) {
            lua_settop(thread, base);
            return NULL;
        }
    }
    OUTSIDE(vm, status = rlua_resume(thread, L, there + (int)n, &results));
    *finished = status != RLUA_YIELD;
    if (status == RLUA_OK || status == RLUA_YIELD) {
        value = vm_results(vm, thread, lua_gettop(thread) - results + 1, results);
        lua_settop(thread, -results - 1);
        return value;
    }
    if (status < RLUA_ERR_RUN) {
        lua_settop(thread, base);
        return vm_fail(vm, status);
    }
    const char *text;
    int top = lua_gettop(L);
    if (rlua_traceback(L, thread, NULL, 0) == RLUA_OK &&
        rlua_tolstring(L, -1, &text, NULL) == RLUA_OK && text != NULL) {
        free(vm->traceback);
        vm->traceback = strdup(text);
    }
    lua_settop(L, top);
    return vm_raise(vm, thread, status);
}

/* Lua calls Python */

enum { FEW = 8, MOST_RAISED = 64 };

static PyObject *taken_exception(void) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL) PyException_SetTraceback(value, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

static void remember(Vm *vm, lua_State *L, PyObject *exception) {
    PyObject *key = error_key(L, lua_gettop(L));
    if (key == NULL) return;
    if (vm->raised == NULL) vm->raised = PyDict_New();
    if (vm->raised != NULL && PyDict_GET_SIZE(vm->raised) >= MOST_RAISED) PyDict_Clear(vm->raised);
    if (vm->raised != NULL) PyDict_SetItem(vm->raised, key, exception);
    PyObject *pair = PyTuple_Pack(2, key, exception);
    if (pair != NULL) Py_XSETREF(vm->last_raised, pair);
    Py_DECREF(key);
}

/* Makes the exception that is set the error value, on top of the stack. */
static void push_exception(Vm *vm, lua_State *L) {
    PyObject *exception = taken_exception(), *how, *value = NULL;
    const char *message = NULL;
    int argument = 0;
    lua_settop(L, 0);
    how = PyObject_CallMethod(python, "describe", "OO", exception,
                              exception == vm->noted ? Py_True : Py_False);
    if (how != NULL && !PyArg_ParseTuple(how, "izO", &argument, &message, &value)) Py_CLEAR(how);
    if (how != NULL && message == NULL && vm_push(vm, L, value) < 0) Py_CLEAR(how);
    PyErr_Clear();
    if (how == NULL) { /* one whose text cannot be had */
        lua_settop(L, 0);
        rlua_error(L, Py_TYPE(exception)->tp_name);
    } else if (message != NULL && argument > 0) {
        rlua_argerror(L, argument, message);
    } else if (message != NULL) {
        rlua_error(L, message);
    }
    if (lua_gettop(L) == 0) lua_pushnil(L);
    remember(vm, L, exception);
    PyErr_Clear();
    Py_XDECREF(how);
    Py_DECREF(exception);
}

static int push_returned(Vm *vm, lua_State *L, PyObject *result) {
    if (!PyTuple_Check(result)) return vm_push(vm, L, result) < 0 ? -1 : 1;
    Py_ssize_t count = PyTuple_GET_SIZE(result);
    for (Py_ssize_t i = 0; i < count; i++)
        if (vm_push(vm, L, PyTuple_GET_ITEM(result, i)) < 0) return -1;
    return (int)count;
}

/* A method of a resource is called with the object itself. */
static PyObject *first_argument(Vm *vm, lua_State *L, Kind *kind) {
    Slot *slot;
    Kind *found;
    if (resource_slot(vm, L, 1, &slot, &found) && found == kind) {
        Py_INCREF(slot->value);
        return slot->value;
    }
    return PyObject_CallMethod(python, "not_a_resource", "Os", kind->type,
                               lua_typename(L, lua_type(L, 1)));
}

static int dispatch(Vm *vm, lua_State *L, uint64_t key) {
    Slot *slot = slot_find(vm, key);
    int count = lua_gettop(L), read = 0, returned = -1;
    PyObject *few[FEW + 1], **args = few, *callable, *result = NULL;
    if (slot == NULL) {
        PyErr_SetString(PyExc_ReferenceError, "the Python callable behind this function is gone");
        return -1;
    }
    callable = Py_NewRef(slot->value);
    Kind *kind = slot->kind;
    if (count > FEW) args = PyMem_Malloc(((size_t)count + 1) * sizeof *args);
    if (args == NULL || !lua_checkstack(L, 4)) PyErr_NoMemory();
    else {
        for (; read < count; read++) {
            args[read + 1] = read == 0 && kind != &vm->callables ? first_argument(vm, L, kind)
                                                                 : vm_read(vm, L, read + 1);
            if (args[read + 1] == NULL) break;
        }
        if (read == count)
            result = PyObject_Vectorcall(callable, args + 1,
                                         (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        if (result != NULL) returned = push_returned(vm, L, result);
        for (int i = 0; i < read; i++) Py_DECREF(args[i + 1]);
    }
    Py_XDECREF(result);
    if (args != few) PyMem_Free(args);
    Py_DECREF(callable);
    return returned;
}

static int python_call(lua_State *L, uint64_t key) {
    Vm *vm;
    memcpy(&vm, lua_getextraspace(L), sizeof vm);
    Back back = vm_back(vm, L);
    int results = -1;
    if (!Py_EnterRecursiveCall(" in a callable that Lua called")) {
        results = dispatch(vm, L, key);
        Py_LeaveRecursiveCall();
    }
    if (results < 0) push_exception(vm, L);
    vm_away(vm, back);
    return results;
}

int python_function(lua_State *L) {
    int results = python_call(L, (uint64_t)lua_tointegerx(L, lua_upvalueindex(2), NULL));
    return results >= 0 ? results : lua_error(L);
}

/* The same for a function that has a name, and so may be in images: its key is the `ud`. */
int named_function(lua_State *L, void *key) {
    int results = python_call(L, (uintptr_t)key);
    return results >= 0 ? results : RLUA_RAISE;
}

/* A closure of the handle that keeps the callable, and of its key. */
int vm_push_callable(Vm *vm, lua_State *L, PyObject *callable, Kind *kind) {
    size_t key = slot_take(vm, callable, kind);
    if (key == 0) return -1;
    int status = rlua_pushresource(L, (void *)key, &vm->callables.c);
    if (status != RLUA_OK) {
        vm->callables.c.release(L, (void *)key, &vm->callables);
        vm_raise(vm, L, status);
        return -1;
    }
    lua_pushinteger(L, (lua_Integer)key);
    status = rlua_pushcclosure(L, python_function, 2);
    if (status == RLUA_OK) return 0;
    vm_raise(vm, L, status);
    return -1;
}

/* A function that lives as long as the VM. */
int vm_push_named(Vm *vm, lua_State *L, PyObject *name, PyObject *callable) {
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(name, &length);
    if (text != NULL && strlen(text) != (size_t)length)
        PyErr_SetString(PyExc_ValueError, "the name of a function has no NUL");
    size_t key = PyErr_Occurred() ? 0 : slot_named(vm, name, callable);
    if (key == 0) return -1;
    int status = rlua_pushfunction(L, named_function, (void *)key, text);
    if (status == RLUA_OK) return 0;
    vm_raise(vm, L, status);
    return -1;
}
