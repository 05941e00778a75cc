/* fpenv.h: Lua runs in the floating-point environment that IEEE 754 starts with: to the nearest,
 * subnormal numbers kept, no traps.
 *
 * Game engines flush subnormal numbers to zero, some libraries leave another rounding mode behind,
 * debuggers unmask exceptions; each changes results or ends the process. So in the deterministic
 * profile the entry into a VM that was idle looks at the control word and, where it is another,
 * sets it for the run and puts the host's back at the end. A host's functions that Lua calls run in
 * Lua's environment; one that changes it puts it back before it returns.
 *
 * `G(L)->own.host_fp` is the host's word while it is set aside, and 0 otherwise: so also whenever
 * the VM is idle. It stands in the state and not in the entry's frame, since an error that nobody
 * caught leaves no frame to come back to.
 */
#ifndef rlua_fpenv_h
#define rlua_fpenv_h

#include "private.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Without the six flags, which record what has happened; all six exceptions masked. */
#define RLUA_FP_CONTROL 0xffc0u
#define RLUA_FP_LUA 0x1f80u
static inline uint64_t rlua_fp_read(void) { return _mm_getcsr(); }
static inline void rlua_fp_write(uint64_t word) { _mm_setcsr((unsigned int)word); }

#elif defined(__aarch64__)

/* Rounding, flushing, default NaN, traps; the upper bits are reserved or of other formats. */
#define RLUA_FP_CONTROL 0x07ff9f07u
#define RLUA_FP_LUA 0u
static inline uint64_t rlua_fp_read(void) {
  uint64_t word;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(word));
  return word;
}
static inline void rlua_fp_write(uint64_t word) {
  __asm__ __volatile__("msr fpcr, %0" : : "r"(word) : "memory");
}

#else
#include <fenv.h>

/* What C itself knows of: the rounding mode. */
#define RLUA_FP_CONTROL (~(uint64_t)0)
#define RLUA_FP_LUA ((uint64_t)FE_TONEAREST)
static inline uint64_t rlua_fp_read(void) { return (uint64_t)fegetround(); }
static inline void rlua_fp_write(uint64_t word) { fesetround((int)word); }

#endif

#define RLUA_FP_SET_ASIDE ((uint64_t)1 << 63) /* tells a word of 0 from none */

static __attribute__((noinline, cold)) void rlua_fp_set_aside(lua_State *L, uint64_t word) {
  G(L)->own.host_fp = word | RLUA_FP_SET_ASIDE;
  rlua_fp_write((word & ~(uint64_t)RLUA_FP_CONTROL) | RLUA_FP_LUA);
}

static __attribute__((noinline, cold)) void rlua_fp_put_back(lua_State *L) {
  rlua_fp_write(G(L)->own.host_fp & ~RLUA_FP_SET_ASIDE);
  G(L)->own.host_fp = 0;
}

/* At an entry into a VM that was idle. */
static inline void rlua_fp_enter(lua_State *L) {
  uint64_t word;
  if (!rlua_deterministic(L)) return;
  word = rlua_fp_read();
  if (l_unlikely((word & RLUA_FP_CONTROL) != RLUA_FP_LUA)) rlua_fp_set_aside(L, word);
}

/* When the VM is idle again, however it came to that. */
static inline void rlua_fp_leave(lua_State *L) {
  if (l_unlikely(G(L)->own.host_fp != 0)) rlua_fp_put_back(L);
}

/* An entry into Lua; the depth before it, to be handed to the other. */
static inline unsigned int rlua_enter(lua_State *L) {
  unsigned int outer = rlua_depth(L)++;
  if (outer == 0) rlua_fp_enter(L);
  return outer;
}
static inline void rlua_leave(lua_State *L, unsigned int outer) {
  rlua_depth(L) = outer;
  if (outer == 0) rlua_fp_leave(L);
}

#endif
