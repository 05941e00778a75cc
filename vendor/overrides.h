/* overrides.h: every macro of Lua that this build redefines, each with its reason.
 *
 * Lua's headers have include guards: once a header was read, its macros can be replaced before
 * the .c files that use them. So no Lua source is patched or copied. vendor/README.md lists the
 * same overrides for people who look for what differs from lua.org's Lua.
 */
#ifndef rlua_overrides_h
#define rlua_overrides_h

/* -- before Lua's own headers ------------------------------------------------------------- */

#include "luaconf.h"

/* One unit: internal functions become static, so that calls between files are direct. */
#undef LUAI_FUNC
#undef LUAI_DDEC
#undef LUAI_DDEF
#define LUAI_FUNC static
#define LUAI_DDEC(def) /* nothing: the definition comes first */
#define LUAI_DDEF static

/* The host's extra space stays the word before a lua_State; the four words before that are
 * ours (see rlua_Private). */
#undef LUA_EXTRASPACE
#define LUA_EXTRASPACE (5 * sizeof(void *))

/* The cache of API strings is indexed by the host's string addresses, so what it holds, and
 * with it the allocations, would differ between processes. One set has no index. */
#define STRCACHE_N 1
#define STRCACHE_M 2

#include "lua.h"
#include "lobject.h"
#include "lstate.h"

/* -- userdata ------------------------------------------------------------------------------ */

/* A block of userdata is aligned to 16 also behind user values: hosts keep vectors in it. */
#undef udatamemoffset
#define udatamemoffset(nuv) \
  ((nuv) == 0 ? offsetof(Udata0, bindata) \
              : (offsetof(Udata, uv) + sizeof(UValue) * (nuv) + 15) / 16 * 16)

/* -- entries into Lua --------------------------------------------------------------------- */

/* In the main thread's extra space, also in states of a host's own allocator. */
typedef struct rlua_Private {
  unsigned int depth; /* entries into Lua on the C stack, of any thread; zero means Idle (V1) */
  unsigned int sweep_divisor; /* of a step's work while sweeping; 1 is stock */
  Table *refs; /* the table of references, or NULL (host.c) */
  Table *sliced; /* the table that the collector marks in slices, or NULL (collector.c) */
  unsigned int unsliced; /* the slots of it that no slice marked yet */
  unsigned int rounds; /* of this cycle's mark phase that began */
} rlua_Private;

#define rlua_private(main) ((rlua_Private *)((char *)(main)-LUA_EXTRASPACE))
#define rlua_depth(L) (rlua_private(G(L)->mainthread)->depth)
#define rlua_refs(L) (rlua_private(G(L)->mainthread)->refs)

/* Every protected run is an entry. The depth is put back, not counted down: an error thrown to
 * the main thread's handler skips the runs between, which then never count down. */
#define LUAI_THROW(L, c) _longjmp((c)->b, 1)
#define LUAI_TRY(L, c, a) \
  { \
    unsigned int rlua_outer = rlua_depth(L)++; \
    if (_setjmp((c)->b) == 0) { a } \
    rlua_depth(L) = rlua_outer; \
  }
#define luai_jmpbuf jmp_buf

/* -- determinism -------------------------------------------------------------------------- */

/* The seed of string hashes comes from the config (shim.c), not from addresses and the clock. */
static unsigned int rlua_makeseed(lua_State *L);
#define luai_makeseed(L) rlua_makeseed(L)

/* So does the pivot of table.sort on arrays that partition badly (stock: clock and time). */
#define l_randomizePivot() (G(L)->seed)

/* -- speed --------------------------------------------------------------------------------- */

/* Numbers become text without printf where the result is the same (numbers.c). */
static int rlua_integer2str(char *text, lua_Integer n);
static int rlua_number2str(char *text, size_t size, lua_Number n);
#undef lua_integer2str
#undef lua_number2str
#define lua_integer2str(s, sz, n) ((void)(sz), rlua_integer2str((s), (n)))
#define lua_number2str(s, sz, n) rlua_number2str((s), (sz), (n))

#endif
