/* proxies.c: Python's objects for values that stay in Lua: tables, functions, coroutines, userdata.
 *
 * A proxy is a reference (rlua_ref) and remembers where its value lies. It reads and writes the
 * value itself, never a copy. One that is newer than the snapshot that was restored is Stale.
 *
 * Not here: resources (objects.c), copies of tables (rlua/_python.py). */
#include "vm.h"

PyObject *proxy_new(Vm *vm, lua_State *L, int index, PyTypeObject *type) {
    const void *address = lua_topointer(L, index);
    lua_pushvalue(L, index);
    rlua_Ref ref = rlua_ref(L);
    if (ref == 0) {
        lua_settop(L, -2);
        return vm_fail(vm, RLUA_NO_MEMORY);
    }
    uint64_t born = vm->clock;
    Proxy *self = (Proxy *)type->tp_alloc(type, 0);
    if (self == NULL) {
        vm_forget(vm, ref, born);
        return NULL;
    }
    self->vm = (Vm *)Py_NewRef(vm);
    self->ref = ref;
    self->born = born;
    self->address = address;
    return (PyObject *)self;
}

int proxy_push(Proxy *self, lua_State *L) {
    int status = rlua_getref(L, self->ref);
    if (status == RLUA_OK) return 0;
    vm_fail(self->vm, status);
    return -1;
}

static void proxy_dealloc(PyObject *object) {
    Proxy *self = (Proxy *)object;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->vm != NULL) {
        vm_forget(self->vm, self->ref, self->born);
        Py_DECREF(self->vm);
    }
    type->tp_free(self);
}

static int proxy_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((Proxy *)self)->vm);
    return 0;
}

static PyObject *proxy_repr(PyObject *self) {
    return PyUnicode_FromFormat("<%s at %p>", Py_TYPE(self)->tp_name, ((Proxy *)self)->address);
}

static Py_hash_t proxy_hash(PyObject *self) {
    Py_hash_t hash = (Py_hash_t)((uintptr_t)((Proxy *)self)->address >> 4);
    return hash == -1 ? -2 : hash;
}

/* Two proxies are equal where they name one object. */
static PyObject *proxy_compare(PyObject *first, PyObject *second, int op) {
    if ((op != Py_EQ && op != Py_NE) || !PyObject_TypeCheck(second, &Proxy_Type))
        Py_RETURN_NOTIMPLEMENTED;
    Proxy *a = (Proxy *)first, *b = (Proxy *)second;
    int equal = a == b;
    if (!equal && a->vm == b->vm && a->address == b->address && a->vm->main != NULL) {
        if (vm_enter(a->vm) < 0) return NULL;
        lua_State *L = a->vm->current;
        int base = lua_gettop(L);
        equal = rlua_getref(L, a->ref) == RLUA_OK && rlua_getref(L, b->ref) == RLUA_OK &&
            lua_rawequal(L, -1, -2);
        lua_settop(L, base);
        vm_leave(a->vm);
    }
    return PyBool_FromLong(equal == (op == Py_EQ));
}

/* Enters, and pushes the value. Balanced by leave(). */
static lua_State *enter(Proxy *self, int *base) {
    if (vm_enter(self->vm) < 0) return NULL;
    lua_State *L = self->vm->current;
    *base = lua_gettop(L);
    if (lua_checkstack(L, 12) && proxy_push(self, L) == 0) return L;
    if (!PyErr_Occurred()) vm_fail(self->vm, RLUA_NO_MEMORY);
    lua_settop(L, *base);
    vm_leave(self->vm);
    return NULL;
}

static void leave(Proxy *self, lua_State *L, int base) {
    lua_settop(L, base);
    vm_leave(self->vm);
}

static PyObject *proxy_state(PyObject *self, void *Py_UNUSED(ignored)) {
    return Py_NewRef((PyObject *)((Proxy *)self)->vm);
}

static PyObject *proxy_type(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *name = PyUnicode_FromString(lua_typename(L, lua_type(L, -1)));
    leave(self, L, base);
    return name;
}

