/* objects.h: protected calls that make objects, combine values, and work below metamethods, as
 * hosts see them. The second half of calls.h, with the same contract. Defined in objects.c and
 * stack.c.
 *
 * With both a binding needs no function of lua.h that may raise. Those that never raise need no
 * protection: lua_gettop, lua_absindex, lua_checkstack, lua_pushlightuserdata, lua_rotate,
 * lua_copy, lua_type, lua_typename, the lua_is... and lua_to... functions except lua_tolstring,
 * lua_rawlen, lua_rawequal, lua_getmetatable, lua_setmetatable (but of a userdata with a `__gc` in
 * C: rlua_setmetatable), lua_getiuservalue, lua_setiuservalue, lua_status, lua_closethread,
 * lua_getupvalue, lua_setupvalue; the ones that push need room (lua_checkstack).
 */
#ifndef rlua_objects_h
#define rlua_objects_h

#include <stddef.h>

#include "lua.h"

/* [functions] */

/**
 * Pushes a new full userdata.
 *
 * It rolls back with the VM, contents and user values too, unless its metatable gets a C function
 * as `__gc`: then it is guarded (rlua_Guard). A `__gc` in Lua that ran after the snapshot runs
 * again after a rollback. For what lies outside the VM use rlua_pushresource.
 *
 * @param L        A thread of a VM of ours.
 * @param size     Bytes of its block.
 * @param nuvalue  User values, below 32767.
 * @param block    Receives the block: aligned to 16, not zeroed, Lua's; may be NULL.
 * @return         RLUA_OK, or as every protected call.
 */
int rlua_newuserdata(lua_State *L, size_t size, int nuvalue, void **block);

/**
 * Pushes a new coroutine.
 *
 * @param L       A thread of a VM of ours.
 * @param thread  Receives it; Lua's, valid while the value can be reached.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_newthread(lua_State *L, lua_State **thread);

/**
 * Pops `upvalues` values and pushes a C function that has them.
 *
 * @param L         A thread of a VM of ours.
 * @param function  It may raise, if its host can; see rlua_pushfunction for others.
 * @param upvalues  0 to 255.
 * @return          RLUA_OK, or as every protected call.
 */
int rlua_pushcclosure(lua_State *L, lua_CFunction function, int upvalues);

/**
 * Opens one module as `require` does, and pushes it, as luaL_requiref does.
 *
 * @param L       A thread of a VM of ours, neither suspended nor dead.
 * @param name    The module's name.
 * @param open    Its luaopen_ function.
 * @param global  1 to store it in a global variable too.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_requiref(lua_State *L, const char *name, lua_CFunction open, int global);

/**
 * Pushes the length of the value at `index`. May run the metamethod `__len`.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_len(lua_State *L, int index);

/**
 * Pops `count` values and pushes their concatenation. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param count  0 pushes the empty string.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_concat(lua_State *L, int count);

/**
 * Compares two values. May run metamethods.
 *
 * @param L       A thread of a VM of ours.
 * @param first   Index of the left operand.
 * @param second  Index of the right operand.
 * @param op      LUA_OPEQ, LUA_OPLT or LUA_OPLE.
 * @param result  Receives 1 or 0.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_compare(lua_State *L, int first, int second, int op, int *result);

/**
 * Pops two operands (one for LUA_OPUNM and LUA_OPBNOT) and pushes the result. May run metamethods.
 *
 * @param L   A thread of a VM of ours, with the operands on top.
 * @param op  LUA_OPADD to LUA_OPBNOT.
 * @return    RLUA_OK, or as every protected call.
 */
int rlua_arith(lua_State *L, int op);

/**
 * Pushes what `tostring` makes of the value at `index`, as luaL_tolstring does. May run the
 * metamethod `__tostring`.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a value; a free position is BAD_ARG.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_pushtostring(lua_State *L, int index);

/**
 * Pushes a traceback, as luaL_traceback does.
 *
 * @param L        A thread of a VM of ours; receives the string.
 * @param of       The thread that is described, of the same VM.
 * @param message  Goes before it; may be NULL.
 * @param level    0 for the running function, 1 for its caller, ...; levels that are not there
 *                 give an empty traceback.
 * @return         RLUA_OK, or as every protected call.
 */
int rlua_traceback(lua_State *L, lua_State *of, const char *message, int level);

/**
 * Pops a key and pushes `t[key]` of the table at `index`, without metamethods.
 *
 * @param L      A thread of a VM of ours, with the key on top.
 * @param index  Of a table, as it is before the pop.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_rawget(lua_State *L, int index);

/**
 * Pushes `t[key]` of the table at `index`, without metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a table.
 * @param key    An integer.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_rawgeti(lua_State *L, int index, lua_Integer key);

/**
 * Pops a value and the key below it, and does `t[key] = value` in the table at `index`, without
 * metamethods.
 *
 * @param L      A thread of a VM of ours, with key and value on top.
 * @param index  Of a table, as it is before the pop.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_rawset(lua_State *L, int index);

/**
 * Pops a value and does `t[key] = value` in the table at `index`, without metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a table, as it is before the pop.
 * @param key    An integer.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_rawseti(lua_State *L, int index, lua_Integer key);

/**
 * Pushes the table `t[name]`, where `t` is the value at `index`, making it if there is none. May
 * run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param name   Ended by a zero.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_getsubtable(lua_State *L, int index, const char *name);

/**
 * Pushes the metatable that the registry keeps under `name`, making it if there is none.
 *
 * @param L     A thread of a VM of ours.
 * @param name  As for luaL_newmetatable.
 * @param made  Receives 1 when it was made, 0 when it was there; may be NULL.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_newmetatable(lua_State *L, const char *name, int *made);

/**
 * Pushes the metatable that the registry keeps under `name`, or nil.
 *
 * @param L     A thread of a VM of ours.
 * @param name  As for luaL_newmetatable.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_getmetatable(lua_State *L, const char *name);

/**
 * Gives the value on top the metatable that the registry keeps under `name`.
 *
 * @param L     A thread of a VM of ours, with a value on top.
 * @param name  As for luaL_newmetatable. BAD_ARG when the registry keeps none.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_setmetatable(lua_State *L, const char *name);

/**
 * Looks at a userdata of a named metatable, as luaL_testudata does.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param name   As given to rlua_newmetatable.
 * @param block  Receives its block, or NULL when the value is no userdata of that metatable.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_testudata(lua_State *L, int index, const char *name, void **block);

/**
 * Makes `index` the top, as lua_settop does. Slots that it drops may be variables to be closed, so
 * it may run `__close` metamethods; after their error the error value lies above the new top.
 *
 * @param L      A thread of a VM of ours.
 * @param index  0 or above, or from the top down: -1 changes nothing.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_settop(lua_State *L, int index);

/**
 * Marks a slot as a variable to be closed, as lua_toclose does.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a slot above those that were marked before.
 * @return       RLUA_OK, or as every protected call: ERR_RUN for a value that has no `__close`.
 */
int rlua_toclose(lua_State *L, int index);

/**
 * Closes the newest variable to be closed, as lua_closeslot does.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Where it is.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_closeslot(lua_State *L, int index);

/**
 * Moves `count` values from the top of one thread's stack to another's, as lua_xmove does.
 *
 * @param L      The thread that gives.
 * @param to     The thread that receives, of the same VM.
 * @param count  How many.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_xmove(lua_State *L, lua_State *to, int count);

/* [end] */

#endif
