/* proxies.c: Python's objects for values that stay in Lua: what all of them share.
 *
 * A proxy is a reference (rlua_ref) and remembers where its value lies. It reads and writes the
 * value itself, never a copy. One that is newer than the snapshot that was restored is Stale.
 *
 * Not here: what the kinds do beyond that (tables.c, functions.c, objects.c). */
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

void proxy_dealloc(PyObject *object) {
    Proxy *self = (Proxy *)object;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->vm != NULL) {
        vm_forget(self->vm, self->ref, self->born);
        Py_DECREF(self->vm);
    }
    type->tp_free(self);
}

int proxy_traverse(PyObject *self, visitproc visit, void *arg) {
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

/* Enters, and pushes the value. Balanced by proxy_leave(). */
lua_State *proxy_enter(Proxy *self, int *base) {
    if (vm_enter(self->vm) < 0) return NULL;
    lua_State *L = self->vm->current;
    *base = lua_gettop(L);
    if (lua_checkstack(L, 12) && proxy_push(self, L) == 0) return L;
    if (!PyErr_Occurred()) vm_full();
    lua_settop(L, *base);
    vm_leave(self->vm);
    return NULL;
}

void proxy_leave(Proxy *self, lua_State *L, int base) {
    lua_settop(L, base);
    vm_leave(self->vm);
}

static PyObject *proxy_state(PyObject *self, void *Py_UNUSED(ignored)) {
    return Py_NewRef((PyObject *)((Proxy *)self)->vm);
}

static PyObject *proxy_type(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    int base;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *name = PyUnicode_FromString(lua_typename(L, lua_type(L, -1)));
    proxy_leave(self, L, base);
    return name;
}

static PyObject *proxy_stale(PyObject *object, void *Py_UNUSED(ignored)) {
    Proxy *self = (Proxy *)object;
    if (self->vm->main == NULL) Py_RETURN_TRUE;
    if (vm_enter(self->vm) < 0) return NULL;
    lua_State *L = self->vm->current;
    int base = lua_gettop(L), status = rlua_getref(L, self->ref);
    proxy_leave(self, L, base);
    return PyBool_FromLong(status == RLUA_STALE);
}

/* What Lua's tostring makes of it. */
static PyObject *proxy_str(PyObject *object) {
    Proxy *self = (Proxy *)object;
    Vm *vm = self->vm;
    int base, status;
    lua_State *L = proxy_enter(self, &base);
    if (L == NULL) return NULL;
    PyObject *text = NULL;
    OUTSIDE(vm, status = rlua_pushtostring(L, base + 1));
    if (status != RLUA_OK) vm_raise(vm, L, status);
    else {
        size_t length;
        const char *bytes = lua_tolstring(L, -1, &length);
        text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)length, "backslashreplace");
    }
    proxy_leave(self, L, base);
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
