/* cards.c: the threads that were entered in an interval, and what is suspect at its end (C3).
 *
 * A running thread writes to its stack and its CallInfos without a mark. So whoever begins to run
 * it, or works on it through the API, notes that it was entered: once an interval, in a list beside
 * the cards, and in a byte of the thread's own, which a test by each API call finds set.
 *
 * Part of the one translation unit. Not here: the marks (overrides/cards.h).
 */
/* Before a region's cards; src/cards.rs. */
typedef struct rlua_Entered {
  unsigned char *threads; /* a byte for each CARD_THREAD bytes of the region, downwards */
  uint32_t count;
  unsigned char overflow; /* more were entered than the list has room for */
  unsigned char main;     /* the main thread's byte */
  size_t highest;         /* of the bytes that are set */
  lua_State *list[508];
  uint32_t unused, mask; /* all bits (cards.h) */
} rlua_Entered;
_Static_assert(sizeof(rlua_Entered) == 4096, "as src/cards.rs has it");
_Static_assert(sizeof(LX) > CARD_THREAD, "at most one thread begins in so many bytes");

#ifdef RLUA_ORACLE
#include "oracle.c"
#endif

#define rlua_entered(L) ((rlua_Entered *)((char *)(L)->cards - sizeof(rlua_Entered)))

/* Where a thread begins in its part of the region, plus 1: tells it from one that was there
 * before. */
static unsigned char card_name(const lua_State *L) {
  return (unsigned char)((uintptr_t)L % CARD_THREAD / 8 + 1);
}

__attribute__((cold, noinline))
static void rlua_card_enter(lua_State *L) {
  rlua_Entered *entered = rlua_entered(L);
  const uint32_t most = sizeof entered->list / sizeof *entered->list;
  *L->entered = card_name(L);
  if (L == G(L)->mainthread) return; /* suspect in any case */
  size_t at = (size_t)(entered->threads - L->entered);
  /* A signal handler may come in between with another thread (lua_sethook): no place may be lost,
   * since a thread that has its byte set is not noted again. */
  size_t highest = __atomic_load_n(&entered->highest, __ATOMIC_RELAXED);
  while (at > highest && !__atomic_compare_exchange_n(&entered->highest, &highest, at, 0,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  uint32_t place = __atomic_fetch_add(&entered->count, 1, __ATOMIC_RELAXED);
  if (place < most) {
    entered->list[place] = L;
  } else {
    entered->overflow = 1;
    __atomic_store_n(&entered->count, most, __ATOMIC_RELAXED);
  }
}

/* A thread of a state without cards is entered for good. */
static unsigned char always_entered = 1;
_Static_assert(offsetof(rlua_Own, no_card) == offsetof(rlua_Own, card_mask) + sizeof(uint32_t),
               "card_in_ finds one before the other");

static void card_thread(lua_State *L, _Bool *cards, int is_main) {
  L->cards = cards != NULL ? cards : &G(L)->own.no_card;
  if (L->cards == &G(L)->own.no_card) L->entered = &always_entered;
  else if (is_main) L->entered = &rlua_entered(L)->main;
  else L->entered = rlua_entered(L)->threads - (uint32_t)(uintptr_t)L / CARD_THREAD;
}

static void rlua_card_birth(lua_State *from, lua_State *L) {
  card_thread(L, from->cards, 0);
}

/* Its memory may be another thread's next. */
static void rlua_card_death(lua_State *L) {
  if (L->entered != &always_entered) *L->entered = 0;
}

static void suspect_thread(lua_State *L) {
  if (L->stack.p != NULL)
    card_range(L->stack.p, (size_t)(stacksize(L) + EXTRA_STACK) * sizeof(StackValue));
  for (const CallInfo *ci = L->base_ci.next; ci != NULL; ci = ci->next)
    card_range(ci, sizeof *ci);
}

/* Marks what is suspect of Lua. `main` is the main thread of an idle VM. The threads themselves are
 * opaque, for their extra space. */
void rlua_c_suspect(lua_State *main) {
  const rlua_Entered *entered = rlua_entered(main);
  card_range(fromstate(main), sizeof(LG));
  suspect_thread(main);
  if (entered->overflow) {
    uintptr_t base = (uintptr_t)main & ~(uintptr_t)UINT32_MAX;
    for (size_t at = 0; at <= entered->highest; at++) {
      unsigned int name = *(entered->threads - at);
      if (name == 0) continue;
      suspect_thread((lua_State *)(base + at * CARD_THREAD + (name - 1u) * 8));
    }
  } else {
    for (uint32_t at = 0; at < entered->count; at++) {
      lua_State *L = entered->list[at];
      /* A thread that died has left no name. */
      size_t part = (uint32_t)(uintptr_t)L / CARD_THREAD;
      if (*(entered->threads - part) == card_name(L)) suspect_thread(L);
    }
  }
#ifdef RLUA_ORACLE
  rlua_oracle_look(main);
#endif
}

/* A region comes or goes. */
static void rlua_card_table(const void *base, void *cards, size_t count) {
  *rlua_table_of(base) = (rlua_Table){cards, count};
#ifdef RLUA_ORACLE
  rlua_oracle_open(base, count);
#endif
}

/* The region goes. */
void rlua_c_forget_cards(const void *base) {
  rlua_card_table(base, NULL, 0);
}
