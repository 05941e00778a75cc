/* tables.c: tables and userdata: access, length, iteration in Lua's order.
 *
 * A raw access runs no Lua, so the GIL is kept; where there is a metatable it is given away.
 *
 * Not here: copies of tables (rlua/_python.py). */
#include "vm.h"

/* A raw access of a table runs nothing, so the GIL need not be given away. */
static int runs_lua(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return lua_type(L, index) != LUA_TTABLE;
    lua_settop(L, -2);
    return 1;
}

#define PERHAPS_OUTSIDE(vm, runs, call) do { \
        if (runs) OUTSIDE(vm, call); \
        else call; \
    } while (0)

/* A key that C can give to rlua_getfield and rlua_setfield, or NULL. */
static const char *plain_name(PyObject *key) {
    Py_ssize_t length;
    const char *name = PyUnicode_CheckExact(key) ? PyUnicode_AsUTF8AndSize(key, &length) : NULL;
    if (name == NULL) PyErr_Clear();
    return name != NULL && strlen(name) == (size_t)length ? name : NULL;
}

static int get(Vm *vm, lua_State *L, int table, PyObject *key) {
    int status, runs = runs_lua(L, table);
    const char *name = plain_name(key);
    if (name != NULL) {
        PERHAPS_OUTSIDE(vm, runs, status = rlua_getfield(L, table, name));
    } else {
        if (vm_push(vm, L, key) < 0) return -1;
        PERHAPS_OUTSIDE(vm, runs, status = rlua_gettable(L, table));
    }
    if (status == RLUA_OK) return 0;
    vm_raise(vm, L, status);
    return -1;
}

static PyObject *table_get(PyObject *object, PyObject *key) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *value = get(self->vm, L, base + 1, key) < 0 ? NULL
                                                          : vm_read(self->vm, L, lua_gettop(L));
    proxy_leave(self, L, base);
    return value;
}

static int set(Vm *vm, lua_State *L, int table, PyObject *key, PyObject *value) {
    int status, runs = runs_lua(L, table);
    const char *name = plain_name(key);
    if (name == NULL && vm_push(vm, L, key) < 0) return -1;
    if (vm_push(vm, L, value) < 0) return -1;
    if (name != NULL) PERHAPS_OUTSIDE(vm, runs, status = rlua_setfield(L, table, name));
    else PERHAPS_OUTSIDE(vm, runs, status = rlua_settable(L, table));
    if (status == RLUA_OK) return 0;
    vm_raise(vm, L, status);
    return -1;
}

static int table_set(PyObject *object, PyObject *key, PyObject *value) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return -1;
    int failed = set(self->vm, L, base + 1, key, value == NULL ? Py_None : value);
    proxy_leave(self, L, base);
    return failed;
}

static int table_contains(PyObject *object, PyObject *key) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return -1;
    int found = get(self->vm, L, base + 1, key) < 0 ? -1 : lua_type(L, -1) != LUA_TNIL;
    proxy_leave(self, L, base);
    return found;
}

static Py_ssize_t table_length(PyObject *object) {
    Proxy *self = (Proxy *)object;
    int base, status, exact = 0;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return -1;
    PERHAPS_OUTSIDE(self->vm, runs_lua(L, base + 1), status = rlua_len(L, base + 1));
    Py_ssize_t length = -1;
    if (status != RLUA_OK) vm_raise(self->vm, L, status);
    else {
        length = (Py_ssize_t)lua_tointegerx(L, -1, &exact);
        if (!exact || length < 0) {
            PyErr_SetString(PyExc_TypeError, "the length is no integer that Python can have");
            length = -1;
        }
    }
    proxy_leave(self, L, base);
    return length;
}

static int always_true(PyObject *Py_UNUSED(self)) { return 1; }

static PyObject *raw_get(PyObject *object, PyObject *key) {
    Proxy *self = (Proxy *)object;
    int base, status;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *value = NULL;
    if (vm_push(self->vm, L, key) == 0) {
        status = rlua_rawget(L, base + 1);
        value = status == RLUA_OK ? vm_read(self->vm, L, lua_gettop(L))
                                  : vm_raise(self->vm, L, status);
    }
    proxy_leave(self, L, base);
    return value;
}

