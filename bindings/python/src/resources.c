/* resources.c: types of resources: their methods and handles, and how objects go with an image.
 * Types of userdata (modules.c) are in the same list.
 *
 * A VM knows a type from its first resource on, or from the beginning (State(types=...)). Methods
 * have names, "texture.width", and live as long as the VM. The functions of a type that save and
 * load an object are called while nobody enters the VM: it is sealed, or not there yet.
 *
 * Not here: the objects themselves, and their release (objects.c). */
#include "vm.h"

#define METHODS_MARK "rlua.python.methods" /* of a metatable that has them */

/* In images */

int write_saved(Vm *vm, PyObject *saved, rlua_Writer writer, void *to) {
    Py_buffer view;
    int failed = 1;
    if (saved != NULL && PyObject_GetBuffer(saved, &view, PyBUF_SIMPLE) == 0) {
        failed = writer(to, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
    }
    if (PyErr_Occurred()) vm_keep_failure(vm);
    Py_XDECREF(saved);
    return failed;
}

static int save_object(const void *object, size_t Py_UNUSED(size), rlua_Writer writer, void *to,
                       void *ud) {
    Kind *kind = ud;
    Vm *vm = kind->vm;
    Slot *slot = slot_find(vm, (uintptr_t)object);
    Back back = vm_back(vm, NULL);
    PyObject *value = Py_NewRef(slot == NULL ? Py_None : slot->value);
    vm->sealed = 1;
    PyObject *saved = PyObject_CallMethod(kind->type, "_save", "(O)", value);
    int failed = write_saved(vm, saved, writer, to);
    Py_DECREF(value);
    vm->sealed = 0;
    vm_away(vm, back);
    return failed;
}

/* Its slot is taken first, so that no object is made that nothing would release. */
static int load_object(const void *bytes, size_t length, void *object, size_t Py_UNUSED(size),
                       void *ud) {
    Kind *kind = ud;
    Vm *vm = kind->vm;
    Back back = vm_back(vm, NULL);
    PyObject *value = NULL;
    size_t key = slot_take(vm, Py_None, kind);
    vm->sealed = 1;
    if (key != 0)
        value = PyObject_CallMethod(kind->type, "_load", "(y#)", length == 0 ? "" : bytes,
                                    (Py_ssize_t)length);
    if (value != NULL) {
        Py_SETREF(slot_find(vm, key)->value, value);
        *(void **)object = (void *)key;
    } else {
        vm_keep_failure(vm);
        if (key != 0) slot_give(vm, key);
    }
    vm->sealed = 0;
    vm_away(vm, back);
    return value == NULL;
}

/* Types */

void kind_free(Kind *kind) {
    for (Method *method = kind->methods; method != NULL && method->label != NULL; method++)
        Py_DECREF(method->label);
    PyMem_Free(kind->methods);
    Py_XDECREF(kind->type);
    free(kind->name);
    PyMem_Free(kind);
}

static void kind_drop(Vm *vm, Kind *kind) {
    for (Method *method = kind->methods; method != NULL && method->label != NULL; method++)
        slot_give(vm, method->key);
    kind_free(kind);
}

int kind_has_name(Vm *vm, PyObject *name) {
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next)
        for (Method *method = kind->methods; method->label != NULL; method++)
            if (PyUnicode_Compare(method->label, name) == 0) {
                vm_refuse(RLUA_BAD_ARG, "a method of a ResourceType has this name already");
                return 1;
            }
    return 0;
}

static int add_methods(Vm *vm, Kind *kind, PyObject *methods) {
    PyObject *name, *callable;
    Py_ssize_t at = 0;
    Method *next = PyMem_Calloc((size_t)PyDict_GET_SIZE(methods) + 1, sizeof *next);
    kind->methods = next;
    if (next == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (PyDict_Next(methods, &at, &name, &callable)) {
        PyObject *label = PyUnicode_FromFormat("%s.%U", kind->name, name);
        const char *text = label == NULL ? NULL : PyUnicode_AsUTF8(label);
        if (text != NULL && (kind_has_name(vm, label) ||
                             (vm->names != NULL && PyDict_GetItem(vm->names, label) != NULL))) {
            if (!PyErr_Occurred())
                vm_refuse(RLUA_BAD_ARG, "set_function() has given the name of a method already");
            text = NULL;
        }
        size_t key = text == NULL ? 0 : slot_take(vm, callable, kind);
        if (key == 0) {
            Py_XDECREF(label);
            return -1;
        }
        *next++ = (Method){label, text + strlen(kind->name) + 1, key};
    }
    return 0;
}

/* Whether the VM has a type of that name, which the library would not tell apart. It does tell a
 * resource from any other userdata. */
static int is_taken(Vm *vm, const char *name, int is_userdata) {
    int taken = !is_userdata && strcmp(name, vm->callables.c.name) == 0;
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next)
        taken |= kind->is_userdata == is_userdata && strcmp(name, kind->name) == 0;
    if (taken)
        vm_refuse(RLUA_BAD_ARG, is_userdata ? "the State has another UserdataType of this name"
                                            : "the State has another ResourceType of this name");
    return taken;
}

