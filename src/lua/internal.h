/* internal.h: what C and Rust know of each other.
 *
 * bindings.rs says the same in Rust; tests/bindings.rs compares the two: functions, their
 * parameters, structs, constants. So a declaration is one line, or goes on in lines that begin
 * with blanks, and types are those that the test knows.
 *
 * Not here: the public functions (calls.h), and what only C shares (overrides/private.h).
 */
#ifndef rlua_internal_h
#define rlua_internal_h

#include <stddef.h>
#include <stdint.h>

#include "lua.h"

#include "calls.h"
#include "objects.h"

#include "overrides/platform.h"

/* -- constants ------------------------------------------------------------------------------- */

/* The library's answers that C gives by itself; rlua_Status in the header. */
#define STATUS_OK 0
#define STATUS_NULL_ARG 1
#define STATUS_NOT_ROLLBACK 2

/* Below every status of Lua: what rlua_c_ref and rlua_c_pushresource answer before they do
 * anything. No value on the stack; no room on it. */
#define REFUSED_ARGUMENT (-1)
#define REFUSED_STACK (-2)

/* What rlua_c_check answers. */
#define CHECK_OK 0
#define CHECK_CORRUPT 1
#define CHECK_NO_MEMORY 2

/* Bytes that a sentence of rlua_c_check can take, the zero at its end included. */
#define CHECK_ROOM 160

/* What the guard says to a userdata with a finalizer in C: it is noted; none may be made (REFUSE);
 * no more may be made before a rollback; no memory to note it. */
#define GUARD_YES 0
#define GUARD_REFUSED 1
#define GUARD_TOO_MANY 2
#define GUARD_NO_MEMORY 3

/* What the end of something outside means for now: a snapshot has it still; nothing has it, so the
 * asker ends it; it has ended before. */
#define END_LATER 0
#define END_NOW 1
#define END_PAST 2

/* What rlua_c_register answers: done; the name is none; the pointer needs none; it has another
 * name; another has the name; no memory. */
#define REGISTER_OK 0
#define REGISTER_BAD_NAME 1
#define REGISTER_BAD_POINTER 2
#define REGISTER_NAMED 3
#define REGISTER_TAKEN 4
#define REGISTER_NO_MEMORY 5

/* What a handle of the io library stands for. */
#define STREAM_FILE 1
#define STREAM_PIPE 2

_Static_assert(LUA_OK == STATUS_OK, "a status that is good is good in both");
_Static_assert(REFUSED_ARGUMENT < LUA_OK && REFUSED_STACK < LUA_OK, "no status of Lua is negative");

/* -- hooks: the ways from C into Rust -------------------------------------------------------- */

/* What a protected call holds of its VM: the word to clear when it ends, or NULL where an outer
 * call on this OS thread holds the VM. */
typedef struct rlua_Hold {
  _Atomic(size_t) *word;
} rlua_Hold;

