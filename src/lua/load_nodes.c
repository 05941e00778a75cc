/* load_nodes.c: each key of an image's table is found where it is.
 *
 * Lua takes that for granted: luaH_newkey follows the chain of a colliding node until it meets the
 * node, and `next` goes on behind the place where it finds the key that it is given. In a table of
 * a stranger's, both could go round for ever.
 *
 * Linear in the nodes, but for the keys of long chains, which are sorted.
 *
 * Part of the one translation unit, behind load_marks.c.
 */

/* Where a chain is long. */
#define CHAIN_LONG 32u

/* The chain in which a node is, by its first node, and how many are before it there. */
typedef struct Chained {
  uint32_t head, before;
} Chained;

/* No node has two before it, none is in a ring, and what is free is in no chain. */
static int see_chains(Loader *l, Table *h, Chained *chained) {
  size_t nodes = sizenode(h), met = 0;
  for (size_t i = 0; i < nodes; i++) {
    int next = gnext(gnode(h, i));
    if (next == 0) continue;
    size_t behind = (size_t)((ptrdiff_t)i + next);
    NEED(chained[behind].before++ == 0, "a chain of nodes has no end");
    NEED(!keyisnil(gnode(h, i)) && !keyisnil(gnode(h, behind)), "a free node is in a chain");
  }
  for (size_t i = 0; i < nodes; i++) {
    if (chained[i].before != 0) continue;
    const Node *n = gnode(h, i);
    for (uint32_t before = 0;; before++, n += gnext(n)) {
      chained[n - h->node] = (Chained){(uint32_t)i, before};
      met++;
      if (gnext(n) == 0) break;
    }
  }
  NEED(met == nodes, "a chain of nodes has no end");
  return 1;
}

static TValue key_of(const Node *n) {
  return (TValue){.value_ = keyval(n), .tt_ = keytt(n)};
}

/* A key that Lua would have there, in the chain of its main position, not before that. */
static int see_key(Loader *l, Table *h, size_t i, const Chained *chained) {
  lua_Integer whole;
  TValue key = key_of(gnode(h, i));
  if (keyisdead(gnode(h, i)) || keyisnil(gnode(h, i))) return 1;
  NEED(!ttisnil(&key), "the key of a node is none");
  NEED(!ttisfloat(&key) || (!luaV_flttointeger(fltvalue(&key), &whole, F2Ieq) &&
                            fltvalue(&key) == fltvalue(&key)),
       "the key of a node is a number that is none");
  NEED(!ttisinteger(&key) || l_castS2U(ivalue(&key)) - 1u >= luaH_realasize(h),
       "the key of a node belongs into the array");
  NEED(rawtt(&key) != ctb(LUA_VLNGSTR) || tsvalue(&key)->extra != 0, "a key has no hash");
  if (isempty(gval(gnode(h, i)))) return 1;
  const Chained *first = &chained[charged_mainposition(h, &key) - h->node];
  NEED(first->head == chained[i].head && first->before <= chained[i].before,
       "a key is not in its chain");
  return 1;
}

typedef struct SortedKey {
  uint64_t payload; /* a long string's hash */
  const TString *text; /* a long string, or NULL */
  Chained chained;
  int tag; /* 0 for what is compared by its address: dead keys, too */
  int has_value;
} SortedKey;

static int order(uint64_t a, uint64_t b) {
  return (a > b) - (a < b);
}

/* Keys that `next` takes for one are side by side, in the order of their chain. */
static int same_key(const SortedKey *a, const SortedKey *b) {
  int differ = order(a->chained.head, b->chained.head);
  if (differ == 0) differ = order((uint64_t)a->tag, (uint64_t)b->tag);
  if (differ == 0) differ = order(a->payload, b->payload);
  if (differ != 0 || a->text == NULL) return differ;
  differ = order(tsslen(a->text), tsslen(b->text));
  return differ != 0 ? differ : memcmp(getstr(a->text), getstr(b->text), tsslen(a->text));
}

static int compare_keys(const void *a, const void *b) {
  const SortedKey *one = a, *other = b;
  int differ = same_key(one, other);
  return differ != 0 ? differ : order(one->chained.before, other->chained.before);
}

static SortedKey sorted_key(const Node *n, Chained chained) {
  TValue key = key_of(n);
  SortedKey sorted = {load_word(&n->u.key_val), NULL, chained, 0, !isempty(gval(n))};
  if (rawtt(&key) == ctb(LUA_VLNGSTR)) {
    sorted.text = tsvalue(&key);
    sorted.payload = sorted.text->hash;
    sorted.tag = keytt(n);
  } else if (!keyisdead(n) && !iscollectable(&key)) {
    sorted.tag = keytt(n);
    if (ttisnil(&key) || ttisboolean(&key)) sorted.payload = 0;
  }
  return sorted;
}

/* No value lies behind another node with its key. */
static int see_once(Loader *l, Table *h, const Chained *chained) {
  size_t nodes = sizenode(h), count = 0;
  SortedKey *keys = calloc(nodes, sizeof *keys);
  NEED(keys != NULL, NO_MEMORY_FOR_IMAGE);
  for (size_t i = 0; i < nodes; i++)
    if (!keyisnil(gnode(h, i))) keys[count++] = sorted_key(gnode(h, i), chained[i]);
  qsort(keys, count, sizeof *keys, compare_keys);
  int once = 1;
  for (size_t i = 1; i < count && once; i++)
    once = !keys[i].has_value || same_key(&keys[i - 1], &keys[i]) != 0;
  free(keys);
  NEED(once, "a key is in a table twice");
  return 1;
}

static int see_keys(Loader *l, Table *h, const Chained *chained) {
  size_t nodes = sizenode(h);
  int is_long = 0;
  for (size_t i = 0; i < nodes; i++) {
    ALSO(see_key(l, h, i, chained));
    is_long |= chained[i].before > CHAIN_LONG;
  }
  if (is_long) return see_once(l, h, chained);
  for (size_t i = 0; i < nodes; i++) {
    TValue key = key_of(gnode(h, i));
    if (isempty(gval(gnode(h, i)))) continue;
    NEED(getgeneric(h, &key, 1) == gval(gnode(h, i)), "a key is in a table twice");
  }
  return 1;
}

static int see_nodes(Loader *l, Table *h) {
  if (isdummy(h)) return 1;
  Chained *chained = calloc(sizenode(h), sizeof *chained);
  NEED(chained != NULL, NO_MEMORY_FOR_IMAGE);
  int holds = see_chains(l, h, chained) && see_keys(l, h, chained);
  free(chained);
  return holds;
}
