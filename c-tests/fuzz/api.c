/* api.c: no public function crashes, raises, or lies, whatever it is given and wherever it is
 * called from.
 * Method: random calls of every rlua_* function (the list is taken from the header when this is
 * built) with valid and senseless arguments, on several VMs, their coroutines, closed VMs, states
 * of another allocator and NULL; from the host's own level and from inside host functions, C
 * functions, finalizers, message handlers, hooks, warnings, readers, writers, releases and
 * participants. Nets:
 *   alive    no crash (each seed is a process), no panic function, no POISONED, no CORRUPT
 *   known    a status is one of the header's; a failure leaves a sentence
 *   height   a refusal leaves the stack's height; success and Lua's errors move it as documented
 *   refused  what needs an idle VM is refused in a busy one; after BUSY no byte has changed
 *   checked  rlua_check wherever the VM is idle, now and then
 * Not done, since no C library could survive it: a dangling or wild pointer of another kind than
 * lua_State, a thread that another call is running on, a register of a running loop made a string,
 * binary chunks that were tampered with, a marked slot dropped by another call than rlua_settop,
 * values put under Lua's own registry keys. */
#include "fuzz.h"

enum { VMS = 3, POOL = 6, BLOCKS = 8, REFS = 12, ACTIVE = 24, TOP_MAX = 60, DEEPEST = 5 };
enum { CALLS, REFUSALS, LUA_ERRORS, INSIDE, COMPARES, CHECKS, OPENED };

static const char *const public_functions[] = {
#define PUBLIC(name) #name,
#include "functions.inc"
};

typedef struct Vm {
    lua_State *main, *pool[POOL];
    lua_State *active[ACTIVE]; /* the threads of our callbacks, outermost first */
    int depth;
    int fragile; /* in a callback whose frame is not ours: what is pushed is dropped again */
    int working; /* in a release or a participant's call */
    unsigned char *blocks[BLOCKS];
    rlua_Ref refs[REFS];
    int participants;
} Vm;

static Vm vms[VMS];
static lua_State *closed, *foreign;
static Random R;
static int nested, restricted, contexts;

static void some_calls(Vm *vm, lua_State *L, int most, int only_pushes);

/* -- arguments -------------------------------------------------------------------------------- */

static const char *any_text(void) {
    static const char *const texts[] = {"a", "b", "x", "fuzz", "print", "string", "", "__index",
        "a name that is longer than forty characters, so it is no short string", "%s%n", "_G",
        "\xff\xfe", "inside", "metatable"};
    return one_in(&R, 25) ? NULL : texts[below(&R, COUNT_OF(texts))];
}

static int any_int(void) {
    static const int ints[] = {0, 1, 2, 3, 5, -1, -2, 10, 100, 255, 256, 1000, 40000, INT_MAX,
                               INT_MAX - 1, INT_MIN, INT_MIN + 1, 1 << 20, 999, -1000};
    return one_in(&R, 2) ? below(&R, 4) : ints[below(&R, COUNT_OF(ints))];
}

static lua_Integer any_integer(void) {
    static const lua_Integer integers[] = {0, 1, 2, 3, -1, 100, LUA_MAXINTEGER, LUA_MININTEGER,
                                           (lua_Integer)1 << 32, INT_MAX, 4096};
    return integers[below(&R, COUNT_OF(integers))];
}

static size_t any_size(void) {
    static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 1000, 4096, 40000, 300000, SIZE_MAX,
        SIZE_MAX - 8, SIZE_MAX - 16, SIZE_MAX - 40, SIZE_MAX / 2, SIZE_MAX / 2 + 1, 5 * GIB,
        (size_t)1 << 40};
    if (one_in(&R, 6)) return 4 * GIB - (size_t)below(&R, 256) + 128;
    return one_in(&R, 2) ? (size_t)below(&R, 200) : sizes[below(&R, COUNT_OF(sizes))];
}

static int64_t any_frame(void) {
    static const int64_t frames[] = {INT64_MIN, INT64_MAX, -1, 0, 1, INT64_MAX - 1};
    return one_in(&R, 12) ? frames[below(&R, COUNT_OF(frames))] : below(&R, 200);
}

static Vm *vm_of(lua_State *L) {
    int i;
    for (i = 0; i < VMS; i++)
        if (vms[i].main && L && ((uintptr_t)L ^ (uintptr_t)vms[i].main) >> 32 == 0) return &vms[i];
    return NULL;
}

static int any_index(lua_State *L) {
    int top = vm_of(L) ? lua_gettop(L) : 3;
    switch (below(&R, 12)) {
        case 0: return any_int();
        case 1: return LUA_REGISTRYINDEX;
        case 2: return (int)((long long)LUA_REGISTRYINDEX - any_int()); /* as lua_upvalueindex */
        case 3: return LUA_REGISTRYINDEX + below(&R, 3) - 1;
        case 4: return top + 1 + below(&R, 3);
        case 5: return -top - below(&R, 3);
        default: return one_in(&R, 2) ? -1 - below(&R, top + 1) : 1 + below(&R, top + 1);
    }
}

/* Lua's own keys of the registry are Lua's. */
static int table_index(lua_State *L) {
    int index = any_index(L);
    return index == LUA_REGISTRYINDEX ? -1 : index;
}

/* Whether another call is running on it, which makes every use wrong. */
static int is_usable(const Vm *vm, lua_State *L) {
    lua_Debug record;
    if (vm->depth && vm->active[vm->depth - 1] == L) return 1;
    if (L == vm->main) return vm->depth == 0;
    return lua_status(L) != LUA_OK || !lua_getstack(L, 0, &record);
}

static lua_State *a_thread(Vm *vm) {
    lua_State *L = vm->pool[below(&R, POOL)];
    if (one_in(&R, 3) && L && is_usable(vm, L)) return L;
    return vm->depth ? vm->active[vm->depth - 1] : vm->main;
}

/* NULL for none that may be passed. */
static lua_State *any_state(void) {
    switch (below(&R, 24)) {
        case 0: return NULL;
        case 1: return closed;
        case 2: return foreign;
        case 3: return (lua_State *)(uintptr_t)(one_in(&R, 2) ? 16 : UINTPTR_MAX - 7);
        case 4: return (lua_State *)((uintptr_t)1 << 47);
        default: {
            Vm *vm = &vms[below(&R, VMS)];
            return vm->main ? a_thread(vm) : NULL;
        }
    }
}

static void *nowhere[1024]; /* room for structs of any size that is accepted */