static PyObject *raw_set(PyObject *object, PyObject *args) {
    Proxy *self = (Proxy *)object;
    PyObject *key, *value;
    int base, status = -1;
    if (!PyArg_ParseTuple(args, "OO:rawset", &key, &value)) return NULL;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    if (vm_push(self->vm, L, key) == 0 && vm_push(self->vm, L, value) == 0) {
        status = rlua_rawset(L, base + 1);
        if (status != RLUA_OK) vm_raise(self->vm, L, status);
    }
    proxy_leave(self, L, base);
    if (status != RLUA_OK) return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_metatable(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *value = lua_getmetatable(L, base + 1) ? vm_read(self->vm, L, lua_gettop(L))
                                                    : Py_NewRef(Py_None);
    proxy_leave(self, L, base);
    return value;
}

static int set_metatable(PyObject *object, PyObject *value, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base, failed = -1;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return -1;
    if (vm_push(self->vm, L, value == NULL ? Py_None : value) == 0) {
        if (lua_isnil(L, -1) || lua_istable(L, -1)) {
            lua_setmetatable(L, base + 1); /* of a table: raises nothing */
            failed = 0;
        } else {
            PyErr_SetString(PyExc_TypeError, "a metatable is a table, a mapping or None");
        }
    }
    proxy_leave(self, L, base);
    return failed;
}

static PyObject *python_method(PyObject *self, PyObject *args, PyObject *kwargs, const char *name) {
    PyObject *function = PyObject_GetAttrString(python, name), *all = NULL, *result = NULL;
    PyObject *first = PyTuple_Pack(1, self);
    if (function != NULL && first != NULL && (all = PySequence_Concat(first, args)) != NULL)
        result = PyObject_Call(function, all, kwargs);
    Py_XDECREF(function);
    Py_XDECREF(first);
    Py_XDECREF(all);
    return result;
}

static PyObject *table_copy(PyObject *self, PyObject *args, PyObject *kwargs) {
    return python_method(self, args, kwargs, "copy");
}

static PyObject *table_get_or(PyObject *self, PyObject *args) {
    PyObject *key, *other = Py_None;
    if (!PyArg_ParseTuple(args, "O|O:get", &key, &other)) return NULL;
    PyObject *value = table_get(self, key);
    if (value != Py_None) return value;
    Py_DECREF(value);
    return Py_NewRef(other);
}

/* Iteration, in Lua's order, without metamethods */

typedef struct TableIter {
    PyObject_HEAD
    Proxy *table;               /* NULL: at the end */
    PyObject *key;              /* the last one; NULL before the first */
    int parts;                  /* 1 keys, 2 values, 3 both */
} TableIter;

static PyObject *table_iterator(PyObject *table, int parts) {
    if (((Proxy *)table)->vm->main == NULL) return vm_fail(((Proxy *)table)->vm, RLUA_NOT_ROLLBACK);
    TableIter *self = PyObject_GC_New(TableIter, &TableIter_Type);
    if (self == NULL) return NULL;
    self->table = (Proxy *)Py_NewRef(table);
    self->key = NULL;
    self->parts = parts;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *table_iter(PyObject *self) { return table_iterator(self, 1); }
static PyObject *table_keys(PyObject *self, PyObject *Py_UNUSED(no)) {
    return table_iterator(self, 1);
}
static PyObject *table_values(PyObject *self, PyObject *Py_UNUSED(no)) {
    return table_iterator(self, 2);
}
static PyObject *table_items(PyObject *self, PyObject *Py_UNUSED(no)) {
    return table_iterator(self, 3);
}

static int iter_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((TableIter *)object)->table);
    Py_VISIT(((TableIter *)object)->key);
    return 0;
}

static void iter_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    Py_XDECREF(((TableIter *)object)->key);
    Py_XDECREF(((TableIter *)object)->table);
    PyObject_GC_Del(object);
}

/* The key as something that pushes the very same value again: a callable that came out as itself
 * would be wrapped anew. */
static PyObject *exact_key(Vm *vm, lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TFUNCTION) return proxy_new(vm, L, index, &Function_Type);
    return vm_read(vm, L, index);
}

