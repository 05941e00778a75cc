/* blocks.c: small blocks of the arena, handed out and taken back without a call into Rust.
 *
 * Part of the one translation unit, behind lmem.c. These do what src/arena/slabs.rs does, to the
 * same bytes (A4): tests/blocks.rs compares. All that is not common is left to it, and nothing has
 * changed when it is called: large blocks, what hosts write to, a class without a free block, a
 * slab that was full or becomes empty, and every state whose allocation function is not the
 * arena's now.
 */
#include "arena.h" /* made by build.rs: the layout and the tables as src/arena has them */
#include "internal.h"

static rlua_Hooks hooks; /* protect.h */

/* As `Header` in src/arena/layout.rs, as far as it is looked at here. */
typedef struct ArenaHeader {
  uint64_t magic, limit, top;
  uint32_t map, map_units;
  unsigned char runs[ARENA_HEADER_SLABS - 32]; /* where larger blocks are found */
  uint32_t slabs[]; /* by class */
} ArenaHeader;

/* As `Slab` there; the order matters, as it says. */
typedef struct ArenaSlab {
  uint16_t fresh, shape, free, used;
  uint32_t next, prev;
} ArenaSlab;

_Static_assert(offsetof(ArenaHeader, map) == ARENA_HEADER_MAP, "the same header");
_Static_assert(offsetof(ArenaHeader, map_units) == ARENA_HEADER_MAP_UNITS, "the same header");
_Static_assert(offsetof(ArenaHeader, slabs) == ARENA_HEADER_SLABS, "the same header");
_Static_assert(sizeof(ArenaSlab) == ARENA_SLAB_BYTES, "the same slab");
_Static_assert(offsetof(ArenaSlab, fresh) == ARENA_SLAB_FRESH, "the same slab");
_Static_assert(offsetof(ArenaSlab, shape) == ARENA_SLAB_SHAPE, "the same slab");
_Static_assert(offsetof(ArenaSlab, free) == ARENA_SLAB_FREE, "the same slab");
_Static_assert(offsetof(ArenaSlab, used) == ARENA_SLAB_USED, "the same slab");
_Static_assert(offsetof(ArenaSlab, next) == ARENA_SLAB_NEXT, "the same slab");
_Static_assert(LUA_TUSERDATA == ARENA_TAG_USERDATA && LUA_TTHREAD == LUA_TUSERDATA + 1 &&
                   KIND_TAG + KIND_HOST == ARENA_TAG_HOST,
               "the same tags");

/* What a free block begins with. The same bytes are an object's the next moment, which the
 * compiler must not take for something else. */
typedef uint16_t __attribute__((may_alias)) ArenaLink;

/* Whether the state's blocks come from an arena; then its handle begins with the base. */
l_sinline int in_arena(const global_State *g) {
  return l_likely(g->frealloc == hooks.allocate);
}

l_sinline ArenaHeader *arena_of(const global_State *g) {
  return *(ArenaHeader **)g->ud;
}

l_sinline const ArenaShape *arena_shape(const ArenaSlab *slab) {
  return &ARENA_SHAPE[slab->shape % ARENA_SHAPES];
}

/* Whether a new block of this tag and size is for C to hand out. Not those that hosts write to:
 * their own, userdata, threads, which have an extra space, and whatever has no tag. */
l_sinline int arena_serves(size_t size, int tag) {
  return size - 1 < ARENA_MAX_SMALL && (unsigned int)(tag - LUA_TUSERDATA) > 1 &&
         tag != 0 && tag != ARENA_TAG_HOST;
}

/* The kind of a block that C hands out. */
l_sinline unsigned int arena_kind(int tag) {
  return tag < KIND_TAG ? KIND_OBJECT : (unsigned int)tag - KIND_TAG;
}

/* Every place here that writes to a slab's head, or hands out, resizes or takes back a block, marks
 * it first (C2). A mark stands for the line before it, too, so most take one. */
#define arena_mark(L, place, bytes) card_mark(place, bytes, arena_mark_(L, place, bytes))
l_sinline void arena_mark_(lua_State *L, const void *place, size_t bytes) {
  _Bool *cards = L->cards;
  uint32_t first = (uint32_t)(uintptr_t)place, last = first + (uint32_t)bytes - 1;
  cards[last / CARD_LINE] = 1;
  if (l_unlikely(bytes > CARD_LINE))
    memset(cards + first / CARD_LINE, 1, last / CARD_LINE - first / CARD_LINE);
}

