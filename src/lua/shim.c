/* shim.c: the raising functions of Lua's API, run protected, so that no longjmp leaves this file.
 *
 * Each rlua_c_X runs lua_X in a protected call on the caller's own stack frame, without pushing a
 * function. It answers Lua's status; on an error the operands that lua_X pops are popped and the
 * error value is pushed. Misuse that Lua leaves undefined is refused before anything happens.
 * The public functions, with their contracts, are in ffi/calls.rs.
 */

/* Below every status of Lua; nothing was popped or pushed. bindings.rs repeats the values. */
#define REFUSED_ARGUMENT (-1)
#define REFUSED_STACK (-2)

/* Lets a host raise without jumping over its own frame: see host_trampoline. */
#define RAISE (-1)

/* Small, since it is cleared for each call: a larger one cost 8 ns in `rep stos`. */
typedef struct Args {
  int index, count, results, flag;
  int status;
  const char *text, *name;
  union {
    const char *mode;
    void *block;
    lua_CFunction function;
  };
  union {
    size_t length;
    lua_Integer integer;
  };
} Args;

/* lua_checkstack, without the call where the frame has the room already. */
static int has_room(lua_State *L, int slots) {
  return L->ci->top.p - L->top.p >= slots || lua_checkstack(L, slots);
}

/* Runs body; pops is what it takes off the stack. The slots are for the error and a result. */
static int protect_with(lua_State *L, Pfunc body, void *args, int pops, ptrdiff_t handler) {
  if (lua_gettop(L) < pops) return REFUSED_ARGUMENT;
  if (!has_room(L, 3)) return REFUSED_STACK;
  return luaD_pcall(L, body, args, savestack(L, L->top.p - pops), handler);
}

static int protect(lua_State *L, Pfunc body, void *args, int pops) {
  return protect_with(L, body, args, pops, 0);
}

/* A positive index above the top reads as nil; a negative one below the frame would read the
 * caller's slots. */
static int is_index(lua_State *L, int index) {
  if (index > 0 || index <= LUA_REGISTRYINDEX) return 1;
  return index != 0 && -index <= lua_gettop(L);
}

/* The error value on top, when it is a string: for rlua_last_error. Converts nothing. */
RLUA_INTERNAL const char *rlua_c_error_text(lua_State *L, size_t *length) {
  *length = 0;
  if (lua_gettop(L) == 0 || lua_type(L, -1) != LUA_TSTRING) return NULL;
  return lua_tolstring(L, -1, length);
}

#define BODY(name) static void name(lua_State *L, void *ud)
#define ARGS ((Args *)ud)

/* -- chunks and calls --------------------------------------------------------------------- */

BODY(openlibs_body) {
  (void)ud;
  luaL_openlibs(L);
}

RLUA_INTERNAL int rlua_c_openlibs(lua_State *L) {
  return protect(L, openlibs_body, NULL, 0);
}

/* Loading answers a status of its own and leaves the message; only memory errors raise. */
static int protect_load(lua_State *L, Pfunc body, Args *args) {
  int status = protect(L, body, args, 0);
  return status == LUA_OK ? args->status : status;
}

BODY(loadbuffer_body) {
  ARGS->status = luaL_loadbufferx(L, ARGS->text, ARGS->length, ARGS->name, ARGS->mode);
}

RLUA_INTERNAL int rlua_c_loadbuffer(lua_State *L, const char *text, size_t length,
                                    const char *name, const char *mode) {
  Args args = {.text = text, .length = length, .name = name, .mode = mode};
  return protect_load(L, loadbuffer_body, &args);
}

BODY(loadfile_body) {
  ARGS->status = luaL_loadfilex(L, ARGS->name, NULL);
}

RLUA_INTERNAL int rlua_c_loadfile(lua_State *L, const char *name) {
  Args args = {.name = name};
  return protect_load(L, loadfile_body, &args);
}

BODY(call_body) {
  if (ARGS->results > 0 && !has_room(L, ARGS->results))
    luaL_error(L, "stack overflow (%s)", "too many results");
  lua_call(L, ARGS->count, ARGS->results);
}

