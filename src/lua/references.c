/* references.c: references to Lua values (rlua_ref).
 *
 * Part of the one translation unit, behind protect.h. Nothing here raises out of this file. The
 * counter that serials come from is Rust's, since it does not roll back. The public contracts are
 * in ffi/references.rs.
 */

#define rlua_refs(L) (G(L)->own.refs)

/* The table of references is named by a word beside the main thread, and so is a root of the
 * collector (collector.c): no script can reach it, and finding it costs one load. In its array
 * part lie
 *
 *   [1] first free slot, or 0   [2] slots in use, free ones included
 *   [2k + 1] value of slot k, or, in a free slot, the next free one
 *   [2k + 2] serial of slot k, 0 in a free slot; a kind of value of its own, since it differs
 *            between peers that rolled back differently, and must not be in a checksum (canon.c)
 *
 * so that all of it rolls back; only the counter that serials come from does not. */
#define REFS_FIRST_SLOTS 7
#define MAX_SLOTS ((MAXASIZE < INT_MAX ? (lua_Integer)MAXASIZE : INT_MAX) / 2 - 2)

typedef uint64_t Ref;

#define ref_slot(ref) ((lua_Integer)((ref) & 0xFFFFFFFFu))
#define ref_serial(ref) ((lua_Integer)((ref) >> 32))

static TValue *ref_at(Table *refs, lua_Integer index) {
  return (TValue *)luaH_getint(refs, index);
}

static lua_Integer ref_integer(Table *refs, lua_Integer index) {
  const TValue *value = ref_at(refs, index);
  return ttisinteger(value) ? ivalue(value) : 0;
}

#define LUA_VSERIAL makevariant(LUA_TLIGHTUSERDATA, 1)

static void set_serial(lua_State *L, TValue *slot, lua_Integer serial) {
  card_value(L, slot);
  val_(slot).i = serial;
  settt_(slot, LUA_VSERIAL);
}

static void set_integer(lua_State *L, TValue *slot, lua_Integer n) {
  card_value(L, slot);
  setivalue(slot, n);
}

BODY(growrefs_body) {
  Table *refs = rlua_refs(L);
  (void)ud;
  if (refs == NULL) {
    refs = luaH_new(L);
    sethvalue2s(L, L->top.p, refs);
    L->top.p++;
    luaH_resize(L, refs, 2 * REFS_FIRST_SLOTS + 2, 0);
    set_integer(L, ref_at(refs, 1), 0);
    set_integer(L, ref_at(refs, 2), 0);
    rlua_refs(L) = refs;
    L->top.p--;
  } else {
    lua_Integer slots = ref_integer(refs, 2);
    if (slots >= MAX_SLOTS) luaM_toobig(L);
    luaH_resize(L, refs, cast_uint(2 * (2 * slots + 1) + 2), 0);
  }
}

/* Finds a free slot, 0 when there is no memory for one. The stack is as it was. */
static lua_Integer ref_new_slot(lua_State *L) {
  Table *refs = rlua_refs(L);
  lua_Integer slot;
  if (refs != NULL && (slot = ref_integer(refs, 1)) != 0) {
    setobj2t(L, ref_at(refs, 1), ref_at(refs, 2 * slot + 1));
    return slot;
  }
  if (refs == NULL || isabstkey(ref_at(refs, 2 * (ref_integer(refs, 2) + 1) + 2))) {
    if (!lua_checkstack(L, 5)) return 0;
    if (luaD_pcall(L, growrefs_body, NULL, savestack(L, L->top.p), 0) != LUA_OK) {
      L->top.p--;
      return 0;
    }
    refs = rlua_refs(L);
  }
  slot = ref_integer(refs, 2) + 1;
  set_integer(L, ref_at(refs, 2), slot);
  return slot;
}

/* Moves the value on top into a slot. After an error the stack is as it was. */
int rlua_c_ref(lua_State *L, uint32_t serial, Ref *ref) {
  card_lock(L);
  if (lua_gettop(L) < 1) return REFUSED_ARGUMENT;
  lua_Integer slot = ref_new_slot(L);
  Table *refs = rlua_refs(L);
  if (slot == 0) return LUA_ERRMEM;
  setobj2t(L, ref_at(refs, 2 * slot + 1), s2v(L->top.p - 1));
  luaC_barrierback(L, obj2gco(refs), s2v(L->top.p - 1));
  set_serial(L, ref_at(refs, 2 * slot + 2), serial);
  L->top.p--;
  *ref = (Ref)slot | (Ref)serial << 32;
  return LUA_OK;
}

/* The place of the value of a live reference, or NULL. */
static TValue *ref_find(lua_State *L, Ref ref) {
  Table *refs = rlua_refs(L);
  lua_Integer slot = ref_slot(ref);
  TValue *value, *serial;
  if (l_unlikely(refs == NULL || slot == 0 || ref_serial(ref) == 0)) return NULL;
  if (l_likely(2 * slot + 1 < (lua_Integer)refs->alimit)) { /* as luaH_getint, once for both */
    value = &refs->array[2 * slot];
    serial = value + 1;
  } else {
    value = ref_at(refs, 2 * slot + 1);
    serial = ref_at(refs, 2 * slot + 2);
  }
  return checktag(serial, LUA_VSERIAL) && val_(serial).i == ref_serial(ref) ? value : NULL;
}

/* 1, 0 when the reference is stale, or REFUSED_STACK. */
int rlua_c_getref(lua_State *L, Ref ref) {
  card_lock(L);
  const TValue *value = ref_find(L, ref);
  if (l_unlikely(value == NULL)) return 0;
  if (l_unlikely(!has_room(L, 1))) return REFUSED_STACK; /* growing it does not move `value` */
  setobj2s(L, L->top.p, value);
  L->top.p++;
  return 1;
}

int rlua_c_unref(lua_State *L, Ref ref) {
  card_lock(L);
  Table *refs = rlua_refs(L);
  TValue *value = ref_find(L, ref);
  if (value == NULL) return 0;
  setobj2t(L, value, ref_at(refs, 1));
  set_serial(L, ref_at(refs, 2 * ref_slot(ref) + 2), 0);
  set_integer(L, ref_at(refs, 1), ref_slot(ref));
  return 1;
}
