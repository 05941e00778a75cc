/* vm.c: the VM's object: opening, entering, closing, the history, and what it runs.
 *
 * Not here: rlua.State, which is this and what Python adds to it (rlua/_state.py). */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include "fields.inc"
#include "vm.h"

PyObject *python;

PyObject *vm_fail(Vm *vm, int status) {
    if (PyErr_Occurred()) return NULL;
    const char *message = vm != NULL && vm->main == NULL ? "this State is closed"
        : rlua_last_error(vm == NULL ? NULL : vm->main);
    if (message[0] == 0) message = rlua_strerror(status);
    PyObject *error = PyObject_CallMethod(python, "failure", "is", status, message);
    if (error != NULL) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return NULL;
}

static int refuse(int status, const char *message) {
    PyObject *error = PyObject_CallMethod(python, "failure", "is", status, message);
    if (error != NULL) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    return -1;
}

/* Entering and leaving */

int vm_enter(Vm *vm) {
    if (vm->main == NULL) return refuse(RLUA_NOT_ROLLBACK, "this State is closed");
    unsigned long thread = PyThread_get_thread_ident();
    if (vm->depth > 0 && vm->thread != thread)
        return refuse(RLUA_BUSY, "another thread is inside this State: wait until its call is over");
    vm->thread = thread;
    vm->depth++;
    return 0;
}

static void bury(Vm *vm, Dropped dropped);

/* Releases what other threads have dropped meanwhile. */
void vm_settle(Vm *vm) {
    while (vm->waiting.count > 0) {
        Dropped next = vm->waiting.items[--vm->waiting.count];
        rlua_unref(vm->main, next.ref);
        bury(vm, next);
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
    return refuse(RLUA_BUSY, message);
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
static void bury(Vm *vm, Dropped dropped) {
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
    bury(vm, dropped);
}

/* After a rollback to the newest held snapshot: what it has and nobody holds is released again. */
static void release_again(Vm *vm) {
    uint64_t target = vm->held[vm->held_count - 1].serial;
    size_t kept = 0;
    Dropped *items = vm->graves.items + vm->graves.first;
    for (size_t i = 0; i < vm->graves.count; i++) {
        if (items[i].born >= target) continue; /* no held snapshot has it */
        rlua_unref(vm->main, items[i].ref);
        items[kept++] = items[i];
    }
    vm->graves.count = kept;
}

static void forget_graves(Vm *vm) {
    while (vm->graves.count > 0 && (vm->held_count == 0 ||
           vm->graves.items[vm->graves.first].dropped < vm->held[0].serial)) {
        vm->graves.first++;
        vm->graves.count--;
    }
}

/* The history */

static int history_enter(Vm *vm, const char *what) {
    if (vm_enter_idle(vm, what) < 0) return -1;
    vm->history_busy = 1;
    return 0;
}

/* Makes `held` what the library holds. */
static void follow_history(Vm *vm, int snapped) {
    rlua_Info info = {.size = sizeof info};
    if (rlua_info(vm->main, &info) != RLUA_OK) return;
    size_t first = 0;
    if (snapped) {
        vm->clock++;
        if (vm->held_count > 0 && vm->held[vm->held_count - 1].frame == info.newest_frame)
            vm->held_count--;
        vm->held[vm->held_count++] = (Held){info.newest_frame, vm->clock};
    }
    while (vm->held_count > 0 && info.snapshot_count > 0 &&
           vm->held[vm->held_count - 1].frame > info.newest_frame)
        vm->held_count--;
    while (vm->held_count - first > info.snapshot_count) first++;
    if (first > 0) {
        vm->held_count -= first;
        memmove(vm->held, vm->held + first, vm->held_count * sizeof *vm->held);
    }
}

/* Room for one more snapshot's entry, before the snap: afterwards nothing may fail. */
static int reserve_held(Vm *vm) {
    if (vm->held_count + 1 < vm->held_room) return 0;
    size_t room = vm->held_room == 0 ? 64 : 2 * vm->held_room;
    Held *held = PyMem_Realloc(vm->held, room * sizeof *held);
    if (held == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    vm->held = held;
    vm->held_room = room;
    return 0;
}

static PyObject *history_leave(Vm *vm, int status, int snapped, int restored) {
    if (status == RLUA_OK) {
        follow_history(vm, snapped);
        if (restored && vm->held_count > 0) release_again(vm);
        forget_graves(vm);
    }
    vm->history_busy = 0;
    PyObject *failure = vm->failure;
    vm->failure = NULL;
    if (status != RLUA_OK) {
        vm_fail(vm, status);
        if (failure != NULL) {
            PyObject *type, *error, *trace;
            PyErr_Fetch(&type, &error, &trace);
            PyErr_NormalizeException(&type, &error, &trace);
            PyException_SetCause(error, failure); /* takes it */
            PyErr_Restore(type, error, trace);
        }
    } else if (failure != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(failure), failure);
        Py_DECREF(failure);
        status = -1;
    }
    vm_leave(vm);
    if (status != RLUA_OK) return NULL;
    if (!snapped) Py_RETURN_NONE;
    return PyLong_FromLongLong(vm->held[vm->held_count - 1].frame);
}

static PyObject *vm_snap(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *frame = Py_None;
    if (!PyArg_ParseTuple(args, "|O:snap", &frame)) return NULL;
    long long label = frame == Py_None ? 0 : PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "snap") < 0) return NULL;
    int status = reserve_held(vm) < 0 ? RLUA_NO_MEMORY
        : frame == Py_None ? rlua_snap(vm->main) : rlua_snap_frame(vm->main, label);
    return history_leave(vm, status, status == RLUA_OK, 0);
}