/* A struct of `size` bytes, its size field right or wrong, with zeros or rubbish behind it. */
static void *a_struct(const void *whole, size_t size) {
    size_t sizes[] = {0, 1, 7, 8, size - 4, size - 8, size + 8, size + 1, 4096, 4097, 8000,
                      SIZE_MAX, size / 2};
    memset(nowhere, one_in(&R, 2) ? 0 : 255, sizeof nowhere);
    memcpy(nowhere, whole, size);
    if (one_in(&R, 4)) nowhere[0] = (void *)(uintptr_t)sizes[below(&R, COUNT_OF(sizes))];
    return nowhere;
}

/* -- what the library calls ------------------------------------------------------------------- */

/* Makes the callback's thread the one that may be used, and runs calls on it. */
static void inside(lua_State *L, const char *where, int only_pushes) {
    Vm *vm = vm_of(L);
    int top = lua_gettop(L), outer = restricted;
    char before[sizeof fuzz->what];
    if (!vm || nested >= DEEPEST || vm->depth == ACTIVE || contexts == 0 || one_in(&R, 3)) return;
    contexts--;
    memcpy(before, fuzz->what, sizeof before);
    doing("%.40s < %s", before, where);
    fuzz->counts[INSIDE]++;
    vm->active[vm->depth++] = L;
    nested++;
    restricted |= only_pushes;
    vm->fragile += only_pushes;
    some_calls(vm, L, 4, restricted);
    restricted = outer;
    vm->fragile -= only_pushes;
    nested--;
    vm->depth--;
    if (only_pushes) lua_settop(L, top);
    doing("%s", before);
}

static int in_c_function(lua_State *L) {
    inside(L, "C function", 0);
    return lua_gettop(L) > 2 ? 2 : lua_gettop(L);
}

static int in_host_function(lua_State *L, void *ud) {
    (void)ud;
    inside(L, "host function", 0);
    return one_in(&R, 6) ? any_int() : one_in(&R, 5) ? RLUA_RAISE : 0;
}

static int in_finalizer(lua_State *L) {
    inside(L, "finalizer", 0);
    return 0;
}

static int in_handler(lua_State *L) {
    inside(L, "message handler", 0);
    lua_settop(L, 1);
    return 1;
}

static void in_hook(lua_State *L, lua_Debug *record) {
    (void)record;
    inside(L, "hook", 1);
}

static void in_warning(void *ud, const char *message, int more) {
    Vm *vm = ud;
    (void)message;
    (void)more;
    if (vm->depth) inside(vm->active[vm->depth - 1], "warning", 1);
}

static const char *in_reader(lua_State *L, void *ud, size_t *size) {
    int *reads = ud;
    inside(L, "reader", 1);
    *size = (*reads)++ == 0 ? 9 : 0;
    return "return 1 ";
}

static int in_writer(lua_State *L, const void *bytes, size_t size, void *ud) {
    (void)bytes;
    (void)size;
    (void)ud;
    inside(L, "writer", 1);
    return 0;
}

static void in_release(lua_State *L, void *object, void *ud) {
    Vm *vm = vm_of(L);
    (void)ud;
    CHECK(object == (void *)&nested);
    if (vm == NULL) return; /* a clone's, which is closed at once */
    vm->working++;
    inside(L, "release", 1);
    vm->working--;
}

static void in_participant(Vm *vm, const char *where) {
    vm->working++;
    inside(vm->main, where, 1);
    vm->working--;
}

static int in_capture(void *ud, int64_t frame, void **token) {
    in_participant(ud, "capture");
    *token = (void *)(uintptr_t)(frame & 0xFF);
    return one_in(&R, 12);
}
static void in_restore(void *ud, void *token) {
    CHECK((uintptr_t)token <= 0xFF);
    in_participant(ud, "restore");
}
static void in_discard(void *ud, void *token) {
    CHECK((uintptr_t)token <= 0xFF);
    in_participant(ud, "discard");
}

static const rlua_Method methods[] = {{"m", in_host_function}, {"__index", in_host_function},
                                      {NULL, NULL}};
static const rlua_ResourceType types[] = {
    {sizeof types[0], "one", in_release, NULL, methods},
    {sizeof types[0], "two", in_release, &R, NULL},
    {sizeof types[0], "one", in_release, &R, methods}, /* the same name, another ud */
    {sizeof types[0], "three", NULL, NULL, NULL},
    {sizeof types[0], NULL, in_release, NULL, NULL},
};
static const rlua_Participant participants[] = {
    {sizeof participants[0], in_capture, in_restore, in_discard},
    {sizeof participants[0], in_capture, in_restore, NULL},
    {sizeof participants[0], NULL, in_restore, in_discard},
};

static int in_save(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    (void)ud;
    CHECK(object == (void *)&nested && size == 0);
    return one_in(&R, 12) ? 5 : writer(to, "some", (size_t)below(&R, 5));
}
static int in_load(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    (void)bytes, (void)ud;
    CHECK(length < 5 && size == sizeof(void *));
    *(const void **)object = one_in(&R, 12) ? NULL : (void *)&nested;
    return one_in(&R, 12);
}
static const rlua_ObjectType object_types[] = {
    {sizeof object_types[0], "one", &types[0], in_save, in_load, NULL},
    {sizeof object_types[0], "two", &types[1], in_save, in_load, NULL},
    {sizeof object_types[0], "one", NULL, in_save, in_load, NULL},
    {sizeof object_types[0], "two", &types[1], in_save, in_load, &R}, /* another ud */
    {sizeof object_types[0], "three", &types[3], in_save, in_load, NULL},
    {sizeof object_types[0], NULL, NULL, in_save, in_load, NULL},
    {sizeof object_types[0], "", NULL, in_save, in_load, NULL},
    {sizeof object_types[0], "one", &types[0], NULL, in_load, NULL},
};

static const rlua_ResourceType *a_type(void) {
    const rlua_ResourceType *type = &types[below(&R, one_in(&R, 4) ? COUNT_OF(types) : 2)];
    if (one_in(&R, 20)) return NULL;
    return one_in(&R, 4) ? a_struct(type, sizeof *type) : type;
}

/* -- one function each ------------------------------------------------------------------------ */

/* What a function without a status answers: there is no status to compare. */
enum { ANSWERED = -100, FAILED = -101 };

#define API(name) static int api_##name(lua_State *L)
#define POINTER(object) (one_in(&R, 25) ? NULL : (object))

API(version) { (void)L; return rlua_version()[0] ? ANSWERED : FAILED; }
API(strerror) { (void)L; return rlua_strerror(any_int())[0] ? ANSWERED : FAILED; }
API(last_error) { return rlua_last_error(L) ? ANSWERED : FAILED; }

static void prepare(Vm *vm);

