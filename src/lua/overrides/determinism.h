/* determinism.h: nothing of the process (addresses, clocks) decides what the state becomes. */
#ifndef rlua_determinism_h
#define rlua_determinism_h

/* The cache of API strings is indexed by the host's string addresses, so what it holds, and
 * with it the allocations, would differ between processes. One set has no index.
 * Before lstate.h. */
#define STRCACHE_N 1
#define STRCACHE_M 2

/* Nested calls of C, of the parser and of coroutines: lua.org's own limit, given here so that no
 * platform chooses another. docs/DETERMINISM.md tells how much stack that takes.
 * Before llimits.h. */
#define LUAI_MAXCCALLS 200

#include "private.h"

/* The seed of string hashes comes from the config (life.c), not from addresses and the clock. */
static unsigned int rlua_makeseed(lua_State *L);
#define luai_makeseed(L) rlua_makeseed(L)

/* So does the pivot of table.sort on arrays that partition badly (stock: clock and time). */
#define l_randomizePivot() (G(L)->seed)

#endif
