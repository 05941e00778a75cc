/* calls.h: the protected calls, as hosts see them. tests/header.rs puts the two marked parts into
 * include/rlua.h, and those of objects.h behind them. Defined in calls.c, values.c, functions.c and
 * recover.c.
 */
#ifndef rlua_calls_h
#define rlua_calls_h

#include <stddef.h>
#include <stdint.h>

#include "lua.h"

/* [types] */

/* What a host function returns to raise the value on top of its stack. The raise is made after
 * the function has returned, so it jumps over none of the host's frames. */
#define RLUA_RAISE (-1)

/* What lua_pcall, lua_resume and lua_status answer for code that used up the VM's budget. The
 * functions of this library answer RLUA_BUDGET. */
#define RLUA_ERRBUDGET 7

/* Libraries, for rlua_openlibs and rlua_newenv: any sum of these. */
#define RLUA_LIB_BASE 0x1u
#define RLUA_LIB_COROUTINE 0x2u
#define RLUA_LIB_TABLE 0x4u
#define RLUA_LIB_STRING 0x8u
#define RLUA_LIB_UTF8 0x10u
#define RLUA_LIB_MATH 0x20u
#define RLUA_LIB_IO 0x40u
#define RLUA_LIB_OS 0x80u
#define RLUA_LIB_DEBUG 0x100u
#define RLUA_LIB_PACKAGE 0x200u

/* What is taken from base: no binary chunks, no files (`load` loads text, whatever its mode says;
 * no dofile, no loadfile). */
#define RLUA_LIB_TEXT_ONLY 0x10000u

/* What is taken from base and string: `__gc`, metatables of what is no table, the collector's
 * parameters, warn, string.dump. */
#define RLUA_LIB_LOCKED 0x20000u

/* All that luaL_openlibs opens. */
#define RLUA_LIB_ALL 0x3ffu

/* What computes the same on every machine. */
#define RLUA_LIB_DETERMINISTIC 0x1003fu

/* The same for code that nobody trusts: RLUA_LIB_LOCKED too. docs/SANDBOX.md tells how. */
#define RLUA_LIB_SANDBOX 0x3003fu

/* For rlua_set_budget: as much as scripts want. */
#define RLUA_NO_BUDGET 0xFFFFFFFFFFFFFFFFu

/* For rlua_call, in place of a message handler's index: a handler that appends a traceback. */
#define RLUA_TRACEBACK (-2147483647 - 1)

/**
 * A function of the host, called by Lua: arguments are on the stack from index 1.
 *
 * @param L   The thread that calls. Only protected calls are safe for a host that cannot survive
 *            a longjmp.
 * @param ud  What rlua_pushfunction was given.
 * @return    How many values on top of the stack are results, or RLUA_RAISE.
 */
typedef int (*rlua_HostFunction)(lua_State *L, void *ud);

/* [functions] */

/* Protected calls never raise, for hosts that cannot survive a longjmp: a VM with a limit runs out
 * of memory in the middle of any push. They may be called from host functions, while Lua is
 * running, and for any thread L of a VM of ours, on which nothing else runs. Pointers are borrowed
 * for the call, and what is read through them is copied, unless a function says otherwise.
 *
 * Below RLUA_ERR_RUN a status says that nothing was popped or pushed, and rlua_last_error names the
 * function, the argument and what is wrong with it:
 *
 *   NULL_ARG, NOT_ROLLBACK, POISONED
 *   BUSY       another OS thread is in the VM
 *   BAD_ARG    an index, a count, a type or a thread's state has no meaning in this call
 *   NO_MEMORY  there is no room on the Lua stack
 *
 * From RLUA_ERR_RUN on it is Lua's own answer: ERR_RUN, ERR_MEM, ERR_ERR, BUDGET. What it takes off
 * the stack is gone, and the error value is on top. With a NULL that is allowed nothing is written.
 *
 * An index is one that lua.h calls acceptable: a position of the stack, a free one up to the room
 * that the frame has (it reads as nil), the registry, or an upvalue of the running C function.
 *
 * Each costs a table look-up, an atomic exchange and, where Lua can raise, a setjmp above the plain
 * call. */

/**
 * Opens standard libraries in the globals, as luaL_openlibs does all of them.
 *
 * @param L     A thread of a VM of ours.
 * @param libs  RLUA_LIB_ALL, RLUA_LIB_DETERMINISTIC, RLUA_LIB_SANDBOX, or a sum of bits.
 * @return      RLUA_OK, or as every protected call. BAD_ARG for bits that name nothing.
 */
