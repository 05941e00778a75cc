/* canon.c: bytes of a state that mean the same in every process.
 *
 * The canonical form of a state is a copy of the region in which nothing depends on where it lies,
 * on the process, or on what happened before: what is dead is zero, pointers into the VM are
 * offsets, pointers out of it are names (docs/FORMAT.md has every byte).
 *
 *   word                                  canonical
 *   a pointer into the VM                 the offset; the state itself lies above 0, so 0 is NULL
 *   a pointer that leads out of it        OUTWARD and a hash of its name
 *   light userdata into the VM            INWARD and the offset
 *   light userdata below 64 KiB           itself
 *   a pointer without a name              NAMELESS, and in the list of those met its place
 *   a NaN, in the deterministic profile   the one NaN (overrides/nan.h)
 *
 * It is made block by block, by the kinds that the arena has of them, and a block's form depends
 * on its own bytes alone, but for a thread's stack and frames, which depend on the thread, too. So
 * any part of a state can be made canonical without a look at the rest; and no pointer is followed
 * that a dead object may have.
 *
 * A clone is the same copy with the addresses of its new region in it (`bias`), and what leads out
 * as it is.
 *
 * Part of the one translation unit, behind walk.c. Not here: objects (canon_objects.c), threads
 * (canon_threads.c), the way back (load.c).
 */

#define IMAGE_INWARD ((uint64_t)1 << 62)
#define IMAGE_NAMELESS ((uint64_t)1 << 61)

/* What is wrong, where there is no memory. */
#define NO_MEMORY_FOR_IMAGE ""

/* Streams of the process, in place of a `FILE *`. */
enum { STREAM_CLOSED, STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR };

/* A name, and what it stands for here. */
typedef struct CanonName {
  uint64_t word; /* as in the image; 0 where nothing is */
  const void *address, *ud;
  int kind;
} CanonName;

/* Of a frame: whether its thread is in it, and could be resumed in it. */
enum { FRAME_USED = 1, FRAME_RESUMES = 2, FRAME_KNOWN = 4 };

typedef struct CanonFrame {
  uint32_t at; /* 0 where nothing is */
  uint32_t what;
} CanonFrame;

typedef struct Canon {
  const char *from;      /* the state, of which offset 0 is here: a region, or a copy of one */
  uint64_t base;         /* of the region whose addresses its pointers are */
  uint64_t bias;
  const global_State *g; /* in `from` */
  rlua_Own own;          /* of it, with pointers into `from` */
  uint64_t coll[128], mask[128]; /* a value's payload by its tag: what is added, what counts */
  uint64_t limit[128]; /* from where on, without the highest bit, it is another matter */
  int mode;
  const void *of, *where; /* what is being done, and where something was wrong */
  const char *wrong;
  CanonName *names; /* open-addressed by their words */
  unsigned int name_count, name_room;
  uint32_t names_met; /* rises with each, whether it was met before or not */
  char *text; /* the names: NAME_..., length, bytes */
  size_t text_bytes, text_room;
  rlua_Meet meet; /* asked whether what stands for something outside can be saved; NULL for no */
  void *meet_ud;
  CanonFrame *frames; /* open-addressed by offsets */
  unsigned int frame_count, frame_room;
} Canon;

/* For an image; only to be hashed: what cannot be saved is left out; for a second VM. */
enum { CANON_IMAGE, CANON_HASH, CANON_CLONE };

static void cannot_save(Canon *c, const char *what) {
  if (c->wrong != NULL || c->mode == CANON_HASH) return;
  c->wrong = what;
  c->where = c->of;
}

static void no_memory(Canon *c) {
  c->wrong = NO_MEMORY_FOR_IMAGE;
}

/* What a pointer of the state leads to. */
#define seen(c, pointer) \
  ((__typeof__(pointer))(uintptr_t)((c)->from + ((uint64_t)(uintptr_t)(pointer) - (c)->base)))

static uint32_t place_in(const Canon *c, const void *place) {
  return (uint32_t)((const char *)place - c->from);
}

/* -- what is written --------------------------------------------------------------------------- */

l_sinline void put_word(char *out, uint64_t word) {
  memcpy(out, &word, sizeof word);
}

l_sinline uint64_t load_word(const void *place) {
  uint64_t word;
  memcpy(&word, place, sizeof word);
  return word;
}

/* The low half of a region's addresses are offsets (R1). */
l_sinline uint64_t inward(const Canon *c, const void *pointer) {
  return pointer == NULL ? 0 : (uint64_t)(uintptr_t)pointer + c->bias;
}

#define PUT(type, field, word) put_word(out + offsetof(type, field), (word))
#define PUT_POINTER(type, field) PUT(type, field, inward(c, ((const type *)from)->field))
#define PUT_PLAIN(type, field) \
  memcpy(out + offsetof(type, field), (const void *)&((const type *)from)->field, \
         sizeof(((const type *)from)->field))

/* -- names ------------------------------------------------------------------------------------- */

