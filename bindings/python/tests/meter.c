/* meter.c: a module in C that knows nothing of snapshots: meters, which it keeps outside the VM.
 * Each is counted, and one that ends twice ends the process. */
#include <stdlib.h>
#include "lauxlib.h"

typedef struct Meter {
    int value, ended;
} Meter;

static int living;

Meter *meter_open(int value) {
    Meter *meter = calloc(1, sizeof *meter); /* never freed: so it tells what ends twice */
    if (meter == NULL) abort();
    meter->value = value;
    living++;
    return meter;
}

int meter_value(const Meter *meter) { return meter->value; }
int meter_living(void) { return living; }

static int new(lua_State *L) {
    Meter **block = lua_newuserdatauv(L, sizeof *block, 1);
    *block = NULL;
    luaL_setmetatable(L, "Meter");
    *block = meter_open((int)luaL_checkinteger(L, 1));
    return 1;
}

static int read(lua_State *L) {
    Meter **block = luaL_checkudata(L, 1, "Meter");
    if (*block == NULL) return luaL_error(L, "closed");
    lua_pushinteger(L, ++(*block)->value);
    return 1;
}

static int end(lua_State *L) {
    Meter **block = luaL_checkudata(L, 1, "Meter");
    if (*block == NULL) return 0;
    if ((*block)->ended++) abort();
    living--;
    *block = NULL;
    return 0;
}

int luaopen_meter(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"new", new}, {"read", read}, {"close", end}, {NULL, NULL}};
    luaL_newmetatable(L, "Meter");
    lua_pushcfunction(L, end);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, functions);
    return 1;
}
