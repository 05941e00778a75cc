/* walk.h: everything that a script can see of a VM's state, in one order, into a sink. */
#ifndef RLUA_DETERMINISM_WALK_H
#define RLUA_DETERMINISM_WALK_H

#include "sink.h"

/* Walks from the globals and from the metatable of strings. No Lua runs, and nothing is
 * allocated in the VM but a larger stack of L, or of a coroutine: the state after
 * a walk is a function of the state before. L is idle. */
void walk_state(Sink *sink, lua_State *L);

/* One value: the plain ones by what they are, others by their type and where they lie. */
void walk_shallow(Sink *sink, lua_State *L, int index);

/* The userdata whose bytes are walked, too, by its metatable. NULL for none. */
void walk_boxes_of(const void *metatable);

#endif
