/* diff_pairs.c: which object of one heap stands for which of another, and the way to each pair.
 *
 * Two objects are a pair when one way leads to both: the same fields, upvalues, locals from the
 * same root. Pairs are found breadth-first, so the way that a pair remembers is a shortest one. An
 * object is in one pair at most; a way that leads to two objects of different pairs is a difference
 * of identity.
 *
 * Two states that were one once have most objects at the same offset, and then the first way that
 * leads to both decides. Where the offsets differ, the decision waits until no such way is left: so
 * a field that leads to another object is one difference, not the start of a wrong pairing.
 *
 * Part of the one translation unit. Nothing here writes to a heap, or recurses; memory is linear in
 * the objects, and in the fields that lead to others at other offsets. Not here: texts
 * (diff_text.c), what is compared (diff.c).
 */

/* How a pair is reached from its parent. */
enum {
  STEP_NONE,       /* the value of a variable */
  STEP_ROOT,       /* where: its name */
  STEP_INDEX,      /* number: of the array part */
  STEP_KEY,        /* where: a node of either heap */
  STEP_KEY_OBJECT, /* the key itself */
  STEP_METATABLE,
  STEP_UPVALUE,    /* number */
  STEP_USER_VALUE, /* number */
  STEP_SLOT,       /* number: of the stack; where: the CallInfo, of the parent's first thread */
  STEP_VARARG,     /* number, where: as above */
  STEP_REFERENCE,  /* number: the slot */
  STEP_CODE,       /* of a function */
  STEP_INNER,      /* number: a function inside of it */
  STEP_BYTE        /* number: of a block */
};

typedef struct Step {
  const void *where;
  unsigned int number;
  int kind;
} Step;

#define NO_PAIR UINT32_MAX

typedef struct Pair {
  const GCObject *a, *b;
  const void *where;
  uint32_t parent, number;
  int kind;
} Pair;

/* Objects that wait, or a table whose keys that are objects do (b is NULL). */
typedef struct Waiting {
  const GCObject *a, *b;
  const void *where;
  uint32_t parent, number;
  int kind;
} Waiting;

/* The pairs of one heap's objects: places in the list plus 1, 0 where nothing is. */
typedef struct PairIndex {
  uint32_t *slots;
  size_t mask;
} PairIndex;

/* A difference: its kind, and where its three texts begin in `text`. */
typedef struct Found {
  int kind;
  size_t path, a, b;
} Found;

typedef struct Diff {
  const global_State *ga, *gb;
  Pair *pairs;
  size_t count, room, next;
  PairIndex of_a, of_b;
  Waiting *waiting;
  size_t waiting_count, waiting_room, waiting_next;
  Found *found;
  size_t found_count, found_room, most;
  char *text;
  size_t text_bytes, text_room;
  const void *target; /* of the object whose pair ends the walk, or NULL */
  uint32_t target_pair;
  int ended, no_memory;
} Diff;

#define base_of_state(g) ((size_t)(g) & ~(size_t)0xFFFFFFFFu) /* R1 */
#define offset_in(pointer) ((size_t)(pointer) & 0xFFFFFFFFu)

static int diff_no_memory(Diff *d) {
  d->no_memory = d->ended = 1;
  return 0;
}

/* Room for one more element, or 0. */
static int grow_list(Diff *d, void *list, size_t count, size_t *room, size_t element) {
  void **start = list;
  if (count < *room) return 1;
  size_t more = 2 * *room + 64;
  void *grown = more > SIZE_MAX / element ? NULL : realloc(*start, more * element);
  if (grown == NULL) return diff_no_memory(d);
  *start = grown;
  *room = more;
  return 1;
}

/* -- the index --------------------------------------------------------------------------------- */

