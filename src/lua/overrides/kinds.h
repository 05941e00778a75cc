/* kinds.h: every block says what it is.
 *
 * Lua tells the allocation function the tag of a new object, and 0 for everything else. The macros
 * that allocate the rest name the element's type; here they hand on its kind, with KIND_TAG added.
 * src/arena/kinds.rs keeps it. What C modules allocate through lua_getallocf has no kind: bytes of
 * a host.
 */
#ifndef rlua_kinds_h
#define rlua_kinds_h

#include "lmem.h"
#include "lparser.h"

/* As src/arena/kinds.rs numbers them. */
enum {
  KIND_OBJECT = 1, KIND_THREAD, KIND_HOST, KIND_BYTES, KIND_VALUES, KIND_NODES, KIND_STACK,
  KIND_CALLINFO, KIND_POINTERS, KIND_LOCALS, KIND_UPVALUES, KIND_OUTWARD
};
#define KIND_TAG 16

/* A type that is not here does not compile. What the parser alone uses is never alive while the VM
 * is idle. */
#define kind_of_type(t) \
  (KIND_TAG + _Generic((t *)0, TValue *: KIND_VALUES, Node *: KIND_NODES, \
                       StackValue *: KIND_STACK, CallInfo *: KIND_CALLINFO, \
                       TString **: KIND_POINTERS, Proto **: KIND_POINTERS, \
                       LocVar *: KIND_LOCALS, Upvaldesc *: KIND_UPVALUES, \
                       Instruction *: KIND_BYTES, ls_byte *: KIND_BYTES, \
                       AbsLineInfo *: KIND_BYTES, char *: KIND_BYTES, Vardesc *: KIND_BYTES, \
                       Labeldesc *: KIND_BYTES))

#undef luaM_new
#define luaM_new(L, t) cast(t *, luaM_malloc_(L, sizeof(t), kind_of_type(t)))
#undef luaM_newvector
#define luaM_newvector(L, n, t) cast(t *, luaM_malloc_(L, (n) * sizeof(t), kind_of_type(t)))

/* Blocks keep their kind when they get another size, so only those that begin with NULL differ. */
static void *rlua_realloc_kind(lua_State *L, void *block, size_t old_size, size_t size, int kind);
static void *rlua_grow_kind(lua_State *L, void *block, int count, int *size, int element, int limit,
                            const char *what, int kind);
#undef luaM_reallocvector
#define luaM_reallocvector(L, v, old, n, t) \
  cast(t *, rlua_realloc_kind(L, v, cast_sizet(old) * sizeof(t), cast_sizet(n) * sizeof(t), \
                              kind_of_type(t)))
#undef luaM_growvector
#define luaM_growvector(L, v, count, size, t, limit, what) \
  ((v) = cast(t *, rlua_grow_kind(L, v, count, &(size), sizeof(t), luaM_limitN(limit, t), what, \
                                  kind_of_type(t))))

/* Userdata whose bytes hold pointers into the VM, and those that were guarded and have ended
 * (canon.c) say so in four bytes of padding, which are zero in others, or the place of a guarded
 * one (guarded.c). The numbers are in images. */
#define NATIVE_OFFSET (offsetof(Udata, nuvalue) + sizeof(unsigned short))
_Static_assert(NATIVE_OFFSET + sizeof(uint32_t) <= offsetof(Udata, len), "padding of 4 bytes");
enum { NATIVE_GMATCH = 1, NATIVE_BOX, NATIVE_ENDED };
static void *rlua_new_native(lua_State *L, size_t size, uint32_t native);

#endif