static PyObject *proxy_stale(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    if (self->vm->main == NULL) Py_RETURN_TRUE;
    if (vm_enter(self->vm) < 0) return NULL;
    lua_State *L = self->vm->current;
    int base = lua_gettop(L), status = rlua_getref(L, self->ref);
    leave(self, L, base);
    return PyBool_FromLong(status == RLUA_STALE);
}

/* What Lua's tostring makes of it. */
static PyObject *proxy_str(PyObject *object) {
    Proxy *self = (Proxy *)object;
    Vm *vm = self->vm;
    int base, status;
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *text = NULL;
    OUTSIDE(vm, status = rlua_pushtostring(L, base + 1));
    if (status != RLUA_OK) vm_raise(vm, L, status);
    else {
        size_t length;
        const char *bytes = lua_tolstring(L, -1, &length);
        text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)length, "backslashreplace");
    }
    leave(self, L, base);
    return text;
}

static PyObject *not_copied(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    PyErr_Format(PyExc_TypeError, "a %s cannot be copied or pickled: it belongs to a State",
                 Py_TYPE(self)->tp_name);
    return NULL;
}

static PyMethodDef proxy_methods[] = {
    {"__reduce_ex__", not_copied, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef proxy_getset[] = {
    {"state", proxy_state, NULL, "The State that it belongs to.", NULL},
    {"type", proxy_type, NULL, "Lua's name of the value's type.", NULL},
    {"stale", proxy_stale, NULL, "Whether a rollback, or close, has taken the value away.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject Proxy_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua.Proxy",
    .tp_doc = "A value that stays in Lua: what tables, functions, coroutines and userdata share.",
    .tp_basicsize = sizeof(Proxy),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_dealloc = proxy_dealloc, .tp_traverse = proxy_traverse, .tp_repr = proxy_repr,
    .tp_str = proxy_str, .tp_hash = proxy_hash, .tp_richcompare = proxy_compare,
    .tp_methods = proxy_methods, .tp_getset = proxy_getset};

/* Tables, and userdata with metamethods */

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
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *value = get(self->vm, L, base + 1, key) < 0 ? NULL
                                                          : vm_read(self->vm, L, lua_gettop(L));
    leave(self, L, base);
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
    lua_State *L = enter(self, &base);
    if (L == NULL) return -1;
    int failed = set(self->vm, L, base + 1, key, value == NULL ? Py_None : value);
    leave(self, L, base);
    return failed;
}

static int table_contains(PyObject *object, PyObject *key) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = enter(self, &base);
    if (L == NULL) return -1;
    int found = get(self->vm, L, base + 1, key) < 0 ? -1 : lua_type(L, -1) != LUA_TNIL;
    leave(self, L, base);
    return found;
}

static Py_ssize_t table_length(PyObject *object) {
    Proxy *self = (Proxy *)object;
    int base, status, exact = 0;
    lua_State *L = enter(self, &base);
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
    leave(self, L, base);
    return length;
}

static int always_true(PyObject *Py_UNUSED(self)) { return 1; }

static PyObject *raw_get(PyObject *object, PyObject *key) {
    Proxy *self = (Proxy *)object;
    int base, status;
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *value = NULL;
    if (vm_push(self->vm, L, key) == 0) {
        status = rlua_rawget(L, base + 1);
        value = status == RLUA_OK ? vm_read(self->vm, L, lua_gettop(L))
                                  : vm_raise(self->vm, L, status);
    }
    leave(self, L, base);
    return value;
}

static PyObject *raw_set(PyObject *object, PyObject *args) {
    Proxy *self = (Proxy *)object;
    PyObject *key, *value;
    int base, status = -1;
    if (!PyArg_ParseTuple(args, "OO:rawset", &key, &value)) return NULL;
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    if (vm_push(self->vm, L, key) == 0 && vm_push(self->vm, L, value) == 0) {
        status = rlua_rawset(L, base + 1);
        if (status != RLUA_OK) vm_raise(self->vm, L, status);
    }
    leave(self, L, base);
    if (status != RLUA_OK) return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_metatable(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *value = lua_getmetatable(L, base + 1) ? vm_read(self->vm, L, lua_gettop(L))
                                                    : Py_NewRef(Py_None);
    leave(self, L, base);
    return value;
}

static int set_metatable(PyObject *object, PyObject *value, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base, failed = -1;
    lua_State *L = enter(self, &base);
    if (L == NULL) return -1;
    if (vm_push(self->vm, L, value == NULL ? Py_None : value) == 0) {
        if (lua_isnil(L, -1) || lua_istable(L, -1)) {
            lua_setmetatable(L, base + 1); /* of a table: raises nothing */
            failed = 0;
        } else {
            PyErr_SetString(PyExc_TypeError, "a metatable is a table, a mapping or None");
        }
    }
    leave(self, L, base);
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
static PyObject *table_keys(PyObject *self, PyObject *Py_UNUSED(no)) { return table_iterator(self, 1); }
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
    lua_State *L = enter(table, &base);
    if (L == NULL) return NULL;
    PyObject *pair = NULL;
    if (vm_push(vm, L, self->key == NULL ? Py_None : self->key) == 0) {
        status = rlua_next(L, base + 1, &more);
        if (status != RLUA_OK) vm_raise(vm, L, status);
        else if (more) pair = iter_pair(self, vm, L, base);
    }
    leave(table, L, base);
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

static PyMappingMethods table_mapping = {table_length, table_get, table_set};
static PySequenceMethods table_sequence = {.sq_contains = table_contains};
static PyNumberMethods table_number = {.nb_bool = always_true};

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

/* Functions */

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
    if (vm_push_handler(L) < 0) vm_fail(vm, RLUA_NO_MEMORY);
    else if (proxy_push(self, L) == 0) {
        Py_ssize_t i = 0;
        while (i < count && vm_push(vm, L, args[i]) == 0) i++;
        if (i == count) result = vm_call(vm, L, (int)count);
    }
    leave(self, L, base);
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
    lua_State *thread = NULL, *L = enter(self, &base);
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
    leave(self, L, base);
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
    .tp_call = PyVectorcall_Call, .tp_vectorcall_offset = offsetof(Proxy, call)};

/* Coroutines */

enum { SUSPENDED, DEAD, RUNNING, NORMAL };

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
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    lua_State *thread = lua_tothread(L, -1);
    int status = thread_status(vm, thread);
    PyObject *value = NULL;
    if (status == SUSPENDED) {
        /* To send None to a coroutine that has not begun is to begin it, as with generators. */
        if (count == 1 && args[0] == Py_None && iterating && lua_status(thread) == LUA_OK) count = 0;
        value = vm_resume(vm, L, thread, args, count, &finished);
    } else if (status != DEAD || !iterating) {
        PyObject *message = PyUnicode_FromFormat("cannot resume a %s coroutine", status == DEAD
                                                 ? "dead" : status == RUNNING ? "running" : "normal");
        PyObject *type = PyObject_GetAttrString(python, "LuaError");
        if (message != NULL && type != NULL) PyErr_SetObject(type, message);
        Py_XDECREF(message);
        Py_XDECREF(type);
    }
    leave(self, L, base);
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
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    lua_State *thread = lua_tothread(L, -1);
    int before = thread_status(vm, thread), failed = 0;
    if (before == RUNNING || before == NORMAL) {
        vm_fail(vm, RLUA_BUSY);
        failed = 1;
    } else {
        OUTSIDE(vm, status = lua_closethread(thread, L)); /* the variables' __close run protected */
        if (status != LUA_OK && before != DEAD && lua_gettop(thread) > 0) {
            vm_raise(vm, thread, RLUA_ERR_RUN);
            failed = 1;
        }
        lua_settop(thread, 0);
    }
    leave(self, L, base);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *coroutine_status(PyObject *object, void *Py_UNUSED(ignored)) {
    static const char *const names[] = {"suspended", "dead", "running", "normal"};
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = enter(self, &base);
    if (L == NULL) return NULL;
    int status = thread_status(self->vm, lua_tothread(L, -1));
    leave(self, L, base);
    return PyUnicode_FromString(names[status]);
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
