/* modules.c: C modules that never heard of snapshots survive them.
 * Method: one script a module, in the folder modules, makes, uses, leaks and closes what the module
 * has. Ten frames, a snap before each; collections in random places; then a rollback to each
 * frame, from the newest to the oldest, and on to the end each time. What the script adds to
 * `trace` lies in the VM and depends on nothing outside: it must be the same in every run to the
 * end. At the end the VM is closed and the process has the descriptors that it had.
 * The binaries are Debian's (.ci/run lists them); one that is missing is said loudly.
 * Not here: whether values that a module keeps outside the VM go back. They do not. */
#include "descriptors.h"
#include "random.h"

#include <limits.h>

#ifndef MULTIARCH
#define MULTIARCH "x86_64-linux-gnu"
#endif

enum { FRAMES = 10, STRESS_SECONDS = 300 };

/* The scripts lie beside the sources, two folders above the program: c-tests/build/VARIANT. */
static void script_path(const char *name, char *path, size_t size) {
    const char *folder = getenv("RLUA_TEST_MODULES");
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    int up;
    if (folder || length <= 0) {
        snprintf(path, size, "%s/%s.lua", folder ? folder : "modules", name);
        return;
    }
    self[length] = '\0';
    for (up = 0; up < 3; up++) *strrchr(self, '/') = '\0';
    snprintf(path, size, "%.200s/modules/%s.lua", self, name);
}

/* The scripts' own `collect`: a collection where they like, or not. */
static int maybe_collect(lua_State *L) {
    unsigned kind = random_below(4);
    if (kind == 0) lua_gc(L, LUA_GCCOLLECT);
    if (kind == 1) lua_gc(L, LUA_GCSTEP, (int)random_below(16));
    return 0;
}

static lua_State *open_script(const char *name, const char *package) {
    char path[512];
    lua_State *L = open_vm(32 * MIB, FRAMES + 1);
    script_path(name, path, sizeof path);
    run(L, "package.cpath = package.cpath .. ';/usr/lib/" MULTIARCH "/lua/5.4/?.so'"
           " .. ';/usr/lib/lua/5.4/?.so;/usr/lib64/lua/5.4/?.so'\n"
           "package.path = package.path .. ';/usr/share/lua/5.4/?.lua"
           ";/usr/share/lua/5.4/?/init.lua' trace, state = {}, {}");
    lua_register(L, "collect", maybe_collect);
    if (luaL_dofile(L, path) == LUA_OK) return L;
    if (!strstr(lua_tostring(L, -1), "' not found:")) FAIL("%s", lua_tostring(L, -1));
    lua_close(L);
    harness_not_run("the module is missing; on Debian: apt-get install %s", package);
    return NULL;
}

/* One frame of the script; its errors are failures. */
static void frame(lua_State *L, int number) {
    maybe_collect(L);
    lua_getglobal(L, "frame");
    lua_pushinteger(L, number);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) FAIL("frame %d: %s", number, lua_tostring(L, -1));
    maybe_collect(L);
}

/* Runs the frames from `from` on; the snapshot before that one may be held already. */
static void run_to_the_end(lua_State *L, int from, int held) {
    int number;
    for (number = from; number <= FRAMES; number++) {
        if (number > from || !held) CHECK_OK(rlua_snap_frame(L, number));
        frame(L, number);
    }
}

static void trace_of(lua_State *L, char *text, size_t size) {
    lua_settop(L, 0);
    CHECK_EQ(luaL_dostring(L, "return table.concat(trace, ' ')"), LUA_OK);
    snprintf(text, size, "%s", lua_tostring(L, -1));
    lua_settop(L, 0);
}

static void stress_once(const char *name, const char *package, uint64_t seed) {
    static char first[65536], again[65536];
    lua_State *L;
    int target;
    random_seed(seed);
    L = open_script(name, package);
    if (!L) return;
    run_to_the_end(L, 1, 0);
    trace_of(L, first, sizeof first);
    for (target = FRAMES; target >= 1; target--) {
        CHECK_OK(rlua_rollback_to(L, target));
        CHECK_OK(rlua_check(L));
        run_to_the_end(L, target, 1);
        trace_of(L, again, sizeof again);
        CHECK_STR(again, first);
        if (random_below(3) == 0) CHECK_OK(rlua_rollback_to(L, target));
    }
    CHECK_OK(rlua_check(L));
    if (random_below(2)) CHECK_OK(rlua_discard_before(L, FRAMES));
    lua_close(L);
}

/* The first round may open what a module keeps for the process: a random device, a log. */
static void stress(const char *name, const char *package) {
    int rounds = 12 / (int)test_scale(), round, before = 0;
    if (rounds < 2) rounds = 2;
    for (round = 0; round < rounds && !harness.not_run; round++) {
        alarm(STRESS_SECONDS); /* a module that waits for what is gone waits for ever */
        stress_once(name, package, (uint64_t)round + 1);
        if (round == 0) before = descriptors();
        CHECK_EQ(descriptors(), before);
    }
}

TEST(io_library) { stress("io", "nothing: it is Lua's own"); }
TEST(lpeg) { stress("lpeg", "lua-lpeg"); }
TEST(cjson) { stress("cjson", "lua-cjson"); }
TEST(lfs) { stress("lfs", "lua-filesystem"); }
TEST(luasocket) { stress("socket", "lua-socket"); }
TEST(rex_pcre2) { stress("rex_pcre2", "lua-rex-pcre2"); }
TEST(rex_posix) { stress("rex_posix", "lua-rex-posix"); }
TEST(luaossl) { stress("luaossl", "lua-luaossl"); }
TEST(cqueues) { stress("cqueues", "lua-cqueues"); }
TEST(lyaml) { stress("lyaml", "lua-yaml"); }
TEST(lxp) { stress("lxp", "lua-expat"); }
TEST(luasql_sqlite3) { stress("luasql", "lua-sql-sqlite3"); }
TEST(lua_term) { stress("term", "lua-term"); }
TEST(lua_system) { stress("system", "lua-system"); }

TEST(luv) { stress("luv", "lua-luv"); }

/* With Lua's assertions on lua-zlib ends the process, and not by a fault of the library: it pushes
 * values between luaL_buffinit and luaL_prepbuffer, which the manual forbids; the assertion fails
 * in a state without any snapshot. */
#ifndef RLUA_ASSERT
TEST(lzlib) { stress("zlib", "lua-zlib"); }
#endif
