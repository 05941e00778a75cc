/* diff_tables.c: two values, and two tables, to which one way leads.
 *
 * The keys of a table are the same when another heap has them by value, by the name of what they
 * lead to, or, for objects, by their pair. Which pair a key is in may be known late: such keys wait
 * (diff_pairs.c), but for those that lie at the same offset.
 *
 * Part of the one translation unit, behind diff_text.c.
 */

static void two_texts(Diff *d, int kind, uint32_t at, Step step, const char *format, long long a,
                      long long b) {
  char texts[2][VALUE_ROOM];
  snprintf(texts[0], VALUE_ROOM, format, a);
  snprintf(texts[1], VALUE_ROOM, format, b);
  report(d, kind, at, step, texts[0], texts[1]);
}

static void two_values(Diff *d, int kind, uint32_t at, Step step, const TValue *a,
                       const TValue *b) {
  char texts[2][VALUE_ROOM] = {"", ""};
  Text ta = {texts[0], VALUE_ROOM, 0}, tb = {texts[1], VALUE_ROOM, 0};
  size_t from = 0;
  if (ttisstring(a) && ttisstring(b)) {
    size_t both = bytes_of(a) < bytes_of(b) ? bytes_of(a) : bytes_of(b);
    while (from < both && text_of(a)[from] == text_of(b)[from]) from++;
    from = from > SHOWN_STRING / 2 ? from - SHOWN_STRING / 4 : 0;
  }
  put_value_text(&ta, d->ga, a, from);
  put_value_text(&tb, d->gb, b, from);
  report(d, kind, at, step, texts[0], texts[1]);
}

/* -- values ------------------------------------------------------------------------------------ */

static int same_string(const TString *a, const TString *b) {
  return tsslen(a) == tsslen(b) && memcmp(getstr(a), getstr(b), tsslen(a)) == 0;
}

static const char *outward_name(const global_State *g, const void *pointer) {
  const rlua_Pointer *met = find_pointer(&g->own, pointer);
  return met == NULL ? NULL : met->name;
}

/* The place in the list of pointers without a name. */
static ptrdiff_t met_place(const global_State *g, const void *pointer) {
  const rlua_Pointer *met = find_pointer(&g->own, pointer);
  return met == NULL ? -1 : met - g->own.pointers;
}

static int same_outward(const Diff *d, const void *a, const void *b) {
  if (a == b) return 1;
  if (a == NULL || b == NULL || library_slots[library_slot(a)].number != 0 ||
      library_slots[library_slot(b)].number != 0)
    return 0;
  const char *na = outward_name(d->ga, a), *nb = outward_name(d->gb, b);
  if (na != NULL && nb != NULL) return strcmp(na, nb) == 0;
  return na == nb && met_place(d->ga, a) == met_place(d->gb, b);
}

static int same_light(const Diff *d, const void *a, const void *b) {
  int in_a = is_in_region(&d->ga->own, a), in_b = is_in_region(&d->gb->own, b);
  if (in_a || in_b) return in_a && in_b && offset_in(a) == offset_in(b);
  if ((size_t)a < LOWEST_ADDRESS || (size_t)b < LOWEST_ADDRESS) return a == b;
  return same_outward(d, a, b);
}

/* Zeros have signs. A NaN has one in the stock profile alone (overrides/nan.h). */
static int same_float(const Diff *d, lua_Number a, lua_Number b) {
  a = rlua_canonical_in(d->ga, a);
  b = rlua_canonical_in(d->gb, b);
  return memcmp(&a, &b, sizeof a) == 0;
}

/* One way leads to both values. */
static void meet(Diff *d, uint32_t at, Step step, const TValue *a, const TValue *b) {
  int same = 1, kind = DIFF_VALUE;
  if (ttypetag(a) != ttypetag(b)) {
    if (ttisnil(a) && ttisnil(b)) return;
    if (ttype(a) != ttype(b)) kind = DIFF_TYPE;
    else if (ttisfunction(a)) kind = DIFF_FUNCTION;
    two_values(d, kind, at, step, a, b);
    return;
  }
  switch (ttypetag(a)) {
    case LUA_VNUMINT: same = ivalue(a) == ivalue(b); break;
    case LUA_VNUMFLT: same = same_float(d, fltvalue(a), fltvalue(b)); break;
    case LUA_VSHRSTR: case LUA_VLNGSTR: same = same_string(tsvalue(a), tsvalue(b)); break;
    case LUA_VLIGHTUSERDATA: same = same_light(d, pvalue(a), pvalue(b)); break;
    case LUA_VLCF:
      same = same_outward(d, (void *)(size_t)fvalue(a), (void *)(size_t)fvalue(b));
      kind = DIFF_FUNCTION;
      break;
    default:
      if (iscollectable(a)) meet_objects(d, at, step, gcvalue(a), gcvalue(b));
  }
  if (!same) two_values(d, kind, at, step, a, b);
}

