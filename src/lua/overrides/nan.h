/* nan.h: in the deterministic profile every NaN that leaves the VM is the same one.
 *
 * Sign and payload of a NaN depend on the CPU and on the compiler (0/0 is negative on x86-64,
 * positive on AArch64). Inside, nothing can tell them apart; so they are made the same where they
 * become text or are given to C: lua_tonumberx, which every library asks (string.pack and
 * string.format too), lua_pushnumber, and conversions to strings; and in the canonical form
 * (canon.c), which images and checksums are made of. Between lobject.c, lapi.c.
 */
#ifndef rlua_nan_h
#define rlua_nan_h

#include "private.h"

#define RLUA_NAN ((uint64_t)0x7ff8 << 48)
#define RLUA_INFINITE ((uint64_t)0x7ff << 52)

/* By bits: a comparison of floats may be a trap in the host's environment (fpenv.h). */
static inline lua_Number rlua_canonical_in(const global_State *g, lua_Number n) {
  const uint64_t canonical = RLUA_NAN;
  uint64_t bits;
  memcpy(&bits, &n, sizeof n);
  if (l_likely(bits << 1 <= RLUA_INFINITE << 1) || !g->own.deterministic) return n;
  memcpy(&n, &canonical, sizeof n);
  return n;
}

static inline lua_Number rlua_canonical(lua_State *L, lua_Number n) {
  return rlua_canonical_in(G(L), n);
}

#endif
