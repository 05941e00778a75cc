/* game.c: a rollback, of the library that the package has. Ends with 0 if it was one. */
#include "lauxlib.h"
#include "rlua.h"

int main(void) {
    lua_State *L = rlua_new_rollback(1 << 20, 1);
    int rolled_back;
    if (L == NULL) return 1;
    if (luaL_dostring(L, "n = 1") || rlua_snap(L) != RLUA_OK) return 1;
    if (luaL_dostring(L, "n = 2") || rlua_rollback(L, 1) != RLUA_OK) return 1;
    lua_getglobal(L, "n");
    rolled_back = lua_tointeger(L, -1) == 1;
    lua_close(L);
    return rolled_back ? 0 : 1;
}
