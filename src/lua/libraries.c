/* libraries.c: libraries by mask, and what a sandbox takes from them.
 *
 * Part of the one translation unit, behind protect.h. Contracts: calls.h; docs/SANDBOX.md tells
 * what a script of a sandbox can and cannot do, and why.
 */

/* In the order of linit.c. */
static const struct {
  unsigned int bit;
  const char *name;
  lua_CFunction open;
} libraries[] = {
    {RLUA_LIB_BASE, LUA_GNAME, luaopen_base},
    {RLUA_LIB_PACKAGE, LUA_LOADLIBNAME, luaopen_package},
    {RLUA_LIB_COROUTINE, LUA_COLIBNAME, luaopen_coroutine},
    {RLUA_LIB_TABLE, LUA_TABLIBNAME, luaopen_table},
    {RLUA_LIB_IO, LUA_IOLIBNAME, luaopen_io},
    {RLUA_LIB_OS, LUA_OSLIBNAME, luaopen_os},
    {RLUA_LIB_STRING, LUA_STRLIBNAME, luaopen_string},
    {RLUA_LIB_MATH, LUA_MATHLIBNAME, luaopen_math},
    {RLUA_LIB_UTF8, LUA_UTF8LIBNAME, luaopen_utf8},
    {RLUA_LIB_DEBUG, LUA_DBLIBNAME, luaopen_debug},
};
enum { LIBRARIES = sizeof libraries / sizeof libraries[0] };

#define KNOWN_BITS (RLUA_LIB_ALL | RLUA_LIB_TEXT_ONLY | RLUA_LIB_LOCKED)

/* -- functions that take the place of stock ones ----------------------------------------------- */

/* Text only, whatever `mode` says. The upvalue is the environment of chunks that are given none, or
 * nil for the globals. */
static int restricted_load(lua_State *L) {
  const char *mode = luaL_optstring(L, 3, "t");
  lua_settop(L, lua_isnone(L, 4) ? 3 : 4);
  lua_pushstring(L, strchr(mode, 't') != NULL ? "t" : "");
  lua_replace(L, 3);
  if (lua_isnone(L, 4) && !lua_isnil(L, lua_upvalueindex(1)))
    lua_pushvalue(L, lua_upvalueindex(1));
  return luaB_load(L);
}

/* Of tables alone: the metatables of strings and of the host's userdata are shared by all. */
static int restricted_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  if (lua_istable(L, 1)) return luaB_getmetatable(L);
  if (lua_getmetatable(L, 1)) lua_pushboolean(L, 0);
  else lua_pushnil(L);
  return 1;
}

/* A finalizer runs when the collector wants, in whatever script is running then. */
static int restricted_setmetatable(lua_State *L) {
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL) return luaL_error(L, "'__gc' is not allowed here");
    lua_pop(L, 1);
  }
  return luaB_setmetatable(L);
}

/* The collector is the host's; what it holds may be asked for. */
static int restricted_collectgarbage(lua_State *L) {
  const char *option = luaL_optstring(L, 1, "collect");
  if (strcmp(option, "count") == 0) return luaB_collectgarbage(L);
  if (strcmp(option, "step") == 0) lua_pushboolean(L, 1);
  else if (strcmp(option, "collect") == 0) lua_pushinteger(L, 0);
  else return luaL_error(L, "collectgarbage '%s' is not allowed here", option);
  return 1;
}

static void remove_field(lua_State *L, const char *name) {
  lua_pushnil(L);
  lua_setfield(L, -2, name);
}

/* On top: the functions of base, in the globals (`own` 0) or in an environment of its own. */
static void restrict_base(lua_State *L, unsigned int libs, int own) {
  if (libs & RLUA_LIB_TEXT_ONLY) {
    if (own) lua_pushvalue(L, -1);
    else lua_pushnil(L);
    lua_pushcclosure(L, restricted_load, 1);
    lua_setfield(L, -2, "load");
    remove_field(L, "dofile");
    remove_field(L, "loadfile");
  }
  if (libs & RLUA_LIB_LOCKED) {
    static const luaL_Reg restricted[] = {{"getmetatable", restricted_getmetatable},
                                          {"setmetatable", restricted_setmetatable},
                                          {"collectgarbage", restricted_collectgarbage},
                                          {NULL, NULL}};
    luaL_setfuncs(L, restricted, 0);
    remove_field(L, "warn");
  }
}

