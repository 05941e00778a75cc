/* slices.c: a program that is cut into slices, with snapshots between them and rollbacks that make
 * it do the same again, finds what it finds in one go.
 * Method: the programs of slices.lua, which use every opcode and nearly every library function,
 * run in a coroutine whose count hook yields. Between two slices the VM is idle: random snapshots,
 * rollbacks, discards and checks, with each tracker. What the program took down is compared with
 * a run without any of that.
 * Not here: slices inside a second coroutine or below a C function, where a hook cannot yield. */
#include "fuzz.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char slices_lua[] =
#include "fuzz/slices.lua.inc"
    ;

enum { SLICES, SNAPSHOTS, ROLLBACKS, PROGRAMS };

static lua_State *L, *program;
static Random R;

static void slice_ends(lua_State *thread, lua_Debug *record) {
    (void)record;
    if (thread == program && lua_isyieldable(thread)) lua_yield(thread, 0);
}

static void open_slices(uint64_t seed) {
    static const int trackers[] = {RLUA_TRACKER_AUTO, RLUA_TRACKER_UFFD, RLUA_TRACKER_COMPARE,
                                   RLUA_TRACKER_CARDS};
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = (size_t)(1 + below(&R, 12));
    config.memory_size = 128 * MIB;
    /* One that the environment asks for is the only one. */
    config.tracker = getenv("RLUA_TRACKER") ? RLUA_TRACKER_AUTO : trackers[seed % 4];
    if (rlua_open(&config, &L) == RLUA_UNSUPPORTED) {
        config.tracker = RLUA_TRACKER_AUTO;
        CHECK_OK(rlua_open(&config, &L));
    }
    luaL_openlibs(L);
    if (one_in(&R, 3)) lua_gc(L, LUA_GCGEN, 0, 0);
    CHECK_EQ(luaL_loadbuffer(L, slices_lua, sizeof slices_lua - 1, "=slices.lua"), LUA_OK);
    if (lua_pcall(L, 0, 3, 0) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
    lua_setglobal(L, "missing__");
    lua_setglobal(L, "run__");
    lua_setglobal(L, "names__");
}

/* Everything between two slices. */
static void between(void) {
    size_t held = snapshot_count(L);
    switch (below(&R, 6)) {
        case 0: case 1:
            CHECK_OK(rlua_snap(L));
            fuzz->counts[SNAPSHOTS]++;
            break;
        case 2: case 3:
            if (held == 0) break;
            CHECK_OK(rlua_rollback(L, (size_t)below(&R, (int)held) + 1));
            fuzz->counts[ROLLBACKS]++;
            break;
        case 4:
            if (one_in(&R, 4)) CHECK_OK(rlua_check(L));
            if (one_in(&R, 8)) CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
            break;
        default:
            if (one_in(&R, 6)) CHECK_OK(rlua_discard_before(L, info_of(L).newest_frame - 2));
    }
}

/* Runs a program; `cut` is the instructions of a slice, 0 for one go. Leaves what it took down on
 * the program's stack. */
static const char *run_program(const char *name, int cut, long slices) {
    int results, status;
    lua_settop(L, 0);
    program = lua_newthread(L);
    lua_getglobal(program, "run__");
    lua_pushstring(program, name);
    if (cut) lua_sethook(program, slice_ends, LUA_MASKCOUNT, cut);
    if (cut) CHECK_OK(rlua_discard_before(L, INT64_MAX));
    if (cut) CHECK_OK(rlua_snap(L)); /* no rollback to before the program */
    status = rlua_resume(program, L, 1, &results);
    while (status == RLUA_YIELD) {
        fuzz->counts[SLICES]++;
        fuzz->step++;
        if (results > 0) lua_settop(program, lua_gettop(program) - results);
        if (slices-- > 0) between();
        else lua_sethook(program, NULL, 0, 0);
        /* A rollback may have led to before its first slice. */
        status = rlua_resume(program, L, lua_status(program) == LUA_OK, &results);
    }
    if (status != RLUA_OK) FAIL("%s: %s", name, lua_tostring(program, -1));
    return lua_tostring(program, -1);
}

static void see_nothing_is_missing(void) {
    static const char *const left_out[] = {"os.execute", "os.exit", "os.remove", "os.rename",
                                           "os.tmpname"};
    char expected[256] = "";
    size_t i;
    for (i = 0; i < COUNT_OF(left_out); i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%s",
                 i ? ", " : "", left_out[i]);
    lua_getglobal(L, "missing__");
    lua_pushlstring(L, slices_lua, strstr(slices_lua, "-- Left out:") - slices_lua);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
    CHECK_STR(lua_tostring(L, -1), expected);
}

static void slices(uint64_t seed, long frames) {
    char name[64], *expected;
    const char *found;
    int i, count, cut;
    R.state = seed;
    open_slices(seed);
    lua_getglobal(L, "names__");
    count = (int)lua_rawlen(L, -1);
    for (i = 1; i <= count; i++) {
        lua_getglobal(L, "names__");
        lua_rawgeti(L, -1, i);
        snprintf(name, sizeof name, "%s", lua_tostring(L, -1));
        doing("program %s in one go", name);
        expected = strdup(run_program(name, 0, 0));
        fuzz->frame = i;
        doing("program %s in slices", name);
        cut = strcmp(name, "wide_constants") ? 3 + below(&R, 300) : 40001;
        found = run_program(name, cut, frames);
        if (strcmp(found, expected) != 0) FAIL("%s found\n%s\nnot\n%s", name, found, expected);
        fuzz->counts[PROGRAMS]++;
        free(expected);
        CHECK_OK(rlua_check(L));
    }
    see_nothing_is_missing();
    lua_close(L);
}

int main(int argc, char **argv) {
    static const Fuzzer fuzzer = {"slices", 600, slices,
        {"slices", "snapshots", "rollbacks", "programs"}};
    return fuzz_main(&fuzzer, argc, argv);
}
