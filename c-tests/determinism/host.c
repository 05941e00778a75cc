/* host.c: what the program gives to scripts, beside Lua's libraries.
 *
 *   emit(...)           says something to the host; part of the frame's digest
 *   box(size, byte)     a userdata of that many bytes, with two user values; it has
 *                       the methods get(i), set(i, byte) and user(i, value)
 *   light(i)            a light userdata: the address of a variable of this program
 *   host_functions()    several C functions of this program, as results
 *
 * and, for the scripts of wrong/ alone, what makes a simulation differ: host_clock, host_address,
 * host_count (a variable outside the VM, which does not roll back), host_number_text (printf in the
 * host's locale), host_sine (the C library's), host_machine.
 *
 * Not here: Lua's libraries and their leaks. */
#define _POSIX_C_SOURCE 200809L
#include "host.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lauxlib.h"
#include "walk.h"

enum { BOX_USER_VALUES = 2, LIGHT_COUNT = 64, MAX_BOX_BYTES = 1 << 20 };

static const char BOX[] = "digest.box";
static Sink *emitted;
static unsigned emitted_count;
static char lights[LIGHT_COUNT];

void host_emit_to(Sink *sink) {
    emitted = sink;
    emitted_count = 0;
}

static int host_emit(lua_State *L) {
    int i, count = lua_gettop(L);
    sink_word(emitted, (uint64_t)count);
    emitted_count++;
    for (i = 1; i <= count; i++) {
        size_t before = sink_enter(emitted, "emit %u, value %d", emitted_count, i);
        walk_shallow(emitted, L, i);
        sink_leave(emitted, before);
    }
    return 0;
}

static int host_box(lua_State *L) {
    lua_Integer size = luaL_checkinteger(L, 1);
    int byte = (int)luaL_optinteger(L, 2, 0);
    void *block;
    luaL_argcheck(L, size >= 0 && size <= MAX_BOX_BYTES, 1, "no such size");
    block = lua_newuserdatauv(L, (size_t)size, BOX_USER_VALUES);
    memset(block, byte, (size_t)size);
    luaL_setmetatable(L, BOX);
    return 1;
}

static unsigned char *box_byte(lua_State *L) {
    unsigned char *bytes = luaL_checkudata(L, 1, BOX);
    lua_Integer i = luaL_checkinteger(L, 2);
    luaL_argcheck(L, i >= 1 && (size_t)i <= lua_rawlen(L, 1), 2, "outside the box");
    return bytes + i - 1;
}

static int box_get(lua_State *L) {
    lua_pushinteger(L, *box_byte(L));
    return 1;
}

static int box_set(lua_State *L) {
    *box_byte(L) = (unsigned char)luaL_checkinteger(L, 3);
    return 0;
}

static int box_user(lua_State *L) {
    int n = (int)luaL_checkinteger(L, 2);
    luaL_checkudata(L, 1, BOX);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    lua_pushboolean(L, lua_setiuservalue(L, 1, n));
    return 1;
}

static int host_light(lua_State *L) {
    lua_Integer i = luaL_checkinteger(L, 1);
    luaL_argcheck(L, i >= 1 && i <= LIGHT_COUNT, 1, "no such light");
    lua_pushlightuserdata(L, &lights[i - 1]);
    return 1;
}

static int function_a(lua_State *L) {
    lua_pushliteral(L, "a");
    return 1;
}

static int function_b(lua_State *L) {
    lua_pushliteral(L, "b");
    return 1;
}

/* Equal code: a linker that folds it would make one function of the two. */
static int function_c(lua_State *L) {
    lua_pushliteral(L, "c");
    return 1;
}

static int function_d(lua_State *L) {
    lua_pushliteral(L, "c");
    return 1;
}

static int host_functions(lua_State *L) {
    lua_pushcfunction(L, function_a);
    lua_pushcfunction(L, function_b);
    lua_pushcfunction(L, function_c);
    lua_pushcfunction(L, function_d);
    return 4;
}

void host_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"get", box_get}, {"set", box_set}, {"user", box_user}, {NULL, NULL}};
    luaL_newmetatable(L, BOX);
    walk_boxes_of(lua_topointer(L, -1));
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_register(L, "emit", host_emit);
    lua_register(L, "box", host_box);
    lua_register(L, "light", host_light);
    lua_register(L, "host_functions", host_functions);
}

/* -- what no deterministic host may have ------------------------------------------------------ */

static int wrong_clock(lua_State *L) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushinteger(L, (lua_Integer)now.tv_sec * 1000000000 + now.tv_nsec);
    return 1;
}

static int wrong_address(lua_State *L) {
    void *block = malloc(1000);
    lua_pushinteger(L, (lua_Integer)(intptr_t)block);
    free(block);
    return 1;
}

static int wrong_count(lua_State *L) {
    static lua_Integer count;
    lua_pushinteger(L, ++count);
    return 1;
}

static int wrong_number_text(lua_State *L) {
    char text[64];
    snprintf(text, sizeof text, "%.3f", luaL_checknumber(L, 1));
    lua_pushstring(L, text);
    return 1;
}

static int wrong_sine(lua_State *L) {
    lua_pushnumber(L, sin(luaL_checknumber(L, 1)));
    return 1;
}

static int wrong_machine(lua_State *L) {
#if defined _WIN32
    lua_pushliteral(L, "windows");
#elif defined __aarch64__
    lua_pushliteral(L, "aarch64");
#elif defined __x86_64__
    lua_pushliteral(L, "x86_64");
#else
    lua_pushliteral(L, "another");
#endif
    return 1;
}

void host_open_wrong(lua_State *L) {
    lua_register(L, "host_clock", wrong_clock);
    lua_register(L, "host_address", wrong_address);
    lua_register(L, "host_count", wrong_count);
    lua_register(L, "host_number_text", wrong_number_text);
    lua_register(L, "host_sine", wrong_sine);
    lua_register(L, "host_machine", wrong_machine);
}