static CanonName *name_slot(CanonName *names, unsigned int room, uint64_t word) {
  unsigned int i = (unsigned int)(word ^ word >> 32) & (room - 1);
  while (names[i].word != 0 && names[i].word != word) i = (i + 1) & (room - 1);
  return &names[i];
}

static int grow_names(Canon *c) {
  unsigned int room = c->name_room == 0 ? 256 : 2 * c->name_room;
  CanonName *grown = calloc(room, sizeof *grown);
  if (grown == NULL) return 0;
  for (unsigned int i = 0; i < c->name_room; i++)
    if (c->names[i].word != 0) *name_slot(grown, room, c->names[i].word) = c->names[i];
  free(c->names);
  c->names = grown;
  c->name_room = room;
  return 1;
}

/* Notes a name that the image needs. One word stands for one thing. */
static void give_name(Canon *c, CanonName name, const char *first, size_t first_length,
                      const char *second, size_t second_length) {
  if (c->mode != CANON_IMAGE) return;
  c->names_met++;
  if (2 * c->name_count >= c->name_room && !grow_names(c)) {
    no_memory(c);
    return;
  }
  CanonName *slot = name_slot(c->names, c->name_room, name.word);
  if (slot->word != 0) {
    if (slot->address != name.address || slot->ud != name.ud)
      cannot_save(c, "two functions or pointers, or one with two ud, have the same name");
    return;
  }
  size_t length = first_length + second_length, room = c->text_bytes + length + 2;
  if (room > c->text_room) {
    char *grown = realloc(c->text, 2 * room);
    if (grown == NULL) {
      no_memory(c);
      return;
    }
    c->text = grown;
    c->text_room = 2 * room;
  }
  char *at = c->text + c->text_bytes;
  at[0] = (char)name.kind;
  at[1] = (char)length;
  memcpy(at + 2, first, first_length);
  memcpy(at + 2 + first_length, second, second_length);
  c->text_bytes = room;
  c->name_count++;
  *slot = name;
}

/* A pointer that leads out of the VM, or NULL. */
static __attribute__((noinline)) uint64_t outward(Canon *c, const void *pointer, int kind) {
  if (pointer == NULL || c->mode == CANON_CLONE) return (uint64_t)(uintptr_t)pointer;
  unsigned int slot = library_slot(pointer);
  if (kind == NAME_FUNCTION && library_slots[slot].number != 0) {
    const LibraryName *known = &library_names[slot];
    CanonName name = {library_words[slot], pointer, NULL, kind};
    give_name(c, name, known->library, strlen(known->library), known->name,
              strlen(known->name));
    return name.word;
  }
  const rlua_Pointer *met = find_pointer(&c->own, pointer);
  if (met != NULL && met->name != NULL) {
    const char *text = seen(c, met->name);
    size_t length = strlen(text);
    if ((met->kind == POINTER_FUNCTION) != (kind == NAME_FUNCTION)) {
      cannot_save(c, kind == NAME_FUNCTION
                         ? "a C function is registered as a pointer (use rlua_register)"
                         : "a pointer is registered as a function (use rlua_register_pointer)");
      return 0;
    }
    CanonName name = {name_word(kind, text, length, "", 0), pointer, NULL, kind};
    give_name(c, name, text, length, "", 0);
    return name.word;
  }
  cannot_save(c, kind == NAME_FUNCTION ? "a C function has no name (rlua_register gives it one)"
                                       : "a light userdata has no name (rlua_register_pointer "
                                         "gives it one)");
  return IMAGE_NAMELESS;
}

static uint64_t light(Canon *c, uint64_t word) {
  if (word < LOWEST_ADDRESS) return word;
  if (word - c->base < c->own.region_bytes)
    return c->mode == CANON_CLONE ? word + c->bias : IMAGE_INWARD | (word - c->base);
  return outward(c, (const void *)(uintptr_t)word, NAME_POINTER);
}

/* Whether a value of the kind of those that lead out, at that place, has no name. */
static int is_nameless(const Canon *c, const char *value) {
  const void *pointer = (const void *)(uintptr_t)load_word(value);
  if (c->mode == CANON_CLONE || (uintptr_t)pointer < LOWEST_ADDRESS ||
      (uint64_t)(uintptr_t)pointer - c->base < c->own.region_bytes)
    return 0;
  if ((unsigned char)value[8] == LUA_VLCF && library_slots[library_slot(pointer)].number != 0)
    return 0;
  const rlua_Pointer *met = find_pointer(&c->own, pointer);
  return met == NULL || met->name == NULL ||
         (met->kind == POINTER_FUNCTION) != ((unsigned char)value[8] == LUA_VLCF);
}

/* -- values ------------------------------------------------------------------------------------ */

l_sinline int is_outward_tag(unsigned int tag) {
  return tag == LUA_VLCF || tag == LUA_VLIGHTUSERDATA;
}