static lua_State *opened(lua_State *L) {
    Vm *vm = &vms[below(&R, VMS)];
    int i;
    if (!L) return NULL;
    for (i = 0; i < VMS && vm->main; i++) vm = &vms[i];
    if (vm->main) {
        lua_close(L);
        closed = L;
        return L;
    }
    if (closed && ((uintptr_t)closed ^ (uintptr_t)L) >> 32 == 0) closed = NULL;
    memset(vm, 0, sizeof *vm);
    vm->main = L;
    fuzz->counts[OPENED]++;
    prepare(vm);
    return L;
}

static size_t a_limit(void) {
    static const size_t limits[] = {0, 1, 20000, 30000, 65536, 100000, 200000, 1 << 20, 8 << 20};
    return one_in(&R, 12) ? any_size() : limits[below(&R, COUNT_OF(limits))];
}

API(new_rollback) {
    (void)L;
    return opened(rlua_new_rollback(a_limit(), one_in(&R, 9) ? any_size() : (size_t)below(&R, 9)))
               ? ANSWERED : FAILED;
}

API(open) {
    rlua_Config config;
    lua_State *made = (lua_State *)&config;
    int status;
    (void)L;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = a_limit();
    config.max_snapshots = (size_t)below(&R, 9);
    config.seed = random_u64(&R);
    config.tracker = one_in(&R, 4) ? any_int() : below(&R, 4);
    if (one_in(&R, 4)) config.gc_pause = any_int();
    if (one_in(&R, 4)) config.gc_step_multiplier = any_int();
    if (one_in(&R, 4)) config.gc_step_size = any_int();
    if (one_in(&R, 4)) config.gc_sweep_divisor = any_int();
    if (one_in(&R, 4)) config.audit = any_int();
    if (one_in(&R, 2)) config.announces = one_in(&R, 9) ? any_int() : 1;
    if (one_in(&R, 12)) config.reserved = any_int();
    if (one_in(&R, 25)) return rlua_open(NULL, POINTER(&made));
    if (one_in(&R, 25)) return rlua_open(&config, NULL);
    status = rlua_open(one_in(&R, 3) ? a_struct(&config, sizeof config) : &config, &made);
    if ((made == NULL) != (status != RLUA_OK)) FAIL("rlua_open: %d and %p", status, (void *)made);
    opened(made);
    return status;
}

API(info) {
    rlua_Info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    return rlua_info(L, POINTER(a_struct(&info, sizeof info)));
}

API(check) { return rlua_check(L); }
API(snap) { return rlua_snap(L); }
API(snap_frame) { return rlua_snap_frame(L, any_frame()); }
/* The version before left stale bytes above the top, where a wrong free could find a block. */
static int rolled_back(lua_State *L, int status) {
    (void)L;
    return status;
}
API(rollback) {
    size_t steps = one_in(&R, 8) ? any_size() : (size_t)(1 + below(&R, 4));
    return rolled_back(L, rlua_rollback(L, steps));
}
API(rollback_to) { return rolled_back(L, rlua_rollback_to(L, any_frame())); }
API(discard_before) { return rlua_discard_before(L, one_in(&R, 3) ? any_frame() : 3); }
API(set_max_snapshots) {
    return rlua_set_max_snapshots(L, one_in(&R, 8) ? any_size() : (size_t)below(&R, 9));
}
API(snapshot_count) { size_t count; return rlua_snapshot_count(L, POINTER(&count)); }

static unsigned any_libs(void) {
    static const unsigned libs[] = {RLUA_LIB_ALL, RLUA_LIB_SANDBOX, RLUA_LIB_DETERMINISTIC, 0,
                                    0x400};
    unsigned any = (unsigned)below(&R, 0x40000);
    return one_in(&R, 8) ? any : libs[any % COUNT_OF(libs)];
}
API(openlibs) { return rlua_openlibs(L, one_in(&R, 4) ? any_libs() : RLUA_LIB_ALL); }
API(newenv) { return rlua_newenv(L, any_libs()); }
API(set_budget) {
    uint64_t units = (uint64_t)below(&R, 20000);
    return rlua_set_budget(L, one_in(&R, 3) ? units : RLUA_NO_BUDGET);
}
static int any_writer(void *unused, const void *bytes, size_t length) {
    (void)unused, (void)bytes, (void)length;
    return one_in(&R, 3);
}
API(save) { return rlua_save(L, one_in(&R, 25) ? NULL : any_writer, NULL); }
API(save_buffer) {
    size_t length;
    return rlua_save_buffer(L, NULL, 0, POINTER(&length));
}
API(save_snapshot) { return rlua_save_snapshot(L, below(&R, 40), any_writer, NULL); }
API(save_bound) { size_t length; return rlua_save_bound(L, POINTER(&length)); }
API(save_delta) {
    return rlua_save_delta(L, below(&R, 40), below(&R, 40), any_writer, NULL);
}
static size_t any_reader(void *unused, void *bytes, size_t length) {
    (void)unused;
    memset(bytes, below(&R, 256), length);
    if (length > 8) memcpy(bytes, "rluaDLT\x1a", 8);
    return (size_t)below(&R, (int)length + 1);
}
API(apply_delta) { return rlua_apply_delta(L, NULL, any_reader, NULL); }
API(load) { (void)L; return rlua_load(NULL, NULL, NULL, NULL); }
API(load_buffer) {
    lua_State *made = L;
    return rlua_load_buffer(NULL, POINTER("rluaIMG"), 7, POINTER(&made));
}
API(checksum) { rlua_Checksum sum; return rlua_checksum(L, POINTER(&sum)); }
API(clone) {
    lua_State *made = NULL;
    int status = rlua_clone(L, POINTER(&made));
    if (made != NULL) lua_close(made);
    return status;
}
API(diff) { (void)L; return rlua_diff(NULL, POINTER("rluaIMG"), 7, "", 0, 0, NULL, NULL); }
API(diff_vms) {
    lua_State *made = NULL;
    int status = rlua_clone(L, &made);
    if (made == NULL) return status;
    status = rlua_diff_vms(L, POINTER(made), (size_t)below(&R, 3), NULL, NULL);
    lua_close(made);
    return status;
}
API(synctest) { return rlua_synctest(L, NULL, NULL, 1, 1, NULL); }
API(budget_left) { uint64_t units; return rlua_budget_left(L, POINTER(&units)); }
static const char *const scripts[] = {
    "return 1", "return inside and inside()", "x = {} for i = 1, 300 do x[i] = {i} end",
    "error('x')", "error()", "error({})", "local t <close> = setmetatable({}, {__close = inside})",
    "return coroutine.wrap(function(...) inside(...) coroutine.yield(1) return 2 end)()",
    "collectgarbage()", "for i = 1, 20 do finalized() end collectgarbage()", "x = = 1", "\x1b",
    "return ('x'):rep(1 << 20)", "return setmetatable({}, {__index = inside, __len = inside, "
    "__eq = inside, __lt = inside, __concat = inside, __add = inside, __call = inside, "
    "__tostring = function() return 'x' end, __newindex = inside})",
    "co = coroutine.create(function() inside() coroutine.yield() error('dead') end) "
    "coroutine.resume(co)", "if co then coroutine.resume(co) end", "goto x ::x::",
    "local function r() return 1 + r() end r()", "return xpcall(error, inside, 1)",
    "return table.unpack({}, 1, 1e6)", "return table.unpack({}, 1, 100)", "warn('w', 'x')",
    "return pcall(inside, 1, 2, 3)", "table.sort({3, 2, 1}, inside)",
    "string.gsub('abc', '.', inside)", "load(inside)", "return print, string, nil, 1.5, 'text'",
    "if debug then debug.setupvalue(inside, 1, nil) end",
    "if host then debug.setupvalue(host, 1, nil) pcall(host) end",
    "if host then debug.setupvalue(host, 1, 7) pcall(host) end",
    "if host then debug.setupvalue(host, 3, {}) pcall(host) end",
    "if host then debug.setupvalue(host, 1, select(2, debug.getupvalue(host, 2))) pcall(host) end",
    "if debug then debug.getregistry()['rlua.refs'] = nil collectgarbage() end",
    "if debug then debug.getregistry()['rlua.refs'] = {} collectgarbage() end",
    "if debug then local r = debug.getregistry()['rlua.refs'] if r then for k in pairs(r) do "
    "r[k] = nil end r[1] = 1e9 r[2] = -5 end end",
    "if debug then debug.getregistry()['rlua.resources'] = 5 end",
    "if debug and handle then debug.setmetatable(handle, {}) handle = nil collectgarbage() end",
    "if debug and handle then local m = debug.getmetatable(handle) if m then m.__gc(handle) "
    "m.__gc() m.__close('x') end end",
    "if coroutine then coroutine.wrap(function() inside(coroutine.running()) end)() end",
    "for _, k in ipairs {'k', 'v', 'kv'} do w = setmetatable({}, {__mode = k}) w[{}] = {} end",
};
API(dostring) {
    return rlua_dostring(L, POINTER(scripts[below(&R, COUNT_OF(scripts))]));
}
API(loadbuffer) {
    const char *script = scripts[below(&R, COUNT_OF(scripts))];
    return rlua_loadbuffer(L, POINTER(script), (size_t)below(&R, (int)strlen(script) + 1),
                           any_text(), one_in(&R, 3) ? "b" : one_in(&R, 8) ? "" : "t");
}
static const char *a_file(void) {
    static const char *const files[] = {"/dev/null", "/nowhere", "/", "/proc/self/cmdline", ""};
    return POINTER(files[below(&R, COUNT_OF(files))]);
}
API(dofile) { return rlua_dofile(L, a_file() ? "/nowhere" : NULL); }
API(loadfile) {
    const char *file = a_file();
    return rlua_loadfile(L, file, one_in(&R, 2) ? NULL : "t");
}
API(call) { return rlua_call(L, any_int(), one_in(&R, 2) ? LUA_MULTRET : any_int(),
                             one_in(&R, 2) ? 0 : any_index(L)); }
