/* core_math.h: what a file of CORE-MATH is compiled with. build.rs makes one small file a function
 * that includes this one and then CORE-MATH's; RLUA_MATH_COPY is the name of the copy.
 *
 * The functions are correctly rounded, so their bits are a matter of mathematics. What they ask of
 * the platform is replaced here, since it is the platform's: `fma` and `roundeven` where the CPU
 * has no instruction for them (some C libraries get them wrong), the rounding mode (always to
 * nearest: fpenv.c), and exception flags, which Lua does not have. And nothing prints or exits.
 */
#ifndef rlua_core_math_h
#define rlua_core_math_h

#include <fenv.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define RLUA_MATH_JOIN(a, b) rlua_##a##_##b
#define RLUA_MATH_EXPAND(a, b) RLUA_MATH_JOIN(a, b)
#define RLUA_MATH_NAME(function) RLUA_MATH_EXPAND(RLUA_MATH_COPY, function)

#undef fegetround
#undef feraiseexcept
#undef feclearexcept
#undef fetestexcept
#undef feholdexcept
#undef feupdateenv
#undef fegetexceptflag
#undef fesetexceptflag
#define fegetround() FE_TONEAREST
#define feraiseexcept(flags) ((void)0)
#define feclearexcept(flags) ((void)0)
#define fetestexcept(flags) 0
#define feholdexcept(environment) ((void)(environment))
#define feupdateenv(environment) ((void)(environment))
#define fegetexceptflag(place, flags) ((void)(*(place) = (fexcept_t){0}))
#define fesetexceptflag(place, flags) ((void)(place))
#undef _mm_getcsr
#undef _mm_setcsr
#define _mm_getcsr() 0u
#define _mm_setcsr(word) ((void)(word))

/* CORE-MATH's pow and atan2 report a case that no search has found, and exit. Here the result is
 * the last approximation, rounded: it has more than twice the bits of a double. In atan2 the code
 * goes on to that by itself. */
#undef printf
#define printf(...) ((void)0)
#undef exit
#if defined(RLUA_MATH_pow)
#define exit(status) return (qZ.sgn = s == -1.0, qint_tod(&qZ))
#else
#define exit(status) ((void)0)
#endif

/* -- what the CPU may lack ------------------------------------------------------------------ */

/* Whether the compiler makes instructions of `fma` and `roundeven`. */
#if defined(__x86_64__)
#if defined(__FMA__) && defined(__SSE4_1__)
#define RLUA_MATH_INSTRUCTIONS 1
#endif
#elif defined(__aarch64__)
#define RLUA_MATH_INSTRUCTIONS 1
#endif

#if defined(__x86_64__)
static inline double rlua_math_max(double a, double b) { return a > b ? a : b; }
static inline double rlua_math_min(double a, double b) { return a < b ? a : b; }
/* atan2 takes them of finite numbers above zero only. */
#define __builtin_fmax(a, b) rlua_math_max((a), (b))
#define __builtin_fmin(a, b) rlua_math_min((a), (b))
#endif

/* To the nearest integer: ties to even, and ties away from zero. */
static inline double rlua_math_roundeven(double x) {
  double size = __builtin_fabs(x);
  if (!(size < 0x1p52)) return x;
  return __builtin_copysign((size + 0x1p52) - 0x1p52, x);
}
static inline double rlua_math_round(double x) {
  double size = __builtin_fabs(x);
  if (!(size < 0x1p52)) return x;
  double whole = (double)(int64_t)size;
  return __builtin_copysign(size - whole >= 0.5 ? whole + 1 : whole, x);
}
#define __builtin_round(x) rlua_math_round(x)

#if !defined(RLUA_MATH_INSTRUCTIONS)
#include "fma.h"
#define __builtin_roundeven(x) rlua_math_roundeven(x)
#define __builtin_fma(a, b, c) rlua_math_fma((a), (b), (c))
#else
static double (*const rlua_math_unused)(double) __attribute__((unused)) = rlua_math_roundeven;
#endif

#endif
