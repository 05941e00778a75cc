/* keys.h: which order tables have does not depend on addresses (keys.c).
 *
 * A table of a VM in the deterministic profile has a mark, since its hash functions are not told
 * the state. Before ltable.c.
 */
#ifndef rlua_keys_h
#define rlua_keys_h

#include "ltm.h"
#include "private.h"

/* In a table's flags, of which Lua uses those of the first six metamethods, and the last. What
 * invalidateTMcache clears does not include it. */
#define KEYBIT 6
_Static_assert(TM_EQ < KEYBIT && BITRAS > 1 << KEYBIT, "the mark's bit is free");

/* In ltable.c it stands for a new table's flags; `L` is in scope. */
#undef maskflags
#define maskflags (G(L)->own.new_flags)
#define NO_METAMETHODS (~(~0u << (TM_EQ + 1))) /* as ltm.h has it */

/* `t`, the table, is in scope where ltable.c uses it. */
static unsigned int rlua_hash_function(const Table *t, lua_CFunction function);
static unsigned int rlua_hash_light(const Table *t, const void *address);
static unsigned int rlua_hash_object(const Table *t, const void *object);
#undef point2uint
#define point2uint(p) \
  _Generic((p), lua_CFunction: rlua_hash_function, void *: rlua_hash_light, \
           default: rlua_hash_object)(t, (p))

/* A pointer that becomes a key gets its number first. `slot` is what the key's search answered. */
static void rlua_meet_key(lua_State *L, const TValue *key);
#define rlua_is_outward(key) (rawtt(key) == LUA_VLIGHTUSERDATA || rawtt(key) == LUA_VLCF)

#endif
