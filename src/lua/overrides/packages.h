/* packages.h: where `require` looks, and what the environment says, reach no script of the
 * deterministic profile: the strings would differ in length from system to system, and so all that
 * is allocated later would lie elsewhere. Around loadlib.c and loslib.c.
 */
#ifndef rlua_packages_h
#define rlua_packages_h

#include <stdlib.h>
#include <unistd.h>

#include "names.h"

/* What build.rs gives, or luaconf.h. */
static const char stock_package_path[] = LUA_PATH_DEFAULT;
static const char stock_package_cpath[] = LUA_CPATH_DEFAULT;
#undef LUA_PATH_DEFAULT
#undef LUA_CPATH_DEFAULT
#define LUA_PATH_DEFAULT rlua_package_path(L)
#define LUA_CPATH_DEFAULT rlua_package_cpath(L)
#define getenv(name) rlua_getenv(L, (name))

/* os.tmpname: chance, and a file. It raises where `error` is not 0. */
#define LUA_TMPNAMBUFSIZE 32
#define lua_tmpnam(buffer, error) \
  { \
    strcpy(buffer, "/tmp/lua_XXXXXX"); \
    error = rlua_deterministic(L) ? -1 : mkstemp(buffer); \
    if (error != -1) close(error); \
    error = (error == -1); \
  }

#endif
