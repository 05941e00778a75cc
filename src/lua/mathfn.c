/* mathfn.c: the functions behind overrides/math.h.
 *
 * sin ... pow are CORE-MATH's, correctly rounded: the result is the double nearest to the exact
 * value, which leaves no choice to a version, a compiler or a CPU. On x86-64 there are two copies,
 * with and without fused multiply-add, chosen once; their results are the same (tests/math.rs).
 *
 * Not here: the sources of CORE-MATH and how they are compiled (build.rs, math/core_math.h).
 */
#include "internal.h"
#include "math/fma.h"

#define RLUA_MATH_FIELDS(copy, function) .function = rlua_##copy##_##function
#define RLUA_MATH_COPY(copy) \
  { RLUA_MATH_FIELDS(copy, sin), RLUA_MATH_FIELDS(copy, cos), RLUA_MATH_FIELDS(copy, tan), \
    RLUA_MATH_FIELDS(copy, asin), RLUA_MATH_FIELDS(copy, acos), RLUA_MATH_FIELDS(copy, atan), \
    RLUA_MATH_FIELDS(copy, exp), RLUA_MATH_FIELDS(copy, log), RLUA_MATH_FIELDS(copy, log2), \
    RLUA_MATH_FIELDS(copy, log10), RLUA_MATH_FIELDS(copy, sinh), RLUA_MATH_FIELDS(copy, cosh), \
    RLUA_MATH_FIELDS(copy, tanh), RLUA_MATH_FIELDS(copy, atan2), RLUA_MATH_FIELDS(copy, pow) }
#define RLUA_MATH_DECLARE(copy) \
  RLUA_INTERNAL rlua_Function1 rlua_##copy##_sin, rlua_##copy##_cos, rlua_##copy##_tan, \
      rlua_##copy##_asin, rlua_##copy##_acos, rlua_##copy##_atan, rlua_##copy##_exp, \
      rlua_##copy##_log, rlua_##copy##_log2, rlua_##copy##_log10, rlua_##copy##_sinh, \
      rlua_##copy##_cosh, rlua_##copy##_tanh; \
  RLUA_INTERNAL rlua_Function2 rlua_##copy##_atan2, rlua_##copy##_pow;

RLUA_MATH_DECLARE(plain)
static rlua_Math rlua_math = RLUA_MATH_COPY(plain);

#if defined(__x86_64__)
#include <cpuid.h>

RLUA_MATH_DECLARE(fma)
static const rlua_Math rlua_math_of_fma = RLUA_MATH_COPY(fma);

/* FMA and SSE 4.1, and an operating system that keeps the registers of AVX, which FMA is
 * encoded with. */
static int rlua_math_has_fma(void) {
  unsigned int a, b, c, d, low, high;
  const unsigned int wanted = bit_FMA | bit_SSE4_1 | bit_OSXSAVE;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & wanted) != wanted) return 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6;
}

/* Before a host's code runs; whatever runs earlier gets the same bits by the other copy. Once,
 * since a virtual machine may take long to answer CPUID. */
static int rlua_math_chosen;
__attribute__((constructor)) static void rlua_math_choose(void) {
  rlua_math_chosen = rlua_math_has_fma();
  if (rlua_math_chosen) rlua_math = rlua_math_of_fma;
}
#endif

/* Lua's math.atan(y) asks for atan2(y, 1), which is atan(y), zeros and infinities included. */
static inline double rlua_atan2(double y, double x) {
  return x == 1 ? (rlua_math.atan)(y) : (rlua_math.atan2)(y, x);
}

/* The C library's function is not inlined where the instruction came with a later CPU. From 2^52 on
 * every double is integral. */
static inline double rlua_floor(double x) {
#if defined(__x86_64__) && !defined(__SSE4_1__)
  if (!(__builtin_fabs(x) < 0x1p52)) return x;
  double whole = (double)(int64_t)x;
  return __builtin_copysign(whole > x ? whole - 1 : whole, x);
#else
  return __builtin_floor(x);
#endif
}

static inline double rlua_ceil(double x) {
  return -rlua_floor(-x);
}

/* C leaves open what frexp's exponent of an infinity or a NaN is. */
static double rlua_frexp(double x, int *exponent) {
  *exponent = 0;
  if (x == 0 || !isfinite(x)) return x;
  int place;
  uint64_t mantissa = rlua_fma_parts(x, &place);
  *exponent = place + 53;
  const uint64_t half = (uint64_t)1022 << 52, sign = rlua_fma_bits(x) & (uint64_t)1 << 63;
  return rlua_fma_double(sign | half | (mantissa & 0xfffffffffffffu));
}

/* One rounding, where the result is subnormal. */
static double rlua_ldexp(double x, int exponent) {
  if (x == 0 || !isfinite(x)) return x;
  int place;
  uint64_t mantissa = rlua_fma_parts(x, &place) & 0xfffffffffffffu;
  const uint64_t sign = rlua_fma_bits(x) & (uint64_t)1 << 63;
  long long field = (long long)place + exponent + 1075;
  if (field >= 2047) return rlua_fma_double(sign | (uint64_t)0x7ff << 52);
  if (field >= 1) return rlua_fma_double(sign | (uint64_t)field << 52 | mantissa);
  if (field < -54) return rlua_fma_double(sign);
  return rlua_fma_double(sign | (uint64_t)(field + 60) << 52 | mantissa) * 0x1p-60;
}

