/* cards.h: whoever writes to the arena marks the line (C1, src/cards.rs).
 *
 * vendor/patches/ puts these marks before Lua's stores to what lives longer than a frame of the
 * game. No mark is needed for
 * - what the arena handed out in the same interval: it has marked it;
 * - the global state, the main thread, stacks and CallInfos of threads that were entered, and
 *   opaque memory (userdata, the threads themselves): they are suspects (C3).
 *
 * A mark stands for its line and for the one before it. So a value of 16 bytes is marked at its
 * tag, behind the value proper, and a node at its key's.
 *
 * Before Lua's own headers. A state of a host's own allocator has one card, which nobody reads.
 */
#ifndef rlua_cards_h
#define rlua_cards_h

#include <stdint.h>
#include <string.h>

#include "linkage.h"
#include "lua.h"

#define CARD_LINE 64
/* At most one thread begins in so many bytes (src/cards.rs). */
#define CARD_THREAD 128

/* The cards of a region. They are _Bool, so that a mark may not be taken for a store to something
 * else. */
typedef struct rlua_Table {
  _Bool *cards;
  size_t count;
} rlua_Table;

/* By the upper half of the address. Behind a region, in its last 4 GiB, a host's own state may lie,
 * whose lines have no cards. */
#define CARD_REGIONS 0x10000
static rlua_Table rlua_tables[CARD_REGIONS];
#define rlua_table_of(address) (&rlua_tables[(uintptr_t)(address) >> 32 & (CARD_REGIONS - 1)])

static inline __attribute__((always_inline)) void card_at_(uintptr_t place) {
  const rlua_Table *table = rlua_table_of(place);
  uint32_t line = (uint32_t)place / CARD_LINE;
  if (l_likely(line < table->count)) table->cards[line] = 1;
}

/* Through a thread, which is cheaper. The word before the cards tells which bits of a line's number
 * count: all, or none where a state has one card for everything. */
static inline __attribute__((always_inline)) void card_in_(_Bool *cards, uintptr_t place) {
  cards[(uint32_t)place / CARD_LINE & ((const uint32_t *)(const void *)cards)[-1]] = 1;
}

/* A build that looks for stores without a mark has a list of all marks in the sources, and leaves
 * one of them out where it is told to. There a mark announces the bytes that it was made for, and
 * no others (oracle.c). */
#ifdef RLUA_ORACLE
typedef struct rlua_Mark {
  const char *file;
  long line, made;
} __attribute__((aligned(32))) rlua_Mark; /* its size, so that they lie without gaps */
static int rlua_oracle_marks(rlua_Mark *mark);
static void rlua_announce(const void *start, size_t size);
static void rlua_store(void *start, size_t size);
#define card_mark(start, size, mark) \
  __extension__({ \
    static rlua_Mark card_here __attribute__((section("rlua_marks"), used)) = \
        {__FILE__, __LINE__, 0}; \
    if (rlua_oracle_marks(&card_here)) { \
      mark; \
      rlua_announce(start, size); \
    } \
    (void)0; \
  })
/* The C library's stores. */
#define card_library(function, to, from, size) \
  __extension__({ \
    void *card_to = (to); \
    size_t card_size = (size); \
    rlua_store(card_to, card_size); \
    function(card_to, from, card_size); \
  })
#define memcpy(to, from, size) card_library(memcpy, to, from, size)
#define memmove(to, from, size) card_library(memmove, to, from, size)
#define memset(to, byte, size) card_library(memset, to, byte, size)
#elif defined RLUA_NO_CARDS /* to see what marks cost; nothing else works in such a build */
#define card_mark(start, size, mark) ((void)0)
#else
#define card_mark(start, size, mark) __extension__({ mark; (void)0; })
#endif

/* Before a store to `place`, where no thread is at hand. */
#define card_at(place) \
  card_mark(place, sizeof *(place), card_at_((uintptr_t)(place)))

/* Before a store to `place`, in the arena of L. So for all below. */
#define card_in(L, place) \
  card_mark(place, sizeof *(place), card_in_((L)->cards, (uintptr_t)(place)))

/* Before stores to fields of one object, from `first` to `last`: less than CARD_LINE bytes. */
#define card_span(L, first, last) \
  card_mark(first, (size_t)((char *)((last) + 1) - (char *)(first)), \
            card_in_((L)->cards, (uintptr_t)((last) + 1) - 1))

/* Before stores to a node. */
#define card_node(L, node) \
  card_mark(node, sizeof(Node), card_in_((L)->cards, (uintptr_t)&(node)->u.key_val))

/* Before a store to a value. */
#define card_value(L, value) \
  card_mark(value, sizeof(TValue), card_in_((L)->cards, (uintptr_t)(value) + 8))

/* Before stores to some of `size` bytes, at least one. */
#define card_range(start, size) card_mark(start, size, card_range_(start, size))
static void card_range_(const void *start, size_t size) {
  const rlua_Table *table = rlua_table_of(start);
  size_t first = (uint32_t)(uintptr_t)start / CARD_LINE;
  size_t last = ((uint32_t)(uintptr_t)start + size - 1) / CARD_LINE;
  if (last < table->count) memset(table->cards + first, 1, last - first + 1);
}

/* Before anything is done with a thread from outside, which may write to its stack. */
#define card_lock(L) ((void)(l_likely(*(L)->entered) || (rlua_card_enter(L), 0)))
static void rlua_card_enter(lua_State *L);
static void rlua_card_birth(lua_State *from, lua_State *L);
static void rlua_card_death(lua_State *L);

#define lua_lock(L) card_lock(L)
#define lua_unlock(L) ((void)0)
#define luai_userstatethread(L, L1) rlua_card_birth(L, L1)
#define luai_userstatefree(L, L1) rlua_card_death(L1)

#endif
