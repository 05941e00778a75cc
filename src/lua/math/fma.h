/* fma.h: a * b + c with one rounding, for CPUs without an instruction for it.
 *
 * Where no step can overflow or lose a bit below the smallest exponent, after Boldo and Melquiond,
 * "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd" (2008):
 * the exact product and sums as pairs of doubles, the small parts added with rounding to odd.
 * Elsewhere by integers.
 */
#ifndef rlua_fma_h
#define rlua_fma_h

#include <stdint.h>
#include <string.h>

static inline uint64_t rlua_fma_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline double rlua_fma_double(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* s + *low == a + b exactly. */
static inline double rlua_fma_sum(double a, double b, double *low) {
  double s = a + b, rest = s - a;
  *low = (a - (s - rest)) + (b - rest);
  return s;
}

/* a == high + *low exactly, each of at most 26 bits. */
static inline double rlua_fma_split(double a, double *low) {
  double scaled = a * 0x1.0000002p27, high = scaled - (scaled - a);
  *low = a - high;
  return high;
}

static inline int rlua_fma_exponent(double x) {
  return (int)(rlua_fma_bits(x) >> 52 & 0x7ff) - 1023;
}

/* A number that is not zero, as mantissa (bit 52 is its highest) and exponent of bit 0. */
static inline uint64_t rlua_fma_parts(double x, int *exponent) {
  uint64_t bits = rlua_fma_bits(x), mantissa = bits & 0xfffffffffffffu;
  int field = (int)(bits >> 52 & 0x7ff);
  if (field == 0) {
    int shift = __builtin_clzll(mantissa) - 11;
    *exponent = -1074 - shift;
    return mantissa << shift;
  }
  *exponent = field - 1075;
  return mantissa | (uint64_t)1 << 52;
}

/* Shifts right; what falls out stays as bit 0. */
static inline unsigned __int128 rlua_fma_sticky(unsigned __int128 x, int shift) {
  if (shift <= 0) return x;
  if (shift > 127) return x != 0;
  return x >> shift | ((x & (((unsigned __int128)1 << shift) - 1)) != 0);
}

/* None of the three is zero, infinite or NaN. */
static __attribute__((noinline, unused)) double rlua_fma_slow(double a, double b, double c) {
  int ea, eb, ec;
  uint64_t ma = rlua_fma_parts(a, &ea), mb = rlua_fma_parts(b, &eb), mc = rlua_fma_parts(c, &ec);
  uint64_t negative = (rlua_fma_bits(a) ^ rlua_fma_bits(b)) >> 63;
  uint64_t negative_c = rlua_fma_bits(c) >> 63;
  /* Two bits of room above, at least 16 below the 106 of the product. */
  unsigned __int128 product = (unsigned __int128)ma * mb << 20, term = (unsigned __int128)mc << 73;
  int exponent = ea + eb - 20;
  ec -= 73;
  if (exponent < ec) {
    product = rlua_fma_sticky(product, ec - exponent);
    exponent = ec;
  } else {
    term = rlua_fma_sticky(term, exponent - ec);
  }
  unsigned __int128 sum;
  if (negative == negative_c) {
    sum = product + term;
  } else if (product >= term) {
    sum = product - term;
  } else {
    sum = term - product;
    negative = negative_c;
  }
  if (sum == 0) return 0;
  uint64_t upper = (uint64_t)(sum >> 64), lower = (uint64_t)sum;
  int top = upper != 0 ? 127 - __builtin_clzll(upper) : 63 - __builtin_clzll(lower);
  /* Bit 0 of the result, in bits of the sum: 53 bits, fewer for a subnormal one. At most 125,
   * since c's own lowest bit is that high. */
  int cut = top - 52;
  if (exponent + cut < -1074) cut = -1074 - exponent;
  uint64_t mantissa;
  if (cut <= 0) {
    mantissa = lower << -cut;
  } else {
    unsigned __int128 half = (unsigned __int128)1 << (cut - 1), rest = sum & ((half << 1) - 1);
    mantissa = (uint64_t)(sum >> cut);
    mantissa += rest > half || (rest == half && (mantissa & 1));
  }
  exponent += cut;
  uint64_t bits;
  if (mantissa >> 53) {
    mantissa >>= 1;
    exponent++;
  }
  if (mantissa >> 52 == 0) {
    bits = mantissa; /* subnormal: exponent is -1074 */
  } else if (exponent > 971) {
    bits = (uint64_t)0x7ff << 52;
  } else {
    bits = (uint64_t)(exponent + 1075) << 52 | (mantissa & 0xfffffffffffffu);
  }
  return rlua_fma_double(bits | negative << 63);
}

static inline double rlua_math_fma(double a, double b, double c) {
  int ea = rlua_fma_exponent(a), eb = rlua_fma_exponent(b), ec = rlua_fma_exponent(c);
  if (__builtin_expect(ea > 900 || eb > 900 || ec > 900 || ea < -900 || eb < -900 ||
                       ea + eb > 900 || ea + eb < -800 || ec < -800, 0)) {
    if (a == 0 || b == 0 || ea == 1024 || eb == 1024) return a * b + c;
    if (ec == 1024) return c + c; /* whether or not the product overflows */
    if (c == 0) return a * b; /* with the product's sign, if that is too small */
    return rlua_fma_slow(a, b, c);
  }
  double product = a * b, al, bl;
  double ah = rlua_fma_split(a, &al), bh = rlua_fma_split(b, &bl);
  double rest = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
  double small, low, high = rlua_fma_sum(c, rest, &small);
  high = rlua_fma_sum(product, high, &low);
  /* low + small, rounded to odd. */
  double lost, odd = rlua_fma_sum(low, small, &lost);
  uint64_t bits = rlua_fma_bits(odd);
  if (lost != 0 && !(bits & 1)) bits += ((lost > 0) == (odd > 0)) ? 1 : -(uint64_t)1;
  return high + rlua_fma_double(bits);
}

#endif
