/* private.h: what the library keeps in the arena for each VM: four words beside the main thread.
 *
 * The host's extra space stays the word before a lua_State; ours are the four words before that,
 * in states of a host's own allocator too. Other threads have the room, and it is zero there.
 */
#ifndef rlua_private_h
#define rlua_private_h

#include <string.h>

#include "luaconf.h"

/* Before lua.h. */
#undef LUA_EXTRASPACE
#define LUA_EXTRASPACE (5 * sizeof(void *))

/* lua_newthread copies the main thread's extra space: only the host's word is meant. Before
 * llimits.h. */
#define luai_userstatethread(L, L1) \
  ((void)(L), (void)memset((char *)(L1)-LUA_EXTRASPACE, 0, sizeof(rlua_Private)))

#include "lua.h"
#include "lobject.h"
#include "lstate.h"

typedef struct rlua_Private {
  unsigned int depth; /* entries into Lua on the C stack, of any thread; zero means Idle (V1) */
  unsigned short sweep_divisor; /* of a step's work while sweeping; 1 is stock (collector.c) */
  unsigned char rounds;         /* of this cycle's mark phase that began (collector.c) */
  unsigned char in_arena;       /* 1 in a VM of ours, whatever its allocation function is now */
  unsigned int sliced;   /* low bits of the table that is marked in slices, or 0 (collector.c) */
  unsigned int unsliced; /* the slots of it that no slice marked yet */
  Table *refs;  /* the table of references, or NULL (references.c); a root of the collector */
  Table *types; /* metatables of resources by name, or NULL (resources.c); a root too */
} rlua_Private;

_Static_assert(sizeof(rlua_Private) + sizeof(void *) == LUA_EXTRASPACE,
               "the word before a lua_State is the host's");

#define rlua_private(main) ((rlua_Private *)((char *)(main)-LUA_EXTRASPACE))
#define rlua_depth(L) (rlua_private(G(L)->mainthread)->depth)

#endif
