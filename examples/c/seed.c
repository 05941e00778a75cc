/* seed.c: the smallest use. Set a global to 1, snap, set it to 2, roll back, read 1 again. */
#include <stdio.h>

#include "rlua.h"

static void print_value(lua_State *L) {
    lua_getglobal(L, "value");
    printf("%d\n", (int)lua_tointeger(L, -1));
    lua_pop(L, 1);
}

int main(void) {
    lua_State *L = rlua_new_rollback(1024 * 1024, 1); /* 1 MiB at most, one snapshot */
    if (!L) {
        fprintf(stderr, "%s\n", rlua_last_error(NULL));
        return 1;
    }
    lua_pushinteger(L, 1);
    lua_setglobal(L, "value");
    print_value(L);

    if (rlua_snap(L) != RLUA_OK) {
        fprintf(stderr, "%s\n", rlua_last_error(L));
        return 1;
    }
    lua_pushinteger(L, 2);
    lua_setglobal(L, "value");
    print_value(L);

    if (rlua_rollback(L, 1) != RLUA_OK) {
        fprintf(stderr, "%s\n", rlua_last_error(L));
        return 1;
    }
    print_value(L);
    lua_close(L);
    return 0;
}
