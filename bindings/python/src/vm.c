/* vm.c: the VM's object: opening, entering, closing, and the references of its proxies.
 *
 * Not here: what it runs (scripts.c), its snapshots (history.c), and rlua.State, which is this and
 * what Python adds to it (rlua/_state.py). */
#include "fields.inc"
#include "vm.h"

static void raise_failure(int status, const char *message, PyObject *cause) {
    PyObject *error = PyObject_CallMethod(python, "failure", "isO", status, message,
                                          cause == NULL ? Py_None : cause);
    if (error != NULL) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
}

PyObject *vm_fail(Vm *vm, int status) {
    if (PyErr_Occurred()) return NULL;
    const char *message = vm != NULL && vm->main == NULL ? "this State is closed"
        : rlua_last_error(vm == NULL ? NULL : vm->main);
    raise_failure(status, message[0] == 0 ? rlua_strerror(status) : message, NULL);
    return NULL;
}

PyObject *vm_blame(Vm *vm, int status) {
    PyObject *cause = vm->failure;
    vm->failure = NULL;
    if (!PyErr_Occurred()) {
        const char *message = rlua_last_error(vm->main);
        raise_failure(status, message[0] == 0 ? rlua_strerror(status) : message, cause);
    }
    Py_XDECREF(cause);
    return NULL;
}

int vm_refuse(int status, const char *message) {
    raise_failure(status, message, NULL);
    return -1;
}

int vm_full(void) {
    return vm_refuse(RLUA_NO_MEMORY, "the Lua stack cannot grow: a limit is reached");
}

/* Entering and leaving */

int vm_enter(Vm *vm) {
    if (vm->main == NULL) return vm_refuse(RLUA_NOT_ROLLBACK, "this State is closed");
    unsigned long thread = PyThread_get_thread_ident();
    if (vm->depth > 0 && vm->thread != thread)
        return vm_refuse(RLUA_BUSY, "another thread is inside this State; wait for its call");
    if (vm->sealed)
        return vm_refuse(RLUA_BUSY,
                         "an object of this State is saved or loaded: its type cannot use it");
    vm->thread = thread;
    vm->depth++;
    return 0;
}

/* Releases what other threads have dropped meanwhile. */
void vm_settle(Vm *vm) {
    while (vm->waiting.count > 0) {
        Dropped next = vm->waiting.items[--vm->waiting.count];
        rlua_unref(vm->main, next.ref);
        vm_bury(vm, next);
    }
}

void vm_leave(Vm *vm) {
    if (--vm->depth > 0) return;
    if (vm->waiting.count > 0) vm_settle(vm);
    if (vm->raised != NULL) Py_CLEAR(vm->raised);
    if (vm->last_raised != NULL) Py_CLEAR(vm->last_raised);
    if (vm->noted != NULL) Py_CLEAR(vm->noted);
}

int vm_enter_idle(Vm *vm, const char *what) {
    if (vm_enter(vm) < 0) return -1;
    if (vm->depth == 1 && !vm->history_busy) return 0;
    vm_leave(vm);
    char message[160];
    PyOS_snprintf(message, sizeof message,
                  "%s: a call on this State is under way; do it when that has returned", what);
    return vm_refuse(RLUA_BUSY, message);
}

/* References that were dropped */

static int append(Droppeds *list, Dropped item) {
    if (list->first > 0 && list->first + list->count == list->room) {
        memmove(list->items, list->items + list->first, list->count * sizeof *list->items);
        list->first = 0;
    }
    if (list->first + list->count == list->room) {
        size_t room = list->room == 0 ? 64 : 2 * list->room;
        Dropped *items = PyMem_Realloc(list->items, room * sizeof *items);
        if (items == NULL) return -1; /* the value stays in the VM until it closes */
        list->items = items;
        list->room = room;
    }
    list->items[list->first + list->count++] = item;
    return 0;
}

/* Of what no snapshot has, nothing need be known. */
void vm_bury(Vm *vm, Dropped dropped) {
    if (dropped.born == vm->clock || vm->held_count == 0) return;
    dropped.dropped = vm->clock;
    append(&vm->graves, dropped);
}

void vm_forget(Vm *vm, rlua_Ref ref, uint64_t born) {
    if (vm->main == NULL) return;
    Dropped dropped = {ref, born, vm->clock};
    int other = vm->depth > 0 && vm->thread != PyThread_get_thread_ident();
    if (other || vm->history_busy) {
        append(&vm->waiting, dropped);
        return;
    }
    rlua_unref(vm->main, ref);
    vm_bury(vm, dropped);
}

/* Life */