static PyObject *vm_rollback(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    Py_ssize_t n = 1;
    if (!PyArg_ParseTuple(args, "|n:rollback", &n)) return NULL;
    if (history_enter(vm, "rollback") < 0) return NULL;
    return history_leave(vm, rlua_rollback(vm->main, n < 0 ? 0 : (size_t)n), 0, 1);
}

static PyObject *vm_rollback_to(PyObject *object, PyObject *frame) {
    Vm *vm = (Vm *)object;
    long long label = PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "rollback_to") < 0) return NULL;
    return history_leave(vm, rlua_rollback_to(vm->main, label), 0, 1);
}

static PyObject *vm_discard_before(PyObject *object, PyObject *frame) {
    Vm *vm = (Vm *)object;
    long long label = PyLong_AsLongLong(frame);
    if (label == -1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "discard_before") < 0) return NULL;
    return history_leave(vm, rlua_discard_before(vm->main, label), 0, 0);
}

static PyObject *vm_set_limit(PyObject *object, PyObject *count) {
    Vm *vm = (Vm *)object;
    size_t limit = PyLong_AsSize_t(count);
    if (limit == (size_t)-1 && PyErr_Occurred()) return NULL;
    if (history_enter(vm, "limit") < 0) return NULL;
    return history_leave(vm, rlua_set_max_snapshots(vm->main, limit), 0, 0);
}

static PyObject *vm_frames(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    Vm *vm = (Vm *)object;
    PyObject *frames = PyTuple_New((Py_ssize_t)vm->held_count);
    for (size_t i = 0; frames != NULL && i < vm->held_count; i++) {
        PyObject *frame = PyLong_FromLongLong(vm->held[i].frame);
        if (frame == NULL) Py_CLEAR(frames);
        else PyTuple_SET_ITEM(frames, (Py_ssize_t)i, frame);
    }
    return frames;
}

static PyObject *vm_held_count(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    return PyLong_FromSize_t(((Vm *)object)->held_count);
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
    return refuse(RLUA_BAD_CONFIG, message);
}

static int vm_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"config", "libs", "bytes_only", NULL};
    Vm *vm = (Vm *)object;
    PyObject *config;
    unsigned int libs;
    int bytes_only;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OIp", names, &config, &libs, &bytes_only))
        return -1;
    if (vm->callables.vm != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a State is opened once");
        return -1;
    }
    rlua_Config raw = {.size = sizeof raw};
#define TAKE(name) if (take_field(config, #name, &raw.name, sizeof raw.name) < 0) return -1;
    RLUA_PY_CONFIG_FIELDS(TAKE)
    lua_State *L = NULL;
    vm_kind_init(vm, &vm->callables, NULL, "python callable");
    int status = rlua_open(&raw, &L);
    if (status != RLUA_OK) {
        vm_fail(NULL, status);
        return -1;
    }
    memcpy(lua_getextraspace(L), &vm, sizeof vm);
    vm->main = vm->current = L;
    vm->bytes_only = bytes_only;
    if (libs == 0) return 0;
    status = rlua_openlibs(L, libs);
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
    Py_CLEAR(vm->methods);
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
    Py_VISIT(vm->methods);
    return 0;
}

