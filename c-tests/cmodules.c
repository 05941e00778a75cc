/* cmodules.c: C modules that were built for Lua 5.4 load into a host linked with librlua, and
 * what they keep in the VM rolls back.
 * Method: the binaries of Debian's lua-lpeg, lua-cjson and lua-filesystem. A module that is not
 * installed is said loudly; with RLUA_REQUIRE_ALL=1 it is a failure.
 * Not here: ten frames of each module, with rollbacks to each (modules.c). */
#include "harness.h"

#ifndef MULTIARCH
#define MULTIARCH "x86_64-linux-gnu"
#endif

static lua_State *open_with_module(const char *module, const char *package) {
    char chunk[256];
    lua_State *L = open_vm(8 * MIB, 4);
    run(L, "package.cpath = package.cpath .. ';/usr/lib/" MULTIARCH "/lua/5.4/?.so'"
           " .. ';/usr/lib/lua/5.4/?.so;/usr/lib64/lua/5.4/?.so'");
    snprintf(chunk, sizeof chunk, "%s = require '%s'", module, module);
    if (luaL_dostring(L, chunk) == LUA_OK) return L;
    if (!strstr(lua_tostring(L, -1), "not found"))
        FAIL("require '%s': %s", module, lua_tostring(L, -1));
    lua_close(L);
    harness_not_run("no module %s; on Debian: apt-get install %s", module, package);
    return NULL;
}

TEST(lpeg_patterns_and_grammars) {
    lua_State *L = open_with_module("lpeg", "lua-lpeg");
    int round;
    if (!L) return;
    run(L, "local P, R, S, V, C, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Ct\n"
           "local space = S ' ' ^ 0 local number = R '09' ^ 1 / tonumber * space\n"
           "local function fold(a, op, b) return op == '+' and a + b or a * b end\n"
           "calc = P {'sum', sum = lpeg.Cf(V 'product' * lpeg.Cg(C '+' * space * V 'product') ^ 0,"
           " fold), product = lpeg.Cf(number * lpeg.Cg(C '*' * space * number) ^ 0, fold)} * -1\n"
           "words = Ct((C(R 'az' ^ 1) + 1) ^ 0)");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 5; round++) {
        CHECK_EVAL(L, "calc:match '1 + 2 * 3 + 4'", "11");
        CHECK_EVAL(L, "table.concat(words:match 'one, two; three', ' ')", "one two three");
        run(L, "old = calc calc = lpeg.P 'x' ^ 1 * calc / 1 words = nil "
               "for i = 1, 200 do p = lpeg.P(tostring(i)) + (p or 'a') p:match '77' end");
        if (round >= 2) run(L, "old, p = nil collectgarbage()");
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "p", "nil");
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

TEST(lpeg_loaded_after_the_snapshot_loads_again) {
    lua_State *L = open_with_module("lpeg", "lua-lpeg");
    int round;
    if (!L) return;
    run(L, "lpeg, package.loaded.lpeg = nil collectgarbage()");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "lpeg = require 'lpeg'");
        CHECK_EVAL(L, "lpeg.match(lpeg.R '09' ^ 1, '123abc')", "4");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "lpeg", "nil");
    }
    lua_close(L);
}

TEST(cjson_encodes_and_decodes) {
    lua_State *L = open_with_module("cjson", "lua-cjson");
    int round;
    if (!L) return;
    run(L, "cjson.encode_keep_buffer(false) cjson.decode_array_with_array_mt = nil\n"
           "state = cjson.decode '{\"hp\": 10, \"items\": [1, 2, {\"deep\": null}]}'");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 5; round++) {
        CHECK_EVAL(L, "(state.hp | 0) .. #state.items", "103");
        CHECK_EVAL(L, "state.items[3].deep == cjson.null", "true");
        run(L, "state.hp = 9 state.text = ('x'):rep(100000) "
               "state = cjson.decode(cjson.encode(state)) cjson.encode_sparse_array(true)\n"
               "assert(not pcall(cjson.decode, '{\"broken\": ['))");
        CHECK_EVAL(L, "(state.hp | 0) .. #state.text", "9100000");
        if (round >= 2) lua_gc(L, LUA_GCCOLLECT);
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "select(1, cjson.encode_sparse_array())", "true"); /* its own, and outside */
    }
    lua_close(L);
}

TEST(lfs_reads_directories) {
    lua_State *L = open_with_module("lfs", "lua-filesystem");
    int round;
    if (!L) return;
    run(L, "function list() local t = {} for name in lfs.dir('/') do t[#t + 1] = name end "
           "table.sort(t) return table.concat(t, ' ') end here, seen = lfs.currentdir(), list()");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 5; round++) {
        CHECK_EVAL(L, "list() == seen", "true");
        CHECK_EVAL(L, "lfs.attributes('/', 'mode')", "directory");
        CHECK_EVAL(L, "lfs.currentdir() == here", "true");
        run(L, "seen, here = nil collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}
