/* objects.c: what Python owns and the VM knows: slots, and participants.
 *
 * The library releases each exactly once, when neither the live state nor a held snapshot can reach
 * it. An exception in a release or a discard has no caller to go to: sys.unraisablehook.
 *
 * Not here: how a callable is called (calls.c), types of resources (resources.c). */
#include "vm.h"

/* Slots */

size_t slot_take(Vm *vm, PyObject *value, Kind *kind) {
    uint32_t index = vm->free_slot;
    if (index != 0) {
        vm->free_slot = vm->slots[index].next_free;
    } else {
        if (vm->slot_count >= vm->slot_room) {
            uint32_t room = vm->slot_room == 0 ? 16 : 2 * vm->slot_room;
            Slot *slots = room < vm->slot_room ? NULL
                : PyMem_Realloc(vm->slots, room * sizeof *slots);
            if (slots == NULL) {
                PyErr_NoMemory();
                return 0;
            }
            vm->slots = slots;
            vm->slot_room = room;
        }
        if (vm->slot_count == 0) vm->slots[vm->slot_count++] = (Slot){NULL, NULL, 0, 0};
        index = vm->slot_count++;
    }
    if (++vm->next_serial == 0) vm->next_serial = 1;
    vm->slots[index] = (Slot){Py_NewRef(value), kind, vm->next_serial, 0};
    return (size_t)vm->next_serial << 32 | index;
}

Slot *slot_find(Vm *vm, uint64_t key) {
    uint32_t index = (uint32_t)key;
    if (index >= vm->slot_count) return NULL;
    Slot *slot = &vm->slots[index];
    return slot->value != NULL && slot->serial == key >> 32 ? slot : NULL;
}

void slot_give(Vm *vm, uint64_t key) {
    uint32_t index = (uint32_t)key;
    PyObject *value = vm->slots[index].value;
    vm->slots[index] = (Slot){NULL, NULL, 0, vm->free_slot};
    vm->free_slot = index;
    Py_DECREF(value);
}

/* A name stands for one callable: given anew, the functions that have it call the new one. It lives
 * as long as the VM, since a name may be in any image. */
size_t slot_named(Vm *vm, PyObject *name, PyObject *callable) {
    if (vm->names == NULL && (vm->names = PyDict_New()) == NULL) return 0;
    PyObject *known = PyDict_GetItemWithError(vm->names, name);
    if (known != NULL) {
        size_t key = PyLong_AsSize_t(known);
        Py_SETREF(slot_find(vm, key)->value, Py_NewRef(callable));
        return key;
    }
    int refused = PyErr_Occurred() || kind_has_name(vm, name);
    size_t key = refused ? 0 : slot_take(vm, callable, &vm->callables);
    PyObject *number = key == 0 ? NULL : PyLong_FromSize_t(key);
    int failed = number == NULL || PyDict_SetItem(vm->names, name, number) < 0;
    Py_XDECREF(number);
    if (failed && key != 0) slot_give(vm, key);
    return failed ? 0 : key;
}

/* Those that lived as long as the VM, when it is gone. */
void slots_clear(Vm *vm) {
    for (uint32_t i = 1; i < vm->slot_count; i++) Py_CLEAR(vm->slots[i].value);
}

/* Called by the library, with or without the GIL; never raises. */
static void release(lua_State *L, void *object, void *ud) {
    Vm *vm = ((Kind *)ud)->vm;
    Back back = vm_back(vm, L);
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    Slot *slot = slot_find(vm, (uintptr_t)object);
    if (slot != NULL) {
        PyObject *value = Py_NewRef(slot->value);
        Kind *kind = slot->kind;
        slot_give(vm, (uintptr_t)object);
        if (kind->type != NULL && ud != &vm->callables) {
            PyObject *result = PyObject_CallMethod(kind->type, "_release", "(O)", value);
            if (result == NULL) PyErr_WriteUnraisable(kind->type);
            Py_XDECREF(result);
        }
        Py_DECREF(value);
    }
    PyErr_Restore(type, error, trace);
    vm_away(vm, back);
}

void vm_kind_init(Vm *vm, Kind *kind, PyObject *type, const char *name) {
    kind->vm = vm;
    kind->type = Py_XNewRef(type);
    kind->c = (rlua_ResourceType){sizeof kind->c, name, release, kind, NULL};
}

/* Participants */

