#include <stdio.h>
#include "rlua.h"
#include "lauxlib.h"
#include "lualib.h"

static void run(lua_State *L, const char *code) {
    if (luaL_dostring(L, code)) fprintf(stderr, "%s\n", lua_tostring(L, -1));
}

int main(void) {
    lua_State *L = rlua_new_rollback(1 << 20, 20); /* up to 1 MiB of state, 20 snapshots */
    if (L == NULL) return fprintf(stderr, "%s\n", rlua_last_error(NULL)), 1;
    luaL_openlibs(L);
    run(L, "n = 1; print(n)");
    rlua_snap(L);                                  /* remember everything */
    run(L, "n = 2; print(n)");
    rlua_rollback(L, 1);                           /* back to the newest snapshot */
    run(L, "print(n)");                            /* 1 again */
    lua_close(L);
    return 0;
}