/* Statuses are the library's. Those that answer one have noted the sentence that goes with it. */
typedef struct rlua_Hooks {
  /* The arena's allocation function; its `ud` is the arena. */
  lua_Alloc allocate;
  /* The same for a host, which Lua never calls. */
  lua_Alloc allocate_for_host;
  /* Takes the VM of L for this OS thread; STATUS_OK, or a status and nothing is held. */
  int (*enter)(lua_State *L, rlua_Hold *hold);
  /* The same, from whoever holds it: for rlua_recover. */
  int (*seize)(lua_State *L, rlua_Hold *hold);
  /* Whether both are threads of one live VM. */
  int (*same)(lua_State *L, lua_State *other);
  /* NULL_ARG: the argument of that name is NULL. */
  int (*null)(lua_State *L, const char *function, const char *argument);
  /* BAD_ARG, and why. */
  int (*refuse)(lua_State *L, const char *function, const char *why);
  /* NO_MEMORY: the Lua stack cannot grow. */
  int (*full)(lua_State *L, const char *function);
  /* The status that goes with Lua's, whose error value is on top; of LUA_YIELD too. */
  int (*failed)(lua_State *L, const char *function, int status);
  /* A handle of a resource was collected or closed. */
  void (*collected)(lua_State *L, void *handle, uint64_t id);
  /* A userdata gets a finalizer in C: its size; GUARD_YES, and where it is noted, or why not. */
  int (*guard)(lua_State *L, void *object, uint32_t bytes, uint32_t *place);
  /* The collector gives up a guarded userdata: END_NOW, END_LATER or END_PAST. */
  int (*given_up)(lua_State *L, void *object, uint32_t place);
  /* The next userdata that is kept for a snapshot alone, or NULL; `cursor` begins at 0. */
  void *(*kept)(lua_State *main, uint64_t *cursor);
  /* The io library opened something: 0 when there is no memory to note it. */
  int (*opened)(lua_State *L, void *handle, void *object, int kind, uint64_t *id);
  /* The state has closed it: END_NOW, END_LATER or END_PAST. */
  int (*closed)(lua_State *L, void *handle, uint64_t id);
  /* os.exit closes the VM: called before the finalizers (0) and after them (1). */
  void (*exiting)(lua_State *main, int finalized);
  /* A finite float as d.ddde-x or ddd.ddd with so many digits behind the point; the length. */
  size_t (*scientific)(double value, int precision, char *text, size_t room);
  size_t (*fixed)(double value, int precision, char *text, size_t room);
  /* The float nearest to a numeral of the form ddde-x. */
  double (*nearest)(const char *numeral, size_t length);
} rlua_Hooks;

RLUA_INTERNAL void rlua_c_set_hooks(const rlua_Hooks *hooks);

/* -- life.c ---------------------------------------------------------------------------------- */

/* What a config says of a state before it runs. */
typedef struct rlua_Birth {
  uint64_t seed;
  uint64_t region_bytes;
  uint32_t string_seed;
  int deterministic;
} rlua_Birth;

RLUA_INTERNAL lua_State *rlua_c_open(void *arena, const rlua_Birth *birth, void *cards,
                                     size_t count, const void *base);
RLUA_INTERNAL void rlua_c_suspect(lua_State *main);
RLUA_INTERNAL void rlua_c_forget_cards(const void *base);
RLUA_INTERNAL void rlua_c_pace(lua_State *main, int pause, int step_multiplier, int step_size,
                               uint32_t sweep_divisor);
RLUA_INTERNAL int rlua_c_is_idle(lua_State *main);
RLUA_INTERNAL int rlua_c_is_deterministic(lua_State *main);
RLUA_INTERNAL void rlua_c_finalize(lua_State *main);
RLUA_INTERNAL void rlua_c_close_stock(lua_State *L);

/* -- mathfn.c -------------------------------------------------------------------------------- */

RLUA_INTERNAL int rlua_c_math(int copy, int function, double x, double y, double *result);
RLUA_INTERNAL double rlua_c_fma(double a, double b, double c);

/* -- calls.c --------------------------------------------------------------------------------- */

RLUA_INTERNAL const char *rlua_c_error_text(lua_State *L, size_t *length);

/* -- clock.c --------------------------------------------------------------------------------- */

RLUA_INTERNAL void rlua_c_set_time(lua_State *L, int64_t seconds, uint32_t nanoseconds);

/* -- names.c --------------------------------------------------------------------------------- */

RLUA_INTERNAL int rlua_c_register(lua_State *L, const char *name, const void *address,
                                  int is_function);

/* -- recover.c ------------------------------------------------------------------------------- */

RLUA_INTERNAL void rlua_c_recover(lua_State *main);

/* -- walk.c, check.c ------------------------------------------------------------------------- */

/* Bytes of the live block that starts at an address, or 0 when none does; its kind, unless `kind`
 * is NULL. */
typedef size_t (*rlua_BlockBytes)(void *ud, const void *address, uint32_t *kind);

RLUA_INTERNAL int rlua_c_check(lua_State *main, size_t used_bytes, rlua_BlockBytes block_bytes,
                               void *ud, char *why);

/* -- canon.c --------------------------------------------------------------------------------- */

/* What a name in an image stands for. */
enum { NAME_FUNCTION = 1, NAME_POINTER, NAME_HOST };

/* A name in an image, and what it stands for in this process. */
typedef struct rlua_Outward {
  const void *address;
  const void *ud;
  uint64_t word;
  uint64_t kind; /* NAME_... */
} rlua_Outward;