void vm_keep_failure(Vm *vm) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace != NULL) PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    if (vm->failure == NULL) vm->failure = error;
    else Py_XDECREF(error);
}

static int capture(void *ud, int64_t frame, void **token) {
    Follower *self = ud;
    Back back = vm_back(self->vm, NULL);
    int failed = -1;
    PyObject *kept = PyObject_CallMethod(self->object, "capture", "L", (long long)frame);
    PyObject *key = kept == NULL ? NULL : PyLong_FromSize_t(++self->next_token);
    if (key != NULL) failed = PyDict_SetItem(self->tokens, key, kept);
    if (failed != 0) vm_keep_failure(self->vm);
    else *token = (void *)self->next_token;
    Py_XDECREF(kept);
    Py_XDECREF(key);
    vm_away(self->vm, back);
    return failed;
}

static void restore(void *ud, void *token) {
    Follower *self = ud;
    Back back = vm_back(self->vm, NULL);
    PyObject *key = PyLong_FromSize_t((size_t)token), *result = NULL;
    PyObject *kept = key == NULL ? NULL : PyDict_GetItemWithError(self->tokens, key);
    if (kept != NULL) {
        Py_INCREF(kept);
        result = PyObject_CallMethod(self->object, "restore", "(O)", kept);
        Py_DECREF(kept);
    }
    if (result == NULL) vm_keep_failure(self->vm);
    Py_XDECREF(key);
    Py_XDECREF(result);
    vm_away(self->vm, back);
}

static void discard(void *ud, void *token) {
    Follower *self = ud;
    Back back = vm_back(self->vm, NULL);
    PyObject *type, *error, *trace, *result = NULL;
    PyErr_Fetch(&type, &error, &trace);
    PyObject *key = PyLong_FromSize_t((size_t)token);
    PyObject *kept = key == NULL ? NULL : PyDict_GetItemWithError(self->tokens, key);
    Py_XINCREF(kept);
    if (kept != NULL && PyDict_DelItem(self->tokens, key) == 0)
        result = PyObject_CallMethod(python, "discard", "OO", self->object, kept);
    if (result == NULL) PyErr_WriteUnraisable(self->object);
    Py_XDECREF(key);
    Py_XDECREF(kept);
    Py_XDECREF(result);
    PyErr_Restore(type, error, trace);
    vm_away(self->vm, back);
}

static const rlua_Participant participant = {sizeof participant, capture, restore, discard};

PyObject *vm_add_participant(PyObject *object, PyObject *given) {
    Vm *vm = (Vm *)object;
    if (vm_enter(vm) < 0) return NULL;
    Follower *follower = PyMem_Calloc(1, sizeof *follower);
    int status = RLUA_NO_MEMORY;
    if (follower != NULL && (follower->tokens = PyDict_New()) != NULL) {
        follower->vm = vm;
        follower->object = Py_NewRef(given);
        status = rlua_add_participant(vm->current, &participant, follower);
    }
    if (status == RLUA_OK) {
        follower->next = vm->followers;
        vm->followers = follower;
    } else {
        vm_fail(vm, status);
        if (follower != NULL) Py_XDECREF(follower->object), Py_XDECREF(follower->tokens);
        PyMem_Free(follower);
    }
    vm_leave(vm);
    if (status != RLUA_OK) return NULL;
    Py_RETURN_NONE;
}

PyObject *vm_remove_participant(PyObject *object, PyObject *given) {
    Vm *vm = (Vm *)object;
    int status = RLUA_BAD_ARG;
    if (vm_enter(vm) < 0) return NULL;
    Follower **place = &vm->followers, *found = NULL;
    while (*place != NULL && (*place)->object != given) place = &(*place)->next;
    if (*place != NULL) {
        found = *place;
        status = rlua_remove_participant(vm->current, &participant, found);
    } else {
        PyErr_SetString(PyExc_LookupError, "it does not follow this State");
    }
    if (found != NULL && status == RLUA_OK) {
        place = &vm->followers; /* discards may have changed the list */
        while (*place != found) place = &(*place)->next;
        *place = found->next;
        Py_DECREF(found->object);
        Py_DECREF(found->tokens);
        PyMem_Free(found);
    } else if (found != NULL) {
        vm_fail(vm, status);
    }
    vm_leave(vm);
    if (status != RLUA_OK) return NULL;
    Py_RETURN_NONE;
}
