/* upvalues.c: what the library `debug` finds of a host function: no upvalue.
 *
 * A script that set the one with the host's pointer would make the library call what it likes.
 * Before ldblib.c, which is given these functions in place of lapi.c's; the C API is as it was.
 */

static int host_trampoline(lua_State *L);

static int is_opaque(lua_State *L, int index) {
  return lua_tocfunction(L, index) == host_trampoline;
}

static const char *debug_getupvalue(lua_State *L, int index, int n) {
  return is_opaque(L, index) ? NULL : lua_getupvalue(L, index, n);
}

static const char *debug_setupvalue(lua_State *L, int index, int n) {
  return is_opaque(L, index) ? NULL : lua_setupvalue(L, index, n);
}

static void *debug_upvalueid(lua_State *L, int index, int n) {
  return is_opaque(L, index) ? NULL : lua_upvalueid(L, index, n);
}

#define lua_getupvalue debug_getupvalue
#define lua_setupvalue debug_setupvalue
#define lua_upvalueid debug_upvalueid
#include "ldblib.c"
#undef lua_getupvalue
#undef lua_setupvalue
#undef lua_upvalueid