API(getglobal) { return rlua_getglobal(L, any_text()); }
static const char *a_key(void) { /* a script's "inside" and the like stay */
    static const char *const keys[] = {"a", "b", "x", "metatable", "__index", "", "host", "handle"};
    return POINTER(keys[below(&R, COUNT_OF(keys))]);
}
API(setglobal) { return rlua_setglobal(L, a_key()); }
API(getfield) { int index = any_index(L); return rlua_getfield(L, index, any_text()); }
API(setfield) { int index = table_index(L); return rlua_setfield(L, index, a_key()); }
API(geti) { int index = any_index(L); return rlua_geti(L, index, any_integer()); }
API(seti) { int index = table_index(L); return rlua_seti(L, index, any_integer()); }
API(gettable) { return rlua_gettable(L, any_index(L)); }
API(settable) { return rlua_settable(L, table_index(L)); }
API(createtable) {
    /* Sizes between a VM's limit and what the machine bears are left out. */
    return rlua_createtable(L, one_in(&R, 3) ? any_int() & ~(1 << 20) : below(&R, 99),
                            one_in(&R, 9) ? any_int() : below(&R, 99));
}
API(pushlstring) {
    static const char text[50000];
    size_t length = any_size();
    if (length > sizeof text && length < 5 * GIB) length = below(&R, 50000);
    return rlua_pushlstring(L, one_in(&R, 25) ? NULL : text, length);
}
API(pushinteger) { return rlua_pushinteger(L, any_integer()); }
API(pushnumber) {
    return rlua_pushnumber(L, one_in(&R, 3) ? 0.0 / 0.0 : (lua_Number)any_int() / 3);
}
API(pushboolean) { return rlua_pushboolean(L, any_int()); }
API(pushnil) { return rlua_pushnil(L); }
API(pushvalue) { return rlua_pushvalue(L, table_index(L)); }
API(gc) {
    int what = one_in(&R, 6) ? any_int() : below(&R, 12);
    return rlua_gc(L, what, one_in(&R, 3) ? any_int() & 0xFFFF : below(&R, 100));
}
API(resume) {
    int results = 0;
    lua_State *from = one_in(&R, 3) ? NULL : one_in(&R, 4) ? any_state() : L;
    Vm *vm = vm_of(L);
    if (vm && L == vm->active[vm->depth ? vm->depth - 1 : 0] && vm->depth && L != vm->main)
        return ANSWERED; /* a running coroutine: misuse that lua_resume itself refuses */
    return rlua_resume(L, from, any_int(), POINTER(&results));
}
API(next) { int more; return rlua_next(L, any_index(L), POINTER(&more)); }
API(tolstring) {
    const char *text = NULL;
    size_t length = 7;
    int status = rlua_tolstring(L, any_index(L), POINTER(&text), POINTER(&length));
    if (text && length != 7 && text[length] != 0) 
        FAIL("rlua_tolstring: %d, no zero at the end of %zu bytes: %.20s", status, length, text);
    return status;
}
API(pushfunction) {
    int status;
    status = rlua_pushfunction(L, one_in(&R, 20) ? NULL : in_host_function, L, any_text());
    if (status == RLUA_OK && lua_gettop(L) < TOP_MAX && one_in(&R, 3)) {
        if (rlua_pushvalue(L, -1) == RLUA_OK && rlua_setglobal(L, "host") != RLUA_OK) lua_pop(L, 1);
    }
    return status;
}
API(newuserdata) {
    void *block = NULL;
    size_t size = any_size();
    int status = rlua_newuserdata(L, size, any_int(), POINTER(&block));
    if (status == RLUA_OK && block && size < 400000) memset(block, 0x5A, size);
    return status;
}
API(newthread) { lua_State *thread; return rlua_newthread(L, POINTER(&thread)); }
API(pushcclosure) {
    return rlua_pushcclosure(L, one_in(&R, 20) ? NULL : in_c_function, any_int());
}
static int open_nothing(lua_State *L) {
    inside(L, "luaopen", 0);
    return 0;
}
API(requiref) {
    static const lua_CFunction opens[] = {luaopen_base, luaopen_string, luaopen_table,
                                          open_nothing, luaopen_coroutine, luaopen_debug, NULL};
    return rlua_requiref(L, one_in(&R, 25) ? NULL : "module", opens[below(&R, COUNT_OF(opens))],
                         below(&R, 2));
}
API(len) { return rlua_len(L, any_index(L)); }
API(concat) { return rlua_concat(L, any_int()); }
API(compare) {
    int result, first = any_index(L), second = any_index(L);
    int op = one_in(&R, 6) ? any_int() : below(&R, 3);
    return rlua_compare(L, first, second, op, POINTER(&result));
}
API(arith) { return rlua_arith(L, one_in(&R, 6) ? any_int() : below(&R, 14)); }
API(pushtostring) { return rlua_pushtostring(L, any_index(L)); }
API(traceback) {
    lua_State *of = one_in(&R, 4) ? any_state() : L;
    return rlua_traceback(L, of, one_in(&R, 3) ? NULL : any_text(), any_int());
}
API(rawget) { return rlua_rawget(L, any_index(L)); }
API(rawgeti) { int index = any_index(L); return rlua_rawgeti(L, index, any_integer()); }
API(rawset) { return rlua_rawset(L, table_index(L)); }
API(rawseti) { int index = table_index(L); return rlua_rawseti(L, index, any_integer()); }
API(getsubtable) { int index = table_index(L); return rlua_getsubtable(L, index, a_key()); }
API(newmetatable) {
    int made;
    const char *name = one_in(&R, 2) ? "metatable" : one_in(&R, 9) ? NULL : "another";
    return rlua_newmetatable(L, name, POINTER(&made));
}
API(getmetatable) { return rlua_getmetatable(L, any_text()); }
API(setmetatable) { return rlua_setmetatable(L, any_text()); }
API(testudata) {
    void *block;
    int index = any_index(L);
    return rlua_testudata(L, index, any_text(), POINTER(&block));
}
API(settop) { return rlua_settop(L, one_in(&R, 3) ? any_index(L) : below(&R, 20)); }
/* A marked slot lives within one call here, so that no other call drops it. */
API(toclose) {
    int top, index, status;
    if (vm_of(L) && !restricted && one_in(&R, 2)) {
        top = lua_gettop(L) + 1;
        if (rlua_getglobal(L, "closable") != RLUA_OK) {
            lua_settop(L, top - 1);
            return ANSWERED;
        }
        status = rlua_toclose(L, one_in(&R, 2) ? -1 : top);
        if (status == RLUA_OK) {
            if (rlua_pushinteger(L, 1) == RLUA_OK && one_in(&R, 2)) rlua_toclose(L, -2);
            status = one_in(&R, 3) ? rlua_closeslot(L, top) : rlua_settop(L, top - 1);
            if (lua_gettop(L) >= top && rlua_settop(L, top - 1) != RLUA_OK) lua_settop(L, top - 1);
            return ANSWERED;
        }
        lua_settop(L, top - 1);
        return ANSWERED;
    }
    index = any_index(L);
    if (vm_of(L) && (index == 0 || index < -lua_gettop(L) || index > lua_gettop(L)))
        return rlua_toclose(L, index);
    /* What can be closed would be marked. Finding out needs memory, so the type has to do. */
    if (vm_of(L) && (!lua_toboolean(L, index) || lua_type(L, index) == LUA_TTABLE ||
                     lua_type(L, index) == LUA_TUSERDATA))
        return ANSWERED;
    return rlua_toclose(L, index);
}
API(closeslot) { return rlua_closeslot(L, any_index(L)); }
API(xmove) {
    lua_State *to = any_state();
    if (one_in(&R, 25)) to = L;
    return rlua_xmove(L, to, any_int());
}

