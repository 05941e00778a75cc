/* vm.h: what the files of the extension share: the VM's object, and who may use it when.
 *
 * Invariants:
 * - *no raise*: only rlua_* functions are called, and those of lua.h that never raise. The one
 *   raise is made by lua_error as the last act of python_function (calls.c), whose frame owns
 *   nothing.
 * - *one user*: a VM is entered by one OS thread at a time (vm_enter); the GIL is given away
 *   only while Lua runs (OUTSIDE), and taken again before anything of Python is touched.
 * - *balance*: whoever enters leaves the Lua stack as it was, also after an error.
 * - *idle history*: snapshots are taken and restored at depth 0 alone, where the stack is empty.
 * - *references*: a proxy owns one rlua_Ref, released by the thread that is inside, or by any
 *   where none is; never in the middle of a snap or a rollback. What was released but is in a held
 *   snapshot is released again after a rollback to it.
 *
 * Not here: classes of errors, dataclasses, the history (rlua/, in Python). */
#ifndef PYTHON_RLUA_VM_H
#define PYTHON_RLUA_VM_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include "rlua.h"
#include "lauxlib.h"

/* A Python object that the VM owns: a callable or a resource. Named in the VM by a key that is
 * never given twice, so that a key that a script forged or kept finds nothing. */
typedef struct Slot {
    PyObject *value;            /* NULL: free */
    struct Kind *kind;
    uint32_t serial, next_free;
} Slot;

/* A method of a type: its name in images, the one that scripts use, which is the end of it, and the
 * key of its slot. */
typedef struct Method {
    PyObject *label;
    const char *name;
    size_t key;
} Method;

/* A type of what lies outside, in one VM: of resources, of userdata, or the callables. Its address
 * is the library's `ud`. */
typedef struct Kind {
    struct Kind *next;
    struct Vm *vm;
    PyObject *type;             /* rlua.ResourceType or UserdataType; NULL for callables */
    char *name;                 /* malloc */
    int is_userdata;
    rlua_ResourceType c;        /* of no use for userdata */
    rlua_ObjectType way;        /* `save` is NULL: its objects are in no image */
    Method *methods;            /* the last has no label */
} Kind;

typedef struct Follower {
    struct Follower *next;
    struct Vm *vm;
    PyObject *object;
    PyObject *tokens;           /* dict: number -> token */
    size_t next_token;
} Follower;

/* A held snapshot: its label, and its place in the order of all that were ever taken. */
typedef struct Held {
    int64_t frame;
    uint64_t serial;
} Held;

/* A reference whose proxy is gone, by the snapshot that was the newest then. */
typedef struct Dropped {
    rlua_Ref ref;
    uint64_t born, dropped;
} Dropped;

typedef struct Droppeds {
    Dropped *items;
    size_t first, count, room;
} Droppeds;

typedef struct Vm {
    PyObject_HEAD
    lua_State *main;            /* NULL: closed */
    lua_State *current;         /* the thread that calls go to: a callback's own inside it */
    int depth;                  /* entries on the stack of the thread that is inside */
    int history_busy;           /* a snap, a rollback or a close is under way */
    int sealed;                 /* an object is saved or loaded: nobody enters */
    int bytes_only;
    unsigned long thread;       /* that is inside, while depth > 0 */
    PyThreadState *outside;     /* of the thread that gave the GIL away, while Lua runs */
    Slot *slots;                /* slot 0 is none */
    uint32_t slot_count, slot_room, free_slot, next_serial;
    Kind *kinds, callables;
    Follower *followers;
    Held *held;                 /* oldest first */
    size_t held_count, held_room;
    uint64_t clock;             /* serial of the newest snapshot ever taken */
    Droppeds waiting;           /* to be released by the thread that is inside */
    Droppeds graves;            /* released, but in a held snapshot */
    PyObject *raised;           /* error value -> the exception that it stands for */
    PyObject *last_raised;
    PyObject *noted;            /* the exception on its way out that has its traceback */
    PyObject *failure;          /* of a participant or a type, until the call is done */
    PyObject *names;            /* name -> key of the callable that it stands for */
    PyObject *c_names;          /* name -> address of the C function that it stands for */
    char *traceback;            /* Lua's, of the error on its way out; malloc */
} Vm;

typedef struct Proxy {
    PyObject_HEAD
    Vm *vm;
    rlua_Ref ref;
    uint64_t born;              /* vm->clock when it was made */
    const void *address;
    vectorcallfunc call;
} Proxy;

extern PyTypeObject Vm_Type, Proxy_Type, Table_Type, Function_Type, Coroutine_Type, Userdata_Type,
    Resource_Type, TableIter_Type;
extern PyObject *python; /* rlua._python: what C asks Python for */

/* What each thread's extra space has in images: the Vm. */
#define OWNER "python.State"

/* vm.c */
int vm_enter(Vm *vm);           /* 0, or -1 with Closed or Busy set */
void vm_leave(Vm *vm);
int vm_enter_idle(Vm *vm, const char *what);
int vm_refuse(int status, const char *message); /* raises the failure; -1 */
int vm_full(void);              /* raises that the Lua stack has no room; -1 */
void vm_settle(Vm *vm);
void vm_bury(Vm *vm, Dropped dropped);
void vm_forget(Vm *vm, rlua_Ref ref, uint64_t born);
PyObject *vm_fail(Vm *vm, int status); /* raises what a status below RLUA_ERR_RUN says */
PyObject *vm_blame(Vm *vm, int status); /* the same, with vm->failure as its cause */

