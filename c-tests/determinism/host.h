/* host.h: what the program gives to scripts, beside Lua's libraries. */
#ifndef RLUA_DETERMINISM_HOST_H
#define RLUA_DETERMINISM_HOST_H

#include "sink.h"

/* Opens `emit`, `box`, `light` and `host_functions`, and tells the walk of boxes. */
void host_open(lua_State *L);

/* Opens the functions that no deterministic host may have: the scripts of wrong/ use them. */
void host_open_wrong(lua_State *L);

/* Where `emit` puts its arguments from now on. */
void host_emit_to(Sink *sink);

#endif