/* On top: the table `string`. */
static void restrict_string(lua_State *L, unsigned int libs) {
  if (!(libs & RLUA_LIB_LOCKED)) return;
  remove_field(L, "dump");
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) {
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* -- in the globals ---------------------------------------------------------------------------- */

BODY(openlibs_body) {
  unsigned int libs = (unsigned int)ARGS->index;
  for (int i = 0; i < LIBRARIES; i++) {
    if (!(libs & libraries[i].bit)) continue;
    luaL_requiref(L, libraries[i].name, libraries[i].open, 1);
    if (libraries[i].bit == RLUA_LIB_BASE) restrict_base(L, libs, 0);
    if (libraries[i].bit == RLUA_LIB_STRING) restrict_string(L, libs);
    lua_pop(L, 1);
  }
}

int rlua_openlibs(lua_State *L, unsigned int libs) {
  ENTER;
  MAY_CALL;
  REFUSE_IF(libs & ~KNOWN_BITS, "libs = 0x%x has bits that name no library", libs);
  Args args = {.index = (int)libs};
  RUN(openlibs_body, 0);
}

/* -- in an environment ------------------------------------------------------------------------- */

static void push_library(lua_State *L, lua_CFunction open) {
  lua_pushcfunction(L, open);
  lua_call(L, 0, 1);
}

/* The methods of strings are one table for the whole VM. Locked, it is one that no script can
 * reach: so none can change what another one's strings do. */
static void lock_methods(lua_State *L) {
  static const char *const name = "rlua.methods";
  if (lua_getfield(L, LUA_REGISTRYINDEX, name) == LUA_TNIL) {
    lua_pushliteral(L, "");
    luaL_newlib(L, stringmetamethods);
    luaL_newlib(L, strlib);
    remove_field(L, "dump");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, name);
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Pushes a new table `string`, and sees that strings have methods. */
static void push_string(lua_State *L, unsigned int libs) {
  if (libs & RLUA_LIB_LOCKED) lock_methods(L);
  lua_pushliteral(L, "");
  int has_methods = lua_getmetatable(L, -1);
  lua_pop(L, has_methods + 1);
  if (!has_methods) {
    push_library(L, luaopen_string);
    return;
  }
  luaL_newlib(L, strlib);
  if (libs & RLUA_LIB_LOCKED) remove_field(L, "dump");
}

BODY(newenv_body) {
  unsigned int libs = (unsigned int)ARGS->index;
  luaL_checkstack(L, 10, NULL);
  lua_createtable(L, 0, 32);
  if (libs & RLUA_LIB_BASE) {
    luaL_setfuncs(L, base_funcs, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, LUA_GNAME);
    lua_pushliteral(L, LUA_VERSION);
    lua_setfield(L, -2, "_VERSION");
    restrict_base(L, libs, 1);
  }
  for (int i = 0; i < LIBRARIES; i++) {
    if (!(libs & libraries[i].bit) || libraries[i].bit == RLUA_LIB_BASE) continue;
    if (libraries[i].bit == RLUA_LIB_STRING) push_string(L, libs);
    else push_library(L, libraries[i].open);
    lua_setfield(L, -2, libraries[i].name);
  }
}

int rlua_newenv(lua_State *L, unsigned int libs) {
  ENTER;
  MAY_CALL;
  REFUSE_IF(libs & ~KNOWN_BITS, "libs = 0x%x has bits that name no library", libs);
  REFUSE_IF(libs & RLUA_LIB_ALL & ~RLUA_LIB_SANDBOX, "libs = 0x%x names io, os, debug or package, "
            "of which a VM has one", libs);
  ROOM(3);
  Args args = {.index = (int)libs};
  RUN(newenv_body, 0);
}