/* Of a value that leads out of the VM, or is no number. */
static __attribute__((noinline)) uint64_t special_payload(Canon *c, unsigned int tag,
                                                          uint64_t word) {
  if (tag == LUA_VLCF) return outward(c, (const void *)(uintptr_t)word, NAME_FUNCTION);
  if (tag == LUA_VLIGHTUSERDATA) return light(c, word);
  if (tag == LUA_VNUMFLT) return RLUA_NAN;
  return (word + c->coll[tag & 127]) & c->mask[tag & 127];
}

/* The payload of a value with that tag. */
l_sinline uint64_t payload(Canon *c, unsigned int tag, uint64_t word) {
  if (l_unlikely((word & c->mask[tag & 127]) << 1 >= c->limit[tag & 127]))
    return special_payload(c, tag, word);
  return (word + c->coll[tag & 127]) & c->mask[tag & 127];
}

static void know_tags(Canon *c) {
  memset(c->coll, 0, sizeof c->coll);
  memset(c->mask, 0, sizeof c->mask);
  c->mask[LUA_VNUMINT] = c->mask[LUA_VNUMFLT] = ~(uint64_t)0;
  if (c->mode != CANON_HASH) c->mask[LUA_VSERIAL] = ~(uint64_t)0;
  memset(c->limit, 0xff, sizeof c->limit);
  c->limit[LUA_VLCF] = c->limit[LUA_VLIGHTUSERDATA] = 0;
  if (c->own.deterministic) c->limit[LUA_VNUMFLT] = (RLUA_INFINITE << 1) + 1;
  for (unsigned int tag = 0; tag < 128; tag++) {
    if (!(tag & BIT_ISCOLLECTABLE) && tag != LUA_TDEADKEY) continue;
    c->coll[tag] = c->bias;
    c->mask[tag] = ~(uint64_t)0;
  }
}

_Static_assert(sizeof(TValue) == 16 && offsetof(TValue, tt_) == 8, "a word, and a tag");

l_sinline void put_value(Canon *c, char *out, const void *value) {
  unsigned int tag = ((const unsigned char *)value)[8];
  put_word(out, payload(c, tag, load_word(value)));
  put_word(out + 8, tag);
}

static void put_values(Canon *c, char *out, const void *from, size_t bytes) {
  for (size_t at = 0; at + sizeof(TValue) <= bytes; at += sizeof(TValue))
    put_value(c, out + at, (const char *)from + at);
}

_Static_assert(sizeof(Node) == 24 && offsetof(Node, u.tt_) == 8 && offsetof(Node, u.key_tt) == 9 &&
                   offsetof(Node, u.next) == 12 && offsetof(Node, u.key_val) == 16,
               "a word, two tags, the next, a word");

static void put_node(Canon *c, char *out, const void *node) {
  const unsigned char *from = node;
  unsigned int tag = from[8], key = from[9];
  uint32_t next;
  memcpy(&next, from + 12, sizeof next);
  put_word(out, payload(c, tag, load_word(from)));
  put_word(out + 8, tag | key << 8 | (uint64_t)next << 32);
  put_word(out + 16, payload(c, key, load_word(from + 16)));
  if (l_unlikely(is_outward_tag(key)) && !c->own.deterministic && c->mode == CANON_IMAGE &&
      load_word(out + 16) & IMAGE_OUTWARD)
    cannot_save(c, "in the stock profile its order depends on a key's address");
}

static void put_nodes(Canon *c, char *out, const void *from, size_t bytes) {
  for (size_t at = 0; at + sizeof(Node) <= bytes; at += sizeof(Node))
    put_node(c, out + at, (const char *)from + at);
}

static void put_pointers(Canon *c, char *out, const void *from, size_t bytes) {
  for (size_t at = 0; at + 8 <= bytes; at += 8) {
    uint64_t word = load_word((const char *)from + at);
    put_word(out + at, word == 0 ? 0 : word + c->bias);
  }
}

/* Elements of 16 bytes, of which the first word is a pointer; of the second so many bytes count. */
static void put_pairs(Canon *c, char *out, const void *from, size_t bytes, size_t count) {
  for (size_t at = 0; at + 16 <= bytes; at += 16) {
    const char *pair = (const char *)from + at;
    put_word(out + at, load_word(pair) == 0 ? 0 : load_word(pair) + c->bias);
    put_word(out + at + 8, 0);
    memcpy(out + at + 8, pair + 8, count);
  }
}
_Static_assert(sizeof(LocVar) == 16 && offsetof(LocVar, endpc) == 12, "as put_pairs has it");
_Static_assert(sizeof(Upvaldesc) == 16 && offsetof(Upvaldesc, kind) == 10, "as put_pairs has it");

/* Bytes of a host: pointers into the VM in them would lead to the old one. Behind the end, too:
 * where that is must not tell what bytes mean that nobody wrote to (F1). */
static void put_host_bytes(Canon *c, char *out, const void *from, size_t bytes, const char *what) {
  memcpy(out, from, bytes);
  for (size_t at = 0; at + 8 <= bytes; at += 8) {
    uint64_t word = load_word((const char *)from + at);
    if (l_likely(word - c->base >= c->own.region_bytes)) continue;
    cannot_save(c, what);
    put_word(out + at, IMAGE_INWARD | (word - c->base));
  }
}
