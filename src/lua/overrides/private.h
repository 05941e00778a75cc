/* private.h: what the library keeps in the arena for each VM, beside Lua's own: `G(L)->own`, at the
 * end of the global state.
 *
 * In states of a host's own allocator it is zero but for what the collector needs. An extra space
 * of the threads would do too, but every coroutine would pay for it.
 */
#ifndef rlua_private_h
#define rlua_private_h

#include <stdint.h>

#include "lobject.h"

typedef struct rlua_Pointer rlua_Pointer;

typedef struct rlua_Own {
  unsigned int depth; /* entries into Lua on the C stack, of any thread; zero means Idle (V1) */
  unsigned short sweep_divisor; /* of a step's work while sweeping; 1 is stock (collector.c) */
  unsigned char rounds : 7;     /* of this cycle's mark phase that began (collector.c) */
  unsigned char guards : 1; /* the table outside notes userdata with finalizers in C (guarded.c) */
  unsigned char in_arena : 1; /* in a VM of ours, whatever its allocation function is now */
  unsigned char marks_guarded : 1; /* which of them are such (guarded.c) */
  unsigned int sliced;   /* low bits of the table that is marked in slices, or 0 (collector.c) */
  unsigned int unsliced; /* the slots of it that no slice marked yet */
  Table *refs;  /* the table of references, or NULL (references.c); a root of the collector */
  Table *types; /* metatables of resources by name, or NULL (resources.c); a root too */
  unsigned char deterministic; /* 1 in the deterministic profile, 0 in the stock one */
  unsigned char new_flags;     /* of a new table (keys.h) */
  unsigned int next_place;     /* where the last answer of `next` stood in its table (next.c) */
  unsigned int nanoseconds;    /* of the clock that scripts read (clock.c) */
  unsigned int named; /* a hash of the names that pointers were given, in their order (names.c) */
  int64_t seconds;
  uint64_t draws; /* what randomseed() without arguments draws from; at first the seed (clock.c) */
  uint64_t region_bytes;       /* of the addresses that are the VM's; 0 in other states */
  rlua_Pointer *pointers;      /* pointers that lead out of the VM, in the order in which they
                                  came, and an index of them; or NULL (keys.c) */
  unsigned int pointer_count;
  unsigned int pointer_capacity;
  uint64_t host_fp; /* the host's floating-point control word while Lua has its own (fpenv.h) */
  unsigned int card_mask; /* 0; before `no_card`, as a VM's mask is before its cards (cards.h) */
  _Bool no_card;          /* all marks of a state that has no cards */
  unsigned char budgeted;      /* 1 while the host has set a budget (budget.c) */
  int64_t fuel; /* units left; below 0 they are used up. Counted without a budget too (budget.h) */
} rlua_Own;

/* The last member of global_State, which nothing else in that header names. */
#define ud_warn ud_warn; rlua_Own own
#include "lstate.h"
#undef ud_warn

#define rlua_depth(L) (G(L)->own.depth)
#define rlua_deterministic(L) (G(L)->own.deterministic)

#endif