static void *a_block(lua_State *L) {
    Vm *vm = vm_of(L);
    if (!vm || one_in(&R, 12)) vm = &vms[below(&R, VMS)];
    if (one_in(&R, 20)) return (void *)(uintptr_t)random_u64(&R);
    if (one_in(&R, 20) && L) return (char *)vm->main + 16 * below(&R, 2000);
    if (one_in(&R, 20)) return vm->blocks[below(&R, BLOCKS)] + below(&R, 40);
    return vm->blocks[below(&R, BLOCKS)];
}
static int a_new_block(lua_State *L, void *block, size_t size) {
    Vm *vm = vm_of(L);
    if (!block) return FAILED;
    CHECK((uintptr_t)block % 16 == 0 && vm != NULL);
    if (size < 400000) {
        memset(block, 0x77, size);
        if (rlua_touch(L, block, size) != RLUA_OK) FAIL("rlua_touch: %s", rlua_last_error(L));
    }
    vm->blocks[below(&R, BLOCKS)] = block;
    return ANSWERED;
}
API(alloc) { size_t size = any_size(); return a_new_block(L, rlua_alloc(L, size), size); }
API(realloc) {
    size_t size = any_size();
    void *block = a_block(L);
    return a_new_block(L, rlua_realloc(L, block, size), size);
}
API(free) { return rlua_free(L, a_block(L)); }
API(touch) { return rlua_touch(L, a_block(L), any_size()); }
API(ref) {
    rlua_Ref ref = rlua_ref(L);
    if (ref) vm_of(L)->refs[below(&R, REFS)] = ref;
    return ref ? ANSWERED : FAILED;
}
static rlua_Ref a_ref(lua_State *L) {
    Vm *vm = vm_of(L);
    if (one_in(&R, 10)) return random_u64(&R);
    if (one_in(&R, 10)) return random_u64(&R) & 0x0000000700000007u;
    return vm ? vm->refs[below(&R, REFS)] : 1;
}
API(getref) { return rlua_getref(L, a_ref(L)); }
API(unref) { return rlua_unref(L, a_ref(L)); }
API(pushresource) {
    const rlua_ResourceType *type = a_type();
    int status = rlua_pushresource(L, one_in(&R, 25) ? NULL : (void *)&nested, type);
    if (status == RLUA_OK && one_in(&R, 3) && rlua_pushvalue(L, -1) == RLUA_OK &&
        rlua_setglobal(L, "handle") != RLUA_OK)
        lua_pop(L, 1);
    return status;
}
API(toresource) {
    void *object = &R;
    int index = any_index(L), status;
    const rlua_ResourceType *type = a_type();
    status = rlua_toresource(L, index, type, POINTER(&object));
    if (status == RLUA_OK && object != (void *)&nested) FAIL("rlua_toresource: another object");
    return status;
}
API(closeresource) { int index = any_index(L); return rlua_closeresource(L, index, a_type()); }
static const rlua_Participant *a_participant(void) {
    const rlua_Participant *participant = &participants[below(&R, one_in(&R, 4) ? 3 : 2)];
    if (one_in(&R, 20)) return NULL;
    return one_in(&R, 4) ? a_struct(participant, sizeof *participant) : participant;
}
API(add_participant) {
    Vm *vm = vm_of(L);
    int status;
    if (vm && vm->participants > 3) return ANSWERED;
    status = rlua_add_participant(L, a_participant(), vm);
    if (status == RLUA_OK) vm->participants++;
    return status;
}
API(remove_participant) {
    Vm *vm = vm_of(L);
    int status = rlua_remove_participant(L, a_participant(), vm);
    if (status == RLUA_OK) vm->participants--;
    return status;
}
API(register) {
    static const lua_CFunction some[] = {luaopen_base, in_c_function, open_nothing, NULL};
    return rlua_register(L, any_text(), some[below(&R, 4)]);
}
API(register_pointer) {
    void *pointer = one_in(&R, 3) ? a_block(L) : (char *)vms + below(&R, 40);
    return rlua_register_pointer(L, any_text(), pointer);
}
API(register_type) {
    int most = one_in(&R, 4) ? (int)COUNT_OF(object_types) : 2;
    const rlua_ObjectType *type = &object_types[below(&R, most)];
    return rlua_register_type(L, one_in(&R, 4) ? a_struct(type, sizeof *type) : POINTER(type));
}
API(set_time) { return rlua_set_time(L, (int64_t)random_u64(&R), (uint32_t)random_u64(&R) >> 2); }
API(config_digest) { uint64_t digest; return rlua_config_digest(L, POINTER(&digest)); }
API(newest_frame) { int64_t frame; return rlua_newest_frame(L, POINTER(&frame)); }
/* Only where its promise holds: no frame of the VM is on any stack. */
API(recover) {
    Vm *vm = vm_of(L);
    return vm && (vm->depth || vm->working) ? ANSWERED : rlua_recover(L);
}
/* Both push the message and answer RLUA_RAISE. */
API(error) { return rlua_error(L, any_text()) == RLUA_RAISE ? ANSWERED : FAILED; }
API(argerror) {
    int argument = any_int();
    return rlua_argerror(L, argument, any_text()) == RLUA_RAISE ? ANSWERED : FAILED;
}