/* Notes what the block is for. Mostly it is what was there before. */
l_sinline void arena_set_kind(lua_State *L, ArenaSlab *slab, const ArenaShape *shape,
                              const void *block, unsigned int kind) {
  size_t place = (size_t)block - (size_t)slab;
  size_t index = (place - shape->first) * shape->reciprocal >> 16;
  unsigned char *kinds = (unsigned char *)slab + ARENA_SLAB_KINDS + index / 2;
  unsigned int shift = (unsigned int)index % 2 * 4;
  unsigned int noted = (*kinds & ~(15u << shift)) | kind << shift;
  if (l_likely(noted == *kinds)) return;
  arena_mark(L, kinds, 1);
  *kinds = (unsigned char)noted;
}

/* What a vector's block has behind what was asked for is zero (K2). */
l_sinline void arena_clear_slack(void *block, size_t size, size_t held, unsigned int kind) {
  if (kind > KIND_HOST && l_unlikely(size < held)) memset((char *)block + size, 0, held - size);
}

/* A block of 1 to ARENA_MAX_SMALL bytes, or NULL where Rust has to see to it. */
l_sinline void *arena_take(lua_State *L, size_t size, unsigned int kind) {
  ArenaHeader *arena = arena_of(G(L));
  uint32_t *first = &arena->slabs[ARENA_CLASS_OF[(size + 7) / 8]];
  if (l_unlikely(*first == 0)) return NULL;
  ArenaSlab *slab = (ArenaSlab *)((char *)arena + *first);
  const ArenaShape *shape = arena_shape(slab);
  unsigned int fresh = slab->fresh, at = slab->free;
  void *block;
  arena_mark(L, slab, sizeof *slab);
  slab->used++;
  if (at != 0) {
    block = (char *)slab + at;
    at = *(ArenaLink *)block;
    slab->free = (uint16_t)at;
  } else {
    block = (char *)slab + fresh;
    fresh += shape->size;
    slab->fresh = (uint16_t)fresh;
  }
  arena_mark(L, block, shape->size);
  arena_set_kind(L, slab, shape, block, kind);
  arena_clear_slack(block, size, shape->size, kind);
  if (l_unlikely(at == 0 && fresh == shape->end)) *first = slab->next;
  return block;
}

/* The slab that the block lies in, or NULL where Rust has to see to it: a block by itself, none, or
 * whatever else than a unit's place in a slab the map says. */
l_sinline ArenaSlab *arena_slab(lua_State *L, const void *block) {
  ArenaHeader *arena = arena_of(G(L));
  size_t unit = ((size_t)block - (size_t)arena) / ARENA_UNIT;
  if (l_unlikely(unit >= arena->map_units)) return NULL;
  size_t place = ((unsigned char *)arena)[arena->map + unit];
  if (l_unlikely(place - 1 >= ARENA_MAX_UNITS)) return NULL;
  return (ArenaSlab *)((char *)arena + (unit + 1 - place) * ARENA_UNIT);
}

/* What was noted of it. */
l_sinline unsigned int arena_kind_of(const ArenaSlab *slab, const void *block) {
  const ArenaShape *shape = arena_shape(slab);
  size_t index = ((size_t)block - (size_t)slab - shape->first) * shape->reciprocal >> 16;
  return ((const unsigned char *)slab)[ARENA_SLAB_KINDS + index / 2] >> index % 2 * 4 & 15;
}

/* Takes a block of the slab back; 0 where Rust has to see to it. */
l_sinline int arena_give(lua_State *L, ArenaSlab *slab, void *block) {
  if (l_unlikely(slab->used == 1)) return 0;
  if (slab->free == 0 && slab->fresh == arena_shape(slab)->end) return 0;
  arena_mark(L, slab, sizeof *slab);
  arena_mark(L, block, arena_shape(slab)->size);
  *(ArenaLink *)block = slab->free;
  slab->free = (uint16_t)((char *)block - (char *)slab);
  slab->used--;
  return 1;
}

/* Out of line, and last in their callers, so that the common case saves no registers for them. */
static void *__attribute__((noinline)) block_malloc_by_rust(lua_State *L, size_t size, int tag) {
  return luaM_malloc_(L, size, tag);
}

