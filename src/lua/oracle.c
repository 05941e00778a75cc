/* oracle.c: sees every store of the unit, and that its line is marked at the end of the interval.
 *
 * In a build with RLUA_ORACLE alone (build.rs; `make -C c-tests nets`). The compiler calls the
 * functions below before each store, as it does for AddressSanitizer in a kernel; each line keeps
 * the place of the last store to it. At a capture or restore every line that was stored to has to
 * be marked, whether its bytes changed or not: what a test does with other values is seen too.
 *
 * Not seen: stores of the C library (memcpy), of Rust, and of hosts. The whole region is compared
 * for those (RLUA_TRACKER=checked).
 *
 * RLUA_MUTANT=n leaves the mark of that number out; RLUA_MARKS=file lists there which marks a
 * program makes. Whoever leaves out each of them sees that the nets are on (c-tests/mutants.py).
 */
#include <dlfcn.h>
#include <stdlib.h>

#define UNSEEN __attribute__((no_sanitize("kernel-address"), used))
#define SEES __attribute__((visibility("hidden")))

static int rlua_mutant = -2;

/* Marks that were made: file and line. */
static struct { const char *file; int line; } rlua_made[1000];

UNSEEN static void rlua_oracle_list(void) {
  FILE *list = fopen(getenv("RLUA_MARKS"), "a");
  for (int number = 0; list != NULL && number < 1000; number++)
    if (rlua_made[number].file != NULL)
      fprintf(list, "%d %s:%d\n", number, rlua_made[number].file, rlua_made[number].line);
  if (list != NULL) fclose(list);
}

UNSEEN static int rlua_oracle_marks(int number, const char *file, int line) {
  if (rlua_mutant == -2) {
    const char *text = getenv("RLUA_MUTANT");
    rlua_mutant = text != NULL ? atoi(text) : -1;
    if (getenv("RLUA_MARKS") != NULL) atexit(rlua_oracle_list);
  }
  if (number < 1000) {
    rlua_made[number].file = file;
    rlua_made[number].line = line;
  }
  return number != rlua_mutant;
}

/* The place of the last store to each line, for each region. */
static const void **rlua_stores[CARD_REGIONS];
static size_t rlua_store_count[CARD_REGIONS]; /* beyond the last such line */

UNSEEN static void rlua_stored(uintptr_t address, size_t size, const void *place) {
  const rlua_Table *table = rlua_table_of(address);
  size_t region = address >> 32 & (CARD_REGIONS - 1);
  size_t first = (uint32_t)address / CARD_LINE, last = ((uint32_t)address + size - 1) / CARD_LINE;
  if (last >= table->count || rlua_stores[region] == NULL) return;
  rlua_stores[region][first] = rlua_stores[region][last] = place;
  if (last >= rlua_store_count[region]) rlua_store_count[region] = last + 1;
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
  size_t region = (uintptr_t)base >> 32 & (CARD_REGIONS - 1);
  free(rlua_stores[region]);
  rlua_stores[region] = count != 0 ? calloc(count, sizeof(void *)) : NULL;
  rlua_store_count[region] = 0;
}

/* After the suspects are marked: a store without a mark ends the process. */
UNSEEN static void rlua_oracle_look(const lua_State *main) {
  size_t region = (uintptr_t)main >> 32 & (CARD_REGIONS - 1);
  const void **stores = rlua_stores[region];
  int missed = 0;
  if (stores == NULL) return;
  for (size_t line = 0; line < rlua_store_count[region]; line++) {
    if (stores[line] != NULL && !main->cards[line] && !main->cards[line + 1]) {
      Dl_info info = {0};
      dladdr(stores[line], &info);
      fprintf(stderr, "librlua: C1: a store to the line at %#zx was not marked: %s+%#zx\n",
              line * CARD_LINE, info.dli_fname != NULL ? info.dli_fname : "?",
              (size_t)stores[line] - (size_t)info.dli_fbase - 1);
      missed = 1;
    }
    stores[line] = NULL;
  }
  rlua_store_count[region] = 0;
  if (missed) abort();
}