/* -- the table -------------------------------------------------------------------------------- */

enum { ANY = 100, IDLE = 1, PUSH = 2 };

typedef struct Function {
    const char *name;
    int (*call)(lua_State *L);
    int flags; /* IDLE: needs an idle VM; PUSH: may be called where the frame is not ours */
    int pushes, pops; /* on success: pushes - pops; on an error of Lua's: 1 - pops */
} Function;

#define ROW(name, flags, pushes, pops) {"rlua_" #name, api_##name, flags, pushes, pops}

static const Function functions[] = {
    ROW(version, PUSH, 0, 0), ROW(strerror, PUSH, 0, 0), ROW(last_error, PUSH, 0, 0),
    ROW(new_rollback, 0, ANY, 0), ROW(open, 0, ANY, 0), ROW(info, PUSH, 0, 0),
    ROW(check, IDLE | PUSH, 0, 0), ROW(snap, IDLE | PUSH, 0, 0),
    ROW(snap_frame, IDLE | PUSH, 0, 0), ROW(rollback, IDLE | PUSH, ANY, 0),
    ROW(rollback_to, IDLE | PUSH, ANY, 0), ROW(discard_before, IDLE | PUSH, 0, 0),
    ROW(set_max_snapshots, IDLE | PUSH, 0, 0), ROW(snapshot_count, PUSH, 0, 0),
    ROW(save, IDLE | PUSH, 0, 0), ROW(save_buffer, IDLE | PUSH, 0, 0),
    ROW(save_snapshot, IDLE | PUSH, 0, 0), ROW(save_bound, IDLE | PUSH, 0, 0),
    ROW(save_delta, IDLE | PUSH, 0, 0), ROW(apply_delta, IDLE | PUSH, 0, 0),
    ROW(load, PUSH, 0, 0), ROW(load_buffer, PUSH, 0, 0), ROW(checksum, IDLE | PUSH, 0, 0),
    ROW(clone, IDLE | PUSH, 0, 0), ROW(diff, PUSH, 0, 0), ROW(diff_vms, IDLE | PUSH, 0, 0),
    ROW(synctest, PUSH, 0, 0),
    ROW(newenv, PUSH, 1, 0), ROW(set_budget, PUSH, 0, 0), ROW(budget_left, PUSH, 0, 0),
    ROW(openlibs, PUSH, 0, 0), ROW(loadbuffer, PUSH, 1, 0), ROW(call, 0, ANY, ANY),
    ROW(getglobal, PUSH, 1, 0), ROW(setglobal, 0, 0, 1), ROW(getfield, PUSH, 1, 0),
    ROW(setfield, 0, 0, 1), ROW(geti, PUSH, 1, 0), ROW(seti, 0, 0, 1), ROW(gettable, 0, 1, 1),
    ROW(settable, 0, 0, 2), ROW(createtable, PUSH, 1, 0), ROW(pushlstring, PUSH, 1, 0),
    ROW(pushinteger, PUSH, 1, 0), ROW(pushnumber, PUSH, 1, 0), ROW(pushboolean, PUSH, 1, 0),
    ROW(pushnil, PUSH, 1, 0), ROW(pushvalue, PUSH, 1, 0), ROW(gc, PUSH, 0, 0),
    ROW(dostring, PUSH, ANY, 0), ROW(dofile, PUSH, ANY, 0), ROW(resume, 0, ANY, ANY),
    ROW(next, 0, ANY, 1), ROW(tolstring, 0, 0, 0), ROW(pushfunction, PUSH, 1, 0),
    ROW(newuserdata, PUSH, 1, 0), ROW(newthread, PUSH, 1, 0), ROW(pushcclosure, 0, 1, ANY),
    ROW(loadfile, PUSH, 1, 0), ROW(requiref, PUSH, 1, 0), ROW(len, PUSH, 1, 0),
    ROW(concat, 0, ANY, ANY), ROW(compare, PUSH, 0, 0), ROW(arith, 0, ANY, ANY),
    ROW(pushtostring, PUSH, 1, 0), ROW(traceback, PUSH, 1, 0), ROW(rawget, 0, 1, 1),
    ROW(rawgeti, PUSH, 1, 0), ROW(rawset, 0, 0, 2), ROW(rawseti, 0, 0, 1),
    ROW(getsubtable, PUSH, 1, 0), ROW(newmetatable, PUSH, 1, 0), ROW(getmetatable, PUSH, 1, 0),
    ROW(setmetatable, 0, 0, 0), ROW(testudata, PUSH, 0, 0), ROW(settop, 0, ANY, ANY),
    ROW(toclose, 0, 0, 0), ROW(closeslot, 0, 0, ANY), ROW(xmove, 0, ANY, 0),
    ROW(alloc, PUSH, 0, 0), ROW(realloc, PUSH, 0, 0), ROW(free, PUSH, 0, 0),
    ROW(touch, PUSH, 0, 0), ROW(ref, 0, 0, 1),
    ROW(getref, PUSH, 1, 0), ROW(unref, PUSH, 0, 0), ROW(pushresource, PUSH, 1, 0),
    ROW(toresource, PUSH, 0, 0), ROW(closeresource, PUSH, 0, 0), ROW(add_participant, PUSH, 0, 0),
    ROW(remove_participant, PUSH, 0, 0),
    ROW(newest_frame, PUSH, 0, 0), ROW(recover, 0, ANY, 0), ROW(error, PUSH, ANY, 0),
    ROW(argerror, PUSH, ANY, 0), ROW(register, PUSH, 0, 0), ROW(register_pointer, PUSH, 0, 0),
    ROW(register_type, PUSH, 0, 0), ROW(set_time, PUSH, 0, 0), ROW(config_digest, PUSH, 0, 0),
};