/* What one way leads to is in another pair, so each side has another object there. */
static void report_identity(Diff *d, uint32_t at, Step step, const GCObject *a,
                            const GCObject *b) {
  char texts[2][WAY_ROOM + VALUE_ROOM] = {"", ""};
  for (int side = 0; side < 2; side++) {
    Text t = {texts[side], sizeof texts[side], 0};
    const GCObject *o = side == 0 ? a : b;
    uint32_t own = side == 0 ? pair_of_a(d, o) : pair_of_b(d, o);
    putf(&t, own == NO_PAIR ? "another %s" : "the %s at ", kind_of_object(o));
    if (own != NO_PAIR) put_way(&t, d, own, NULL, 0);
  }
  report(d, step.kind == STEP_METATABLE ? DIFF_METATABLE : DIFF_IDENTITY, at, step, texts[0],
         texts[1]);
}

/* -- tables ------------------------------------------------------------------------------------ */

/* Where an entry stands in the order of pairs. */
typedef struct Entry {
  const TValue *value; /* NULL where there is none */
  size_t place;
} Entry;

/* The node that has a key, which lies in another heap but for objects. Writes nothing, unlike
 * luaH_get: hints, and hashes of long strings. */
static Entry find_entry(const global_State *g, const Table *h, const TValue *key) {
  size_t array = luaH_realasize(h);
  const Entry none = {NULL, 0};
  const Node *n;
  if (ttisinteger(key) && l_castS2U(ivalue(key)) - 1u < array) {
    const TValue *v = &h->array[ivalue(key) - 1];
    return isempty(v) ? none : (Entry){v, (size_t)(ivalue(key) - 1)};
  }
  if (isdummy(h)) return none;
  if (ttisstring(key)) {
    unsigned int hash = luaS_hash(text_of(key), bytes_of(key), g->seed);
    n = gnode(h, lmod(hash, sizenode(h)));
  } else {
    n = charged_mainposition(h, key);
  }
  for (;; n += gnext(n)) {
    TValue have = {.value_ = keyval(n), .tt_ = keytt(n)};
    if (!isempty(gval(n)) && !keyisdead(n) && rawtt(&have) == rawtt(key) &&
        (ttisstring(key) ? same_string(tsvalue(&have), tsvalue(key)) : equalkey(key, n, 0)))
      return (Entry){gval(n), array + (size_t)(n - gnode(h, 0))};
    if (gnext(n) == 0) return none;
  }
}

static Entry find_text(const global_State *g, const Table *h, const char *name) {
  if (isdummy(h)) return (Entry){NULL, 0};
  size_t length = strlen(name);
  const Node *n = gnode(h, lmod(luaS_hash(name, length, g->seed), sizenode(h)));
  for (;; n += gnext(n)) {
    if (keyisshrstr(n) && !isempty(gval(n)) && tsslen(keystrval(n)) == length &&
        memcmp(getstr(keystrval(n)), name, length) == 0)
      return (Entry){gval(n), 0};
    if (gnext(n) == 0) return (Entry){NULL, 0};
  }
}

/* A key of table `from` as the other heap has it; 0 for one that is an object. */
static int translate_key(const Diff *d, const Node *n, int from_b, TValue *key) {
  const global_State *of = from_b ? d->gb : d->ga, *to = from_b ? d->ga : d->gb;
  key->value_ = keyval(n);
  key->tt_ = keytt(n);
  if (iscollectable(key) && !ttisstring(key)) return 0;
  if (ttislightuserdata(key) && is_in_region(&of->own, pvalue(key)))
    key->value_.p = (void *)(base_of_state(to) + offset_in(pvalue(key)));
  else if ((ttislightuserdata(key) || ttislcf(key)) && d->ga != d->gb) {
    const char *name = outward_name(of, val_(key).p);
    const rlua_Pointer *same = name == NULL ? NULL : find_name(&to->own, name);
    if (same != NULL) key->value_.p = (void *)(size_t)same->address;
  }
  return 1;
}

static int is_weak(const global_State *g, const Table *h) {
  const TValue *mode = h->metatable == NULL ? NULL : find_text(g, h->metatable, "__mode").value;
  return mode != NULL && ttisstring(mode) && strpbrk(text_of(mode), "kv") != NULL;
}

static size_t entries_of(const Table *h) {
  size_t count = 0, array = luaH_realasize(h);
  for (size_t i = 0; i < array; i++) count += !isempty(&h->array[i]);
  for (const Node *n = gnode(h, 0), *end = n + (isdummy(h) ? 0 : sizenode(h)); n < end; n++)
    count += !isempty(gval(n));
  return count;
}

