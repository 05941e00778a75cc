/* ioslices.c: every function of the io library in slices, and the host goes back at random.
 * Method: ioslices.lua is a coroutine that yields after each statement. Between two slices the host
 * snaps, replaces the newest snapshot, rolls back to any, discards, collects, or does nothing. What
 * goes back has to be right in every run; at the end no descriptor and no process is left.
 * Not here: situations with a name (iofiles.c). */
#include "descriptors.h"
#include "folder.h"
#include "random.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char script[] =
#include "ioslices.lua.inc"
    ;

enum { SNAPSHOTS = 8, LEAST_STEPS = 1200 };

static lua_State *open_script(void) {
    lua_State *L = open_vm(8 * MIB, SNAPSHOTS);
    if (luaL_loadbuffer(L, script, sizeof script - 1, "@ioslices.lua") != LUA_OK)
        FAIL("%s", lua_tostring(L, -1));
    lua_setglobal(L, "main");
    lua_pushstring(L, folder);
    lua_setglobal(L, "folder");
    run(L, "co = coroutine.create(main) ok, value = true, nil slices = 0 "
           "function slice() ok, value = coroutine.resume(co, folder) slices = slices + 1 "
           "if not ok then error(debug.traceback(co, value), 0) end "
           "return coroutine.status(co) end");
    return L;
}

static int one_slice(lua_State *L, unsigned long long seed) {
    int ended;
    lua_getglobal(L, "slice");
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) FAIL("seed %llu: %s", seed, lua_tostring(L, -1));
    ended = strcmp(lua_tostring(L, -1), "dead") == 0;
    lua_pop(L, 1);
    return ended;
}

/* How many slices ran. */
static int program(uint64_t seed, int may_go_back) {
    lua_State *L;
    int64_t frame = 0;
    int steps = 0, ended = 0;
    random_seed(seed);
    L = open_script();
    while (!ended || steps < LEAST_STEPS) {
        unsigned kind = random_below(100);
        size_t held = 0;
        CHECK_OK(rlua_snapshot_count(L, &held));
        if (ended) {
            if (!may_go_back) break;
            kind = 40; /* back, to wherever */
        }
        if (kind < 30) CHECK_OK(rlua_snap_frame(L, ++frame));
        else if (kind < 36 && held) CHECK_OK(rlua_snap_frame(L, frame));
        else if (kind < 46 && held && may_go_back) {
            size_t n = 1 + random_below((unsigned)held);
            CHECK_OK(rlua_rollback(L, n));
            frame -= (int64_t)n - 1;
        } else if (kind < 54) lua_gc(L, random_below(2) ? LUA_GCCOLLECT : LUA_GCSTEP, 4);
        else if (kind < 56 && held > 2) CHECK_OK(rlua_discard_before(L, frame - 1));
        else if (kind == 56) lua_gc(L, random_below(2) ? LUA_GCGEN : LUA_GCINC, 0, 0, 0);
        if (steps % 16 == 0) CHECK_OK(rlua_check(L));
        ended = one_slice(L, (unsigned long long)seed);
        steps++;
        if (steps > 20 * LEAST_STEPS) FAIL("seed %llu does not end", (unsigned long long)seed);
    }
    lua_close(L);
    return steps;
}

static void in_a_folder(void (*job)(void)) {
    int before = descriptors();
    make_folder("slices");
    job();
    remove_folder();
    CHECK_EQ(descriptors(), before);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1); /* no process is left */
}

static void straight(void) { CHECK(program(1, 0) > 200); }

static void at_random(void) {
    const char *text = getenv("RLUA_TEST_SEED");
    uint64_t first = text ? strtoull(text, NULL, 10) : 1;
    uint64_t count = text ? 1 : 1 + 24 / (uint64_t)test_scale(), i;
    for (i = 0; i < count; i++) program(first + i, 1);
}

TEST(script_by_itself) { in_a_folder(straight); }
TEST(script_in_slices_with_rollbacks_at_random) { in_a_folder(at_random); }
