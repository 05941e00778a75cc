/* sysmalloc.c: where the system has no memory for the library itself, a call fails with a status
 * and a sentence, changes nothing, and the process lives.
 * Method: this program interposes malloc and its like (and, in tests of their own, mmap and
 * mprotect), and runs a scenario that calls every public function. The n-th allocation fails, for
 * every n until the scenario passes without one; then the same with all from the n-th on. Each n
 * is a process of its own, so that what a process does once is done each time. A call that failed
 * must answer so, leave a whole VM with the same values, and succeed when memory is back.
 * Not here: the VM's own limit (limits.c), the limits of the process (nomemory.c). Not run under
 * valgrind and sanitizers, whose malloc is their own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "harness.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static const char *const public_functions[] = {
#define PUBLIC(name) #name,
#include "functions.inc"
};

/* -- what fails ------------------------------------------------------------------------------- */

enum Kind { MALLOC, MAP };

static struct {
    int armed, kind, from_then_on;
    long n, calls, refused;
} failing;

static int refuse(int kind) {
    if (!failing.armed || failing.kind != kind) return 0;
    failing.calls++;
    if (failing.from_then_on ? failing.calls < failing.n : failing.calls != failing.n) return 0;
    failing.refused++;
    errno = ENOMEM;
    return 1;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) { return refuse(MALLOC) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) {
    return refuse(MALLOC) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *block, size_t size) {
    return refuse(MALLOC) ? NULL : __libc_realloc(block, size);
}
void *reallocarray(void *block, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    return refuse(MALLOC) ? NULL : __libc_realloc(block, count * size);
}
void *memalign(size_t alignment, size_t size) {
    return refuse(MALLOC) ? NULL : __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **block, size_t alignment, size_t size) {
    void *made = memalign(alignment, size);
    if (!made) return ENOMEM;
    *block = made;
    return 0;
}

static void *map(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    if (refuse(MAP)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, prot, flags, file, offset);
}
void *mmap(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return map(at, size, prot, flags, file, offset);
}
void *mmap64(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return map(at, size, prot, flags, file, offset);
}
int mprotect(void *at, size_t size, int prot) {
    return refuse(MAP) ? -1 : (int)syscall(SYS_mprotect, at, size, prot);
}

/* -- one call --------------------------------------------------------------------------------- */

/* Where a child is, for the parent that survives it. */
typedef struct Place {
    char call[160], problem[200];
    long refused;
    unsigned char called[COUNT_OF(public_functions)];
} Place;

static Place *place;

#define PROBLEM(...)                                                  \
    do {                                                              \
        snprintf(place->problem, sizeof place->problem, __VA_ARGS__); \
        _exit(9);                                                     \
    } while (0)

static void begin(const char *call) {
    size_t i;
    for (i = 0; i < COUNT_OF(public_functions); i++) {
        const char *at = strstr(call, public_functions[i]);
        if (at && at[strlen(public_functions[i])] == '(') place->called[i] = 1;
    }
    snprintf(place->call, sizeof place->call, "%s", call);
    failing.armed = 1;
}

/* Tells how many allocations were refused during the call. */
static long end(long before) {
    failing.armed = 0;
    return failing.refused - before;
}

static lua_State *L;
static int expected_n; /* global n, once it is set */

/* Guarded userdata; `ends_stay` is how many have ended before a call that ends none if it fails. */
static int things, ends, ends_stay = -1;

/* The VM is whole and has its values. */
static void see_whole(void) {
    int status;
    if (!L) return;
    status = rlua_check(L);
    if (status != RLUA_OK && status != RLUA_BUSY)
        PROBLEM("then rlua_check: %s", rlua_last_error(L));
    if (!expected_n) return;
    lua_getglobal(L, "n");
    if (lua_tointeger(L, -1) != expected_n)
        PROBLEM("then n is %lld, not %d", (long long)lua_tointeger(L, -1), expected_n);
    lua_pop(L, 1);
}