static int take_field(PyObject *config, const char *name, void *field, size_t size) {
    PyObject *given = PyObject_GetAttrString(config, name);
    PyObject *number = given == NULL ? NULL : PyNumber_Index(given);
    Py_XDECREF(given);
    if (number == NULL) return -1;
    int failed = 0;
    if (size == sizeof(int32_t)) {
        long value = PyLong_AsLong(number);
        failed = (value == -1 && PyErr_Occurred()) || value < INT32_MIN || value > INT32_MAX;
        *(int32_t *)field = (int32_t)value;
    } else {
        unsigned long long value = PyLong_AsUnsignedLongLong(number);
        failed = value == (unsigned long long)-1 && PyErr_Occurred();
        *(uint64_t *)field = value;
    }
    Py_DECREF(number);
    if (!failed) return 0;
    PyErr_Clear();
    char message[120];
    PyOS_snprintf(message, sizeof message, "Config.%s is outside its %d bits", name, (int)size * 8);
    return vm_refuse(RLUA_BAD_CONFIG, message);
}

int vm_settings(PyObject *config, Settings *settings) {
    rlua_Config *raw = &settings->raw;
    char *start;
    Py_ssize_t length;
    *raw = (rlua_Config){.size = sizeof *raw};
#define TAKE(name) if (take_field(config, #name, &raw->name, sizeof raw->name) < 0) return -1;
    RLUA_PY_CONFIG_FIELDS(TAKE)
    PyObject *given = PyObject_GetAttrString(config, "image_key");
    if (given != NULL && !PyBytes_Check(given))
        PyErr_Format(PyExc_TypeError, "Config.image_key is bytes, not %.100s",
                     Py_TYPE(given)->tp_name);
    if (PyErr_Occurred() || PyBytes_AsStringAndSize(given, &start, &length) < 0) {
        Py_XDECREF(given);
        return -1;
    }
    if (length == sizeof settings->key) raw->image_key = memcpy(settings->key, start, length);
    Py_DECREF(given);
    if (length == 0 || length == sizeof settings->key) return 0;
    return vm_refuse(RLUA_BAD_CONFIG, "Config.image_key has neither 32 bytes nor none");
}

/* A new VM, or one from an image. A status, or -1 where Python has raised. */
static int open_vm(Vm *vm, const rlua_Config *raw, PyObject *image, PyObject *functions,
                   PyObject *c_functions, lua_State **L) {
    if (image == Py_None) {
        int status = rlua_open(raw, L);
        return status != RLUA_OK ? status : rlua_register_pointer(*L, OWNER, vm);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(image, &view, PyBUF_SIMPLE) < 0) return -1;
    rlua_Name *names = image_names(vm, functions, c_functions);
    rlua_Config named = *raw;
    named.names = names;
    int status = names == NULL ? -1 : rlua_load_buffer(&named, view.buf, (size_t)view.len, L);
    PyMem_Free(names);
    PyBuffer_Release(&view);
    return status;
}

/* The same, with types of resources that it knows from the beginning. */
static int open_with(Vm *vm, rlua_Config *raw, PyObject *image, PyObject *functions,
                     PyObject *c_functions, PyObject *types, lua_State **L) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); i++)
        if (vm_kind(vm, PyTuple_GET_ITEM(types, i)) == NULL) return -1;
    const rlua_ObjectType **ways = vm_ways(vm);
    raw->types = ways;
    int status = ways == NULL ? -1 : open_vm(vm, raw, image, functions, c_functions, L);
    PyMem_Free(ways);
    return status;
}

static int vm_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"config", "libs", "bytes_only", "image", "functions", "c_functions",
                            "types", NULL};
    Vm *vm = (Vm *)object;
    PyObject *config, *image, *functions, *c_functions, *types;
    Settings settings;
    unsigned int libs;
    int bytes_only;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OIpOO!O!O!", names, &config, &libs, &bytes_only,
                                     &image, &PyDict_Type, &functions, &PyDict_Type, &c_functions,
                                     &PyTuple_Type, &types))
        return -1;
    if (vm->callables.vm != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a State is opened once");
        return -1;
    }
    if (vm_settings(config, &settings) < 0) return -1;
    lua_State *L = NULL;
    vm_kind_init(vm, &vm->callables, NULL, "python callable");
    int status = open_with(vm, &settings.raw, image, functions, c_functions, types, &L);
    if (status != RLUA_OK) {
        if (status > 0) vm_blame(vm, status);
        return -1;
    }
    memcpy(lua_getextraspace(L), &vm, sizeof vm);
    vm->main = vm->current = L;
    vm->bytes_only = bytes_only;
    if (image != Py_None) return 0;
    if (vm_name_functions(vm, L, c_functions) < 0) return -1;
    status = libs == 0 ? RLUA_OK : rlua_openlibs(L, libs);
    if (status == RLUA_OK) return 0;
    vm_raise(vm, L, status);
    lua_settop(L, 0);
    return -1;
}