RLUA_INTERNAL uint64_t rlua_c_name_word(uint32_t kind, const char *name, size_t length);
RLUA_INTERNAL const void *rlua_c_library_function(uint64_t word);
RLUA_INTERNAL void *rlua_c_canon_begin(const void *from, uint64_t base, size_t main,
                                       int mode, uint64_t to);
RLUA_INTERNAL const char *rlua_c_canon_run(void *canon, size_t offset, size_t bytes, uint32_t kind,
                                           size_t from, size_t end, char *out);
RLUA_INTERNAL const char *rlua_c_canon_slab(void *canon, size_t at, size_t from, size_t end,
                                            char *out);
RLUA_INTERNAL uint32_t rlua_c_canon_named(const void *canon);
RLUA_INTERNAL const char *rlua_c_canon_names(const void *canon, size_t *bytes, uint32_t *count);
RLUA_INTERNAL uint32_t rlua_c_canon_names_met(const void *canon);
RLUA_INTERNAL int rlua_c_canon_known(const void *canon, rlua_Outward *known);
RLUA_INTERNAL void rlua_c_canon_end(void *canon);
/* A part of a region. */
typedef void (*rlua_Part)(void *ud, size_t offset, size_t bytes);
/* What a userdata in a state stands for: a resource by its id, or something of a C module by the
 * place where that is noted, and the name of its metatable. NULL, or why it cannot be saved. */
typedef struct rlua_Met {
  const char *kind; /* the name, without a zero; NULL for none */
  size_t kind_length;
  size_t offset; /* of the userdata */
  size_t memory; /* of what the host has of it, in bytes from the userdata on */
  size_t size;   /* of that */
  uint64_t id;   /* of a resource, or a place */
  uint32_t is_resource;
  uint32_t is_pending; /* it has a finalizer that was not called */
  uint64_t has_finalizer; /* in C */
} rlua_Met;
typedef const char *(*rlua_Meet)(void *ud, const rlua_Met *met);
RLUA_INTERNAL void rlua_c_canon_meet(void *canon, rlua_Meet meet, void *ud);
RLUA_INTERNAL void rlua_c_canon_thread_parts(const void *canon, size_t thread, rlua_Part found,
                                             void *ud);
/* Bytes of a path through the state, the zero at its end included. */
#define PATH_ROOM 96

RLUA_INTERNAL size_t rlua_c_canon_path(const void *canon, char *text);

/* -- load.c ---------------------------------------------------------------------------------- */

RLUA_INTERNAL void *rlua_c_load_begin(void *base, size_t used, size_t main,
                                      void *cards, size_t count,
                                      const rlua_Outward *names, uint32_t name_count,
                                      rlua_BlockBytes block_bytes, void *ud);
RLUA_INTERNAL const char *rlua_c_load_block(void *loader, size_t offset, size_t bytes,
                                            uint32_t kind, int opaque);
RLUA_INTERNAL uint32_t rlua_c_element_bytes(uint32_t kind);
RLUA_INTERNAL size_t rlua_c_stack_of(const void *block);
RLUA_INTERNAL const char *rlua_c_load_finish(void *loader);
RLUA_INTERNAL void rlua_c_load_end(void *loader);
RLUA_INTERNAL lua_State *rlua_c_adopt(void *block, void *arena, uint64_t region_bytes,
                                      const void *before);
RLUA_INTERNAL void rlua_c_set_cards(const void *base, void *cards, size_t count, size_t used);
RLUA_INTERNAL void rlua_c_set_thread_cards(void *block, void *cards, int is_main);

/* -- load_objects.c -------------------------------------------------------------------------- */

/* What a userdata stands for (docs/FORMAT.md). */
enum { OBJECT_RESOURCE = 1, OBJECT_USERDATA, OBJECT_GIVEN_UP, OBJECT_ENDED };

RLUA_INTERNAL const char *rlua_c_claim(lua_State *main, void *block, size_t bytes,
                                       const char *kind, int what, void **memory,
                                       size_t *size);