static void see_refusal(int status, long refused, int height) {
    if (!refused) PROBLEM("%d without a refused allocation: %s", status, rlua_last_error(NULL));
    if (status != RLUA_NO_MEMORY && status != RLUA_ERR_MEM && status != RLUA_ERR_FILE)
        PROBLEM("answered %d (%s): %s", status, rlua_strerror(status), rlua_last_error(NULL));
    if (strlen(rlua_last_error(NULL)) < 8) PROBLEM("%d without a sentence", status);
    if (status >= RLUA_ERR_RUN) lua_pop(L, 1);
    if (ends_stay >= 0 && ends != ends_stay) PROBLEM("%d finalizers ran", ends - ends_stay);
    if (L && lua_gettop(L) != height && status < RLUA_ERR_RUN)
        PROBLEM("refused with %d; the height was %d and is %d", status, height, lua_gettop(L));
    see_whole();
}

/* Calls with the failing memory; after a refusal again, without. */
#define TRY(call)                                                                  \
    do {                                                                           \
        int height_ = L ? lua_gettop(L) : 0, status_;                              \
        long before_ = failing.refused, refused_;                                  \
        begin(#call);                                                              \
        status_ = (call);                                                          \
        refused_ = end(before_);                                                   \
        if (status_ == RLUA_OK) break;                                             \
        see_refusal(status_, refused_, height_);                                   \
        status_ = (call);                                                          \
        if (status_ != RLUA_OK) PROBLEM("again, with memory: %d: %s", status_,     \
                                        rlua_last_error(NULL));                    \
    } while (0)

/* The same for what answers NULL or 0. */
#define TRY_MAKE(made, call)                                                         \
    do {                                                                             \
        int height_ = L ? lua_gettop(L) : 0;                                         \
        long before_ = failing.refused, refused_;                                    \
        begin(#call);                                                                \
        (made) = (call);                                                             \
        refused_ = end(before_);                                                     \
        if (made) break;                                                             \
        see_refusal(RLUA_NO_MEMORY, refused_, height_);                              \
        (made) = (call);                                                             \
        if (!(made)) PROBLEM("again, with memory: %s", rlua_last_error(NULL));       \
    } while (0)

/* What is refused anyway is refused in the same way, or for want of memory. */
#define TRY_REFUSED(call, expected)                                                    \
    do {                                                                               \
        int status_;                                                                   \
        begin(#call);                                                                  \
        status_ = (call);                                                              \
        failing.armed = 0;                                                             \
        if (status_ != (expected) && status_ != RLUA_NO_MEMORY && status_ != RLUA_ERR_MEM) \
            PROBLEM("answered %d, not %d", status_, expected);                         \
        if (strlen(rlua_last_error(NULL)) < 8) PROBLEM("%d without a sentence", status_); \
        see_whole();                                                                   \
    } while (0)

#define TRY_PLAIN(call)          \
    do {                         \
        begin(#call);            \
        (void)(call);            \
        failing.armed = 0;       \
    } while (0)

/* -- the scenario ----------------------------------------------------------------------------- */

static int nothing(lua_State *thread, void *ud) {
    (void)thread;
    (void)ud;
    return 0;
}
static int nothing_c(lua_State *thread) {
    (void)thread;
    return 0;
}
#ifdef RLUA_VERSION
static int raising(lua_State *thread, void *ud) {
    failing.armed = 0; /* the call around it is armed: these push a message in the VM */
    begin("rlua_error(thread, x) and rlua_argerror(thread, 1, x)");
    return ud ? rlua_error(thread, "on purpose") : rlua_argerror(thread, 1, "on purpose");
}
#endif

static int releases;
static void release(lua_State *thread, void *object, void *ud) {
    (void)thread;
    (void)object;
    (void)ud;
    releases++;
}
static int capture(void *ud, int64_t frame, void **token) {
    (void)ud;
    *token = (void *)(uintptr_t)(frame + 1);
    return 0;
}
static void restore(void *ud, void *token) {
    (void)ud;
    (void)token;
}

#ifdef RLUA_VERSION
static int nothing_in_lua(lua_State *state) {
    (void)state;
    return 0;
}
#endif

static int end_thing(lua_State *thread) {
    (void)thread;
    ends++;
    return 0;
}
static int new_thing(lua_State *thread) {
    lua_newuserdatauv(thread, 40, 1);
    lua_createtable(thread, 0, 1);
    lua_pushcfunction(thread, end_thing);
    lua_setfield(thread, -2, "__gc");
    lua_setmetatable(thread, -2);
    things++;
    return 1;
}

/* A rollback that fails finalizes nothing. */
#define TRY_ROLLBACK(call)    \
    do {                      \
        ends_stay = ends;     \
        TRY(call);            \
        ends_stay = -1;       \
    } while (0)

static const rlua_Method methods[] = {{"m", nothing}, {NULL, NULL}};
static const rlua_ResourceType type = {sizeof type, "t", release, NULL, methods};
static const rlua_ResourceType other = {sizeof other, "t", release, &releases, methods};
static const rlua_Participant participant = {sizeof participant, capture, restore, restore};

static void set_n(int n) {
    expected_n = 0;
    TRY(rlua_pushinteger(L, n));
    TRY(rlua_setglobal(L, "n"));
    expected_n = n;
}

static void open_all(lua_State **made) {
    rlua_Config config;
    lua_State *bad;
    memset(&config, 0, sizeof config);
    TRY_REFUSED(rlua_open(&config, &bad), RLUA_BAD_CONFIG);
    config.size = sizeof config;
    config.memory_size = 4 * MIB;
    config.max_snapshots = 3;
    TRY(rlua_open(&config, &made[0]));
    TRY_MAKE(made[1], rlua_new_rollback(1 * MIB, 2));
    TRY_MAKE(made[2], luaL_newstate());
    TRY_PLAIN(rlua_version());
    TRY_PLAIN(rlua_strerror(3));
    TRY_PLAIN(rlua_last_error(NULL));
}

static void values(void) {
    const char *text;
    size_t length;
    int flag;
    void *block;
    lua_State *thread;
    uint64_t units;
    TRY(rlua_openlibs(L, RLUA_LIB_ALL));
    TRY(rlua_newenv(L, RLUA_LIB_SANDBOX));
    TRY(rlua_set_budget(L, 1000000));
    TRY(rlua_budget_left(L, &units));
    TRY(rlua_set_budget(L, RLUA_NO_BUDGET));
    set_n(1);
    TRY(rlua_dostring(L, "t = {} for i = 1, 100 do t[i] = {i} end"));
    TRY(rlua_loadbuffer(L, "return 1", 8, "=x", "t"));
    TRY(rlua_call(L, 0, 1, 0));
    TRY(rlua_getglobal(L, "t"));
    TRY(rlua_getfield(L, -1, "x"));
    TRY(rlua_setfield(L, -2, "y"));
    TRY(rlua_geti(L, -1, 1));
    TRY(rlua_seti(L, -2, 2));
    TRY(rlua_pushinteger(L, 3));
    TRY(rlua_gettable(L, -2));
    TRY(rlua_pushnumber(L, 1.5));
    TRY(rlua_pushboolean(L, 1));
    TRY(rlua_settable(L, -4));
    TRY(rlua_createtable(L, 100, 100));
    TRY(rlua_pushlstring(L, "abc", 3));
    TRY(rlua_pushnil(L));
    TRY(rlua_next(L, -3, &flag));
    TRY(rlua_tolstring(L, -1, &text, &length));
    TRY(rlua_gc(L, LUA_GCCOLLECT, 0));
    TRY(rlua_settop(L, 0));
    TRY(rlua_pushfunction(L, nothing, &L, "nothing"));
    TRY(rlua_newuserdata(L, 100, 1, &block));
    TRY(rlua_pushvalue(L, 1));
    TRY(rlua_pushcclosure(L, nothing_c, 1));
    TRY(rlua_newthread(L, &thread));
    TRY(rlua_loadfile(L, "/dev/null", NULL));
    TRY(rlua_xmove(L, thread, 1));
    TRY(rlua_resume(thread, L, 0, &flag));
    TRY(rlua_dofile(L, "/dev/null"));
    TRY(rlua_requiref(L, "string", luaopen_string, 0));
    TRY(rlua_settop(L, 0));
}

static void more_values(void) {
    int flag;
    void *block;
    TRY(rlua_pushlstring(L, "text", 4));
    TRY(rlua_len(L, 1));
    TRY(rlua_pushvalue(L, 1));
    TRY(rlua_concat(L, 2));
    TRY(rlua_compare(L, 1, 2, LUA_OPEQ, &flag));
    TRY(rlua_pushinteger(L, 4));
    TRY(rlua_arith(L, LUA_OPUNM));
    TRY(rlua_pushtostring(L, -1));
    TRY(rlua_traceback(L, L, "m", 0));
    TRY(rlua_getglobal(L, "t"));
    TRY(rlua_rawgeti(L, -1, 1));
    TRY(rlua_rawseti(L, -2, 5));
    TRY(rlua_pushinteger(L, 5));
    TRY(rlua_rawget(L, -2));
    TRY(rlua_pushinteger(L, 7));
    TRY(rlua_pushinteger(L, 8));
    TRY(rlua_rawset(L, -4));
    TRY(rlua_getsubtable(L, -2, "sub"));
    TRY(rlua_newmetatable(L, "meta", &flag));
    TRY(rlua_getmetatable(L, "meta"));
    TRY(rlua_createtable(L, 0, 0));
    TRY(rlua_setmetatable(L, "meta"));
    TRY(rlua_testudata(L, -1, "meta", &block));
    TRY(rlua_settop(L, 0));
    TRY(rlua_dostring(L, "return setmetatable({}, {__close = function() end})"));
    TRY(rlua_toclose(L, -1));
    TRY(rlua_pushnil(L));
    TRY(rlua_settop(L, 1));
    TRY(rlua_closeslot(L, 1));
    TRY(rlua_settop(L, 0));
#ifdef RLUA_VERSION
    TRY(rlua_pushfunction(L, raising, NULL, "raising"));
    TRY_REFUSED(rlua_call(L, 0, 0, RLUA_TRACEBACK), RLUA_ERR_RUN);
    TRY(rlua_pushfunction(L, raising, &L, "raising"));
    TRY_REFUSED(rlua_call(L, 0, 0, 0), RLUA_ERR_RUN);
    lua_settop(L, 0);
#endif
}

static void kept_by_the_host(void) {
    void *block = NULL, *bigger = NULL, *object;
    rlua_Ref ref = 0, kept[20];
    int i;
    TRY_MAKE(block, rlua_alloc(L, 1000));
    TRY_MAKE(bigger, rlua_realloc(L, block, 90000));
    TRY(rlua_touch(L, bigger, 90000));
    TRY(rlua_free(L, bigger));
    for (i = 0; i < 20; i++) {
        TRY(rlua_pushinteger(L, i));
        TRY_MAKE(kept[i], rlua_ref(L));
    }
    ref = kept[7];
    TRY(rlua_getref(L, ref));
    TRY(rlua_unref(L, ref));
    TRY_REFUSED(rlua_getref(L, ref), RLUA_STALE);
    TRY(rlua_settop(L, 0));
    for (i = 0; i < 10; i++) TRY(rlua_pushresource(L, &releases, &type));
    TRY_REFUSED(rlua_pushresource(L, &releases, &other), RLUA_BAD_ARG);
    TRY(rlua_toresource(L, 1, &type, &object));
    TRY(rlua_closeresource(L, 1, &type));
    if (releases != 1) PROBLEM("%d releases, not 1", releases);
    TRY(rlua_settop(L, 0));
}

static void history(void) {
    rlua_Checksum checksum;
    lua_State *copy;
    rlua_Info info;
    size_t count;
    int i;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    TRY(rlua_pushcclosure(L, new_thing, 0));
    TRY(rlua_setglobal(L, "thing"));
    TRY(rlua_dostring(L, "held = {} for i = 1, 20 do held[i] = thing() end"));
    TRY(rlua_snap(L));
    TRY(rlua_add_participant(L, &participant, NULL));
    for (i = 2; i < 8; i++) {
        TRY(rlua_pushresource(L, &releases, &type));
        set_n(i);
        TRY(rlua_dostring(L, "for i = 1, 100 do t[i] = {i, tostring(i)} end"));
        TRY(rlua_dostring(L, "for i = 1, 10 do held[n * 10 + i] = thing() held[i + n] = nil end"));
        TRY(rlua_snap_frame(L, 10 * i));
    }
#ifdef RLUA_VERSION
    {
        int64_t frame;
        uint64_t digest;
        TRY(rlua_config_digest(L, &digest));
        TRY(rlua_register(L, "function", nothing_in_lua));
        TRY(rlua_register_pointer(L, "pointer", &releases));
        TRY(rlua_set_time(L, 1, 2));
        TRY(rlua_newest_frame(L, &frame));
        TRY(rlua_snap_frame(L, 70));
    }
#endif
    TRY_REFUSED(rlua_snap_frame(L, 1), RLUA_BAD_FRAME);
    TRY_REFUSED(rlua_rollback(L, 99), RLUA_NO_SNAPSHOT);
    TRY(rlua_info(L, &info));
    TRY(rlua_snapshot_count(L, &count));
    expected_n = 0; /* the rollback changes it */
    TRY_ROLLBACK(rlua_rollback_to(L, 60));
    expected_n = 6;
    see_whole();
    set_n(9);
    expected_n = 0;
    TRY(rlua_dostring(L, "for i = 1, 300 do held[i] = thing() end"));
    TRY_ROLLBACK(rlua_rollback(L, 1));
    expected_n = 6;
    see_whole();
    TRY(rlua_discard_before(L, 60));
    TRY(rlua_set_max_snapshots(L, 40));
    for (i = 0; i < 20; i++) {
        set_n(i + 20);
        TRY(rlua_snap(L));
    }
    TRY(rlua_check(L));
    TRY(rlua_checksum(L, &checksum));
    TRY_REFUSED(rlua_save(L, NULL, NULL), RLUA_NULL_ARG);
    TRY_REFUSED(rlua_save_buffer(L, NULL, 0, &count), RLUA_UNSAVABLE);
    TRY_REFUSED(rlua_clone(L, &copy), RLUA_UNSAVABLE);
    TRY_REFUSED(rlua_load(NULL, NULL, NULL, &copy), RLUA_NULL_ARG);
    TRY_REFUSED(rlua_load_buffer(NULL, "", 0, &copy), RLUA_BAD_IMAGE);
    TRY(rlua_remove_participant(L, &participant, NULL));
#ifdef RLUA_VERSION
    TRY(rlua_recover(L));
#endif
}

static int a_frame(lua_State *vm, void *ud, unsigned frame, int again) {
    (void)ud, (void)again;
    return rlua_pushinteger(vm, (lua_Integer)frame);
}

/* What compares states; the clones of a sync test are missing where there is no memory. */
static void compared(lua_State *bare) {
    static char image[256 * 1024];
    size_t length;
    TRY(rlua_diff_vms(L, bare, 0, NULL, NULL));
    TRY(rlua_save_buffer(bare, image, sizeof image, &length));
    TRY(rlua_diff(NULL, image, length, image, length, 0, NULL, NULL));
    TRY(rlua_synctest(bare, a_frame, NULL, 1, 2, NULL));
}

/* Snapshots are turned on where there are userdata already. */
static void turned_on(void) {
    expected_n = 0;
    TRY(rlua_pushcclosure(L, new_thing, 0));
    TRY(rlua_setglobal(L, "thing"));
    TRY(rlua_dostring(L, "t = {} for i = 1, 50 do t[i] = thing() end"));
    TRY(rlua_set_max_snapshots(L, 2));
    TRY(rlua_snap(L));
    TRY(rlua_dostring(L, "t = {} for i = 1, 50 do t[i] = thing() end"));
    TRY(rlua_gc(L, LUA_GCCOLLECT, 0));
    TRY_ROLLBACK(rlua_rollback(L, 1));
    TRY(rlua_set_max_snapshots(L, 0));
}

static struct { char bytes[1 << 18]; size_t length, at; } image;

static int to_image(void *unused, const void *bytes, size_t length) {
    (void)unused;
    if (length > sizeof image.bytes - image.length) return 1;
    memcpy(image.bytes + image.length, bytes, length);
    image.length += length;
    return 0;
}

static size_t from_image(void *unused, void *bytes, size_t length) {
    (void)unused;
    if (length > image.length - image.at) length = image.length - image.at;
    memcpy(bytes, image.bytes + image.at, length);
    image.at += length;
    return length;
}

static int anew(int write) {
    if (write) image.length = 0;
    image.at = 0;
    return 1;
}

static rlua_Config config_of(void) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = 2;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

/* What leaves a VM, and follows it. */
static void images(void) {
    rlua_Config config = config_of();
    lua_State *first, *copy = NULL, *clone = NULL;
    size_t length;
    L = NULL;
    TRY(rlua_open(&config, &first));
    L = first;
    TRY(rlua_dostring(L, "t = {} for i = 1, 90 do t[i] = {i} end"));
    TRY(rlua_snap_frame(L, 1));
    TRY(rlua_save_bound(L, &length));
    TRY((anew(1), rlua_save(L, to_image, NULL)));
    TRY((anew(0), rlua_load(&config, from_image, NULL, &copy)));
    TRY(rlua_clone(L, &clone));
    TRY((anew(1), rlua_save_snapshot(L, 1, to_image, NULL)));
    TRY(rlua_dostring(L, "for i = 1, 90, 7 do t[i] = {i, {}} end"));
    TRY(rlua_snap_frame(L, 2));
    TRY((anew(1), rlua_save_delta(L, 1, 2, to_image, NULL)));
    L = copy;
    TRY((anew(0), rlua_apply_delta(L, NULL, from_image, NULL)));
    TRY(rlua_check(L));
    L = clone;
    TRY((anew(0), rlua_apply_delta(L, NULL, from_image, NULL)));
    TRY(rlua_check(L));
    L = NULL;
    TRY_PLAIN(lua_close(first));
    TRY_PLAIN(lua_close(copy));
    TRY_PLAIN(lua_close(clone));
}

/* -- what lies outside goes along: what is made ends once, whatever fails between -------------- */

static int objects_made, objects_ended;

static void end_object(lua_State *thread, void *object, void *ud) {
    (void)thread;
    (void)ud;
    if (object != &objects_made) PROBLEM("another object was released");
    objects_ended++;
}

static int end_meter(lua_State *thread) {
    objects_ended += *(int *)lua_touserdata(thread, 1);
    return 0;
}

static int new_meter(lua_State *thread) {
    int *meter = (int *)lua_newuserdatauv(thread, sizeof *meter, 0);
    *meter = 0;
    if (luaL_newmetatable(thread, "meter")) {
        lua_pushcfunction(thread, end_meter);
        lua_setfield(thread, -2, "__gc");
    }
    lua_setmetatable(thread, -2);
    *meter = 1;
    objects_made++;
    return 1;
}

static int save_object(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    (void)object;
    (void)size;
    (void)ud;
    return writer(to, "bytes", 5);
}

static int load_object(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    (void)bytes;
    (void)ud;
    if (length != 5) return 1;
    if (size == sizeof(int)) *(int *)object = 1;
    else *(void **)object = &objects_made;
    objects_made++;
    return 0;
}

static const rlua_ResourceType sound = {sizeof sound, "sound", end_object, NULL, NULL};
static const rlua_ObjectType sounds = {sizeof sounds, "sound", &sound, save_object, load_object,
                                       NULL};
static const rlua_ObjectType meters = {sizeof meters, "meter", NULL, save_object, load_object,
                                       NULL};

static void objects(void) {
    static const rlua_ObjectType *const types[] = {&sounds, &meters, NULL};
    static const rlua_Name names[] = {{"new_meter", new_meter, NULL, NULL},
                                      {"end_meter", end_meter, NULL, NULL},
                                      {NULL, NULL, NULL, NULL}};
    rlua_Config config = config_of();
    lua_State *first, *copy = NULL, *clone = NULL;
    L = NULL;
    TRY(rlua_open(&config, &first));
    L = first;
    TRY(rlua_register(L, "new_meter", new_meter));
    TRY(rlua_register(L, "end_meter", end_meter));
    TRY(rlua_register_type(L, &sounds));
    TRY(rlua_register_type(L, &meters));
    TRY(rlua_pushcclosure(L, new_meter, 0));
    TRY(rlua_setglobal(L, "meter"));
    TRY(rlua_dostring(L, "a, b = meter(), meter()"));
    TRY(rlua_pushresource(L, &objects_made, &sound));
    objects_made++;
    TRY(rlua_setglobal(L, "c"));
    TRY((anew(1), rlua_save(L, to_image, NULL)));
    config.names = names;
    config.types = types;
    TRY((anew(0), rlua_load(&config, from_image, NULL, &copy)));
    TRY(rlua_clone(L, &clone));
    if (objects_made - objects_ended != 9)
        PROBLEM("%d objects, and %d ended", objects_made, objects_ended);
    L = NULL;
    TRY_PLAIN(lua_close(first));
    TRY_PLAIN(lua_close(copy));
    TRY_PLAIN(lua_close(clone));
    if (objects_made != objects_ended)
        PROBLEM("%d objects, and %d ended", objects_made, objects_ended);
}

static void new_sound(const char *name) {
    TRY(rlua_pushresource(L, &objects_made, &sound));
    objects_made++;
    TRY(rlua_setglobal(L, name));
}

/* A delta that brings and takes resources and guarded userdata. */
static void handles(void) {
    static const rlua_ObjectType *const types[] = {&sounds, &meters, NULL};
    static const rlua_Name names[] = {{"new_meter", new_meter, NULL, NULL},
                                      {"end_meter", end_meter, NULL, NULL},
                                      {NULL, NULL, NULL, NULL}};
    rlua_Config config = config_of();
    lua_State *first, *copies[2] = {NULL, NULL};
    config.names = names;
    config.types = types;
    L = NULL;
    TRY(rlua_open(&config, &first));
    L = first;
    TRY(rlua_register(L, "new_meter", new_meter));
    TRY(rlua_register(L, "end_meter", end_meter));
    TRY(rlua_pushcclosure(L, new_meter, 0));
    TRY(rlua_setglobal(L, "meter"));
    TRY(rlua_dostring(L, "m, n = meter(), meter()"));
    new_sound("a");
    new_sound("b");
    TRY(rlua_snap_frame(L, 1));
    TRY((anew(1), rlua_save(L, to_image, NULL)));
    for (int way = 0; way < 2; way++) {
        config.trust = way == 0 ? RLUA_TRUST_OWN : RLUA_TRUST_PROVED;
        TRY((anew(0), rlua_load(&config, from_image, NULL, &copies[way])));
    }
    TRY(rlua_dostring(L, "a, m = nil o = meter()"));
    TRY_PLAIN(lua_gc(L, LUA_GCCOLLECT));
    new_sound("c");
    new_sound("d");
    TRY(rlua_snap_frame(L, 2));
    TRY((anew(1), rlua_save_delta(L, 1, 2, to_image, NULL)));
    for (int way = 0; way < 2; way++) {
        L = copies[way];
        TRY((anew(0), rlua_apply_delta(L, NULL, from_image, NULL)));
        TRY(rlua_check(L));
    }
    /* The first one's snapshot has all seven. */
    if (objects_made - objects_ended != 17)
        PROBLEM("%d objects, and %d ended", objects_made, objects_ended);
    L = NULL;
    TRY_PLAIN(lua_close(first));
    TRY_PLAIN(lua_close(copies[0]));
    TRY_PLAIN(lua_close(copies[1]));
    if (objects_made != objects_ended)
        PROBLEM("%d objects, and %d ended", objects_made, objects_ended);
}

static void scenario(void *unused) {
    lua_State *vms[3] = {NULL, NULL, NULL}, *more[6] = {NULL};
    size_t i, count;
    int round;
    (void)unused;
    L = NULL;
    open_all(vms);
    L = vms[0];
    values();
    more_values();
    kept_by_the_host();
    history();
    compared(vms[1]);
    L = vms[2];
    turned_on();
    images();
    objects();
    handles();
    L = NULL;
    for (round = 0; round < 2; round++) {
        for (i = 0; i < COUNT_OF(more); i++) TRY_MAKE(more[i], rlua_new_rollback(1 * MIB, 1));
        for (i = 0; i < COUNT_OF(more); i++) {
            TRY_PLAIN(lua_close(more[i]));
            if (rlua_snapshot_count(more[i], &count) != RLUA_NOT_ROLLBACK)
                PROBLEM("a VM is not closed");
        }
    }
    for (i = 0; i < COUNT_OF(vms); i++) TRY_PLAIN(lua_close(vms[i]));
    /* One handle was closed; six were made again or dropped; nine lived to the end. */
    if (releases != 16) PROBLEM("%d resources of 16 were released", releases);
    if (ends != things) PROBLEM("%d userdata of %d were finalized", ends, things);
    place->refused = failing.refused;
}

/* -- every n ---------------------------------------------------------------------------------- */

typedef struct Variant {
    int kind, from_then_on;
    const char *tracker;
} Variant;

static const Variant *variant;

static void nth(void *n) {
    /* What the runtime has to say of a death is told by the name of the call. */
    if (!freopen("/dev/null", "w", stderr)) _exit(8);
    if (variant->tracker) setenv("RLUA_TRACKER", variant->tracker, 1);
    else unsetenv("RLUA_TRACKER");
    failing.kind = variant->kind;
    failing.from_then_on = variant->from_then_on;
    failing.n = *(long *)n;
    scenario(NULL);
}

/* Fails once with all that was found; the same call is told once. */
static void every_n(const Variant *chosen) {
    char told[40][160];
    int found = 0, different = 0, status, i;
    long n;
    size_t f;
    variant = chosen;
    place = (Place *)map(NULL, sizeof *place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    CHECK(place != MAP_FAILED);
    for (n = 1; n < 5000; n++) {
        place->refused = 0;
        place->problem[0] = 0;
        status = in_child(nth, &n);
        if (status == 0 && place->refused == 0) break;
        if (status == 0) continue;
        found++;
        for (i = 0; i < different && strcmp(told[i], place->call) != 0; i++) {}
        if (i < different || different == 40) continue;
        strcpy(told[different++], place->call);
        fprintf(stderr, "     n = %ld, %s: %s (status %d)\n", n, place->call,
                place->problem[0] ? place->problem : "the process died", status);
        if (found > 200) break;
    }
    if (found) FAIL("%d of the first %ld n, in %d different calls", found, n, different);
    printf("     %ld allocations\n", n - 1);
    CHECK(n > 3);
    for (f = 0; f < COUNT_OF(public_functions); f++)
        if (!place->called[f]) FAIL("%s is not in the scenario", public_functions[f]);
}

#define EVERY(name, kind, from_then_on, tracker)                      \
    TEST(name) {                                                      \
        static const Variant chosen = {kind, from_then_on, tracker};  \
        every_n(&chosen);                                             \
    }

EVERY(one_allocation_fails, MALLOC, 0, NULL)
EVERY(one_allocation_fails_with_a_tracker_by_name, MALLOC, 0, "compare")
EVERY(one_allocation_fails_with_userfaultfd, MALLOC, 0, "uffd")
EVERY(all_allocations_fail_from_some_one_on, MALLOC, 1, NULL)
EVERY(all_allocations_fail_with_a_tracker_by_name, MALLOC, 1, "compare")
EVERY(one_mapping_fails, MAP, 0, NULL)
EVERY(all_mappings_fail_from_some_one_on, MAP, 1, NULL)
EVERY(one_mapping_fails_with_comparison, MAP, 0, "compare")
