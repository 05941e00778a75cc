/* math.h: what Lua takes from libm is correctly rounded, and the same on every machine (mathfn.c).
 *
 * Function-like macros over the names of <math.h>: Lua writes `l_mathop(sin)(x)`, which becomes
 * `sin(x)`. Not here: sqrt and fabs, which are instructions.
 */
#ifndef rlua_math_h
#define rlua_math_h

#include <math.h>

typedef double rlua_Function1(double x);
typedef double rlua_Function2(double x, double y);

/* The functions of CORE-MATH, of one copy. */
typedef struct rlua_Math {
  rlua_Function1 *sin, *cos, *tan, *asin, *acos, *exp, *log, *log2, *log10, *sinh, *cosh, *tanh;
  rlua_Function1 *atan;
  rlua_Function2 *atan2, *pow;
} rlua_Math;

static rlua_Math rlua_math;

static inline double rlua_atan2(double y, double x);
static inline double rlua_floor(double x);
static inline double rlua_ceil(double x);
static double rlua_frexp(double x, int *exponent);
static double rlua_ldexp(double x, int exponent);
static double rlua_fmod(double a, double b);

#define sin(x) rlua_math.sin(x)
#define cos(x) rlua_math.cos(x)
#define tan(x) rlua_math.tan(x)
#define asin(x) rlua_math.asin(x)
#define acos(x) rlua_math.acos(x)
#define atan2(y, x) rlua_atan2((y), (x))
#define exp(x) rlua_math.exp(x)
#define log(x) rlua_math.log(x)
#define log2(x) rlua_math.log2(x)
#define log10(x) rlua_math.log10(x)
#define sinh(x) rlua_math.sinh(x)
#define cosh(x) rlua_math.cosh(x)
#define tanh(x) rlua_math.tanh(x)
#define pow(x, y) rlua_math.pow((x), (y))
#define fmod(a, b) rlua_fmod((a), (b))
#define frexp(x, exponent) rlua_frexp((x), (exponent))
#define ldexp(x, exponent) rlua_ldexp((x), (exponent))
#define floor(x) rlua_floor(x)
#define ceil(x) rlua_ceil(x)

#endif
