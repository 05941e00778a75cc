/* counted.h: a C module as others write them, which has never heard of snapshots and counts.
 *
 * counted.new([value]) makes a userdata whose block names an entry of a table outside the VM; its
 * C `__gc` counts there. `luaL_checkudata` and the block's canary are checked in the finalizer,
 * so one that runs with a wrong metatable or on memory that is gone is seen.
 *
 * Not here: any expectation about when a finalizer runs; the tests have that. */
#ifndef RLUA_TEST_COUNTED_H
#define RLUA_TEST_COUNTED_H

#include "harness.h"

enum { THINGS = 1 << 17, CANARY = 0x5ca1ab1e };

typedef struct Block {
    unsigned canary;
    int number;
    lua_Integer value;
    int closed;
    char padding[40]; /* so that a block spans two lines */
} Block;

static int thing_count, thing_errors;
static unsigned char thing_finalized[THINGS];
static unsigned char thing_closed[THINGS];
static int (*on_finalize)(lua_State *L, Block *block);

static inline Block *counted_check(lua_State *L, int index) {
    Block *block = luaL_checkudata(L, index, "counted");
    if (block->canary != CANARY || block->number < 0 || block->number >= thing_count)
        FAIL("the block of a counted userdata was overwritten");
    return block;
}

static int counted_gc(lua_State *L) {
    Block *block = luaL_testudata(L, 1, "counted");
    if (!block || block->canary != CANARY) {
        thing_errors++;
        return 0;
    }
    if (thing_finalized[block->number] < 255) thing_finalized[block->number]++;
    return on_finalize ? on_finalize(L, block) : 0;
}

static int counted_close(lua_State *L) {
    Block *block = counted_check(L, 1);
    if (block->closed) return luaL_error(L, "attempt to use a closed thing");
    block->closed = 1;
    thing_closed[block->number]++;
    return 0;
}

static int counted_number(lua_State *L) {
    lua_pushinteger(L, counted_check(L, 1)->number);
    return 1;
}

static int counted_value(lua_State *L) {
    Block *block = counted_check(L, 1);
    lua_pushinteger(L, block->value);
    if (!lua_isnoneornil(L, 2)) block->value = luaL_checkinteger(L, 2);
    return 1;
}

static int counted_new(lua_State *L) {
    lua_Integer value = luaL_optinteger(L, 1, 0);
    Block *block = lua_newuserdatauv(L, sizeof *block, 2);
    memset(block, 0, sizeof *block);
    block->canary = CANARY;
    block->number = thing_count < THINGS ? thing_count : THINGS - 1;
    block->value = value;
    thing_count++;
    luaL_setmetatable(L, "counted");
    return 1;
}

/* A second constructor, for a metatable that some script made: counted.adopt(metatable). */
static int counted_adopt(lua_State *L) {
    Block *block = lua_newuserdatauv(L, sizeof *block, 0);
    memset(block, 0, sizeof *block);
    block->canary = CANARY;
    block->number = thing_count++;
    lua_pushvalue(L, 1);
    lua_setmetatable(L, -2);
    return 1;
}

static inline int open_counted(lua_State *L) {
    static const luaL_Reg methods[] = {{"close", counted_close},   {"number", counted_number},
                                       {"value", counted_value},   {"__gc", counted_gc},
                                       {"__close", counted_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"new", counted_new}, {"adopt", counted_adopt}, {NULL, NULL}};
    luaL_newmetatable(L, "counted");
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_pushcfunction(L, counted_gc);
    lua_setfield(L, -2, "gc");
    return 1;
}

static inline void forget_things(void) {
    memset(thing_finalized, 0, sizeof thing_finalized);
    memset(thing_closed, 0, sizeof thing_closed);
    thing_count = thing_errors = 0;
    on_finalize = NULL;
}

/* A VM with the module in the global `counted`, before the first snapshot. */
static inline lua_State *open_with_things(size_t memory_size, size_t max_snapshots) {
    lua_State *L = open_vm(memory_size, max_snapshots);
    forget_things();
    luaL_requiref(L, "counted", open_counted, 1);
    lua_pop(L, 1);
    return L;
}

static inline int finalized_things(void) {
    int i, sum = 0;
    for (i = 0; i < thing_count; i++) sum += thing_finalized[i];
    return sum;
}

/* After lua_close: everything that was ever made has been finalized once. */
static inline void check_each_once(const char *file, int line) {
    int i;
    for (i = 0; i < thing_count; i++)
        if (thing_finalized[i] != 1)
            harness_fail(file, line, "thing %d of %d was finalized %d times", i, thing_count,
                         thing_finalized[i]);
    if (thing_errors) harness_fail(file, line, "%d finalizers saw no thing", thing_errors);
}
#define CHECK_EACH_ONCE() check_each_once(__FILE__, __LINE__)

static inline void close_and_count(lua_State *L) {
    lua_close(L);
    CHECK_EACH_ONCE();
}

#endif
