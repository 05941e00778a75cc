/* values.c: Python's values to Lua's, and back.
 *
 * Not here: what a proxy does (proxies.c), how a callable is called (calls.c). */
#include "vm.h"
#include <math.h>

static int push_failed(Vm *vm, lua_State *L, int status) {
    vm_raise(vm, L, status);
    return -1;
}

static int push_text(Vm *vm, lua_State *L, const char *text, Py_ssize_t length) {
    int status = rlua_pushlstring(L, text, (size_t)length);
    return status == RLUA_OK ? 0 : push_failed(vm, L, status);
}

static int push_integer(lua_State *L, PyObject *value) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) {
        PyErr_Format(PyExc_OverflowError, "%S is outside the 64 bits of Lua's integers", value);
        return -1;
    }
    if (number == -1 && PyErr_Occurred()) return -1;
    lua_pushinteger(L, number);
    return 0;
}

static int push_bytes(Vm *vm, lua_State *L, PyObject *value) {
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) return -1;
    int failed = push_text(vm, L, view.buf, view.len);
    PyBuffer_Release(&view);
    return failed;
}

/* The pair is on top: key, value. */
static int store(Vm *vm, lua_State *L, int table) {
    int status = rlua_rawset(L, table);
    return status == RLUA_OK ? 0 : push_failed(vm, L, status);
}

static int push_sequence(Vm *vm, lua_State *L, PyObject *value) {
    Py_ssize_t count = PySequence_Fast_GET_SIZE(value);
    int status = rlua_createtable(L, count > INT_MAX ? 0 : (int)count, 0);
    if (status != RLUA_OK) return push_failed(vm, L, status);
    int table = lua_gettop(L);
    /* A list may shrink while its elements are converted. */
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(value, i);
        Py_INCREF(item);
        int failed = vm_push(vm, L, item);
        Py_DECREF(item);
        if (failed < 0) return -1;
        status = rlua_rawseti(L, table, i + 1);
        if (status != RLUA_OK) return push_failed(vm, L, status);
    }
    return 0;
}

/* `pairs` is a list of pairs: a copy, so that nothing changes it on the way. */
static int push_pairs(Vm *vm, lua_State *L, PyObject *pairs) {
    Py_ssize_t count = PyList_GET_SIZE(pairs);
    int status = rlua_createtable(L, 0, count > INT_MAX ? 0 : (int)count);
    if (status != RLUA_OK) return push_failed(vm, L, status);
    int table = lua_gettop(L);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_TypeError, "items() of a mapping returned no pairs");
            return -1;
        }
        PyObject *key = PyTuple_GET_ITEM(pair, 0);
        if (key == Py_None || (PyFloat_Check(key) && isnan(PyFloat_AS_DOUBLE(key)))) {
            PyErr_Format(PyExc_TypeError, "%R cannot be a key of a Lua table", key);
            return -1;
        }
        if (vm_push(vm, L, key) < 0 || vm_push(vm, L, PyTuple_GET_ITEM(pair, 1)) < 0 ||
            store(vm, L, table) < 0)
            return -1;
    }
    return 0;
}

static int push_container(Vm *vm, lua_State *L, PyObject *value, int mapping) {
    if (Py_EnterRecursiveCall(" while a container is copied into Lua")) return -1;
    int failed;
    if (mapping) {
        PyObject *pairs = PyMapping_Items(value);
        failed = pairs == NULL ? -1 : push_pairs(vm, L, pairs);
        Py_XDECREF(pairs);
    } else {
        failed = push_sequence(vm, L, value);
    }
    Py_LeaveRecursiveCall();
    return failed;
}

