/* check.c: verifies L2 and K1, and what Lua's collector relies on, by two walks over the heap.
 *
 * - Each block of Lua is a live block of the arena, large enough, and belongs to one owner.
 * - Each pointer leads to an object of the kind that its place says, not to one that waits for its
 *   sweep. What is not an object's start (the stack, nodes, code) lies in its owner's block.
 * - The colours are such that the collector finds what lives: as Lua's own ltests.c has it.
 *
 * Not verified: what outward pointers lead to, what is in userdata and in blocks of the host.
 *
 * Part of the one translation unit, behind walk.c.
 */
#include <stdlib.h>

typedef struct Check {
  Walk walk; /* first: the visitor's functions get a pointer to it */
  size_t base, used; /* the arena's address, and its bytes that hold state */
  size_t bytes;      /* of all blocks */
  /* A bit for each 8 bytes of the arena. */
  uint64_t *blocks;  /* a block starts here */
  uint64_t *objects; /* an object starts here */
} Check;

static size_t place_of(const Check *c, const void *address) {
  return ((size_t)address - c->base) / sizeof(uint64_t);
}

static int has_bit(const uint64_t *bits, size_t place) {
  return bits[place / 64] >> place % 64 & 1;
}

static void set_bit(uint64_t *bits, size_t place) {
  bits[place / 64] |= (uint64_t)1 << place % 64;
}

static int is_inside(const Check *c, const void *address) {
  size_t offset = (size_t)address - c->base;
  return offset < c->used && offset % sizeof(uint64_t) == 0;
}

/* What the arena has to say of a block (overrides/kinds.h). */
static uint32_t kind_of_block(int kind) {
  switch (kind) {
    case BLOCK_STATE: case LUA_VTHREAD: return KIND_THREAD;
    case BLOCK_STRING_TABLE: case BLOCK_PROTOS: return KIND_POINTERS;
    case BLOCK_ARRAY: case BLOCK_CONSTANTS: return KIND_VALUES;
    case BLOCK_NODES: return KIND_NODES;
    case BLOCK_STACK: return KIND_STACK;
    case BLOCK_CALLINFO: return KIND_CALLINFO;
    case BLOCK_CODE: case BLOCK_LINES: case BLOCK_ABSOLUTE_LINES: case BLOCK_NAME:
      return KIND_BYTES;
    case BLOCK_UPVALUES: return KIND_UPVALUES;
    case BLOCK_LOCALS: return KIND_LOCALS;
    case BLOCK_POINTERS: return KIND_OUTWARD;
    default: return KIND_OBJECT;
  }
}

static int check_block(Walk *w, int kind, const void *block, size_t size, const GCObject *object) {
  Check *c = (Check *)w;
  uint32_t noted = 0;
  ENSURE(is_inside(c, block) && size <= c->used - ((size_t)block - c->base),
         "a block lies outside the arena");
  ENSURE(!has_bit(c->blocks, place_of(c, block)), "a block has a second owner");
  w->block_bytes(w->ud, block, &noted);
  ENSURE(noted == kind_of_block(kind), "K1: a block was allocated for something else");
  set_bit(c->blocks, place_of(c, block));
  if (object != NULL) set_bit(c->objects, place_of(c, object));
  c->bytes += size;
  return 1;
}

/* Whether the collector can live with a pointer from one object to another: testobjref in Lua's own
 * ltests.c. */
static int is_seen(const global_State *g, const GCObject *from, const GCObject *to) {
  if (issweepphase(g)) return 1;
  if (g->gckind == KGC_INC || getage(from) <= G_OLD0) return !(isblack(from) && iswhite(to));
  if (getage(from) == G_OLD && isblack(from)) return isold(to);
  /* A thread has no barriers: while it is not old, the next young collection traverses it anew. */
  if ((getage(from) == G_OLD1 || getage(from) == G_TOUCHED2) && isblack(from))
    return getage(to) != G_NEW || from->tt == LUA_VTHREAD;
  return 1;
}

static int check_pointer(Walk *w, int kind, const void *target) {
  const Check *c = (const Check *)w;
  const GCObject *to = target;
  ENSURE(is_inside(c, target) && has_bit(c->objects, place_of(c, target)),
         "a pointer leads to no object");
  int tag = kind & ~MAY_BE_DEAD;
  ENSURE(tag == ANY_OBJECT || to->tt == tag, "a pointer leads to an object of another kind");
  if (kind & MAY_BE_DEAD) return 1;
  ENSURE(!isdead(w->g, to), "a pointer leads to an object that waits for its sweep");
  if (w->of != NULL) ENSURE(is_seen(w->g, w->of, to), "a pointer is hidden from the collector");
  return 1;
}

static int check_colour(Walk *w, GCObject *o) {
  const global_State *g = w->g;
  ENSURE((o->marked & WHITEBITS) != WHITEBITS && !(iswhite(o) && isblack(o)),
         "the object has two colours");
  ENSURE(g->gcstate != GCSpause || (iswhite(o) && !isdead(g, o)),
         "the object is not white, and no collection is going on");
  return 1;
}

static int check_finalizable(Walk *w, GCObject *o) {
  ENSURE(tofinalize(o), "the object waits for a finalizer, but is not marked so");
  return 1;
}

static int check_all(Check *c) {
  Walk *w = &c->walk;
  TRY(walk_blocks(w));
  ENSURE(gettotalbytes(w->g) >= c->bytes, "the collector counts fewer bytes than there are");
  TRY(each_of(w, w->g->allgc, check_colour) && each_of(w, w->g->finobj, check_colour) &&
      each_of(w, w->g->tobefnz, check_colour));
  TRY(each_of(w, w->g->finobj, check_finalizable) && each_of(w, w->g->tobefnz, check_finalizable));
  return walk_pointers(w);
}

/* `main` is the main thread of an idle VM, its arena consistent up to `used_bytes`. After
 * CHECK_CORRUPT `why` holds a sentence, CHECK_ROOM bytes long at most. Costs a 32nd of the arena's
 * used bytes, outside of it. */
int rlua_c_check(lua_State *main, size_t used_bytes, rlua_BlockBytes block_bytes, void *ud,
                 char *why) {
  size_t words = used_bytes / sizeof(uint64_t) / 64 + 1;
  uint64_t *bits = calloc(2 * words, sizeof(uint64_t));
  if (bits == NULL) return CHECK_NO_MEMORY;
  Check check = {
    .walk = {.g = &((LG *)((char *)main - offsetof(LX, l)))->g, .block_bytes = block_bytes,
             .ud = ud, .block = check_block, .pointer = check_pointer, .why = why},
    .base = (size_t)main & ~(size_t)0xFFFFFFFFu, /* R1 */
    .used = used_bytes, .blocks = bits, .objects = bits + words,
  };
  int holds = check_all(&check);
  free(bits);
  return holds ? CHECK_OK : CHECK_CORRUPT;
}
