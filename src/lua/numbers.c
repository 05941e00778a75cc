/* numbers.c: numbers to text, as "%lld" and "%.14g" print them.
 *
 * The digits of floats come from Rust, exactly rounded (src/digits.rs), but the numbers that
 * scripts print most are integral and need none. The text is that of glibc's printf in the "C"
 * locale to the byte: tests/numbers.rs compares both over edge cases and random numbers.
 *
 * Not here: string.format (format.c).
 */

#include "internal.h"

/* -- Rust's part ------------------------------------------------------------------------------ */

/* Until the library's constructors ran: those of a program that is linked statically may come
 * earlier, and make a state. The process has not set a locale by then. */
static size_t early_scientific(double n, int precision, char *text, size_t room) {
  return (size_t)snprintf(text, room, "%.*e", precision, n);
}
static size_t early_fixed(double n, int precision, char *text, size_t room) {
  return (size_t)snprintf(text, room, "%.*f", precision, n);
}
static double early_nearest(const char *numeral, size_t length) {
  char text[1024];
  memcpy(text, numeral, length);
  text[length] = '\0';
  return strtod(text, NULL);
}
static int enter_nothing(lua_State *L, rlua_Hold *hold) {
  (void)hold;
  return L == NULL ? STATUS_NULL_ARG : STATUS_NOT_ROLLBACK;
}
static rlua_Hooks hooks = {.enter = enter_nothing,
                           .seize = enter_nothing,
                           .scientific = early_scientific,
                           .fixed = early_fixed,
                           .nearest = early_nearest};

/* -- integers, and what all conversions share ------------------------------------------------- */

/* Writes n in decimal with a zero behind; answers the length. At most 21 bytes. */
static int rlua_integer2str(char *text, lua_Integer n) {
  char digits[20];
  lua_Unsigned rest = n < 0 ? 0u - (lua_Unsigned)n : (lua_Unsigned)n;
  int count = 0, length = 0;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (n < 0) text[length++] = '-';
  while (count > 0) text[length++] = digits[--count];
  text[length] = '\0';
  return length;
}

/* Writes "e+05", with at least two digits; answers the length. */
static int write_exponent(char *text, char letter, int exponent) {
  int length = 0;
  text[length++] = letter;
  text[length++] = exponent < 0 ? '-' : '+';
  unsigned int size = exponent < 0 ? 0u - (unsigned int)exponent : (unsigned int)exponent;
  if (size >= 100) text[length++] = (char)('0' + size / 100);
  text[length++] = (char)('0' + size / 10 % 10);
  text[length++] = (char)('0' + size % 10);
  return length;
}

#define DIGITS_ROOM 120 /* of what `scientific` writes: at most 99 digits behind the point */

/* The digits of a finite float of 0 or more, and the decimal exponent of the first. */
static int decimal_digits(double n, int count, char *digits, int *exponent) {
  char text[DIGITS_ROOM];
  int length = (int)hooks.scientific(n, count - 1, text, sizeof text);
  int at = 1, size = 0;
  digits[0] = text[0];
  if (count > 1) {
    memcpy(digits + 1, text + 2, (size_t)count - 1);
    at = count + 1;
  }
  int negative = text[++at] == '-';
  if (negative || text[at] == '+') at++;
  for (; at < length; at++) size = size * 10 + (text[at] - '0');
  *exponent = negative ? -size : size;
  return count;
}

/* %g of a finite float of 0 or more: `precision` significant digits, at least one. `keep`: zeros at
 * the end stay (the flag #). Answers the length, at most precision + 7. */
static int write_general(char *text, double n, int precision, int keep, char letter) {
  char digits[DIGITS_ROOM];
  int exponent, length = 0;
  int count = decimal_digits(n, precision, digits, &exponent);
  int plain = exponent >= -4 && exponent < precision;
  if (!keep) {
    while (count > 1 && digits[count - 1] == '0') count--;
  }
  int before = plain ? exponent + 1 : 1; /* digits before the point */
  int at = 0;
  if (before <= 0) text[length++] = '0';
  for (; at < before; at++) text[length++] = at < count ? digits[at] : '0';
  if (count > at || keep) {
    text[length++] = '.';
    for (int zeros = before; zeros < 0; zeros++) text[length++] = '0';
    for (; at < count; at++) text[length++] = digits[at];
  }
  if (!plain) length += write_exponent(text + length, letter, exponent);
  text[length] = '\0';
  return length;
}

/* "inf" or "nan"; sign and digits are the caller's. */
static const char *not_finite(double n, int upper) {
  if (n != n) return upper ? "NAN" : "nan";
  return upper ? "INF" : "inf";
}

/* Below 1e14 an integral float prints as its integer under "%.14g"; Lua appends the ".0". Minus
 * zero has a sign of its own. By bits: a host may have flushed subnormal numbers to zero. */
static int rlua_number2str(char *text, lua_Number n) {
  if (n > -1e14 && n < 1e14) {
    double integral = (double)(lua_Integer)n;
    if (memcmp(&integral, &n, sizeof n) == 0) return rlua_integer2str(text, (lua_Integer)n);
  }
  int length = 0;
  if (signbit(n)) text[length++] = '-';
  if (!isfinite(n)) {
    memcpy(text + length, not_finite(n, 0), 4);
    return length + 3;
  }
  return length + write_general(text + length, fabs(n), 14, 0, 'e');
}

/* -- io.write --------------------------------------------------------------------------------- */

#define NUMBER_ROOM 32

static int write_text(FILE *file, const char *text, int length) {
  return fwrite(text, 1, (size_t)length, file) == (size_t)length ? length : -1;
}

static int rlua_write_integer(FILE *file, long long n) {
  char text[NUMBER_ROOM];
  return write_text(file, text, rlua_integer2str(text, n));
}

static int rlua_write_float(FILE *file, double n) {
  char text[NUMBER_ROOM];
  return write_text(file, text, rlua_number2str(text, n));
}

/* -- os.setlocale ----------------------------------------------------------------------------- */

static const char *rlua_setlocale(lua_State *L, int category, const char *name) {
  if (!rlua_deterministic(L)) return setlocale(category, name);
  return name == NULL || *name == '\0' || strcmp(name, "C") == 0 ? "C" : NULL;
}