static Kind *kind_new(Vm *vm, PyObject *type) {
    PyObject *name = PyObject_GetAttrString(type, "name");
    PyObject *methods = PyObject_GetAttrString(type, "_methods");
    PyObject *is_saved = PyObject_GetAttrString(type, "_is_saved");
    PyObject *is_userdata = PyObject_GetAttrString(type, "_is_userdata");
    const char *text = name == NULL ? NULL : PyUnicode_AsUTF8(name);
    Kind *kind = NULL;
    if (text != NULL && methods != NULL && is_saved != NULL && is_userdata != NULL &&
        !is_taken(vm, text, is_userdata == Py_True)) {
        kind = PyMem_Calloc(1, sizeof *kind);
        if (kind == NULL || (kind->name = strdup(text)) == NULL) PyErr_NoMemory();
        else {
            vm_kind_init(vm, kind, type, kind->name);
            kind->is_userdata = is_userdata == Py_True;
            if (kind->is_userdata)
                kind->way = (rlua_ObjectType){sizeof kind->way, kind->name, NULL, save_block,
                                              load_block, kind};
            else if (is_saved == Py_True)
                kind->way = (rlua_ObjectType){sizeof kind->way, kind->name, &kind->c, save_object,
                                              load_object, kind};
            add_methods(vm, kind, methods);
        }
        if (PyErr_Occurred() && kind != NULL) {
            kind_drop(vm, kind);
            kind = NULL;
        }
    }
    Py_XDECREF(name);
    Py_XDECREF(methods);
    Py_XDECREF(is_saved);
    Py_XDECREF(is_userdata);
    return kind;
}

Kind *vm_kind(Vm *vm, PyObject *type) {
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next)
        if (kind->type == type) return kind;
    Kind *kind = kind_new(vm, type);
    if (kind == NULL) return NULL;
    int is_late = kind->way.save != NULL && vm->main != NULL;
    int status = is_late ? rlua_register_type(vm->current, &kind->way) : RLUA_OK;
    if (status != RLUA_OK) {
        vm_fail(vm, status);
        kind_drop(vm, kind);
        return NULL;
    }
    kind->next = vm->kinds;
    vm->kinds = kind;
    return kind;
}

const rlua_ObjectType **vm_ways(Vm *vm) {
    size_t count = 1;
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next) count++;
    const rlua_ObjectType **ways = PyMem_Calloc(count, sizeof *ways), **next = ways;
    if (ways == NULL) return PyErr_NoMemory(), NULL;
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next)
        if (kind->way.save != NULL) *next++ = &kind->way;
    return ways;
}

/* Handles */

static int get_raw(lua_State *L, int table, const char *key) {
    int status = rlua_pushlstring(L, key, strlen(key));
    return status == RLUA_OK ? rlua_rawget(L, table) : status;
}

/* Gives the metatable of the handle on top its methods, where it has none: at first, and after a
 * rollback to before. Like a call: what a status says may be on top. */
static int require_methods(lua_State *L, Kind *kind) {
    int metatable = lua_gettop(L) + 1, index = metatable + 1, status;
    if (kind->methods->label == NULL) return RLUA_OK;
    lua_getmetatable(L, -1);
    if ((status = get_raw(L, metatable, METHODS_MARK)) != RLUA_OK) return status;
    int is_done = lua_type(L, -1) != LUA_TNIL;
    lua_settop(L, metatable);
    status = is_done ? RLUA_OK : get_raw(L, metatable, "__index"); /* a table, of the library's */
    for (Method *method = kind->methods; status == RLUA_OK && !is_done; method++) {
        int is_last = method->label == NULL;
        const char *name = is_last ? METHODS_MARK : method->name;
        int table = is_last || strncmp(name, "__", 2) == 0 ? metatable : index;
        status = rlua_pushlstring(L, name, strlen(name));
        if (status == RLUA_OK && is_last) lua_pushboolean(L, 1);
        else if (status == RLUA_OK)
            status = rlua_pushfunction(L, named_function, (void *)method->key,
                                       PyUnicode_AsUTF8(method->label));
        if (status == RLUA_OK) status = rlua_rawset(L, table);
        if (is_last) break;
    }
    if (status == RLUA_OK) lua_settop(L, metatable - 1);
    return status;
}