/* -- fmod ----------------------------------------------------------------------------------- */

/* A finite number above zero is mantissa * 2^exponent; the exponent's zero is left open. */
static inline uint64_t fmod_parts(uint64_t bits, int *exponent) {
  uint64_t mantissa = bits & 0xfffffffffffffu;
  int field = (int)(bits >> 52);
  *exponent = field == 0 ? 1 : field;
  return field == 0 ? mantissa : mantissa | (uint64_t)1 << 52;
}

/* rest * 2^count mod m, with rest < m < 2^53, by 64 bits a step: a division by m is two
 * multiplications by its reciprocal. After Moeller and Granlund, "Improved division by invariant
 * integers" (2011), algorithm 4. */
static __attribute__((noinline)) uint64_t fmod_far(uint64_t rest, int count, uint64_t m) {
  int shift = __builtin_clzll(m);
  uint64_t d = m << shift, r = rest << shift;
  uint64_t v = (uint64_t)((((unsigned __int128)~d << 64) | ~(uint64_t)0) / d);
  while (count > 0) {
    int step = count < 64 ? count : 64;
    count -= step;
    /* (r * 2^step) mod d; both are multiples of 2^shift, and stay so. */
    uint64_t upper = step == 64 ? r : r >> (64 - step), lower = step == 64 ? 0 : r << step;
    unsigned __int128 q = (unsigned __int128)v * upper +
                          (((unsigned __int128)upper << 64) | lower);
    uint64_t q1 = (uint64_t)(q >> 64) + 1, q0 = (uint64_t)q;
    r = lower - q1 * d;
    if (r > q0) r += d;
    if (r >= d) r -= d;
  }
  return r >> shift;
}

/* Exact, as fmod always is; the C library's takes longer for exponents that lie far apart. */
static double rlua_fmod(double a, double b) {
  const uint64_t sign_bit = (uint64_t)1 << 63, infinite = (uint64_t)0x7ff << 52;
  uint64_t x = rlua_fma_bits(a) & ~sign_bit, y = rlua_fma_bits(b) & ~sign_bit;
  uint64_t sign = rlua_fma_bits(a) & sign_bit;
  if (x < y) return y <= infinite ? a : a * b;
  if (y == 0 || x >= infinite) return (a * b) / (a * b);
  int ex, ey;
  uint64_t mx = fmod_parts(x, &ex), my = fmod_parts(y, &ey);
  int count = ex - ey;
  /* Zeros below y's mantissa are powers of two that x need not be multiplied by. */
  int zeros = __builtin_ctzll(my);
  int drop = zeros < count ? zeros : count;
  my >>= drop;
  ey += drop;
  count -= drop;
  uint64_t rest;
  if (count <= 11) {
    rest = (mx << count) % my;
  } else {
    rest = fmod_far(mx % my, count, my);
  }
  if (rest == 0) return rlua_fma_double(sign);
  /* rest * 2^ey as a double. It has at most 53 bits, so it is exact. */
  int shift = __builtin_clzll(rest) - 11;
  if (shift < ey) {
    rest = (rest << shift) - ((uint64_t)1 << 52) + ((uint64_t)(ey - shift) << 52);
  } else {
    rest <<= ey - 1;
  }
  return rlua_fma_double(rest | sign);
}

/* -- for tests ------------------------------------------------------------------------------ */

/* The functions by number, in the order that tests/math.rs has. `copy` 0 is the plain one, 1 the
 * one for CPUs with fused multiply-add. Answers 0 where this machine has no such copy. */
int rlua_c_math(int copy, int function, double x, double y, double *result) {
  const rlua_Math *math = NULL;
#if defined(__x86_64__)
  static const rlua_Math plain = RLUA_MATH_COPY(plain);
  if (copy == 0) math = &plain;
  if (copy == 1 && rlua_math_chosen) math = &rlua_math_of_fma;
#else
  if (copy == 0) math = &rlua_math;
#endif
  if (math == NULL) return 0;
  rlua_Function1 *const one[] = {math->sin,  math->cos,  math->tan,  math->asin, math->acos,
                                 math->atan, math->exp,  math->log,  math->log2, math->log10,
                                 math->sinh, math->cosh, math->tanh, rlua_floor, rlua_ceil};
  rlua_Function2 *const two[] = {math->atan2, math->pow, rlua_fmod};
  const int ones = (int)(sizeof one / sizeof one[0]), twos = (int)(sizeof two / sizeof two[0]);
  if (function < 0 || function >= ones + twos) return 0;
  *result = function < ones ? one[function](x) : two[function - ones](x, y);
  return 1;
}

/* What the plain copy uses in the place of an instruction. */
double rlua_c_fma(double a, double b, double c) {
  return rlua_math_fma(a, b, c);
}