/* The finalizer has closed the VM, which holds nothing any more then. */
static int vm_clear(PyObject *object) {
    Vm *vm = (Vm *)object;
    Py_CLEAR(vm->raised);
    Py_CLEAR(vm->last_raised);
    Py_CLEAR(vm->noted);
    Py_CLEAR(vm->failure);
    Py_CLEAR(vm->methods);
    if (vm->main != NULL) return 0;
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
            free(vm->kinds->name);
            PyMem_Free(vm->kinds);
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

/* What runs scripts */

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
    if (!lua_checkstack(L, 8)) vm_fail(vm, RLUA_NO_MEMORY);
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
    if (vm_push_handler(L) < 0) vm_fail(vm, RLUA_NO_MEMORY);
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

static PyObject *vm_resource(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *type, *value;
    if (!PyArg_ParseTuple(args, "OO", &type, &value)) return NULL;
    if (vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L);
    PyObject *result = NULL;
    if (!lua_checkstack(L, 8)) vm_fail(vm, RLUA_NO_MEMORY);
    else if (vm_push_new_resource(vm, L, type, value) == 0)
        result = proxy_new(vm, L, base + 1, &Resource_Type);
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
                                      : RLUA_NO_MEMORY;
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
    int status = lua_checkstack(L, 8) ? rlua_newenv(L, libs) : RLUA_NO_MEMORY;
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

static PyMethodDef vm_methods[] = {
    {"_snap", vm_snap, METH_VARARGS, NULL},
    {"_rollback", vm_rollback, METH_VARARGS, NULL},
    {"_rollback_to", vm_rollback_to, METH_O, NULL},
    {"_discard_before", vm_discard_before, METH_O, NULL},
    {"_set_limit", vm_set_limit, METH_O, NULL},
    {"_frames", vm_frames, METH_NOARGS, NULL},
    {"_held_count", vm_held_count, METH_NOARGS, NULL},
    {"_load", vm_load, METH_VARARGS, NULL},
    {"_execute", vm_execute, METH_VARARGS, NULL},
    {"_value", vm_value, METH_O, NULL},
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
    {"_add_participant", vm_add_participant, METH_O, NULL},
    {"_remove_participant", vm_remove_participant, METH_O, NULL},
    {"check", vm_check, METH_NOARGS, "Walks the arena and the snapshots; raises Corrupt."},
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

/* The module */

static PyObject *core_version(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    return PyUnicode_FromString(rlua_version());
}

static PyObject *core_strerror(PyObject *Py_UNUSED(self), PyObject *args) {
    int status;
    if (!PyArg_ParseTuple(args, "i", &status)) return NULL;
    return PyUnicode_FromString(rlua_strerror(status));
}

static PyObject *core_export(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    Dl_info library;
    if (dladdr((void *)(uintptr_t)rlua_version, &library) == 0 ||
        dlopen(library.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL) == NULL) {
        PyErr_Format(PyExc_OSError, "librlua cannot be made global: %s", dlerror());
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *core_use(PyObject *Py_UNUSED(self), PyObject *module) {
    Py_XSETREF(python, Py_NewRef(module));
    Py_RETURN_NONE;
}

static PyMethodDef core_methods[] = {
    {"version", core_version, METH_NOARGS, NULL},
    {"strerror", core_strerror, METH_VARARGS, NULL},
    {"export", core_export, METH_NOARGS, NULL},
    {"use", core_use, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT, "rlua._core", "The part of rlua that is in C.", -1, core_methods,
    NULL, NULL, NULL, NULL};

static int add_layout(PyObject *module) {
    PyObject *layout = PyDict_New();
    if (layout == NULL) return -1;
#define LAYOUT(type, field) \
    if (put(layout, #type "." #field, Py_BuildValue("nn", (Py_ssize_t)offsetof(type, field), \
            (Py_ssize_t)sizeof ((type *)0)->field)) < 0) return -1;
#define SIZE(type) if (put(layout, #type, PyLong_FromSize_t(sizeof(type))) < 0) return -1;
    RLUA_PY_LAYOUT(SIZE, LAYOUT)
    return put(module == NULL ? NULL : PyModule_GetDict(module), "layout", layout);
}

PyMODINIT_FUNC PyInit__core(void) {
    static PyTypeObject *const types[] = {&Vm_Type, &Proxy_Type, &Table_Type, &Function_Type,
                                          &Coroutine_Type, &Userdata_Type, &Resource_Type};
    PyObject *module = PyModule_Create(&core_module);
    if (module == NULL || PyType_Ready(&TableIter_Type) < 0) return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const char *name = strrchr(types[i]->tp_name, '.') + 1;
        if (PyType_Ready(types[i]) < 0) return NULL;
        Py_INCREF(types[i]);
        if (PyModule_AddObject(module, name, (PyObject *)types[i]) < 0) return NULL;
    }
    return add_layout(module) < 0 ? NULL : module;
}
