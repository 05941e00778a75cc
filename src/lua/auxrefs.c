/* auxrefs.c: luaL_ref and luaL_unref, which C modules use, with numbers that may be stale.
 *
 * A module keeps the numbers in memory of its own, which does not roll back: after a rollback it
 * may free one that the state never gave out, or that is free. Lua's own then has the slot twice in
 * its list, and two users share it. Here a slot that is not in use is recognized, and left alone.
 * What cannot be seen is a stale number whose slot serves somebody else by now (docs/BINDINGS.md).
 *
 * Part of the one translation unit, in the place of those of lauxlib.c.
 */

/* A free slot holds this and the next free one: an integer that no program keeps by chance. */
#define FREE_SLOT ((lua_Integer)0x5EF0 << 48)
#define FREE_MASK (~(((lua_Integer)1 << 48) - 1))

/* The next free slot behind this one, 0 for none; -1 when it is not free. */
static int next_free(const TValue *slot) {
  lua_Integer value = ttisinteger(slot) ? ivalue(slot) : 0;
  return (value & FREE_MASK) == FREE_SLOT ? (int)(value & ~FREE_MASK) : -1;
}

/* The first free slot; `freelist` is lauxlib.c's, the index where it is kept. */
static int first_free(const TValue *head) {
  return ttisinteger(head) ? (int)ivalue(head) : 0;
}

static void set_slot(lua_State *L, int t, int ref, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_rawseti(L, t, ref);
}

LUALIB_API int luaL_ref(lua_State *L, int t) {
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return LUA_REFNIL;
  }
  t = lua_absindex(L, t);
  Table *h = hvalue(index2value(L, t));
  const TValue *head = luaH_getint(h, freelist);
  int ref = first_free(head);
  int next = ref > 0 ? next_free(luaH_getint(h, ref)) : -1;
  if (next < 0) {
    /* Before the length is taken: the head of the list is in the same sequence. */
    set_slot(L, t, freelist, 0);
    ref = (int)lua_rawlen(L, t) + 1;
  } else {
    card_value(L, head);
    setivalue((TValue *)head, next);
  }
  lua_rawseti(L, t, ref);
  return ref;
}

/* A slot may be cleared before it is given back. One beyond the sequence was never given out. */
LUALIB_API void luaL_unref(lua_State *L, int t, int ref) {
  if (ref <= 0) return;
  t = lua_absindex(L, t);
  Table *h = hvalue(index2value(L, t));
  const TValue *slot = luaH_getint(h, ref);
  if (next_free(slot) >= 0 || (isempty(slot) && (lua_Unsigned)ref > luaH_getn(h))) return;
  set_slot(L, t, ref, FREE_SLOT | first_free(luaH_getint(h, freelist)));
  set_slot(L, t, freelist, ref);
}
