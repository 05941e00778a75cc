/* words.c: one word of an image, and the names that stand for what lies outside the VM.
 *
 *   word                                  in the image
 *   a pointer into the VM                 the offset; the state itself lies above 0, so 0 is NULL
 *   a pointer that leads out of it        OUTWARD and its number in the image's list of names
 *   light userdata into the VM            INWARD and the offset
 *   light userdata below 64 KiB           itself
 *   a pointer that was met, has no name   NAMELESS and its place in the list
 *
 * Part of the one translation unit, behind walk.c. Not here: which words there are (image.c).
 */

#define IMAGE_OUTWARD ((uint64_t)1 << 63)
#define IMAGE_INWARD ((uint64_t)1 << 62)
#define IMAGE_NAMELESS ((uint64_t)1 << 61)

/* What is wrong, where there is no memory. */
#define NO_MEMORY_FOR_IMAGE ""

/* What a name in an image stands for. */
enum { NAME_FUNCTION = 1, NAME_POINTER, NAME_HOST };

/* Streams of the process, in place of a `FILE *`. */
enum { STREAM_CLOSED, STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR };

/* A function of rlua_pushfunction, with the name that stands for it and its ud. */
typedef struct HostName {
  const char *name;
  const void *function, *ud;
  unsigned int number;
} HostName;

/* Why a body is made: for an image, or only to be hashed. Then what cannot be saved is left out. */
typedef struct Saver {
  global_State *g;
  int hashed;
  char *out; /* as long as the region's used part */
  size_t base, used;
  unsigned int library[LIBRARY_SLOTS]; /* 1 and the number of a name that was given out */
  unsigned int *host;                  /* the same for pointers of the list */
  unsigned int names;
  rlua_Outward *stand_for; /* what the names stand for in this process */
  size_t stand_for_room;
  HostName *pushed;
  size_t pushed_count, pushed_room;
  char *text; /* the names: NAME_..., length, bytes */
  size_t text_bytes, text_room;
  const void *of; /* the object that is being saved */
  const char *wrong;
} Saver;

static void cannot_save(Saver *s, const char *what) {
  if (s->wrong == NULL && !s->hashed) s->wrong = what;
}

static void no_memory(Saver *s) {
  s->wrong = NO_MEMORY_FOR_IMAGE;
}

/* The same place in the copy. */
#define copy_of(s, block) ((void *)((s)->out + ((size_t)(block) - (s)->base)))

/* -- words ------------------------------------------------------------------------------------- */

/* The low half of a region's addresses are offsets (R1). */
static size_t offset_of(const Saver *s, const void *pointer) {
  return pointer == NULL ? 0 : (size_t)pointer - s->base;
}

#define put_pointer(s, to, from, field) \
  ((to)->field = (__typeof__((to)->field))offset_of((s), (const void *)(from)->field))

static void give_name(Saver *s, rlua_Outward outside, const char *library, const char *name) {
  size_t first = strlen(library), length = first + strlen(name), room = s->text_bytes + length + 2;
  if (room > s->text_room) {
    char *grown = realloc(s->text, 2 * room);
    if (grown == NULL) {
      no_memory(s);
      return;
    }
    s->text = grown;
    s->text_room = 2 * room;
  }
  if (s->names == s->stand_for_room) {
    size_t more = 2 * s->stand_for_room + 64;
    rlua_Outward *grown = realloc(s->stand_for, more * sizeof *grown);
    if (grown == NULL) {
      no_memory(s);
      return;
    }
    s->stand_for = grown;
    s->stand_for_room = more;
  }
  s->stand_for[s->names++] = outside;
  char *at = s->text + s->text_bytes;
  at[0] = (char)outside.kind;
  at[1] = (char)length;
  memcpy(at + 2, library, first);
  memcpy(at + 2 + first, name, length - first);
  s->text_bytes = room;
}

static uint64_t numbered(Saver *s, unsigned int *number, rlua_Outward outside, const char *library,
                         const char *name) {
  if (*number == 0) {
    give_name(s, outside, library, name);
    *number = s->names;
  }
  return IMAGE_OUTWARD | (*number - 1);
}

/* A pointer that leads out of the VM, or NULL. */
static uint64_t outward(Saver *s, const void *pointer, int kind) {
  if (pointer == NULL) return 0;
  rlua_Outward outside = {pointer, NULL, (uint64_t)kind};
  unsigned int slot = library_slot(pointer);
  if (kind == NAME_FUNCTION && library_slots[slot].number != 0)
    return numbered(s, &s->library[slot], outside, library_names[slot].library,
                    library_names[slot].name);
  const rlua_Pointer *met = find_pointer(&s->g->own, pointer);
  if (met != NULL && met->name != NULL) {
    if ((met->kind == POINTER_FUNCTION) == (kind == NAME_FUNCTION))
      return numbered(s, &s->host[met - s->g->own.pointers], outside, "", met->name);
    cannot_save(s, kind == NAME_FUNCTION
                       ? "a C function is registered as a pointer (use rlua_register)"
                       : "a pointer is registered as a function (use rlua_register_pointer)");
    return 0;
  }
  cannot_save(s, kind == NAME_FUNCTION ? "a C function has no name (rlua_register gives it one)"
                                       : "a light userdata has no name (rlua_register_pointer "
                                         "gives it one)");
  return IMAGE_NAMELESS | (met == NULL ? UINT32_MAX : (size_t)(met - s->g->own.pointers));
}

static uint64_t light(Saver *s, const void *pointer) {
  if ((size_t)pointer < LOWEST_ADDRESS) return (size_t)pointer;
  if (is_in_region(&s->g->own, pointer)) return IMAGE_INWARD | ((size_t)pointer - s->base);
  return outward(s, pointer, NAME_POINTER);
}

/* The payload of a value with that tag. */
static uint64_t payload(Saver *s, int tag, const Value *value) {
  switch (tag) {
    case LUA_VNUMINT: return (uint64_t)value->i;
    case LUA_VNUMFLT: {
      uint64_t bits;
      memcpy(&bits, &value->n, sizeof bits);
      return bits;
    }
    case LUA_VLCF: return outward(s, (void *)(size_t)value->f, NAME_FUNCTION);
    case LUA_VLIGHTUSERDATA: return light(s, value->p);
    default: return tag & BIT_ISCOLLECTABLE ? offset_of(s, value->gc) : 0;
  }
}

static void put_value(Saver *s, TValue *to, const TValue *from) {
  to->tt_ = from->tt_;
  to->value_.i = (lua_Integer)payload(s, from->tt_, &from->value_);
}

static void put_values(Saver *s, const TValue *from, size_t count) {
  TValue *to = copy_of(s, from);
  for (size_t i = 0; i < count; i++) put_value(s, &to[i], &from[i]);
}

static void put_bytes(Saver *s, const void *from, size_t size) {
  if (size != 0) memcpy(copy_of(s, from), from, size);
}

/* Bytes of a host: pointers into the VM in them would lead to the old one. */
static void put_host_bytes(Saver *s, const void *from, size_t size, const char *what) {
  const char *at = from;
  char *copy = copy_of(s, from);
  put_bytes(s, from, size);
  for (size_t i = 0; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
    uint64_t word;
    memcpy(&word, at + i, sizeof word);
    if (l_likely(word - s->base >= s->used)) continue;
    cannot_save(s, what);
    word = IMAGE_INWARD | (word - s->base);
    memcpy(copy + i, &word, sizeof word);
  }
}