int rlua_openlibs(lua_State *L, unsigned int libs);

/**
 * Pushes a new environment: a table with functions and library tables of its own, in which a script
 * can change what it likes without another environment's noticing. `_G` is the table itself, and
 * `load` gives it to chunks that are given no other. Several mods can so live in one VM, each in an
 * environment; a chunk gets one by lua_setupvalue(L, index, 1) after it was loaded.
 *
 * Functions of the host are put into it as into any table. With RLUA_LIB_LOCKED the methods of
 * strings (`s:rep(2)`) are from then on those of the library in every environment and in the
 * globals, whatever scripts add to their tables `string`.
 *
 * @param L     A thread of a VM of ours.
 * @param libs  RLUA_LIB_SANDBOX or part of it: no io, os, debug, package, which are the VM's.
 * @return      RLUA_OK, or as every protected call. Cost: about 8 KiB of the VM's memory.
 */
int rlua_newenv(lua_State *L, unsigned int libs);

/**
 * Loads a chunk without running it, and pushes it as a function.
 *
 * @param L       A thread of a VM of ours.
 * @param chunk   `length` bytes of source or of a binary chunk.
 * @param length  In bytes.
 * @param name    The chunk's name in messages.
 * @param mode    "t" (text), "b" (binary) or NULL for both. A binary chunk that somebody tampered
 *                with can crash the process: give "t" for what is not yours.
 * @return        RLUA_OK, ERR_SYNTAX, or as every protected call.
 */
int rlua_loadbuffer(lua_State *L, const char *chunk, size_t length, const char *name,
                    const char *mode);

/**
 * Loads a file without running it, and pushes it as a function.
 *
 * @param L         A thread of a VM of ours.
 * @param filename  The file's path.
 * @param mode      As for rlua_loadbuffer.
 * @return          RLUA_OK, ERR_FILE, ERR_SYNTAX, or as every protected call.
 */
int rlua_loadfile(lua_State *L, const char *filename, const char *mode);

/**
 * Loads and runs a string, as luaL_dostring does. All results stay on the stack.
 *
 * @param L      A thread of a VM of ours, neither suspended nor dead.
 * @param chunk  Source text, ended by a zero.
 * @return       RLUA_OK, ERR_SYNTAX, or as every protected call.
 */
int rlua_dostring(lua_State *L, const char *chunk);

/**
 * Loads and runs a file, as luaL_dofile does. All results stay on the stack.
 *
 * @param L         A thread of a VM of ours, neither suspended nor dead.
 * @param filename  The file's path.
 * @return          RLUA_OK, ERR_FILE, ERR_SYNTAX, or as every protected call.
 */
int rlua_dofile(lua_State *L, const char *filename);

/**
 * Calls a function, as lua_pcall does: pops the function and `nargs` arguments, pushes results.
 *
 * @param L         A thread of a VM of ours, neither suspended nor dead.
 * @param nargs     Arguments on the stack above the function.
 * @param nresults  Results wanted, or LUA_MULTRET.
 * @param msgh      Stack index of a message handler below the function: what it returns is the
 *                  error value. 0 for none. RLUA_TRACEBACK appends a traceback to a message, and
 *                  leaves any other error value as it is, as debug.traceback does.
 * @return          RLUA_OK, or as every protected call.
 */
int rlua_call(lua_State *L, int nargs, int nresults, int msgh);

/**
 * Starts or continues a coroutine, as lua_resume does.
 *
 * @param L         The coroutine: a new or suspended thread of a VM of ours, not its main thread.
 * @param from      The thread that resumes, of the same VM, or NULL.
 * @param nargs     Arguments on L's stack: above the function at the start, alone later.
 * @param nresults  Receives how many values were returned or yielded; they are on L's stack.
 * @return          RLUA_OK (finished), RLUA_YIELD, or as every protected call. The error value is
 *                  on L's stack. BAD_ARG for a thread that runs or is dead.
 */
int rlua_resume(lua_State *L, lua_State *from, int nargs, int *nresults);