/* An rlua.Config as C has it; `raw` has the address of `key`. */
typedef struct Settings {
    rlua_Config raw;
    unsigned char key[32];
} Settings;
int vm_settings(PyObject *config, Settings *settings); /* 0, or -1 with an exception set */

/* Runs Lua with the GIL given away. Host functions take it back for themselves (BACK). */
#define OUTSIDE(vm, call) do { \
        (vm)->outside = PyEval_SaveThread(); \
        call; \
        PyThreadState *own_ = (vm)->outside; \
        (vm)->outside = NULL; \
        PyEval_RestoreThread(own_); \
    } while (0)

typedef struct Back {
    PyThreadState *state;
    lua_State *outer;
} Back;

/* From Lua or the library into Python, on the thread that is inside. */
static inline Back vm_back(Vm *vm, lua_State *L) {
    Back back = {vm->outside, vm->current};
    if (back.state != NULL) {
        vm->outside = NULL;
        PyEval_RestoreThread(back.state);
    }
    if (L != NULL) vm->current = L;
    vm->depth++;
    if (vm->waiting.count > 0 && !vm->history_busy) vm_settle(vm);
    return back;
}

static inline void vm_away(Vm *vm, Back back) {
    vm->depth--;
    vm->current = back.outer;
    if (back.state != NULL) vm->outside = PyEval_SaveThread();
}

/* history.c, images.c, modules.c, scripts.c */
extern PyMethodDef history_methods[], image_methods[], module_methods[], script_methods[];
/* What names in an image stand for: dicts of callables and of addresses, whose texts the list
 * borrows. With a VM their values become the VM's; without one, names alone count. To be freed by
 * PyMem_Free; NULL with an exception set. */
rlua_Name *image_names(Vm *vm, PyObject *functions, PyObject *c_functions);
PyObject *image_diff(PyObject *module, PyObject *args);

/* values.c */
int vm_push(Vm *vm, lua_State *L, PyObject *value); /* 0, or -1 with an exception set */
PyObject *vm_read(Vm *vm, lua_State *L, int index);
PyObject *vm_results(Vm *vm, lua_State *L, int first, int count); /* None, the one, or a tuple */

/* proxies.c */
PyObject *proxy_new(Vm *vm, lua_State *L, int index, PyTypeObject *type);
int proxy_push(Proxy *self, lua_State *L);
lua_State *proxy_enter(Proxy *self, int *base); /* pushes the value; NULL with an exception set */
void proxy_leave(Proxy *self, lua_State *L, int base);
void proxy_dealloc(PyObject *object);
int proxy_traverse(PyObject *self, visitproc visit, void *arg);
extern PyMappingMethods table_mapping;
extern PyNumberMethods table_number;

/* calls.c */
PyObject *vm_raise(Vm *vm, lua_State *L, int status); /* NULL; the error value is on top */
PyObject *vm_call(Vm *vm, lua_State *L, int nargs);   /* function and arguments are on top */
int vm_push_handler(lua_State *L);
int vm_push_callable(Vm *vm, lua_State *L, PyObject *callable, Kind *kind);
int vm_push_named(Vm *vm, lua_State *L, PyObject *name, PyObject *callable);
int python_function(lua_State *L);
int named_function(lua_State *L, void *key);
PyObject *vm_resume(Vm *vm, lua_State *L, lua_State *thread, PyObject *const *args, Py_ssize_t n,
                    int *finished);

/* objects.c */
size_t slot_take(Vm *vm, PyObject *value, Kind *kind); /* a key, or 0 with MemoryError set */
Slot *slot_find(Vm *vm, uint64_t key);
void slot_give(Vm *vm, uint64_t key);
size_t slot_named(Vm *vm, PyObject *name, PyObject *callable); /* as slot_take */
void slots_clear(Vm *vm);
void vm_kind_init(Vm *vm, Kind *kind, PyObject *type, const char *name);
void vm_keep_failure(Vm *vm);   /* takes the exception that is set */
PyObject *vm_add_participant(PyObject *self, PyObject *object);
PyObject *vm_remove_participant(PyObject *self, PyObject *object);

/* modules.c */
extern PyGetSetDef function_getset[];
/* The function at an address, and its name, which the str keeps; NULL with an exception set. */
lua_CFunction c_function(PyObject *name, PyObject *address, const char **text);
int vm_note_c_function(Vm *vm, PyObject *name, PyObject *address);
int vm_name_functions(Vm *vm, lua_State *L, PyObject *c_functions);
int save_block(const void *block, size_t size, rlua_Writer writer, void *to, void *ud);
int load_block(const void *bytes, size_t length, void *block, size_t size, void *ud);

/* resources.c */
Kind *vm_kind(Vm *vm, PyObject *type); /* NULL with an exception set */
/* Hands what a function of a type returned to a writer, or keeps the exception that is set. */
int write_saved(Vm *vm, PyObject *saved, rlua_Writer writer, void *to);
int kind_has_name(Vm *vm, PyObject *name); /* whether a method has it: with BadArgument set */
void kind_free(Kind *kind);
/* Those of the VM, for an rlua_Config: to be freed by PyMem_Free; NULL with MemoryError set. */
const rlua_ObjectType **vm_ways(Vm *vm);
int vm_push_new_resource(Vm *vm, lua_State *L, PyObject *type, PyObject *value);
int vm_is_resource(lua_State *L, int index, Vm *vm);
void resource_disown(Vm *vm, lua_State *L, int index); /* ends it, and releases no object */
int resource_slot(Vm *vm, lua_State *L, int index, Slot **slot, Kind **kind);
extern PyMethodDef resource_methods[];
extern PyGetSetDef resource_getset[];

#endif