/* After an error the object is the host's. */
int vm_push_new_resource(Vm *vm, lua_State *L, PyObject *type, PyObject *value) {
    int handle = lua_gettop(L) + 1;
    Kind *kind = vm_kind(vm, type);
    size_t key = kind == NULL ? 0 : slot_take(vm, value, kind);
    if (key == 0) return -1;
    int status = rlua_pushresource(L, (void *)key, &kind->c);
    if (status != RLUA_OK) {
        slot_give(vm, key);
        vm_raise(vm, L, status);
        return -1;
    }
    if ((status = require_methods(L, kind)) == RLUA_OK) return 0;
    vm_raise(vm, L, status);
    resource_disown(vm, L, handle);
    return -1;
}

/* The kind of the handle at an index, whether it is alive or not. */
static Kind *handle_kind(Vm *vm, lua_State *L, int index, void **object, int *status) {
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next) {
        if (kind->is_userdata) continue;
        *status = rlua_toresource(L, index, &kind->c, object);
        if (*status != RLUA_BAD_ARG) return kind;
    }
    return NULL;
}

int vm_is_resource(lua_State *L, int index, Vm *vm) {
    void *object;
    int status;
    return vm->kinds != NULL && lua_type(L, index) == LUA_TUSERDATA &&
        handle_kind(vm, L, index, &object, &status) != NULL;
}

int resource_slot(Vm *vm, lua_State *L, int index, Slot **slot, Kind **kind) {
    void *object;
    int status = RLUA_BAD_ARG;
    *kind = handle_kind(vm, L, index, &object, &status);
    if (*kind == NULL || status != RLUA_OK) return 0;
    *slot = slot_find(vm, (uintptr_t)object);
    return *slot != NULL;
}

void resource_disown(Vm *vm, lua_State *L, int index) {
    Slot *slot;
    Kind *kind;
    if (!resource_slot(vm, L, index, &slot, &kind)) return;
    slot->kind = &vm->callables;
    rlua_closeresource(L, index, &kind->c);
}

static PyObject *resource_get(PyObject *object, int what) {
    Proxy *self = (Proxy *)object;
    Vm *vm = self->vm;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L), status = RLUA_OK;
    void *address = NULL;
    PyObject *result = NULL;
    if (lua_checkstack(L, 8) && proxy_push(self, L) == 0) {
        Kind *kind = handle_kind(vm, L, base + 1, &address, &status);
        if (what == 'c') { /* close */
            if (status == RLUA_OK) status = rlua_closeresource(L, base + 1, &kind->c);
            result = status == RLUA_OK || status == RLUA_STALE ? Py_NewRef(Py_None)
                                                               : vm_fail(vm, status);
        } else if (what == 'q') { /* closed? */
            result = PyBool_FromLong(status != RLUA_OK);
        } else if (what == 't') {
            result = kind == NULL ? vm_fail(vm, status) : Py_NewRef(kind->type);
        } else {
            Slot *slot = status == RLUA_OK ? slot_find(vm, (uintptr_t)address) : NULL;
            result = slot == NULL ? vm_fail(vm, status) : Py_NewRef(slot->value);
        }
    }
    lua_settop(L, base);
    vm_leave(vm);
    return result;
}

static PyObject *resource_close(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    return resource_get(self, 'c');
}

static PyObject *resource_value(PyObject *self, void *Py_UNUSED(ignored)) {
    return resource_get(self, 'v');
}

static PyObject *resource_kind(PyObject *self, void *Py_UNUSED(ignored)) {
    return resource_get(self, 't');
}

static PyObject *resource_closed(PyObject *self, void *Py_UNUSED(ignored)) {
    return resource_get(self, 'q');
}

PyMethodDef resource_methods[] = {
    {"close", resource_close, METH_NOARGS,
     "Ends it now; released when no held snapshot can reach it. A second call does nothing."},
    {NULL, NULL, 0, NULL}};

PyGetSetDef resource_getset[] = {
    {"value", resource_value, NULL, "The object; Stale when it was closed.", NULL},
    {"kind", resource_kind, NULL, "Its ResourceType.", NULL},
    {"closed", resource_closed, NULL, "Whether it was closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