static void *__attribute__((noinline)) block_realloc_by_rust(lua_State *L, void *block,
                                                             size_t old_size, size_t size) {
  return luaM_realloc_(L, block, old_size, size);
}

static void __attribute__((noinline)) block_free_by_rust(lua_State *L, void *block, size_t size) {
  luaM_free_(L, block, size);
}

static void *block_malloc(lua_State *L, size_t size, int tag) {
  global_State *g = G(L);
  if (l_likely(in_arena(g) && arena_serves(size, tag))) {
    void *block = arena_take(L, size, arena_kind(tag));
    if (l_likely(block != NULL)) {
      g->GCdebt += size;
      return block;
    }
  }
  return block_malloc_by_rust(L, size, tag);
}

/* Gives a small block another small size, or answers NULL where Rust has to see to it. */
static void *arena_resize(lua_State *L, void *block, size_t old_size, size_t size) {
  ArenaSlab *slab = arena_slab(L, block);
  if (slab == NULL) return NULL;
  size_t held = arena_shape(slab)->size;
  if (slab->shape % ARENA_CLASSES == ARENA_CLASS_OF[(size + 7) / 8]) {
    arena_mark(L, block, held);
    arena_clear_slack(block, size, held, arena_kind_of(slab, block));
    return block;
  }
  void *moved = arena_take(L, size, arena_kind_of(slab, block));
  if (l_unlikely(moved == NULL)) return NULL;
  memcpy(moved, block, held < size ? held : size);
  if (!arena_give(L, slab, block)) G(L)->frealloc(G(L)->ud, block, old_size, 0);
  return moved;
}

static void *block_realloc(lua_State *L, void *block, size_t old_size, size_t size) {
  global_State *g = G(L);
  if (l_likely(in_arena(g) && size - 1 < ARENA_MAX_SMALL && block != NULL)) {
    void *moved = arena_resize(L, block, old_size, size);
    if (l_likely(moved != NULL)) {
      g->GCdebt = (g->GCdebt + size) - old_size;
      return moved;
    }
  } else if (block == NULL && size == 0) { /* a vector that was empty and stays so */
    return NULL;
  }
  return block_realloc_by_rust(L, block, old_size, size);
}

static void block_free(lua_State *L, void *block, size_t size) {
  global_State *g = G(L);
  if (l_likely(in_arena(g))) {
    ArenaSlab *slab = arena_slab(L, block);
    if (l_likely(slab != NULL && arena_give(L, slab, block))) {
      g->GCdebt -= size;
      return;
    }
  }
  block_free_by_rust(L, block, size);
}

/* As luaM_realloc_, for a vector. Lua does not initialise a CallInfo: what lay there before must
 * not become part of the state. */
static void *rlua_realloc_kind(lua_State *L, void *block, size_t old_size, size_t size, int tag) {
  global_State *g = G(L);
  if (l_likely(block != NULL || size == 0)) return block_realloc(L, block, old_size, size);
  if (l_likely(in_arena(g) && arena_serves(size, tag)))
    block = arena_take(L, size, arena_kind(tag));
  if (l_unlikely(block == NULL)) block = firsttry(g, NULL, (size_t)tag, size);
  if (l_unlikely(block == NULL)) block = tryagain(L, NULL, (size_t)tag, size);
  if (l_unlikely(block == NULL)) return NULL;
  g->GCdebt += size;
  if (tag == KIND_TAG + KIND_CALLINFO) memset(block, 0, size);
  return block;
}

/* As luaM_growaux_; no limit is as low as the first size. What the parser has not filled when it
 * ends early is zero. */
static void *rlua_grow_kind(lua_State *L, void *block, int count, int *size, int element, int limit,
                            const char *what, int tag) {
  int held = *size;
  if (l_likely(block != NULL)) {
    block = luaM_growaux_(L, block, count, size, element, limit, what);
  } else {
    block = block_malloc(L, MINSIZEARRAY * cast_sizet(element), tag);
    *size = MINSIZEARRAY;
    held = 0;
  }
  if (held < *size)
    memset((char *)block + held * element, 0, cast_sizet(*size - held) * cast_sizet(element));
  return block;
}

#define luaM_malloc_(L, size, tag) block_malloc(L, size, tag)
#define luaM_realloc_(L, block, old_size, size) block_realloc(L, block, old_size, size)
#define luaM_free_(L, block, size) block_free(L, block, size)