RLUA_INTERNAL int rlua_c_call(lua_State *L, int nargs, int nresults, int msgh) {
  Args args = {.count = nargs, .results = nresults};
  ptrdiff_t handler = 0;
  if (nargs < 0 || nresults < LUA_MULTRET || lua_status(L) != LUA_OK) return REFUSED_ARGUMENT;
  if (nargs >= lua_gettop(L)) return REFUSED_ARGUMENT;
  if (msgh != 0) {
    if (msgh <= LUA_REGISTRYINDEX || !is_index(L, msgh)) return REFUSED_ARGUMENT;
    if (lua_absindex(L, msgh) > lua_gettop(L) - nargs - 1) return REFUSED_ARGUMENT;
    handler = savestack(L, L->ci->func.p + lua_absindex(L, msgh));
  }
  return protect_with(L, call_body, &args, nargs + 1, handler);
}

/* lua_resume is protected by itself; what it leaves undefined is refused. */
RLUA_INTERNAL int rlua_c_resume(lua_State *L, lua_State *from, int nargs, int *nresults) {
  int held = lua_gettop(L) - (lua_status(L) == LUA_OK);
  *nresults = 0;
  if (nargs < 0 || held < nargs) return REFUSED_ARGUMENT;
  if (!has_room(L, 1)) return REFUSED_STACK;
  return lua_resume(L, from, nargs, nresults);
}

/* -- tables ------------------------------------------------------------------------------- */

BODY(getglobal_body) {
  lua_getglobal(L, ARGS->text);
}
RLUA_INTERNAL int rlua_c_getglobal(lua_State *L, const char *name) {
  Args args = {.text = name};
  return protect(L, getglobal_body, &args, 0);
}

BODY(setglobal_body) {
  lua_setglobal(L, ARGS->text);
}
RLUA_INTERNAL int rlua_c_setglobal(lua_State *L, const char *name) {
  Args args = {.text = name};
  return protect(L, setglobal_body, &args, 1);
}

BODY(getfield_body) {
  lua_getfield(L, ARGS->index, ARGS->text);
}
RLUA_INTERNAL int rlua_c_getfield(lua_State *L, int index, const char *key) {
  Args args = {.index = index, .text = key};
  return is_index(L, index) ? protect(L, getfield_body, &args, 0) : REFUSED_ARGUMENT;
}

BODY(setfield_body) {
  lua_setfield(L, ARGS->index, ARGS->text);
}
RLUA_INTERNAL int rlua_c_setfield(lua_State *L, int index, const char *key) {
  Args args = {.index = index, .text = key};
  return is_index(L, index) ? protect(L, setfield_body, &args, 1) : REFUSED_ARGUMENT;
}

BODY(geti_body) {
  lua_geti(L, ARGS->index, ARGS->integer);
}
RLUA_INTERNAL int rlua_c_geti(lua_State *L, int index, lua_Integer key) {
  Args args = {.index = index, .integer = key};
  return is_index(L, index) ? protect(L, geti_body, &args, 0) : REFUSED_ARGUMENT;
}

BODY(seti_body) {
  lua_seti(L, ARGS->index, ARGS->integer);
}
RLUA_INTERNAL int rlua_c_seti(lua_State *L, int index, lua_Integer key) {
  Args args = {.index = index, .integer = key};
  return is_index(L, index) ? protect(L, seti_body, &args, 1) : REFUSED_ARGUMENT;
}