static PyObject *iter_pair(TableIter *self, Vm *vm, lua_State *L, int base) {
    PyObject *key = exact_key(vm, L, base + 2), *shown = NULL, *value = NULL, *result = NULL;
    if (key == NULL) return NULL;
    if (self->parts & 1)
        shown = PyObject_TypeCheck(key, &Function_Type) ? vm_read(vm, L, base + 2) : Py_NewRef(key);
    if (self->parts & 2) value = vm_read(vm, L, base + 3);
    if (self->parts == 3 && shown != NULL && value != NULL) result = PyTuple_Pack(2, shown, value);
    else if (self->parts != 3) result = Py_XNewRef(self->parts == 1 ? shown : value);
    Py_XDECREF(shown);
    Py_XDECREF(value);
    Py_XSETREF(self->key, key);
    return result;
}

static PyObject *iter_next(PyObject *object) {
    TableIter *self = (TableIter *)object;
    int base, more = 0, status;
    if (self->table == NULL) return NULL;
    Proxy *table = self->table;
    Vm *vm = table->vm;
    lua_State *L = proxy_enter(table, &base);
    if (L == NULL) return NULL;
    PyObject *pair = NULL;
    if (vm_push(vm, L, self->key == NULL ? Py_None : self->key) == 0) {
        status = rlua_next(L, base + 1, &more);
        if (status != RLUA_OK) vm_raise(vm, L, status);
        else if (more) pair = iter_pair(self, vm, L, base);
    }
    proxy_leave(table, L, base);
    if (pair == NULL) {
        self->table = NULL;
        Py_CLEAR(self->key);
        Py_DECREF(table);
    }
    return pair;
}

PyTypeObject TableIter_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.TableIterator",
    .tp_basicsize = sizeof(TableIter), .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_dealloc = iter_dealloc, .tp_traverse = iter_traverse, .tp_iter = PyObject_SelfIter,
    .tp_iternext = iter_next};

static PyMethodDef table_methods[] = {
    {"get", table_get_or, METH_VARARGS, "The value, or another one for nil."},
    {"keys", table_keys, METH_NOARGS, "An iterator over the keys, in Lua's order."},
    {"values", table_values, METH_NOARGS, "An iterator over the values, in Lua's order."},
    {"items", table_items, METH_NOARGS, "An iterator over pairs, in Lua's order."},
    {"rawget", raw_get, METH_O, "The value, without metamethods."},
    {"rawset", raw_set, METH_VARARGS, "Assigns without metamethods."},
    {"copy", (PyCFunction)(void (*)(void))table_copy, METH_VARARGS | METH_KEYWORDS,
     "A list where the keys are exactly 1 to n, else a dict; what is in it is copied too."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef table_getset[] = {
    {"metatable", get_metatable, set_metatable, "The metatable, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyMappingMethods table_mapping = {table_length, table_get, table_set};
static PySequenceMethods table_sequence = {.sq_contains = table_contains};
PyNumberMethods table_number = {.nb_bool = always_true};

PyTypeObject Table_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.Table",
    .tp_doc = "A table that lives in Lua.", .tp_base = &Proxy_Type,
    .tp_basicsize = sizeof(Proxy), .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = proxy_traverse, .tp_dealloc = proxy_dealloc, .tp_methods = table_methods,
    .tp_getset = table_getset, .tp_iter = table_iter, .tp_as_mapping = &table_mapping,
    .tp_as_sequence = &table_sequence, .tp_as_number = &table_number};

PyTypeObject Userdata_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.Userdata",
    .tp_doc = "A userdata of a library or a C module; its metamethods decide what can be done.",
    .tp_base = &Proxy_Type, .tp_basicsize = sizeof(Proxy),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .tp_traverse = proxy_traverse,
    .tp_dealloc = proxy_dealloc, .tp_as_mapping = &table_mapping,
    .tp_as_number = &table_number};

PyTypeObject Resource_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.Resource",
    .tp_doc = "The handle of an object outside Lua: given back to Lua it is the same handle.",
    .tp_base = &Proxy_Type, .tp_basicsize = sizeof(Proxy),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .tp_traverse = proxy_traverse,
    .tp_dealloc = proxy_dealloc, .tp_methods = resource_methods, .tp_getset = resource_getset};
