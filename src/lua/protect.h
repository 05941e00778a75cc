/* protect.h: the frame that all protected calls share: enter, refuse, run protected, leave.
 *
 * A public function is a body that may raise, and around it, on the caller's own stack frame:
 *
 *   int rlua_getfield(lua_State *L, int index, const char *key) {
 *     ENTER;                              takes the VM for this OS thread, or returns why not
 *     NOT_NULL(key);                      what Lua leaves undefined is refused before anything
 *     INDEX(index);                         happens, with the argument's name and value
 *     Args args = {.index = index, .text = key};
 *     RUN(getfield_body, 0);              runs it; 0 is how many values it takes off the stack
 *   }
 *
 * The capitals may return, and then they have left the VM. No Rust frame is on the stack while a
 * body runs: hooks return before it and after it. So a foreign unwinding passes (recover.c).
 */
#ifndef rlua_protect_h
#define rlua_protect_h

#include <stdarg.h>
#include <stdatomic.h>

#include "internal.h"

/* Small, since it is cleared for each call: a larger one would take a `rep stos`. */
typedef struct Args {
  int index, count, results, flag;
  int status;
  const char *text, *name;
  union {
    const char *mode;
    void *block;
    lua_CFunction function;
    rlua_HostFunction host;
  };
  union {
    size_t length;
    lua_Integer integer;
  };
} Args;

#define BODY(name) static void name(lua_State *L, void *ud)
#define ARGS ((Args *)ud)

static void name_libraries(void); /* names.c */

void rlua_c_set_hooks(const rlua_Hooks *given) {
  hooks = *given;
#ifdef RLUA_ORACLE
  rlua_see_allocation();
#endif
  name_libraries();
}

/* -- leaving ----------------------------------------------------------------------------------- */

static inline void let_go(const rlua_Hold *hold) {
  if (hold->word != NULL) atomic_store_explicit(hold->word, 0, memory_order_release);
}

/* `status` is Lua's, with its error value on top. */
static inline int finish(lua_State *L, const rlua_Hold *hold, const char *function, int status) {
  if (l_unlikely(status != LUA_OK)) status = hooks.failed(L, function, status);
  let_go(hold);
  return status;
}

__attribute__((cold, noinline, format(printf, 4, 5)))
static int refuse(lua_State *L, const rlua_Hold *hold, const char *function, const char *format,
                  ...) {
  char why[200];
  va_list args;
  va_start(args, format);
  vsnprintf(why, sizeof why, format, args);
  va_end(args);
  int status = hooks.refuse(L, function, why);
  let_go(hold);
  return status;
}

__attribute__((cold, noinline))
static int refuse_null(lua_State *L, const rlua_Hold *hold, const char *function,
                       const char *argument) {
  int status = hooks.null(L, function, argument);
  let_go(hold);
  return status;
}

__attribute__((cold, noinline))
static int refuse_full(lua_State *L, const rlua_Hold *hold, const char *function) {
  int status = hooks.full(L, function);
  let_go(hold);
  return status;
}

#define HOLDS(L) lua_gettop(L), lua_gettop(L) == 1 ? "value" : "values"

__attribute__((cold, noinline))
static int refuse_index(lua_State *L, const rlua_Hold *hold, const char *function,
                        const char *argument, int index) {
  if (index < LUA_REGISTRYINDEX)
    return refuse(L, hold, function, "%s = %d names no upvalue of a running C function", argument,
                  index);
  return refuse(L, hold, function, "%s = %d names no position of this stack, which holds %d %s",
                argument, index, HOLDS(L));
}

__attribute__((cold, noinline))
static int refuse_free(lua_State *L, const rlua_Hold *hold, const char *function,
                       const char *argument, int index) {
  return refuse(L, hold, function, "%s = %d names a free position of this stack, which holds %d %s",
                argument, index, HOLDS(L));
}

__attribute__((cold, noinline))
static int refuse_table(lua_State *L, const rlua_Hold *hold, const char *function,
                        const char *argument, int index) {
  if (lua_isnone(L, index)) return refuse_free(L, hold, function, argument, index);
  return refuse(L, hold, function, "%s = %d names a %s, not a table", argument, index,
                luaL_typename(L, index));
}

__attribute__((cold, noinline))
static int refuse_few(lua_State *L, const rlua_Hold *hold, const char *function, int count) {
  return refuse(L, hold, function, "it takes %d off this stack, which holds %d %s", count,
                HOLDS(L));
}

__attribute__((cold, noinline))
static int refuse_thread(lua_State *L, const rlua_Hold *hold, const char *function) {
  return refuse(L, hold, function, "the thread L is %s: it can call nothing",
                lua_status(L) == LUA_YIELD ? "suspended" : "dead");
}

/* -- what arguments have to be ----------------------------------------------------------------- */

/* lua_checkstack, without the call where the frame has the room already. */
static int has_room(lua_State *L, int slots) {
  return L->ci->top.p - L->top.p >= slots || lua_checkstack(L, slots);
}

/* Whether an index is acceptable, as index2value asserts it. */
static int is_index(lua_State *L, int index) {
  const CallInfo *ci = L->ci;
  if (index > 0) return index <= ci->top.p - (ci->func.p + 1);
  if (index > LUA_REGISTRYINDEX) return index != 0 && -index <= lua_gettop(L);
  if (index == LUA_REGISTRYINDEX) return 1;
  if (index < LUA_REGISTRYINDEX - (MAXUPVAL + 1)) return 0;
  return ttisCclosure(s2v(ci->func.p)) || ttislcf(s2v(ci->func.p));
}

/* Whether an index names a slot of this frame. */
static int is_slot(lua_State *L, int index) {
  return index > LUA_REGISTRYINDEX && is_index(L, index) && lua_absindex(L, index) <= lua_gettop(L);
}

#define ENTER \
  rlua_Hold hold; \
  { \
    int refused = hooks.enter(L, &hold); \
    if (l_unlikely(refused != STATUS_OK)) return refused; \
    card_lock(L); \
  }
#define REFUSE_IF(condition, ...) \
  if (l_unlikely(condition)) return refuse(L, &hold, __func__, __VA_ARGS__)
#define NOT_NULL(argument) \
  if (l_unlikely((argument) == NULL)) return refuse_null(L, &hold, __func__, #argument)
#define INDEX(argument) \
  if (l_unlikely(!is_index(L, argument))) \
    return refuse_index(L, &hold, __func__, #argument, argument)
#define SLOT(argument) \
  if (l_unlikely(!is_slot(L, argument))) \
    return refuse_index(L, &hold, __func__, #argument, argument)
#define TABLE(argument) \
  INDEX(argument); \
  if (l_unlikely(!lua_istable(L, argument))) \
    return refuse_table(L, &hold, __func__, #argument, argument)
#define TAKES(count) \
  if (l_unlikely(lua_gettop(L) < (count))) return refuse_few(L, &hold, __func__, count)
#define ROOM(slots) \
  if (l_unlikely(!has_room(L, slots))) return refuse_full(L, &hold, __func__)
#define MAY_CALL \
  if (l_unlikely(lua_status(L) != LUA_OK)) return refuse_thread(L, &hold, __func__)

/* Runs a body that takes `pops` values off the stack. The slots are for the error and a result. */
#define PROTECT(body, pops) luaD_pcall(L, body, &args, savestack(L, L->top.p - (pops)), 0)
#define FINISH(status) return finish(L, &hold, __func__, status)
#define RUN(body, pops) \
  TAKES(pops); \
  ROOM(3); \
  FINISH(PROTECT(body, pops))

#endif