static void close_vm(Vm *vm) {
    vm->history_busy = 1;
    lua_close(vm->main); /* calls finalizers, discards and releases, which may use the VM */
    vm->main = vm->current = NULL;
    vm->history_busy = 0;
    vm->held_count = vm->waiting.count = vm->graves.count = 0;
    Py_CLEAR(vm->names);
    Py_CLEAR(vm->c_names);
    slots_clear(vm);
    vm_leave(vm);
}

static PyObject *vm_close(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    if (vm->main == NULL) Py_RETURN_NONE;
    if (vm_enter_idle(vm, "close") < 0) return NULL;
    close_vm(vm);
    Py_RETURN_NONE;
}

/* Nobody has it any more, so nobody is inside, but for a thread that ended in there with the
 * interpreter: that VM stays. */
static void vm_finalize(PyObject *object) {
    Vm *vm = (Vm *)object;
    PyObject *type, *error, *trace;
    if (vm->main == NULL || vm->depth > 0) return;
    PyErr_Fetch(&type, &error, &trace);
    if (vm_enter(vm) == 0) close_vm(vm);
    PyErr_Restore(type, error, trace);
}

static int vm_traverse(PyObject *object, visitproc visit, void *arg) {
    Vm *vm = (Vm *)object;
    for (uint32_t i = 0; i < vm->slot_count; i++) Py_VISIT(vm->slots[i].value);
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next) Py_VISIT(kind->type);
    for (Follower *each = vm->followers; each != NULL; each = each->next) {
        Py_VISIT(each->object);
        Py_VISIT(each->tokens);
    }
    Py_VISIT(vm->raised);
    Py_VISIT(vm->last_raised);
    Py_VISIT(vm->noted);
    Py_VISIT(vm->failure);
    Py_VISIT(vm->names);
    Py_VISIT(vm->c_names);
    return 0;
}

/* The finalizer has closed the VM, which holds nothing any more then. */
static int vm_clear(PyObject *object) {
    Vm *vm = (Vm *)object;
    Py_CLEAR(vm->raised);
    Py_CLEAR(vm->last_raised);
    Py_CLEAR(vm->noted);
    Py_CLEAR(vm->failure);
    Py_CLEAR(vm->names);
    Py_CLEAR(vm->c_names);
    if (vm->main != NULL) return 0;
    slots_clear(vm);
    for (Follower *each = vm->followers; each != NULL; each = each->next) {
        Py_CLEAR(each->object);
        Py_CLEAR(each->tokens);
    }
    for (Kind *kind = vm->kinds; kind != NULL; kind = kind->next) Py_CLEAR(kind->type);
    return 0;
}

static void vm_dealloc(PyObject *object) {
    Vm *vm = (Vm *)object;
    PyTypeObject *type = Py_TYPE(vm);
    if (PyObject_CallFinalizerFromDealloc(object) < 0) return; /* somebody has it again */
    PyObject_GC_UnTrack(object);
    if (vm->main == NULL) {
        vm_clear(object);
        while (vm->followers != NULL) {
            Follower *next = vm->followers->next;
            PyMem_Free(vm->followers);
            vm->followers = next;
        }
        while (vm->kinds != NULL) {
            Kind *next = vm->kinds->next;
            kind_free(vm->kinds);
            vm->kinds = next;
        }
        PyMem_Free(vm->slots);
        PyMem_Free(vm->held);
        PyMem_Free(vm->waiting.items);
        PyMem_Free(vm->graves.items);
        free(vm->traceback);
        type->tp_free(object);
    }
}

static PyObject *vm_closed(PyObject *object, void *Py_UNUSED(ignored)) {
    return PyBool_FromLong(((Vm *)object)->main == NULL);
}

static PyMethodDef vm_methods[] = {
    {"_add_participant", vm_add_participant, METH_O, NULL},
    {"_remove_participant", vm_remove_participant, METH_O, NULL},
    {"close", vm_close, METH_NOARGS, "Frees the VM and its snapshots."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef vm_getset[] = {
    {"closed", vm_closed, NULL, "Whether close() has been called.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject Vm_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rlua._core.Vm",
    .tp_doc = "A VM; rlua.State is what hosts use.", .tp_basicsize = sizeof(Vm),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
        Py_TPFLAGS_HAVE_FINALIZE,
    .tp_new = PyType_GenericNew, .tp_init = vm_init, .tp_dealloc = vm_dealloc,
    .tp_finalize = vm_finalize, .tp_traverse = vm_traverse, .tp_clear = vm_clear,
    .tp_methods = vm_methods, .tp_getset = vm_getset};
