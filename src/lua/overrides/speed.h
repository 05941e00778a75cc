/* speed.h: numbers become text without printf where the result is the same (numbers.c). */
#ifndef rlua_speed_h
#define rlua_speed_h

#include "lobject.h"

static int rlua_integer2str(char *text, lua_Integer n);
static int rlua_number2str(char *text, size_t size, lua_Number n);
#undef lua_integer2str
#undef lua_number2str
#define lua_integer2str(s, sz, n) ((void)(sz), rlua_integer2str((s), (n)))
#define lua_number2str(s, sz, n) rlua_number2str((s), (sz), (n))

#endif