static uint32_t *pair_slot(const Diff *d, const PairIndex *index, const GCObject *o) {
  size_t i = (size_t)(((size_t)o * UINT64_C(0x9E3779B97F4A7C15)) >> 20);
  for (;; i++) {
    uint32_t *slot = &index->slots[i & index->mask];
    if (*slot == 0) return slot;
    const Pair *pair = &d->pairs[*slot - 1];
    if ((index == &d->of_a ? pair->a : pair->b) == o) return slot;
  }
}

static uint32_t pair_in(const Diff *d, const PairIndex *index, const GCObject *o) {
  return index->slots == NULL ? NO_PAIR : *pair_slot(d, index, o) - 1;
}
#define pair_of_a(d, o) pair_in((d), &(d)->of_a, (o))
#define pair_of_b(d, o) pair_in((d), &(d)->of_b, (o))

/* Twice as many slots as pairs, at least. */
static int grow_index(Diff *d, PairIndex *index) {
  if (index->slots != NULL && 2 * (d->count + 1) <= index->mask) return 1;
  size_t size = index->slots == NULL ? 1024 : 2 * (index->mask + 1);
  uint32_t *old = index->slots;
  uint32_t *slots = calloc(size, sizeof *slots);
  if (slots == NULL) return diff_no_memory(d);
  index->slots = slots;
  index->mask = size - 1;
  for (size_t i = 0; i < d->count; i++)
    *pair_slot(d, index, index == &d->of_a ? d->pairs[i].a : d->pairs[i].b) = (uint32_t)i + 1;
  free(old);
  return 1;
}

/* -- pairs ------------------------------------------------------------------------------------- */

/* Whether it is the target, or the target is a vector of it. */
static int is_target(const GCObject *o, const void *target) {
  const union GCUnion *u = cast_u((GCObject *)o);
  if (o == target) return 1;
  switch (o->tt) {
    case LUA_VTABLE: return u->h.array == target || u->h.node == target;
    case LUA_VTHREAD: return (const char *)o - offsetof(LX, l) == target || u->th.stack.p == target;
    case LUA_VPROTO: return u->p.k == target;
    default: return 0;
  }
}

static uint32_t add_pair(Diff *d, uint32_t parent, Step step, const GCObject *a,
                         const GCObject *b) {
  if (d->count >= NO_PAIR - 1 || !grow_index(d, &d->of_a) || !grow_index(d, &d->of_b) ||
      !grow_list(d, &d->pairs, d->count, &d->room, sizeof *d->pairs)) {
    diff_no_memory(d);
    return NO_PAIR;
  }
  uint32_t at = (uint32_t)d->count;
  d->pairs[at] = (Pair){a, b, step.where, parent, step.number, step.kind};
  *pair_slot(d, &d->of_a, a) = *pair_slot(d, &d->of_b, b) = at + 1;
  d->count++;
  if (d->target != NULL && is_target(a, d->target)) {
    d->target_pair = at;
    d->ended = 1;
  }
  return at;
}

static void wait_with(Diff *d, uint32_t parent, Step step, const GCObject *a, const GCObject *b) {
  if (!grow_list(d, &d->waiting, d->waiting_count, &d->waiting_room, sizeof *d->waiting)) return;
  d->waiting[d->waiting_count++] = (Waiting){a, b, step.where, parent, step.number, step.kind};
}

/* One way leads to both. */
static void meet_objects(Diff *d, uint32_t parent, Step step, const GCObject *a,
                         const GCObject *b) {
  uint32_t of_a = pair_of_a(d, a), of_b = pair_of_b(d, b);
  if (of_a != NO_PAIR && of_a == of_b) return;
  if (of_a == NO_PAIR && of_b == NO_PAIR && offset_in(a) == offset_in(b))
    add_pair(d, parent, step, a, b);
  else
    wait_with(d, parent, step, a, b);
}

static void free_diff(Diff *d) {
  free(d->pairs);
  free(d->of_a.slots);
  free(d->of_b.slots);
  free(d->waiting);
  free(d->found);
  free(d->text);
}
