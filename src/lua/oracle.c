/* oracle.c: sees every store of the unit, and that it was announced by the end of the interval.
 *
 * In a build with RLUA_ORACLE alone (build.rs; `make -C c-tests nets`). The compiler calls the
 * functions below before each store, as it does for AddressSanitizer in a kernel; macros do so for
 * memcpy and its like (overrides/cards.h). At a capture or restore each store must have been
 * announced, whether its bytes changed or not: what a test does with other values is seen too.
 *
 * Announced are, by granules of 8 bytes,
 * - what a mark was made for: not its whole line;
 * - the blocks that the arena handed out, resized or freed, whose lines must be marked then (C2);
 * - suspects (C3),
 * - what the library wrote before a state was there, where it is marked as a whole.
 * Opaque memory needs nothing.
 *
 * Not seen: stores of Rust and of hosts. The whole region is compared for those
 * (RLUA_TRACKER=checked).
 *
 * RLUA_MUTANT=n leaves the mark of that number out; RLUA_MARKS=file lists there which marks a
 * program makes. Whoever leaves out each of them sees that the nets are on
 * (c-tests/nets/mutants.py).
 * RLUA_LOOKS=file gets a byte for each capture or restore that was looked at.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNSEEN __attribute__((no_sanitize("kernel-address"), used))
#define SEES __attribute__((visibility("hidden")))

static long rlua_mutant = -2;

/* All marks of the sources: the linker's names for what card_mark put there. */
extern rlua_Mark __start_rlua_marks[] __attribute__((visibility("hidden")));
extern rlua_Mark __stop_rlua_marks[] __attribute__((visibility("hidden")));

UNSEEN static void rlua_oracle_list(void) {
  FILE *list = fopen(getenv("RLUA_MARKS"), "a");
  if (list == NULL) return;
  for (const rlua_Mark *mark = __start_rlua_marks; mark < __stop_rlua_marks; mark++)
    fprintf(list, "%ld %ld %s:%ld\n", (long)(mark - __start_rlua_marks), mark->made, mark->file,
            mark->line);
  fclose(list);
}

UNSEEN static int rlua_oracle_marks(rlua_Mark *mark) {
  if (rlua_mutant == -2) {
    const char *text = getenv("RLUA_MUTANT");
    rlua_mutant = text != NULL ? atol(text) : -1;
    if (getenv("RLUA_MARKS") != NULL) atexit(rlua_oracle_list);
  }
  mark->made = 1;
  return mark - __start_rlua_marks != rlua_mutant;
}

/* A region, while it is there. Outside of the heap: a signal handler may store, too. */
typedef struct rlua_Watch {
  const char *base;
  size_t granules;
  const void **places; /* of the last store to each granule, before it was announced */
  uint32_t *announced; /* the interval in which it was */
  uint32_t *list;      /* granules that have a place */
  size_t listed;
  uint32_t interval;
} rlua_Watch;

#define GRANULE 8
#define WATCH_BYTES (sizeof(void *) + 2 * sizeof(uint32_t))
static rlua_Watch rlua_watches[CARD_REGIONS];
#define watch_of(address) (&rlua_watches[(uintptr_t)(address) >> 32 & (CARD_REGIONS - 1)])

#define each_granule(watch, address, size) \
  for (size_t at = (uint32_t)(address) / GRANULE, \
              end = ((size_t)(uint32_t)(address) + (size) + GRANULE - 1) / GRANULE; \
       at < end && at < (watch)->granules; at++)

/* The arena's map says of each unit whether it is opaque (src/arena/layout.rs). */
UNSEEN static int rlua_is_opaque(const rlua_Watch *watch, size_t granule) {
  const ArenaHeader *header = (const ArenaHeader *)watch->base;
  size_t unit = granule * GRANULE / ARENA_UNIT;
  return unit < header->map_units &&
         ((const unsigned char *)header)[header->map + unit] & ARENA_OPAQUE;
}

UNSEEN static void rlua_missed(size_t granule, const char *what, const void *place) {
  Dl_info info = {0};
  dladdr(place, &info);
  fprintf(stderr, "librlua: C1: %s at %#zx: %s+%#zx\n", what, granule * GRANULE,
          info.dli_fname != NULL ? info.dli_fname : "?",
          (size_t)place - (size_t)info.dli_fbase - 1);
}

/* As Marks::is_entered has it. Where no thread was, a capture takes Lua for untouched. */
UNSEEN static int rlua_is_entered(const rlua_Watch *watch) {
  const rlua_Entered *entered =
      (const void *)((char *)rlua_table_of(watch->base)->cards - sizeof(rlua_Entered));
  return entered->count > 0 || entered->main != 0;
}

UNSEEN static void rlua_stored(uintptr_t address, size_t size, const void *place) {
  rlua_Watch *watch = watch_of(address);
  each_granule(watch, address, size) {
    if (!rlua_is_entered(watch)) {
      if (rlua_is_opaque(watch, at)) continue;
      rlua_missed(at, "C3: a store in a VM that nobody has entered", place);
      abort();
    }
    if (watch->announced[at] == watch->interval) continue;
    if (watch->places[at] == NULL) watch->list[watch->listed++] = (uint32_t)at;
    watch->places[at] = place;
  }
}