static int is_known(int status) {
    switch (status) {
        case RLUA_OK: case RLUA_NULL_ARG: case RLUA_NOT_ROLLBACK: case RLUA_BUSY:
        case RLUA_DISABLED: case RLUA_NO_SNAPSHOT: case RLUA_BAD_FRAME: case RLUA_NO_MEMORY:
        case RLUA_BAD_CONFIG: case RLUA_UNSUPPORTED: case RLUA_BAD_ARG: case RLUA_STALE:
        case RLUA_PARTICIPANT: case RLUA_ERR_RUN: case RLUA_ERR_SYNTAX: case RLUA_ERR_MEM:
        case RLUA_ERR_ERR: case RLUA_ERR_FILE: case RLUA_YIELD: case RLUA_BUDGET:
        case RLUA_BAD_IMAGE: case RLUA_UNSAVABLE: case RLUA_STREAM:
            return 1;
        default: return 0; /* POISONED and CORRUPT are findings */
    }
}

static void see_answer(const Function *function, lua_State *L, int status, int before) {
    int height, failed = status != RLUA_OK && status != ANSWERED && status != RLUA_YIELD;
    if (status != ANSWERED && status != FAILED && !is_known(status))
        FAIL("%s answered %d (%s): %s", function->name, status, rlua_strerror(status),
             rlua_last_error(L));
    if (failed) {
        fuzz->counts[REFUSALS]++;
        if (rlua_last_error(NULL)[0] == 0) FAIL("%s failed without a sentence", function->name);
    }
    if (!vm_of(L)) {
        if (!failed && status != ANSWERED && strcmp(function->name, "rlua_open") != 0)
            FAIL("%s answered %d for %p", function->name, status, (void *)L);
        return;
    }
    height = lua_gettop(L);
    if (status >= RLUA_ERR_RUN && status != RLUA_YIELD) {
        fuzz->counts[LUA_ERRORS]++;
        if (function->pops != ANY && height != before + 1 - function->pops)
            FAIL("%s answered %d; the height was %d and is %d", function->name, status, before,
                 height);
    } else if (failed && height != before) {
        FAIL("%s refused with %d (%s); the height was %d and is %d", function->name, status,
             rlua_last_error(L), before, height);
    } else if (status == RLUA_OK && function->pushes != ANY && function->pops != ANY &&
               height != before + function->pushes - function->pops) {
        FAIL("%s is done; the height was %d and is %d", function->name, before, height);
    }
}

/* What is refused with one of these has not touched a byte. */
static int leaves_all(int status) {
    return status == RLUA_BUSY || status == RLUA_NULL_ARG || status == RLUA_NOT_ROLLBACK ||
           status == RLUA_BAD_FRAME || status == RLUA_NO_SNAPSHOT || status == RLUA_DISABLED ||
           status == RLUA_BAD_CONFIG || status == RLUA_STALE;
}

/* The threads on which calls are going on; the height of such a one is its caller's to know. */
static lua_State *calling[DEEPEST + 2];
static size_t calls;

static int is_calling(const lua_State *L) {
    size_t i;
    for (i = 0; i < calls; i++)
        if (calling[i] == L) return 1;
    return 0;
}

static void one_call(const Function *function, lua_State *L) {
    Vm *vm = vm_of(L);
    int before = vm ? lua_gettop(L) : 0, busy = vm && (vm->depth || vm->working), status;
    char what[sizeof fuzz->what];
    unsigned char *copy = NULL, *region = NULL;
    size_t used = 0;
    memcpy(what, fuzz->what, sizeof what);
    doing("%s(%s) in %.50s", function->name, !vm ? "no VM" : L == vm->main ? "main" : "thread",
          what);
    if (vm && one_in(&R, 40) && (function->flags & IDLE || one_in(&R, 8))) {
        used = info_of(vm->main).used_bytes;
        region = (unsigned char *)((uintptr_t)vm->main & ~(uintptr_t)0xFFFFFFFFu);
        if (used < 2 * MIB && (copy = malloc(used)) != NULL) memcpy(copy, region, used);
    }
    fuzz->step++;
    fuzz->counts[CALLS]++;
    CHECK(calls < COUNT_OF(calling));
    calling[calls++] = L;
    status = function->call(L);
    calls--;
    see_answer(function, L, status, before);
    if (busy && (function->flags & IDLE) && status == RLUA_OK)
        FAIL("%s is done in a busy VM", function->name);
    if (copy && leaves_all(status) && vm == vm_of(L)) {
        fuzz->counts[COMPARES]++;
        if (info_of(vm->main).used_bytes != used || memcmp(copy, region, used) != 0)
            FAIL("%s answered %d (%s) and has changed the VM", function->name, status,
                 rlua_last_error(L));
    }
    free(copy);
    memcpy(fuzz->what, what, sizeof what);
}

static void close_vm(Vm *vm) {
    lua_State *L = a_thread(vm);
    int busy = vm->depth || vm->working;
    rlua_Info info;
    doing("lua_close");
    if (busy) {
        lua_close(L);
        info = info_of(L); /* still there */
        CHECK(info.used_bytes > 0);
        return;
    }
    closed = vm->main;
    lua_close(L);
    vm->main = NULL;
}

