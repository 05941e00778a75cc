/* linkage.h: Lua's internal functions become static, so that calls between its files are direct.
 * Before Lua's own headers. */
#ifndef rlua_linkage_h
#define rlua_linkage_h

#include "luaconf.h"

#undef LUAI_FUNC
#undef LUAI_DDEC
#undef LUAI_DDEF
#define LUAI_FUNC static
#define LUAI_DDEC(def) /* nothing: the definition comes first */
#define LUAI_DDEF static

#endif
