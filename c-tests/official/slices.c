/* slices.c: lua.org's own test suite in slices, with snapshots between them and rollbacks.
 * Method: each file of the suite runs in a coroutine whose count hook yields; between two slices
 * the VM is idle, and random snapshots, rollbacks and checks come. A file that passes in one go
 * passes in slices, also where much of it ran more than once. The one about io tests what lies
 * outside, which does not roll back: its own assertions may fail then, and it must not crash, leave
 * a file open, or leave the VM in disorder.
 * ../official.sh brings the suite here and runs this in its folder.
 * Not here: files that expect the main thread (coroutine, errors, and gc, which counts memory to
 * the KiB), that set hooks themselves (db), or that need a shell (main). */
#include "../descriptors.h"
#include "../random.h"

enum { ROUNDS = 3, SLICES = 2500, SNAPSHOTS = 8 };

static lua_State *program;
static long slice_count, rollback_count, snapshot_count_;

static void slice_ends(lua_State *thread, lua_Debug *record) {
    (void)record;
    if (thread == program && lua_isyieldable(thread)) lua_yield(thread, 0);
}

static void between(lua_State *L) {
    size_t held;
    CHECK_OK(rlua_snapshot_count(L, &held));
    switch (random_below(8)) {
        case 0: case 1: case 2:
            CHECK_OK(rlua_snap(L));
            snapshot_count_++;
            break;
        case 3: case 4: case 5:
            CHECK_OK(rlua_rollback(L, 1 + random_below((unsigned)held)));
            rollback_count++;
            break;
        case 6:
            if (random_below(16) == 0) CHECK_OK(rlua_check(L));
            if (random_below(16) == 0) CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    }
}

/* The suite expects `print` to be a function of C that calls tostring. */
static int quiet(lua_State *L) {
    int i, count = lua_gettop(L);
    for (i = 1; i <= count; i++) luaL_tolstring(L, i, NULL);
    return 0;
}

/* Runs a file; answers Lua's status. `cut`: the instructions of a slice, 0 for one go. */
static int run_file(const char *name, int cut, char *why, size_t size) {
    rlua_Config config = {0};
    lua_State *L;
    int results, status, slices = SLICES / (int)test_scale();
    config.size = sizeof config;
    config.max_snapshots = SNAPSHOTS;
    config.profile = RLUA_PROFILE_STOCK;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    run(L, "_soft, _port, _nomsg = true, true, true Message = function() end "

           "package.path = './?.lua;' .. package.path");
    lua_register(L, "print", quiet);
    program = lua_newthread(L);
    if (luaL_loadfile(program, name) != LUA_OK) FAIL("%s", lua_tostring(program, -1));
    if (cut) lua_sethook(program, slice_ends, LUA_MASKCOUNT, cut);
    CHECK_OK(rlua_snap(L));
    status = rlua_resume(program, L, 0, &results);
    while (status == RLUA_YIELD) {
        if (results > 0) lua_settop(program, lua_gettop(program) - results);
        slice_count++;
        if (slices-- > 0) between(L);
        else lua_sethook(program, NULL, 0, 0);
        status = rlua_resume(program, L, 0, &results);
    }
    snprintf(why, size, "%s", status == RLUA_OK ? "" : lua_tostring(program, -1));
    lua_settop(program, 0);
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    lua_close(L);
    return status;
}

static void in_slices(const char *name, int outside) {
    char why[512];
    int round, before = 0, cut = 7;
    if (run_file(name, 0, why, sizeof why) != RLUA_OK) FAIL("%s in one go: %s", name, why);
    for (round = 0; round < ROUNDS; round++, cut *= 12) {
        random_seed((uint64_t)round + 1);
        alarm(300);
        if (run_file(name, cut + (int)random_below(5), why, sizeof why) != RLUA_OK && !outside)
            FAIL("%s in slices: %s", name, why);
        if (round == 0) before = descriptors(); /* what the library keeps for the process */
        CHECK_EQ(descriptors(), before);
    }
}

#define PURE(file) TEST(file##_lua) { in_slices(#file ".lua", 0); }

PURE(bitwise)
PURE(bwcoercion)
PURE(calls)
PURE(closure)
PURE(constructs)
PURE(events)
PURE(goto)
PURE(literals)
PURE(locals)
PURE(math)
PURE(nextvar)
PURE(pm)
PURE(sort)
PURE(strings)
PURE(tpack)
PURE(utf8)
PURE(vararg)
PURE(gengc)
PURE(cstack)
PURE(api)
PURE(code)
PURE(attrib)
PURE(verybig)
TEST(files_lua) { in_slices("files.lua", 1); }

TEST(there_were_slices_and_rollbacks) {
    printf("     %ld slices, %ld snapshots, %ld rollbacks\n", slice_count, snapshot_count_,
           rollback_count);
    CHECK(slice_count > 0 && rollback_count > 0);
}
