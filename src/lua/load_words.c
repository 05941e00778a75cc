/* load_words.c: one word of an image becomes what it was in the VM, in place, or is refused.
 *
 * Part of the one translation unit, behind canon.c, whose other direction it is. Not here: which
 * words there are (load.c).
 */

/* What a value's payload is by its tag: where its bits under `mask` are not `low` .. `low + span`,
 * it is another matter; else `add` makes it what it was. */
typedef struct WordRule {
  uint64_t mask, low, span, add;
} WordRule;

enum { COUNT_OF_TAGS = 256 };

typedef struct Loader {
  size_t base, used;
  WordRule rules[COUNT_OF_TAGS];
  CanonName *names; /* open-addressed by their words */
  unsigned int name_room;
  rlua_BlockBytes block_bytes; /* NULL where the image is trusted */
  void *ud;
  LG *main;
  _Bool *cards;
  uint64_t *owned;  /* a bit for each 8 bytes: a vector starts here, and has its owner */
  const GCObject **later; /* objects whose parts are verified when all is known */
  size_t later_count, later_room;
  const Table *files, *boxes; /* metatables of handles of files, and of boxes, or NULL */
  size_t objects, linked; /* all, and those that have to be in a gray list */
  size_t upvalue_threads; /* that have to be in the list of threads with open upvalues */
  const char *wrong;
} Loader;

static int cannot_load(Loader *l, const char *what) {
  if (l->wrong == NULL) l->wrong = what;
  return 0;
}

#define NEED(condition, what) \
  do { \
    if (l_unlikely(!(condition))) return cannot_load(l, what); \
  } while (0)

/* -- words ------------------------------------------------------------------------------------- */

static void set_word(void *place, uint64_t word) {
  memcpy(place, &word, sizeof word);
}

/* A pointer into the VM, or NULL. What it leads to is for others to verify. What is dead, as all of
 * an object that waits for its sweep, or a link of a list that is none, may lead to what lay behind
 * the end, before the top fell. */
static int fix_pointer(Loader *l, void *place) {
  uint64_t word = load_word(place);
  if (word == 0) return 1;
  NEED(word <= UINT32_MAX, "a pointer leads out of the VM");
  set_word(place, l->base + word);
  return 1;
}

/* What a name stands for, which has its kind in it; NULL for none. */
static const CanonName *named(const Loader *l, uint64_t word) {
  if (!(word & IMAGE_OUTWARD)) return NULL;
  const CanonName *name = name_slot(l->names, l->name_room, word);
  return name->word == 0 ? NULL : name;
}

/* The address that a name stands for. */
static int fix_outward(Loader *l, void *place, int kind) {
  uint64_t word = load_word(place);
  if (word == 0) return 1;
  const CanonName *name = named(l, word);
  NEED(name != NULL && name->kind == kind, "an outward pointer has no name of its kind");
  set_word(place, (size_t)name->address);
  return 1;
}

static int fix_light(Loader *l, void *place) {
  uint64_t word = load_word(place), offset = word & ~IMAGE_INWARD;
  if (word < LOWEST_ADDRESS) return 1;
  if (word & IMAGE_OUTWARD) return fix_outward(l, place, NAME_POINTER);
  NEED(word & IMAGE_INWARD && offset <= UINT32_MAX, "a light userdata is none");
  set_word(place, l->base + offset);
  return 1;
}

/* Of a value that is neither a plain one nor a pointer into the image. */
static __attribute__((noinline)) int fix_special(Loader *l, int tag, void *place) {
  if (tag == LUA_VLCF) {
    NEED(load_word(place) != 0, "a C function is NULL");
    return fix_outward(l, place, NAME_FUNCTION);
  }
  if (tag == LUA_VLIGHTUSERDATA) return fix_light(l, place);
  NEED(l->rules[tag].add != 0, "the tag of a value is none");
  NEED(load_word(place) != 0, "a value's object is NULL");
  return fix_pointer(l, place);
}

/* Of a value with that tag. */
l_sinline int fix_payload(Loader *l, lu_byte tag, void *place) {
  const WordRule *rule = &l->rules[tag];
  uint64_t word = load_word(place);
  if (l_unlikely((word & rule->mask) - rule->low > rule->span)) return fix_special(l, tag, place);
  set_word(place, word + rule->add);
  return 1;
}

l_sinline int fix_value(Loader *l, TValue *v) {
  return fix_payload(l, v->tt_, &v->value_);
}

static int fix_values(Loader *l, TValue *v, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (l_unlikely(!fix_value(l, &v[i]))) return 0;
  return 1;
}

static void know_rules(Loader *l) {
  static const lu_byte plain[] = {LUA_VNIL,   LUA_VEMPTY,  LUA_VABSTKEY, LUA_VFALSE,
                                  LUA_VTRUE, LUA_VNUMINT, LUA_VNUMFLT,  LUA_VSERIAL};
  static const lu_byte objects[] = {LUA_VSHRSTR, LUA_VLNGSTR,   LUA_VTABLE, LUA_VLCL,
                                    LUA_VCCL,    LUA_VUSERDATA, LUA_VTHREAD};
  for (size_t i = 0; i < COUNT_OF_TAGS; i++) l->rules[i] = (WordRule){.low = 1};
  for (size_t i = 0; i < sizeof plain; i++) l->rules[plain[i]] = (WordRule){.low = 0};
  for (size_t i = 0; i < sizeof objects; i++)
    l->rules[ctb(objects[i])] = (WordRule){~(uint64_t)0, 1, UINT32_MAX - 1, l->base};
}

/* A vector of `count` elements, NULL for none. It gets its owner. */
static int fix_vector(Loader *l, void *place, size_t count, size_t element, uint32_t kind) {
  uint64_t word = load_word(place);
  uint32_t found = 0;
  if (count == 0) {
    NEED(word == 0, "a vector without elements is not NULL");
    return 1;
  }
  NEED(word != 0 && word < l->used && word % 8 == 0, "a vector lies outside the image");
  if (l->block_bytes == NULL) {
    set_word(place, l->base + word);
    return 1;
  }
  size_t have = l->block_bytes(l->ud, (const void *)(l->base + word), &found);
  NEED(have / element >= count && found == kind, "a vector is no block of its kind and size");
  uint64_t *bits = &l->owned[word / 8 / 64], bit = (uint64_t)1 << word / 8 % 64;
  NEED(!(*bits & bit), "a vector has two owners");
  *bits |= bit;
  set_word(place, l->base + word);
  return 1;
}

#define FIX(field) \
  do { \
    if (l_unlikely(!fix_pointer(l, &(field)))) return 0; \
  } while (0)
#define ALSO(call) \
  do { \
    if (l_unlikely(!(call))) return 0; \
  } while (0)

/* Whether stacks, frames and the list of pointers are seen to by their owners, to be proved. Where
 * an image is trusted, each block is made by its kind alone. */
static int owns(const Loader *l) {
  return l->block_bytes != NULL;
}

/* For load_proof.c. */
static int note_later(Loader *l, const void *object) {
  if (l->block_bytes == NULL) return 1;
  if (l->later_count == l->later_room) {
    size_t room = 2 * l->later_room + 16;
    const GCObject **grown = realloc(l->later, room * sizeof *grown);
    NEED(grown != NULL, NO_MEMORY_FOR_IMAGE);
    l->later = grown;
    l->later_room = room;
  }
  l->later[l->later_count++] = object;
  return 1;
}
