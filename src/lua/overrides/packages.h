/* packages.h: where `require` looks, and what the environment says, reach no script of the
 * deterministic profile: the strings would differ in length from system to system, and so all that
 * is allocated later would lie elsewhere. Around loadlib.c and loslib.c.
 */
#ifndef rlua_packages_h
#define rlua_packages_h

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

/* What build.rs gives, or luaconf.h. */
static const char stock_package_path[] = LUA_PATH_DEFAULT;
static const char stock_package_cpath[] = LUA_CPATH_DEFAULT;
#undef LUA_PATH_DEFAULT
#undef LUA_CPATH_DEFAULT
#define LUA_PATH_DEFAULT rlua_package_path(L)
#define LUA_CPATH_DEFAULT rlua_package_cpath(L)
#define getenv(name) rlua_getenv(L, (name))

/* Windows' separator of folders, and the program's folder in paths, are seen by no such script. */
#ifdef RLUA_SEPARATOR_VARIES
static inline const char *rlua_separator(lua_State *L) {
  return rlua_deterministic(L) ? "/" : LUA_DIRSEP;
}
/* setprogdir() puts a copy of a path that has no such mark in the path's place; here that stays.
 * The other caller has found what it replaces. */
static inline const char *rlua_gsub(lua_State *L, const char *text, const char *from,
                                    const char *to) {
  if (!rlua_deterministic(L) || strcmp(from, LUA_EXEC_DIR) != 0 || strchr(text, *from) != NULL)
    return luaL_gsub(L, text, from, to);
  lua_pushvalue(L, -1);
  return text;
}
/* package.config begins with the separator. */
static inline const char *rlua_push_literal(lua_State *L, const char *text) {
  char config[32];
  if (*text != *LUA_DIRSEP || !rlua_deterministic(L)) return lua_pushstring(L, text);
  snprintf(config, sizeof config, "/%s", text + 1);
  return lua_pushstring(L, config);
}
static inline const char *rlua_opt_string(lua_State *L, int arg, const char *text) {
  return luaL_optlstring(L, arg, *text == *LUA_DIRSEP ? rlua_separator(L) : text, NULL);
}
#define LUA_CSUBSEP rlua_separator(L)
#define LUA_LSUBSEP rlua_separator(L)
#define luaL_gsub(L, text, from, to) rlua_gsub((L), (text), (from), (to))
#undef lua_pushliteral
#define lua_pushliteral(L, text) rlua_push_literal((L), "" text)
#undef luaL_optstring
#define luaL_optstring(L, arg, text) rlua_opt_string((L), (arg), (text))
#endif

/* The path of that profile has the folders of every machine. What lies in those of another one
 * cannot be loaded here, so it is as if it were not there, and the search goes on. */
#ifdef __aarch64__
#define RLUA_OTHER_MACHINE "/usr/lib/x86_64-linux-gnu/"
#else
#define RLUA_OTHER_MACHINE "/usr/lib/aarch64-linux-gnu/"
#endif
static inline FILE *rlua_open_module(const char *path, const char *mode) {
  int other = strncmp(path, RLUA_OTHER_MACHINE, sizeof RLUA_OTHER_MACHINE - 1) == 0;
  return other ? NULL : fopen(path, mode);
}
#define fopen(path, mode) rlua_open_module((path), (mode))

/* os.tmpname: chance, and a file. It raises where `error` is not 0. */
#define lua_tmpnam(buffer, error) \
  { error = rlua_deterministic(L) || rlua_make_temporary(buffer); }

#endif
