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
 * Before Lua's own headers. States of a host's own allocator have no cards.
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

static inline __attribute__((always_inline)) void card_value_(_Bool *cards, uintptr_t tag) {
  if (l_likely(cards != NULL)) cards[(uint32_t)tag / CARD_LINE] = 1;
}

/* A build that looks for stores without a mark gives each place of a mark a number, and leaves one
 * of them out where it is told to (oracle.c). */
#ifdef RLUA_ORACLE
static int rlua_oracle_marks(int number, const char *file, int line);
#define card_of(number) if (rlua_oracle_marks(number, __FILE__, __LINE__))
#elif defined RLUA_NO_CARDS /* to see what marks cost; nothing else works in such a build */
#define card_of(number) if (0)
#else
#define card_of(number)
#endif

/* Before a store to `place`. */
#define card_at(place) \
  __extension__({ card_of(__COUNTER__) card_at_((uintptr_t)(place)); (void)0; })

/* Before a store to a value in the arena of L. */
#define card_value(L, value) \
  __extension__({ card_of(__COUNTER__) card_value_((L)->cards, (uintptr_t)(value) + 8); (void)0; })

/* Before stores to some of `size` bytes, at least one. */
static void card_range(const void *start, size_t size) {
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
