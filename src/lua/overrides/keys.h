/* keys.h: which order tables have does not depend on addresses (keys.c).
 *
 * A table of a VM in the deterministic profile has a mark, since its hash functions are not told
 * the state. Before ltable.c, which is the last to use both macros.
 */
#ifndef rlua_keys_h
#define rlua_keys_h

#include "lgc.h"
#include "private.h"

/* TESTBIT, which only Lua's own test library uses. The collector leaves it alone. */
#define KEYBIT TESTBIT

static GCObject *rlua_new_table(lua_State *L, int tag, size_t size);
#define luaC_newobj(L, tag, size) rlua_new_table((L), (tag), (size))

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