/**
 * Pushes the global variable `name`. May run metamethods.
 *
 * @param L     A thread of a VM of ours.
 * @param name  Ended by a zero.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_getglobal(lua_State *L, const char *name);

/**
 * Pops a value and assigns it to the global variable `name`. May run metamethods.
 *
 * @param L     A thread of a VM of ours.
 * @param name  Ended by a zero.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_setglobal(lua_State *L, const char *name);

/**
 * Pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param key    Ended by a zero.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_getfield(lua_State *L, int index, const char *key);

/**
 * Pops a value and does `t[key] = value`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value, as it is before the pop.
 * @param key    Ended by a zero.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_setfield(lua_State *L, int index, const char *key);

/**
 * Pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param key    An integer.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_geti(lua_State *L, int index, lua_Integer key);

/**
 * Pops a value and does `t[key] = value`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value, as it is before the pop.
 * @param key    An integer.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_seti(lua_State *L, int index, lua_Integer key);

/**
 * Pops a key and pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours, with the key on top.
 * @param index  Of any value, as it is before the pop.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_gettable(lua_State *L, int index);

/**
 * Pops a value and the key below it, and does `t[key] = value`, where `t` is the value at `index`.
 * May run metamethods.
 *
 * @param L      A thread of a VM of ours, with key and value on top.
 * @param index  Of any value, as it is before the pop.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_settable(lua_State *L, int index);

/**
 * Pops a key and pushes the next key and value of a table, as lua_next does; pushes nothing at
 * the end.
 *
 * @param L      A thread of a VM of ours, with the key on top.
 * @param index  Of a table, as it is before the pop.
 * @param more   Receives 1 when a pair was pushed, 0 at the end.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_next(lua_State *L, int index, int *more);

/**
 * Pushes a new table.
 *
 * @param L     A thread of a VM of ours.
 * @param narr  Room for so many elements in sequence.
 * @param nrec  Room for so many others.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_createtable(lua_State *L, int narr, int nrec);

/**
 * Reads the value at `index` as a string. A number is changed into a string in place, as
 * lua_tolstring does.
 *
 * @param L       A thread of a VM of ours.
 * @param index   Of any value.
 * @param text    Receives the bytes, ended by a zero, or NULL when the value is neither string nor
 *                number. Lua's: valid while the value is on the stack and nothing is rolled back.
 * @param length  Receives the length in bytes; may be NULL.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_tolstring(lua_State *L, int index, const char **text, size_t *length);

/**
 * Pushes a copy of `length` bytes as a string; they may contain zeros.
 *
 * @param L       A thread of a VM of ours.
 * @param text    May be NULL where `length` is 0.
 * @param length  In bytes.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_pushlstring(lua_State *L, const char *text, size_t length);

/**
 * Pushes an integer.
 *
 * @param L      A thread of a VM of ours.
 * @param value  Any.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushinteger(lua_State *L, lua_Integer value);

/**
 * Pushes a float.
 *
 * @param L      A thread of a VM of ours.
 * @param value  Any.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushnumber(lua_State *L, lua_Number value);

/**
 * Pushes a boolean.
 *
 * @param L      A thread of a VM of ours.
 * @param value  0 for false.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushboolean(lua_State *L, int value);

/**
 * Pushes nil.
 *
 * @param L  A thread of a VM of ours.
 * @return   RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushnil(lua_State *L);

/**
 * Pushes a copy of the value at `index`.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushvalue(lua_State *L, int index);

/**
 * Controls the collector, as lua_gc does with the same `what`. Finalizers may run. In a finalizer
 * the collector is stopped by itself, and nothing is done.
 *
 * @param L     A thread of a VM of ours.
 * @param what  LUA_GCCOLLECT, LUA_GCSTOP, LUA_GCRESTART, LUA_GCSTEP, LUA_GCINC, LUA_GCGEN,
 *              LUA_GCSETPAUSE, LUA_GCSETSTEPMUL; what lua_gc answers to the others is lost here.
 * @param data  Its first argument, 0 for those that have none: KiB for LUA_GCSTEP, percent up to
 *              1000 for a pause or a multiplier, up to 200 for LUA_GCGEN. Further arguments are 0.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_gc(lua_State *L, int what, int data);

/**
 * Pushes a function of the host.
 *
 * State that the function keeps behind `ud` is outside the VM and does not roll back; state in
 * Lua values does. Scripts cannot reach the function's pointers, not with the library `debug`
 * either.
 *
 * @param L         A thread of a VM of ours.
 * @param function  Called by Lua; must stay callable as long as the VM lives.
 * @param ud        Handed to each call; the host's.
 * @param name      Names the function in error messages, and in images, which can have a name once:
 *                  push it with one `ud`. A second function of the name, also as garbage, makes the
 *                  state one that cannot be saved (UNSAVABLE).
 * @return          RLUA_OK, or as every protected call.
 */