RLUA_INTERNAL int rlua_c_has_unclaimed(lua_State *main);
RLUA_INTERNAL void *rlua_c_handle_block(void *handle);
RLUA_INTERNAL void rlua_c_take_resource(lua_State *main, void *handle);
RLUA_INTERNAL void rlua_c_give_resource(lua_State *main, void *memory, uint64_t id);
RLUA_INTERNAL void rlua_c_meet_guarded(lua_State *main, void *object, rlua_Met *met);
RLUA_INTERNAL const char *rlua_c_guard_again(lua_State *main, void *block, size_t bytes,
                                             const rlua_Met *was);
RLUA_INTERNAL uint32_t rlua_c_guarded_bytes(const void *object);
RLUA_INTERNAL void rlua_c_place_guarded(lua_State *main, void *object, uint32_t place);
RLUA_INTERNAL void rlua_c_take_guarded(lua_State *main, void *object);

/* -- diff.c ---------------------------------------------------------------------------------- */

/* Kinds of differences: rlua_DiffKind in the header. */
#define DIFF_VALUE 1
#define DIFF_TYPE 2
#define DIFF_MISSING 3
#define DIFF_METATABLE 4
#define DIFF_ORDER 5
#define DIFF_IDENTITY 6
#define DIFF_FUNCTION 7
#define DIFF_COROUTINE 8
#define DIFF_BYTES 9
#define DIFF_WEAK 10
#define DIFF_RANDOM 11
#define DIFF_CLOCK 12
#define DIFF_BUDGET 13

RLUA_INTERNAL void *rlua_c_diff(lua_State *a, lua_State *b, size_t most);
RLUA_INTERNAL int rlua_c_diff_block(void *diff, size_t offset, size_t a_bytes, size_t b_bytes);
RLUA_INTERNAL int rlua_c_diff_found(const void *diff, size_t index, const char **path,
                                    const char **a, const char **b);
RLUA_INTERNAL int rlua_c_diff_failed(const void *diff);
RLUA_INTERNAL void rlua_c_diff_end(void *diff);

/* -- memory.c -------------------------------------------------------------------------------- */

RLUA_INTERNAL void *rlua_c_alloc(lua_State *L, size_t size);
RLUA_INTERNAL int rlua_c_is_block(void *memory);
RLUA_INTERNAL void *rlua_c_realloc(lua_State *L, void *memory, size_t size);
RLUA_INTERNAL void rlua_c_free(lua_State *L, void *memory);

/* -- references.c ---------------------------------------------------------------------------- */

RLUA_INTERNAL int rlua_c_ref(lua_State *L, uint32_t serial, uint64_t *reference);
RLUA_INTERNAL int rlua_c_getref(lua_State *L, uint64_t reference);
RLUA_INTERNAL int rlua_c_unref(lua_State *L, uint64_t reference);

/* -- resources.c ----------------------------------------------------------------------------- */

/* As rlua_Method in the header. */
typedef struct Method {
  const char *name;
  rlua_HostFunction function;
} Method;

RLUA_INTERNAL int rlua_c_was_of_type(lua_State *L, int index, const char *name);
RLUA_INTERNAL void rlua_c_forget_resource(lua_State *L, void *handle);
RLUA_INTERNAL void *rlua_c_handle(lua_State *L, int index, uint64_t *id);
RLUA_INTERNAL int rlua_c_pushresource(lua_State *L, const char *name, const Method *methods,
                                      void *ud, uint64_t id, void **handle);

/* -- guarded.c ------------------------------------------------------------------------------- */

RLUA_INTERNAL void rlua_c_end_guarded(lua_State *main, void *object);
typedef int (*rlua_Note)(void *vm, void *object, uint32_t bytes, uint32_t *place);
RLUA_INTERNAL int rlua_c_turn_guard(lua_State *main, int marks, rlua_Note note, void *vm);
RLUA_INTERNAL size_t rlua_c_save_guarded(lua_State *main, void *object, void *copy);
RLUA_INTERNAL size_t rlua_c_put_back_guarded(void *object, const void *copy, uint32_t ended_at);
RLUA_INTERNAL int rlua_c_is_guarded_object(const void *object, uint32_t bytes);

/* -- files.c --------------------------------------------------------------------------------- */

RLUA_INTERNAL void rlua_c_close_stream(void *object, int kind);

#endif
