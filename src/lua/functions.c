/* functions.c: functions of the host: how Lua calls them, how they raise.
 *
 * Part of the one translation unit, behind protect.h. Contracts: calls.h.
 */

/* The upvalues of a host function. Scripts cannot reach them (upvalues.c). The word is what stands
 * for function and ud in an image (canon.c). */
enum { HOST_FUNCTION = 1, HOST_UD, HOST_NAME, HOST_WORD, HOST_UPVALUES = HOST_WORD };

/* The only place that raises for a host: its function has returned, so no frame is jumped. */
static int host_trampoline(lua_State *L) {
  rlua_HostFunction function =
      (rlua_HostFunction)lua_touserdata(L, lua_upvalueindex(HOST_FUNCTION));
  int results = function(L, lua_touserdata(L, lua_upvalueindex(HOST_UD)));
  int held = lua_gettop(L);
  if (l_unlikely(G(L)->own.fuel < 0)) rlua_used_up(L); /* in a call that the host made */
  if (l_likely(results >= 0 && results <= held)) return results;
  const char *name = lua_tostring(L, lua_upvalueindex(HOST_NAME));
  if (results != RLUA_RAISE)
    return luaL_error(L, "host function '%s' returned %d results, but its stack holds %d", name,
                      results, held);
  if (held == 0) return luaL_error(L, "host function '%s' raised, but its stack is empty", name);
  return lua_error(L);
}

static int is_host_function(const TValue *value) {
  return ttisCclosure(value) && clCvalue(value)->f == host_trampoline;
}

static void push_host_function(lua_State *L, rlua_HostFunction function, void *ud,
                               const char *name) {
  lua_pushlightuserdata(L, (void *)function);
  lua_pushlightuserdata(L, ud);
  lua_pushstring(L, name);
  lua_pushinteger(L, (lua_Integer)rlua_c_name_word(NAME_HOST, name, strlen(name)));
  lua_pushcclosure(L, host_trampoline, HOST_UPVALUES);
}

BODY(pushfunction_body) {
  push_host_function(L, ARGS->host, (void *)ARGS->text, ARGS->name);
}

int rlua_pushfunction(lua_State *L, rlua_HostFunction function, void *ud, const char *name) {
  ENTER;
  NOT_NULL(function);
  NOT_NULL(name);
  ROOM(5);
  Args args = {.name = name, .host = function, .text = ud};
  FINISH(PROTECT(pushfunction_body, 0));
}

/* -- raising ----------------------------------------------------------------------------------- */

/* The name of the running function: as the script called it, as a module has it, or as the host
 * registered it. Pushes up to one value, which keeps it. */
static const char *running_name(lua_State *L, lua_Debug *ar) {
  const TValue *function = s2v(ar->i_ci->func.p);
  if (ar->name != NULL) return ar->name;
  if (pushglobalfuncname(L, ar)) return lua_tostring(L, -1);
  if (is_host_function(function) && ttisstring(&clCvalue(function)->upvalue[HOST_NAME - 1]))
    return getstr(tsvalue(&clCvalue(function)->upvalue[HOST_NAME - 1]));
  return "?";
}

BODY(error_body) {
  luaL_where(L, 1);
  lua_pushstring(L, ARGS->text);
  lua_concat(L, 2);
}

/* As luaL_argerror. */
BODY(argerror_body) {
  int top = lua_gettop(L), arg = ARGS->index;
  lua_Debug ar;
  luaL_checkstack(L, 12, NULL);
  luaL_where(L, 1);
  if (!lua_getstack(L, 0, &ar)) {
    lua_pushfstring(L, "bad argument #%d (%s)", arg, ARGS->text);
  } else {
    lua_getinfo(L, "n", &ar);
    if (strcmp(ar.namewhat, "method") == 0) arg--;
    if (arg == 0 && ar.name != NULL)
      lua_pushfstring(L, "calling '%s' on bad self (%s)", ar.name, ARGS->text);
    else
      lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg, running_name(L, &ar), ARGS->text);
  }
  while (lua_gettop(L) > top + 2) lua_remove(L, top + 2); /* what kept the name */
  lua_concat(L, 2);
}

/* Always something to raise: where there is no room, Lua's memory message in place of the value on
 * top. A frame without any value has room. */
static int raise_message(lua_State *L, const char *function, Pfunc body, Args *args) {
  rlua_Hold hold;
  if (hooks.enter(L, &hold) != STATUS_OK) return RLUA_RAISE;
  card_lock(L);
  if (args->text == NULL) {
    hooks.null(L, function, "message");
    args->text = "(null)";
  }
  if (has_room(L, 3)) {
    int status = luaD_pcall(L, body, args, savestack(L, L->top.p), 0);
    if (status != LUA_OK) hooks.failed(L, function, status);
  } else {
    hooks.full(L, function);
    setsvalue2s(L, L->top.p - 1, G(L)->memerrmsg);
  }
  let_go(&hold);
  return RLUA_RAISE;
}

int rlua_error(lua_State *L, const char *message) {
  Args args = {.text = message};
  return raise_message(L, __func__, error_body, &args);
}

int rlua_argerror(lua_State *L, int arg, const char *message) {
  Args args = {.text = message, .index = arg};
  return raise_message(L, __func__, argerror_body, &args);
}