int rlua_pushfunction(lua_State *L, rlua_HostFunction function, void *ud, const char *name);

/**
 * Pushes an error message for a host function to raise, with the position of the script that called
 * it in front, as luaL_error does: `return rlua_error(L, "no such unit");` gives
 * "ai.lua:3: no such unit".
 *
 * @param L        The thread that called the host function.
 * @param message  Ended by a zero.
 * @return         RLUA_RAISE, always. Where there is no memory for the message, the error value on
 *                 top is Lua's own for that; where the call is refused (rlua_last_error tells why),
 *                 nothing was pushed.
 */
int rlua_error(lua_State *L, const char *message);

/**
 * Pushes an error message about an argument for a host function to raise, as luaL_argerror does:
 * `return rlua_argerror(L, 1, "no such unit");` gives
 * "ai.lua:3: bad argument #1 to 'show' (no such unit)". The name is the one that the script called
 * the function by, else the one that rlua_pushfunction was given. In a method call the first
 * argument is the object, and is not counted.
 *
 * @param L        The thread that called the host function.
 * @param arg      The argument's index: 1 for the first.
 * @param message  Ended by a zero.
 * @return         RLUA_RAISE, always; as rlua_error.
 */
int rlua_argerror(lua_State *L, int arg, const char *message);

/**
 * Gives scripts a budget: so much they may do from now on, whoever calls them, until the budget is
 * set again. When it is used up an error is raised that no script can catch: pcall, xpcall,
 * coroutine.resume, wrap and close, load and `__close` in Lua are left at once, a coroutine that
 * was running is dead, and the host's call returns RLUA_BUDGET, with a message on the stack that
 * says where the script was. So does each later call that runs anything, until the budget is set
 * again or a snapshot is restored.
 *
 * A unit is about a jump back or a call, or sixteen instructions in a row, or what takes a library
 * function as long. What is charged depends on the state and the script alone, and what is left is
 * part of the state: it is the same on every machine, and rolls back. The collector's ordinary work
 * is not charged; collections that a script asks for are, with one unit for 16 bytes of the heap.
 *
 * A host function is called as long as the budget lasts, and is not interrupted: one that calls Lua
 * gets RLUA_BUDGET from that call, and when it returns, the error goes on. lua_pcall and lua_resume
 * of a host or of a C module return RLUA_ERRBUDGET. A finalizer (`__gc`) or `__close` in Lua that
 * finds the budget used up does not run, with a warning for the former; one in C does.
 *
 * @param L      A thread of a VM of ours. Lua may be running: a host function may set a budget.
 * @param units  Up to INT64_MAX. 0: nothing more may run. RLUA_NO_BUDGET, as at first: no limit.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_set_budget(lua_State *L, uint64_t units);

/**
 * Tells what is left of the budget.
 *
 * @param L      A thread of a VM of ours.
 * @param units  Receives it: 0 when it is used up, RLUA_NO_BUDGET when none is set.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_budget_left(lua_State *L, uint64_t *units);

/**
 * Makes a VM idle that foreign unwinding left busy: a C++ exception, pthread_exit or a forced
 * unwinding that went through Lua's frames. What of it was still to come, Lua cannot know, so the
 * host promises: no frame of this VM is on any stack any more, and no other OS thread uses it.
 *
 * The main thread is as after a failed lua_pcall of its outermost call: that function and its
 * arguments are popped, variables to be closed are closed (`__close` may run), nothing is pushed. A
 * coroutine that was running is dead, with a message on its stack. What the interrupted functions
 * had changed stays changed; roll back to undo it. Memory that a loader or a dump held is freed
 * with the VM. After a panic function that jumped (lua_atpanic), the main thread, which Lua marks
 * as dead then, takes calls again. A VM that is idle otherwise stays as it is.
 *
 * Cost: a walk over all objects.
 *
 * @param L  A thread of a VM of ours.
 * @return   RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (a snap, a rollback, a discard or a close is
 *           at work), POISONED.
 */
int rlua_recover(lua_State *L);

/* [end] */

#endif
