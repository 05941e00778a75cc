/* next.c: the next pair of a table, without a search for the last one.
 *
 * `pairs` hands back the key that it was given, so that key is where the last answer left off: a
 * look at one node tells. Stock Lua finds it by its hash, which for a pointer takes a division,
 * and in the deterministic profile a search for the pointer's number too.
 *
 * Empty places that it passes are charged (budget.h): most of a table may be empty.
 *
 * Part of the one translation unit, behind ltable.c.
 */

static inline void charge_passed(lua_State *L, unsigned int count) {
  if (l_unlikely(count > 8)) rlua_debit(L, count >> 3);
}

/* As luaH_next. Where the last answer came from the hash part, `own.next_place` is what findindex
 * would find for it; whether it is right for this table and key, the node itself says. */
static int next_pair(lua_State *L, Table *t, StkId key) {
  unsigned int array_size = luaH_realasize(t), nodes = cast_uint(sizenode(t));
  unsigned int node = G(L)->own.next_place - array_size; /* the one behind the key's */
  TValue *last = s2v(key);
  if (ttisinteger(last) || ttisnil(last) || node - 1 >= nodes ||
      !equalkey(last, gnode(t, node - 1), 0))
    node = findindex(L, t, last, array_size);
  else
    node += array_size;
  unsigned int first = node;
  for (; node < array_size; node++) {
    if (isempty(&t->array[node])) continue;
    charge_passed(L, node - first);
    setivalue(s2v(key), node + 1);
    setobj2s(L, key + 1, &t->array[node]);
    return 1;
  }
  for (node -= array_size; node < nodes; node++) {
    Node *n = gnode(t, node);
    if (isempty(gval(n))) continue;
    charge_passed(L, node + array_size - first);
    getnodekey(L, s2v(key), n);
    setobj2s(L, key + 1, gval(n));
    G(L)->own.next_place = node + 1 + array_size;
    return 1;
  }
  charge_passed(L, node + array_size - first);
  return 0;
}