/* How far the comparison of two tables is. */
typedef struct Tables {
  const Table *a, *b;
  uint32_t at;
  int weak, missing, waits;
  size_t matched, last; /* the place of the last key in b */
  const Node *last_node;
  int disordered;
} Tables;

static void report_missing(Diff *d, Tables *t, Step step, const TValue *a, const TValue *b) {
  const TValue nil = {.tt_ = LUA_VNIL};
  t->missing = 1;
  two_values(d, t->weak ? DIFF_WEAK : DIFF_MISSING, t->at, step, a != NULL ? a : &nil,
             b != NULL ? b : &nil);
}

static void meet_entry(Diff *d, Tables *t, Step step, const TValue *a, Entry b) {
  if (b.value == NULL) {
    report_missing(d, t, step, a, NULL);
    return;
  }
  if (t->matched++ > 0 && b.place <= t->last) t->disordered = 1;
  t->last = b.place;
  meet(d, t->at, step, a, b.value);
}

/* The object at the same offset in the other heap, as a key there; it is looked for, not read. */
static TValue twin_key(const global_State *to, const TValue *key) {
  TValue twin = *key;
  twin.value_.gc = (GCObject *)(base_of_state(to) + offset_in(gcvalue(key)));
  return twin;
}

/* A key that is an object, and at the same offset in both tables: a pair, unless one is in another
 * pair already. The answer is the same whenever it is asked. */
static int is_twin(Diff *d, const Tables *t, const Node *n, const TValue *key, Entry *b) {
  TValue twin = twin_key(d->gb, key);
  *b = find_entry(d->gb, t->b, &twin);
  if (b->value == NULL) return 0;
  uint32_t of_a = pair_of_a(d, gcvalue(key)), of_b = pair_of_b(d, gcvalue(&twin));
  if (of_a != of_b) return 0;
  if (of_a == NO_PAIR)
    add_pair(d, t->at, (Step){n, 0, STEP_KEY_OBJECT}, gcvalue(key), gcvalue(&twin));
  return 1;
}

static void meet_node(Diff *d, Tables *t, const Node *n) {
  TValue key;
  Entry b;
  if (translate_key(d, n, 0, &key)) b = find_entry(d->gb, t->b, &key);
  else if (!is_twin(d, t, n, &key, &b)) {
    t->waits = 1;
    return;
  }
  meet_entry(d, t, (Step){n, 0, STEP_KEY}, gval(n), b);
}

/* What b has and a has not. */
static void meet_rest(Diff *d, Tables *t) {
  size_t array = luaH_realasize(t->b);
  TValue key;
  for (size_t i = 0; i < array && !d->ended; i++) {
    setivalue(&key, (lua_Integer)i + 1);
    if (!isempty(&t->b->array[i]) && find_entry(d->ga, t->a, &key).value == NULL)
      report_missing(d, t, (Step){NULL, (unsigned int)i + 1, STEP_INDEX}, NULL, &t->b->array[i]);
  }
  if (isdummy(t->b)) return;
  for (const Node *n = gnode(t->b, 0), *end = n + sizenode(t->b); n < end && !d->ended; n++) {
    if (isempty(gval(n))) continue;
    if (!translate_key(d, n, 1, &key)) {
      TValue twin = twin_key(d->ga, &key);
      t->waits |= pair_of_b(d, gcvalue(&key)) == NO_PAIR ||
                  find_entry(d->ga, t->a, &twin).value == NULL ||
                  pair_of_b(d, gcvalue(&key)) != pair_of_a(d, gcvalue(&twin));
    } else if (find_entry(d->ga, t->a, &key).value == NULL) {
      report_missing(d, t, (Step){n, 0, STEP_KEY}, NULL, gval(n));
    }
  }
}

/* The keys are the same, and come in another order; or they would, after the next new ones. */
static void meet_order(Diff *d, const Tables *t) {
  const Table *a = t->a, *b = t->b;
  const Step self = {NULL, 0, STEP_NONE};
  char texts[2][VALUE_ROOM];
  if (t->missing || t->waits) return;
  int shaped = luaH_realasize(a) != luaH_realasize(b) || isdummy(a) != isdummy(b) ||
               a->lsizenode != b->lsizenode;
  if (t->disordered) {
    report(d, DIFF_ORDER, t->at, self, "pairs in one order", "pairs in another order");
  } else if (shaped) {
    for (int side = 0; side < 2; side++) {
      const Table *h = side == 0 ? a : b;
      snprintf(texts[side], VALUE_ROOM, "room for %u elements and %d other keys",
               luaH_realasize(h), isdummy(h) ? 0 : sizenode(h));
    }
    report(d, DIFF_ORDER, t->at, self, texts[0], texts[1]);
  }
}

