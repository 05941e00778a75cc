/* calls.c: protected calls that load, call and resume, and the collector's.
 *
 * Part of the one translation unit, behind protect.h, which tells how such a function is built.
 * Contracts: calls.h. Not here: tables and values (values.c), host functions (functions.c).
 */

/* The error value on top, when it is a string: for rlua_last_error. Converts nothing. */
const char *rlua_c_error_text(lua_State *L, size_t *length) {
  *length = 0;
  if (lua_gettop(L) == 0 || lua_type(L, -1) != LUA_TSTRING) return NULL;
  return lua_tolstring(L, -1, length);
}

/* -- chunks ------------------------------------------------------------------------------------ */

/* Loading answers a status of its own and leaves the message; only memory errors raise. */
static int load(lua_State *L, Pfunc body, Args *args) {
  int status = luaD_pcall(L, body, args, savestack(L, L->top.p), 0);
  return status == LUA_OK ? args->status : status;
}

BODY(loadbuffer_body) {
  ARGS->status = luaL_loadbufferx(L, ARGS->text, ARGS->length, ARGS->name, ARGS->mode);
}

int rlua_loadbuffer(lua_State *L, const char *chunk, size_t length, const char *name,
                    const char *mode) {
  ENTER;
  NOT_NULL(chunk);
  NOT_NULL(name);
  ROOM(3);
  Args args = {.text = chunk, .length = length, .name = name, .mode = mode};
  FINISH(load(L, loadbuffer_body, &args));
}

BODY(loadfile_body) {
  ARGS->status = luaL_loadfilex(L, ARGS->name, ARGS->mode);
}

int rlua_loadfile(lua_State *L, const char *filename, const char *mode) {
  ENTER;
  NOT_NULL(filename);
  ROOM(3);
  Args args = {.name = filename, .mode = mode};
  FINISH(load(L, loadfile_body, &args));
}

BODY(run_body) {
  (void)ud;
  lua_call(L, 0, LUA_MULTRET);
}

static int load_and_run(lua_State *L, Pfunc body, Args *args) {
  int status = load(L, body, args);
  if (status != LUA_OK) return status;
  return luaD_pcall(L, run_body, NULL, savestack(L, L->top.p - 1), 0);
}

int rlua_dostring(lua_State *L, const char *chunk) {
  ENTER;
  NOT_NULL(chunk);
  MAY_CALL;
  ROOM(4);
  Args args = {.text = chunk, .length = strlen(chunk), .name = chunk};
  FINISH(load_and_run(L, loadbuffer_body, &args));
}

int rlua_dofile(lua_State *L, const char *filename) {
  ENTER;
  NOT_NULL(filename);
  MAY_CALL;
  ROOM(4);
  Args args = {.name = filename};
  FINISH(load_and_run(L, loadfile_body, &args));
}

/* -- calls ------------------------------------------------------------------------------------- */

BODY(call_body) {
  if (ARGS->results > 0 && !has_room(L, ARGS->results))
    luaL_error(L, "stack overflow (%s)", "too many results");
  lua_call(L, ARGS->count, ARGS->results);
}

/* Appends a traceback to a message, as the program `lua` does; another error value stays what it
 * is, as for debug.traceback: the host may know what to do with it. */
static int traceback_handler(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* The handler lies below the function during the call; a light C function, so no memory is asked
 * for. */
static int call_with_traceback(lua_State *L, Args *args) {
  int place = lua_gettop(L) - args->count;
  lua_pushcfunction(L, traceback_handler);
  lua_insert(L, place);
  int status = luaD_pcall(L, call_body, args, savestack(L, L->ci->func.p + place + 1),
                          savestack(L, L->ci->func.p + place));
  lua_remove(L, place);
  return status;
}

int rlua_call(lua_State *L, int nargs, int nresults, int msgh) {
  ENTER;
  MAY_CALL;
  REFUSE_IF(nargs < 0, "nargs = %d is negative", nargs);
  REFUSE_IF(nargs >= lua_gettop(L), "nargs = %d and the function below them are more than this "
            "stack holds: %d %s", nargs, HOLDS(L));
  REFUSE_IF(nresults < LUA_MULTRET, "nresults = %d is neither a count nor LUA_MULTRET", nresults);
  ROOM(4);
  Args args = {.count = nargs, .results = nresults};
  if (msgh == RLUA_TRACEBACK) FINISH(call_with_traceback(L, &args));
  ptrdiff_t handler = 0;
  if (msgh != 0) {
    SLOT(msgh);
    int place = lua_absindex(L, msgh);
    REFUSE_IF(place >= lua_gettop(L) - nargs, "msgh = %d is not below the function", msgh);
    REFUSE_IF(!lua_isfunction(L, place), "msgh = %d names a %s, not a function", msgh,
              luaL_typename(L, place));
    handler = savestack(L, L->ci->func.p + place);
  }
  FINISH(luaD_pcall(L, call_body, &args, savestack(L, L->top.p - nargs - 1), handler));
}

/* lua_resume is protected by itself, but for the messages by which it refuses: what it does not
 * resume is refused here. */
int rlua_resume(lua_State *L, lua_State *from, int nargs, int *nresults) {
  ENTER;
  NOT_NULL(nresults);
  *nresults = 0;
  REFUSE_IF(from != NULL && !hooks.same(L, from), "from is no thread of the VM that L belongs to");
  REFUSE_IF(L == G(L)->mainthread, "L is the main thread, which is no coroutine: use rlua_call");
  REFUSE_IF(lua_status(L) == LUA_OK && L->ci != &L->base_ci, "L runs already, or has resumed "
            "another thread that does");
  REFUSE_IF(lua_status(L) > LUA_YIELD, "L is dead: it ended with an error");
  REFUSE_IF(nargs < 0, "nargs = %d is negative", nargs);
  REFUSE_IF(lua_status(L) == LUA_OK && nargs >= lua_gettop(L), "nargs = %d and the function below "
            "them are more than L's stack holds: %d %s (it is dead, or not started)", nargs,
            HOLDS(L));
  REFUSE_IF(nargs > lua_gettop(L), "nargs = %d is more than L's stack holds: %d %s", nargs,
            HOLDS(L));
  REFUSE_IF(from != NULL && getCcalls(from) >= LUAI_MAXCCALLS, "%d calls are nested in C already",
            LUAI_MAXCCALLS);
  ROOM(1);
  FINISH(lua_resume(L, from, nargs, nresults));
}

/* -- the collector ----------------------------------------------------------------------------- */

/* The most that an option's first argument can be, or -1 for what is no option. A multiplier is
 * kept in a byte, some of them divided by 4. */
static int gc_data_max(int what) {
  switch (what) {
    case LUA_GCSTOP: case LUA_GCRESTART: case LUA_GCCOLLECT: case LUA_GCCOUNT:
    case LUA_GCCOUNTB: case LUA_GCISRUNNING: return 0;
    case LUA_GCSTEP: return INT_MAX;
    case LUA_GCSETPAUSE: case LUA_GCSETSTEPMUL: case LUA_GCINC: return 1000;
    case LUA_GCGEN: return 200;
    default: return -1;
  }
}

BODY(gc_body) {
  lua_gc(L, ARGS->index, ARGS->count, 0, 0);
}

int rlua_gc(lua_State *L, int what, int data) {
  ENTER;
  int most = gc_data_max(what);
  REFUSE_IF(most < 0, "what = %d is no option of lua_gc", what);
  REFUSE_IF(data < 0 || data > most, "data = %d is outside 0 to %d, which what = %d takes", data,
            most, what);
  Args args = {.index = what, .count = data};
  RUN(gc_body, 0);
}
