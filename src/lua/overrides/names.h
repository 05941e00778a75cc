/* names.h: what a script sees of a pointer is a name, never an address (keys.c, names.c); what the
 * process or the platform would tell it otherwise is fixed. In the deterministic profile alone.
 */
#ifndef rlua_names_h
#define rlua_names_h

#include "private.h"

/* Bytes that the text of a pointer can take, the zero at its end included. */
#define POINTER_ROOM 96

/* Bytes of a registered name at most. */
#define NAME_BYTES 64

static int rlua_pointer_text(lua_State *L, const void *pointer, char *text);
static int rlua_format_name(lua_State *L, int arg, char *form, char *text);
static const char *rlua_strerror(lua_State *L, int number);
static const char *rlua_getenv(lua_State *L, const char *name);
static const char *rlua_package_path(lua_State *L);
static const char *rlua_package_cpath(lua_State *L);

/* In luaO_pushvfstring, whose buffer is `buff`: the text may be longer than what was asked for. */
#undef lua_pointer2str
#define lua_pointer2str(space, size, p) \
  ({ \
    int rlua_length = 0; \
    if (rlua_deterministic(L)) { \
      char rlua_text[POINTER_ROOM]; \
      int rlua_bytes = rlua_pointer_text(L, (p), rlua_text); \
      addstr2buff(&buff, rlua_text, (size_t)rlua_bytes); \
    } else { \
      rlua_length = l_sprintf((space), (size), "%p", (p)); \
    } \
    rlua_length; \
  })

/* In str_format, whose `break` ends the conversion, in an lstrlib.c that uses it once. */
#define rlua_format_topointer(L, arg) \
  ({ \
    if (rlua_deterministic(L)) { \
      nb = rlua_format_name((L), (arg), form, buff); \
      break; \
    } \
    lua_topointer((L), (arg)); \
  })

#endif