static void some_calls(Vm *vm, lua_State *L, int most, int only_pushes) {
    int count = 1 + below(&R, most);
    while (count-- > 0 && vm->main) {
        const Function *function = &functions[below(&R, COUNT_OF(functions))];
        lua_State *on = one_in(&R, 4) ? any_state() : a_thread(vm);
        Vm *other = vm_of(on);
        if (other && (only_pushes || other->fragile || (on != L && is_calling(on)))) {
            if (other == vm) on = L;
            else if (other->fragile || is_calling(on)) continue;
        }
        if (only_pushes && !(function->flags & PUSH)) continue;
        if (other && on != L && lua_gettop(on) > TOP_MAX && other->depth == 0) lua_settop(on, 9);
        one_call(function, on);
        if (vm->main && one_in(&R, 60) && vm->depth) close_vm(vm);
        if (!only_pushes && vm->main && vm->depth && lua_gettop(L) > TOP_MAX) lua_settop(L, 5);
    }
}

/* -- the host's own level --------------------------------------------------------------------- */

static int panicked(lua_State *L) {
    FAIL("raised out of the library: %s", lua_tostring(L, -1));
}

static int finalized(lua_State *L) { /* makes an object with a finalizer in C */
    lua_newuserdatauv(L, 8, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, in_finalizer);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return 1;
}

static int prepare_body(lua_State *L) {
    Vm *vm = lua_touserdata(L, 1);
    int i;
    luaL_openlibs(L);
    lua_register(L, "inside", in_c_function);
    lua_register(L, "finalized", finalized);
    for (i = 0; i < POOL; i++) {
        lua_State *thread = lua_newthread(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &vm->pool[i]);
        lua_checkstack(thread, 20);
        luaL_loadstring(thread, i % 2 ? "coroutine.yield(...) inside() coroutine.yield() return 1"
                                      : "inside() coroutine.yield(...) error('dead')");
        vm->pool[i] = thread;
    }
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_pushcfunction(L, in_c_function);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "closable");
    return 0;
}

/* A VM without the room for it stays bare. */
static void prepare(Vm *vm) {
    lua_State *L = vm->main;
    int status;
    lua_atpanic(L, panicked);
    lua_setwarnf(L, in_warning, vm);
    status = rlua_pushcclosure(L, prepare_body, 0);
    if (status == RLUA_OK) {
        lua_pushlightuserdata(L, vm);
        nested += DEEPEST; /* nothing of ours inside */
        status = rlua_call(L, 1, 0, 0);
        nested -= DEEPEST;
    }
    if (status != RLUA_OK) {
        memset(vm->pool, 0, sizeof vm->pool);
        lua_settop(L, 0);
    }
}

/* Ways into Lua that are not rlua_*. They may raise, so each is protected. */
static void by_lua(Vm *vm) {
    lua_State *L = vm->main;
    int reads = 0;
    if (!lua_checkstack(L, 10)) return;
    switch (below(&R, 5)) {
        case 0:
            doing("lua_load with a reader");
            lua_load(L, in_reader, &reads, "=reader", NULL);
            break;
        case 1:
            if (luaL_loadstring(L, "return 1") == LUA_OK) {
                doing("lua_dump with a writer");
                lua_dump(L, in_writer, NULL, 0);
            }
            break;
        case 2:
            lua_sethook(L, one_in(&R, 2) ? in_hook : NULL, LUA_MASKCOUNT | LUA_MASKCALL,
                        1 + below(&R, 50));
            return;
        case 3:
            doing("lua_pcall with a handler");
            lua_pushcfunction(L, in_handler);
            if (luaL_loadstring(L, "local x = nil + 1") == LUA_OK)
                lua_pcall(L, 0, 0, lua_gettop(L) - 1);
            break;
        default:
            doing("lua_pcall of a C function");
            lua_pushcfunction(L, in_c_function);
            lua_pcall(L, 0, LUA_MULTRET, 0);
    }
    lua_settop(L, 3);
}

/* A callback on the host's own level needs the thread: warnings name none. */
static void outermost(Vm *vm) {
    int i, moves = 1 + below(&R, 6);
    lua_State *L;
    while (moves-- > 0 && vm->main) {
        const Function *function = &functions[below(&R, COUNT_OF(functions))];
        L = one_in(&R, 5) ? any_state() : a_thread(vm);
        if (vm_of(L) && lua_gettop(L) > TOP_MAX) lua_settop(L, 9);
        one_call(function, L);
    }
    if (!vm->main) return;
    if (one_in(&R, 4)) by_lua(vm);
    for (i = 0; i < VMS; i++) {
        if (!vms[i].main || !one_in(&R, 6)) continue;
        doing("rlua_check");
        fuzz->counts[CHECKS]++;
        {
            int status = rlua_check(vms[i].main);
            /* The check itself takes memory of the system, not of the VM. */
            if (status != RLUA_OK)
                FAIL("rlua_check answered %d: %s", status, rlua_last_error(vms[i].main));
        }
    }
    if (one_in(&R, 150)) close_vm(vm);
}

static void *allocate(void *ud, void *block, size_t held, size_t size) {
    (void)ud;
    (void)held;
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

static void api(uint64_t seed, long frames) {
    int i;
    R.state = seed;
    if (!freopen("/dev/null", "w", stdout)) FAIL("freopen: %s", strerror(errno)); /* print */
    foreign = lua_newstate(allocate, NULL);
    CHECK(foreign != NULL);
    for (fuzz->frame = 0; fuzz->frame < frames; fuzz->frame++) {
        Vm *vm = &vms[below(&R, VMS)];
        doing("the host's level");
        contexts = 40;
        if (vm->main) outermost(vm);
        else one_call(&functions[one_in(&R, 2) ? 3 : 4], NULL);
    }
    for (i = 0; i < VMS; i++)
        if (vms[i].main) close_vm(&vms[i]);
    lua_close(foreign);
}

/* Every public function has its row. */
static void see_all(void) {
    size_t i, k;
    for (i = 0; i < COUNT_OF(public_functions); i++) {
        for (k = 0; k < COUNT_OF(functions); k++)
            if (strcmp(public_functions[i], functions[k].name) == 0) break;
        if (k == COUNT_OF(functions)) FAIL("%s is not called here", public_functions[i]);
    }
    CHECK(COUNT_OF(public_functions) > 70);
}

int main(int argc, char **argv) {
    static const Fuzzer fuzzer = {"api", 2000, api,
        {"calls", "refusals", "errors of Lua", "contexts", "compares after a refusal", "checks",
         "VMs"}};
    see_all();
    return fuzz_main(&fuzzer, argc, argv);
}