static void meet_metatables(Diff *d, uint32_t at, const Table *a, const Table *b) {
  if (a != NULL && b != NULL)
    meet_objects(d, at, (Step){NULL, 0, STEP_METATABLE}, obj2gco(a), obj2gco(b));
  else if (a != b)
    report(d, DIFF_METATABLE, at, (Step){NULL, 0, STEP_METATABLE}, a != NULL ? "table" : "nil",
           b != NULL ? "table" : "nil");
}

static void compare_tables(Diff *d, uint32_t at) {
  Tables t = {.a = gco2t((GCObject *)d->pairs[at].a), .b = gco2t((GCObject *)d->pairs[at].b),
              .at = at};
  size_t array = luaH_realasize(t.a);
  TValue key;
  t.weak = is_weak(d->ga, t.a) || is_weak(d->gb, t.b);
  meet_metatables(d, at, t.a->metatable, t.b->metatable);
  for (size_t i = 0; i < array && !d->ended; i++) {
    if (isempty(&t.a->array[i])) continue;
    setivalue(&key, (lua_Integer)i + 1);
    meet_entry(d, &t, (Step){NULL, (unsigned int)i + 1, STEP_INDEX}, &t.a->array[i],
               find_entry(d->gb, t.b, &key));
  }
  for (const Node *n = gnode(t.a, 0), *end = n + (isdummy(t.a) ? 0 : sizenode(t.a));
       n < end && !d->ended; n++)
    if (!isempty(gval(n))) meet_node(d, &t, n);
  if (t.matched != entries_of(t.b)) meet_rest(d, &t);
  meet_order(d, &t);
  if (t.waits && !d->ended)
    wait_with(d, at, (Step){NULL, 0, STEP_NONE}, d->pairs[at].a, NULL);
}

/* The next node from `n` on whose key is an object that no twin decides; `partner` is its pair. */
static const Node *next_object_key(Diff *d, const Tables *t, const Node *n, int of_b,
                                   uint32_t *partner) {
  const Table *h = of_b ? t->b : t->a;
  for (const Node *end = gnode(h, 0) + (isdummy(h) ? 0 : sizenode(h)); n < end; n++) {
    TValue key;
    if (isempty(gval(n)) || translate_key(d, n, of_b, &key)) continue;
    TValue twin = twin_key(of_b ? d->ga : d->gb, &key);
    *partner = of_b ? pair_of_b(d, gcvalue(&key)) : pair_of_a(d, gcvalue(&key));
    uint32_t other = of_b ? pair_of_a(d, gcvalue(&twin)) : pair_of_b(d, gcvalue(&twin));
    int there = find_entry(of_b ? d->ga : d->gb, of_b ? t->a : t->b, &twin).value != NULL;
    if (!(there && *partner != NO_PAIR && *partner == other)) return n;
  }
  return NULL;
}

/* Keys that are objects, and whose pairs are known by now; others are paired in their order. */
static void compare_object_keys(Diff *d, uint32_t at) {
  Tables t = {.a = gco2t((GCObject *)d->pairs[at].a), .b = gco2t((GCObject *)d->pairs[at].b),
              .at = at};
  const Node *n = gnode(t.a, 0), *m = gnode(t.b, 0);
  uint32_t pair, other;
  t.weak = is_weak(d->ga, t.a) || is_weak(d->gb, t.b);
  for (; (n = next_object_key(d, &t, n, 0, &pair)) != NULL && !d->ended; n++) {
    Entry found = {NULL, 0};
    if (pair != NO_PAIR) {
      TValue key = {.value_ = keyval(n), .tt_ = keytt(n)};
      key.value_.gc = (GCObject *)d->pairs[pair].b;
      found = find_entry(d->gb, t.b, &key);
    } else if (m != NULL) {
      while ((m = next_object_key(d, &t, m, 1, &other)) != NULL && other != NO_PAIR) m++;
      if (m != NULL && keytt(m) == keytt(n)) {
        add_pair(d, at, (Step){n, 0, STEP_KEY_OBJECT}, keyval(n).gc, keyval(m).gc);
        found = (Entry){gval(m), 0};
        m++;
      }
    }
    if (found.value == NULL) report_missing(d, &t, (Step){n, 0, STEP_KEY}, gval(n), NULL);
    else meet(d, at, (Step){n, 0, STEP_KEY}, gval(n), found.value);
  }
  for (m = gnode(t.b, 0); (m = next_object_key(d, &t, m, 1, &other)) != NULL && !d->ended; m++) {
    TValue key = {.value_ = keyval(m), .tt_ = keytt(m)};
    if (other != NO_PAIR) key.value_.gc = (GCObject *)d->pairs[other].a;
    if (other == NO_PAIR || find_entry(d->ga, t.a, &key).value == NULL)
      report_missing(d, &t, (Step){m, 0, STEP_KEY}, NULL, gval(m));
  }
}