BODY(gettable_body) {
  lua_gettable(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_gettable(lua_State *L, int index) {
  Args args = {.index = index};
  return is_index(L, index) ? protect(L, gettable_body, &args, 1) : REFUSED_ARGUMENT;
}

BODY(settable_body) {
  lua_settable(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_settable(lua_State *L, int index) {
  Args args = {.index = index};
  return is_index(L, index) ? protect(L, settable_body, &args, 2) : REFUSED_ARGUMENT;
}

BODY(next_body) {
  ARGS->flag = lua_next(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_next(lua_State *L, int index, int *more) {
  Args args = {.index = index};
  *more = 0;
  if (!is_index(L, index) || !lua_istable(L, index)) return REFUSED_ARGUMENT;
  int status = protect(L, next_body, &args, 1);
  *more = args.flag;
  return status;
}

BODY(createtable_body) {
  lua_createtable(L, ARGS->count, ARGS->results);
}
RLUA_INTERNAL int rlua_c_createtable(lua_State *L, int narr, int nrec) {
  Args args = {.count = narr, .results = nrec};
  if (narr < 0 || nrec < 0) return REFUSED_ARGUMENT;
  return protect(L, createtable_body, &args, 0);
}

/* -- values ------------------------------------------------------------------------------- */

BODY(tolstring_body) {
  ARGS->text = lua_tolstring(L, ARGS->index, &ARGS->length);
}
RLUA_INTERNAL int rlua_c_tolstring(lua_State *L, int index, const char **text, size_t *length) {
  Args args = {.index = index};
  if (!is_index(L, index)) return REFUSED_ARGUMENT;
  int status = protect(L, tolstring_body, &args, 0);
  *text = status == LUA_OK ? args.text : NULL;
  *length = status == LUA_OK && args.text ? args.length : 0;
  return status;
}

BODY(pushlstring_body) {
  lua_pushlstring(L, ARGS->text, ARGS->length);
}
RLUA_INTERNAL int rlua_c_pushlstring(lua_State *L, const char *text, size_t length) {
  Args args = {.text = text, .length = length};
  return protect(L, pushlstring_body, &args, 0);
}

/* These raise nothing; the check of the stack is what they need. */
RLUA_INTERNAL int rlua_c_pushinteger(lua_State *L, lua_Integer value) {
  if (!has_room(L, 1)) return REFUSED_STACK;
  lua_pushinteger(L, value);
  return LUA_OK;
}
RLUA_INTERNAL int rlua_c_pushnumber(lua_State *L, lua_Number value) {
  if (!has_room(L, 1)) return REFUSED_STACK;
  lua_pushnumber(L, value);
  return LUA_OK;
}
RLUA_INTERNAL int rlua_c_pushboolean(lua_State *L, int value) {
  if (!has_room(L, 1)) return REFUSED_STACK;
  lua_pushboolean(L, value);
  return LUA_OK;
}
RLUA_INTERNAL int rlua_c_pushnil(lua_State *L) {
  if (!has_room(L, 1)) return REFUSED_STACK;
  lua_pushnil(L);
  return LUA_OK;
}
RLUA_INTERNAL int rlua_c_pushvalue(lua_State *L, int index) {
  if (!is_index(L, index)) return REFUSED_ARGUMENT;
  if (!has_room(L, 1)) return REFUSED_STACK;
  lua_pushvalue(L, index);
  return LUA_OK;
}

BODY(gc_body) {
  lua_gc(L, ARGS->index, ARGS->count, 0, 0);
}
RLUA_INTERNAL int rlua_c_gc(lua_State *L, int what, int data) {
  Args args = {.index = what, .count = data};
  return protect(L, gc_body, &args, 0);
}

/* -- host functions ----------------------------------------------------------------------- */

typedef int (*HostFunction)(lua_State *L, void *ud);

/* The only place that raises for a host: its function has returned, so no frame is jumped. */
static int host_trampoline(lua_State *L) {
  HostFunction function = (HostFunction)lua_touserdata(L, lua_upvalueindex(1));
  const char *name = lua_tostring(L, lua_upvalueindex(3));
  int results = function(L, lua_touserdata(L, lua_upvalueindex(2)));
  int held = lua_gettop(L);
  if (results == RAISE) {
    if (held == 0) return luaL_error(L, "host function '%s' raised, but its stack is empty", name);
    return lua_error(L);
  }
  if (results < 0 || results > held)
    return luaL_error(L, "host function '%s' returned %d results, but its stack holds %d", name,
                      results, held);
  return results;
}

BODY(pushfunction_body) {
  lua_pushstring(L, ARGS->name);
  lua_pushcclosure(L, host_trampoline, 3);
}
RLUA_INTERNAL int rlua_c_pushfunction(lua_State *L, HostFunction function, void *ud,
                                      const char *name) {
  Args args = {.name = name};
  if (!lua_checkstack(L, 3)) return REFUSED_STACK;
  lua_pushlightuserdata(L, (void *)function);
  lua_pushlightuserdata(L, ud);
  return protect(L, pushfunction_body, &args, 2);
}
