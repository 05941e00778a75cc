/* tables.c: what tables charge (budget.h), and why their chains stay short. Includes ltable.c.
 *
 * A lookup walks a chain of colliding keys, and its functions know no VM to charge. So chains are
 * kept short instead: with a budget set a key that would make one longer than MAX_CHAIN is refused.
 * That must hold in larger and smaller tables too. Stock takes integers, floats and addresses
 * modulo 2^n - 1, so that keys which are spread in one size can all collide in the next. Here all
 * are hashed to 32 bits, and the size of the table takes so many of them: what collides in a table
 * collides in each smaller one, so growing only splits chains. Where shrinking joins too many, the
 * table keeps its size.
 *
 * Not here: strings that collide in the string table (unit.c), which charges what it walks.
 */

enum { MAX_CHAIN = 64 };

/* Multiplied by 2^64 divided by the golden ratio. Integers in sequence stay side by side in runs of
 * 128: what is near in a script is near in memory. */
static inline unsigned int hash_address(unsigned int address) {
  return (unsigned int)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}
static inline unsigned int hash_integer(lua_Integer i) {
  lua_Unsigned u = l_castS2U(i);
  return (unsigned int)u + (unsigned int)(((u >> 7) * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

/* A table's calls and definitions differ in their first words. */
static Node *charged_mainposition(const Table *t, const TValue *key);
static Node *charged_hashint(const Table *t, lua_Integer i);
static void charged_resize(lua_State *L, Table *t, unsigned int array, unsigned int hash);
#define mainpositionTV(first_word, key) mainpositionTV_##first_word, key)
#define mainpositionTV_const stock_mainposition(const
#define mainpositionTV_t charged_mainposition(t
#define hashint(first_word, i) hashint_##first_word, i)
#define hashint_const stock_hashint(const
#define hashint_t charged_hashint(t
#define luaH_resize(first_word, ...) luaH_resize_##first_word, __VA_ARGS__)
#define luaH_resize_lua_State luaH_resize(lua_State
#define luaH_resize_L charged_resize(L

__attribute__((unused)) static Node *stock_mainposition(const Table *t, const TValue *key);
__attribute__((unused)) static Node *stock_hashint(const Table *t, lua_Integer i);

#include "ltable.c"

#undef mainpositionTV
#undef hashint
#undef luaH_resize

static inline Node *node_of(const Table *t, unsigned int hash) {
  return gnode(t, hash & (unsigned int)(sizenode(t) - 1));
}

static Node *charged_hashint(const Table *t, lua_Integer i) {
  return node_of(t, hash_integer(i));
}

static Node *charged_mainposition(const Table *t, const TValue *key) {
  switch (ttypetag(key)) {
    case LUA_VNUMINT: return node_of(t, hash_integer(ivalue(key)));
    case LUA_VNUMFLT: return node_of(t, hash_address((unsigned int)l_hashfloat(fltvalue(key))));
    case LUA_VSHRSTR: return hashstr(t, tsvalue(key));
    case LUA_VLNGSTR: return hashpow2(t, luaS_hashlongstr(tsvalue(key)));
    case LUA_VFALSE: return hashboolean(t, 0);
    case LUA_VTRUE: return hashboolean(t, 1);
    case LUA_VLIGHTUSERDATA: return node_of(t, hash_address(point2uint(pvalue(key))));
    case LUA_VLCF: return node_of(t, hash_address(point2uint(fvalue(key))));
    default: return node_of(t, hash_address(point2uint(gcvalue(key))));
  }
}

/* Keys in the chain that begins at a node, up to a bit more than a chain may have. */
static int chain_length(const Node *n) {
  int length = 1;
  for (int next; (next = gnext(n)) != 0 && length <= MAX_CHAIN; length++) n += next;
  return length;
}

/* Before a key is inserted; `slot` is where it was looked for. */
static void check_chain(lua_State *L, Table *t, const TValue *key, const TValue *slot) {
  if (!isabstkey(slot) || !G(L)->own.budgeted || isdummy(t) || ttisnil(key)) return;
  Node *n = charged_mainposition(t, key);
  if (isempty(gval(n))) return; /* takes this place, in whatever chain it is */
  if (l_unlikely(chain_length(mainpositionfromnode(t, n)) > MAX_CHAIN))
    luaG_runerror(L, "too many keys of a table collide");
}

static int has_long_chain(const Table *t) {
  for (int i = 0; i < sizenode(t); i++) {
    Node *n = gnode(t, i);
    if (!isempty(gval(n)) && gnext(n) != 0 && mainpositionfromnode(t, n) == n &&
        chain_length(n) > MAX_CHAIN)
      return 1;
  }
  return 0;
}

/* A rehash walks the whole table, and may be asked for again by each new key. */
static void charged_resize(lua_State *L, Table *t, unsigned int array, unsigned int hash) {
  unsigned int old = allocsizenode(t);
  rlua_debit(L, (old + luaH_realasize(t) + hash + array) >> 2);
  luaH_resize(L, t, array, hash);
  if (G(L)->own.budgeted && (unsigned int)allocsizenode(t) < old && has_long_chain(t)) {
    rlua_debit(L, old);
    luaH_resize(L, t, luaH_realasize(t), old);
  }
}

/* A long string as a key is compared with another. */
static const TValue *charged_get(lua_State *L, Table *t, const TValue *key) {
  if (l_unlikely(ttislngstring(key))) rlua_debit(L, tsvalue(key)->u.lnglen >> 6);
  return luaH_get(t, key);
}

/* A pointer that leads out of the VM gets its number before it becomes a key (keys.c). */
static inline void meet_new(lua_State *L, const TValue *key, const TValue *slot) {
  if (isabstkey(slot) && l_unlikely(rlua_is_outward(key))) rlua_meet_key(L, key);
}

/* All ways to a new key, without the check and with it. */
static inline void met_finishset(lua_State *L, Table *t, const TValue *key, const TValue *slot,
                                 TValue *value) {
  meet_new(L, key, slot);
  luaH_finishset(L, t, key, slot, value);
}
static void charged_finishset(lua_State *L, Table *t, const TValue *key, const TValue *slot,
                              TValue *value) {
  meet_new(L, key, slot);
  check_chain(L, t, key, slot);
  luaH_finishset(L, t, key, slot, value);
}

/* For C: as luaH_set and luaH_setint. */
static void charged_set(lua_State *L, Table *t, const TValue *key, TValue *value) {
  charged_finishset(L, t, key, charged_get(L, t, key), value);
}

static void charged_setint(lua_State *L, Table *t, lua_Integer key, TValue *value) {
  TValue k;
  setivalue(&k, key);
  charged_finishset(L, t, &k, luaH_getint(t, key), value);
}