static int push_other(Vm *vm, lua_State *L, PyObject *value) {
    if (PyLong_Check(value)) return push_integer(L, value);
    if (PyUnicode_Check(value)) {
        Py_ssize_t length;
        const char *text = PyUnicode_AsUTF8AndSize(value, &length);
        return text == NULL ? -1 : push_text(vm, L, text, length);
    }
    if (PyFloat_Check(value)) {
        lua_pushnumber(L, PyFloat_AS_DOUBLE(value));
        return 0;
    }
    if (PyList_Check(value) || PyTuple_Check(value)) return push_container(vm, L, value, 0);
    if (PyDict_Check(value)) return push_container(vm, L, value, 1);
    if (PyObject_CheckBuffer(value)) return push_bytes(vm, L, value);
    if (PyCallable_Check(value)) return vm_push_callable(vm, L, value, &vm->callables);
    if (PyIndex_Check(value)) {
        PyObject *index = PyNumber_Index(value);
        int failed = index == NULL ? -1 : push_integer(L, index);
        Py_XDECREF(index);
        return failed;
    }
    PyObject *mapping = PyObject_GetAttrString(python, "Mapping");
    int is_mapping = mapping == NULL ? -1 : PyObject_IsInstance(value, mapping);
    Py_XDECREF(mapping);
    if (is_mapping != 0) return is_mapping < 0 ? -1 : push_container(vm, L, value, 1);
    PyErr_Format(PyExc_TypeError,
                 "a value of type %.100s has no counterpart in Lua; State.resource wraps it",
                 Py_TYPE(value)->tp_name);
    return -1;
}

int vm_push(Vm *vm, lua_State *L, PyObject *value) {
    if (!lua_checkstack(L, 8)) {
        return vm_full();
    }
    PyTypeObject *type = Py_TYPE(value);
    if (value == Py_None) {
        lua_pushnil(L);
    } else if (type == &PyBool_Type) {
        lua_pushboolean(L, value == Py_True);
    } else if (type == &PyFloat_Type) {
        lua_pushnumber(L, PyFloat_AS_DOUBLE(value));
    } else if (type == &PyLong_Type) {
        return push_integer(L, value);
    } else if (PyObject_TypeCheck(value, &Proxy_Type)) {
        if (((Proxy *)value)->vm != vm) {
            PyErr_Format(PyExc_ValueError, "this %s belongs to another State", type->tp_name);
            return -1;
        }
        return proxy_push((Proxy *)value, L);
    } else {
        return push_other(vm, L, value);
    }
    return 0;
}

PyObject *vm_read(Vm *vm, lua_State *L, int index) {
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL: Py_RETURN_NONE;
    case LUA_TBOOLEAN: return PyBool_FromLong(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) return PyLong_FromLongLong(lua_tointegerx(L, index, NULL));
        return PyFloat_FromDouble(lua_tonumberx(L, index, NULL));
    case LUA_TSTRING: {
        size_t length;
        const char *text = lua_tolstring(L, index, &length); /* a string: nothing is converted */
        if (!vm->bytes_only) {
            PyObject *string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, NULL);
            if (string != NULL || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return string;
            PyErr_Clear();
        }
        return PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
    }
    case LUA_TTABLE: return proxy_new(vm, L, index, &Table_Type);
    case LUA_TFUNCTION:
        if (lua_tocfunction(L, index) == python_function && lua_getupvalue(L, index, 2) != NULL) {
            Slot *slot = slot_find(vm, (uint64_t)lua_tointegerx(L, -1, NULL));
            lua_settop(L, -2);
            if (slot != NULL && slot->kind == &vm->callables) {
                Py_INCREF(slot->value);
                return slot->value;
            }
        }
        return proxy_new(vm, L, index, &Function_Type);
    case LUA_TTHREAD: return proxy_new(vm, L, index, &Coroutine_Type);
    default:
        return proxy_new(vm, L, index,
                         vm_is_resource(L, index, vm) ? &Resource_Type : &Userdata_Type);
    }
}

PyObject *vm_results(Vm *vm, lua_State *L, int first, int count) {
    if (count == 0) Py_RETURN_NONE;
    /* Two slots beyond the results, for what reading a value pushes. */
    if (!lua_checkstack(L, 4)) {
        vm_full();
        return NULL;
    }
    if (count == 1) return vm_read(vm, L, first);
    PyObject *results = PyTuple_New(count);
    for (int i = 0; results != NULL && i < count; i++) {
        PyObject *value = vm_read(vm, L, first + i);
        if (value == NULL) Py_CLEAR(results);
        else PyTuple_SET_ITEM(results, i, value);
    }
    return results;
}