UNSEEN static void rlua_announce(const void *start, size_t size) {
  rlua_Watch *watch = watch_of(start);
  each_granule(watch, (uintptr_t)start, size) watch->announced[at] = watch->interval;
}

__attribute__((noinline)) UNSEEN static void rlua_store(void *start, size_t size) {
  rlua_stored((uintptr_t)start, size, __builtin_return_address(0));
}

#define STORE(size) \
  SEES void __asan_store##size##_noabort(void *address); \
  UNSEEN void __asan_store##size##_noabort(void *address) { \
    rlua_stored((uintptr_t)address, size, __builtin_return_address(0)); \
  }
STORE(1) STORE(2) STORE(4) STORE(8) STORE(16)
#undef STORE
SEES void __asan_storeN_noabort(void *address, long size);
UNSEEN void __asan_storeN_noabort(void *address, long size) {
  if (size > 0) rlua_stored((uintptr_t)address, (size_t)size, __builtin_return_address(0));
}
SEES void __asan_handle_no_return(void);
UNSEEN void __asan_handle_no_return(void) {}

/* A region begins or ends. */
UNSEEN static void rlua_oracle_open(const void *base, size_t count) {
  rlua_Watch *watch = watch_of(base);
  if (watch->places != NULL) munmap(watch->places, watch->granules * WATCH_BYTES);
  *watch = (rlua_Watch){0};
  if (count == 0) return;
  size_t granules = count * (CARD_LINE / GRANULE);
  void *memory = mmap(NULL, granules * WATCH_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) abort();
  uint32_t *announced = (uint32_t *)((const void **)memory + granules);
  *watch = (rlua_Watch){base, granules, memory, announced, announced + granules, 0, 1};
}

/* Whether the line or the one after it is marked. */
UNSEEN static int rlua_is_marked(const rlua_Watch *watch, size_t granule) {
  const _Bool *card = &rlua_table_of(watch->base)->cards[granule / (CARD_LINE / GRANULE)];
  return card[0] || card[1];
}

/* What the library has marked of a region that it wrote to as a whole: an image, a delta, a clone.
 * Who writes there afterwards, in the same interval, writes to marked lines. */
UNSEEN static void rlua_oracle_take(const void *base, size_t used) {
  rlua_Watch *watch = watch_of(base);
  for (size_t at = 0; at < used / GRANULE; at++)
    if (rlua_table_of(base)->cards[at / (CARD_LINE / GRANULE)])
      watch->announced[at] = watch->interval;
}

/* -- the arena's allocation functions ---------------------------------------------------------- */

static lua_Alloc rlua_seen_alloc, rlua_seen_host_alloc;

UNSEEN static void rlua_seen_block(const void *block, size_t size) {
  rlua_Watch *watch = watch_of(block);
  if (block == NULL) return;
  each_granule(watch, (uintptr_t)block, size) {
    watch->announced[at] = watch->interval;
    if (rlua_is_marked(watch, at) || rlua_is_opaque(watch, at)) continue;
    rlua_missed(at, "C2: an unmarked block", __builtin_return_address(0));
    abort();
  }
}

/* What fails has changed nothing. */
UNSEEN static void *rlua_oracle_alloc(void *ud, void *block, size_t old, size_t size) {
  void *made = rlua_seen_alloc(ud, block, old, size);
  if (made != NULL || size == 0) rlua_seen_block(block, old);
  rlua_seen_block(made, size);
  return made;
}

/* A host may call it for Lua (lua_setallocf), or with any old size. */
UNSEEN static void *rlua_oracle_host_alloc(void *ud, void *block, size_t old, size_t size) {
  void *made = rlua_seen_host_alloc(ud, block, old, size);
  if (block != NULL && (made != NULL || size == 0)) rlua_announce(block, old);
  rlua_seen_block(made, size);
  return made;
}

/* C's own way (blocks.c) marks by itself, and is seen like any other code. */
UNSEEN static void rlua_see_allocation(void) {
  rlua_seen_alloc = hooks.allocate;
  rlua_seen_host_alloc = hooks.allocate_for_host;
  hooks.allocate = rlua_oracle_alloc;
  hooks.allocate_for_host = rlua_oracle_host_alloc;
}

/* -- looks ------------------------------------------------------------------------------------- */

static int rlua_looks = -1;

/* Early, since programs count their descriptors. */
__attribute__((constructor)) UNSEEN static void rlua_count_looks(void) {
  const char *name = getenv("RLUA_LOOKS");
  if (name != NULL) rlua_looks = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* After the suspects are marked: a store without a mark ends the process. */
UNSEEN static void rlua_oracle_look(const lua_State *main) {
  rlua_Watch *watch = watch_of(main);
  int missed = 0;
  if (rlua_looks >= 0 && write(rlua_looks, ".", 1) != 1) abort();
  for (size_t listed = 0; listed < watch->listed; listed++) {
    size_t at = watch->list[listed];
    int announced = watch->announced[at] == watch->interval ||
                    at < ARENA_HEADER_BYTES / GRANULE; /* which Rust marks (C3) */
    /* Opaque memory may be watched instead of marked. */
    if (!rlua_is_opaque(watch, at) && (!announced || !rlua_is_marked(watch, at))) {
      if (missed++ < 8) rlua_missed(at, "a store without a mark", watch->places[at]);
    }
    watch->places[at] = NULL;
  }
  watch->listed = 0;
  watch->interval++;
  if (missed) abort();
}
