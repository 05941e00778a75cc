/* numerals.c: text to floats, as strtod reads it in the "C" locale: to the nearest float, ties to
 * even.
 *
 * lobject.c has seen to "inf" and "nan", and tells hexadecimal numerals apart. Both functions skip
 * blanks and a sign, read as much as is a numeral, and set `end` behind it; to `text` where there
 * is none.
 */

/* More digits than this decide nothing beyond whether any of them is not zero: a float, and the
 * middle between two, has at most 767. */
#define NUMERAL_DIGITS 800

/* An exponent behind a numeral; 0 where no digit follows. Beyond what matters it stands still. */
static long long read_exponent(const char **text) {
  const char *at = *text + 1;
  int negative = *at == '-';
  if (*at == '-' || *at == '+') at++;
  if (!lisdigit(cast_uchar(*at))) return 0;
  long long exponent = 0;
  for (; lisdigit(cast_uchar(*at)); at++) {
    if (exponent < 1000000000000000) exponent = exponent * 10 + (*at - '0');
  }
  *text = at;
  return negative ? -exponent : exponent;
}

static const char *read_sign(const char *text, int *negative) {
  while (lisspace(cast_uchar(*text))) text++;
  *negative = *text == '-';
  return *text == '-' || *text == '+' ? text + 1 : text;
}

/* digits * 10^exponent. `lost`: digits that are not zero follow. */
static double decimal_value(char *digits, int count, int lost, long long exponent) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (count == 0) return 0;
  if (count <= 15 && exponent >= -22 && exponent <= 22) {
    /* Both are exact, so there is one rounding. */
    lua_Integer integer = 0;
    for (int i = 0; i < count; i++) integer = integer * 10 + (digits[i] - '0');
    return exponent < 0 ? (double)integer / powers[-exponent] : (double)integer * powers[exponent];
  }
  if (lost) {
    digits[count++] = '1';
    exponent--;
  }
  if (exponent > 9999) exponent = 9999; /* as good as endless: there are no zeros in front */
  if (exponent < -9999) exponent = -9999;
  digits[count++] = 'e';
  count += rlua_integer2str(digits + count, exponent);
  return hooks.nearest(digits, (size_t)count);
}

static double rlua_read_decimal(const char *text, char **end) {
  char digits[NUMERAL_DIGITS + 16]; /* one digit and the exponent more */
  int negative, count = 0, any = 0, lost = 0, point = 0;
  long long exponent = 0;
  const char *at = read_sign(text, &negative);
  for (;; at++) {
    if (lisdigit(cast_uchar(*at))) {
      any = 1;
      exponent -= point;
      if (count == 0 && *at == '0') continue;
      if (count < NUMERAL_DIGITS) {
        digits[count++] = *at;
      } else {
        lost |= *at != '0';
        exponent++;
      }
    } else if (*at == '.' && !point) {
      point = 1;
    } else {
      break;
    }
  }
  if (!any) {
    *end = (char *)text;
    return 0;
  }
  if (*at == 'e' || *at == 'E') exponent += read_exponent(&at);
  *end = (char *)at;
  /* Zeros at the end would hide from the short way that there are few digits. */
  while (!lost && count > 0 && digits[count - 1] == '0') {
    count--;
    exponent++;
  }
  double value = decimal_value(digits, count, lost, exponent);
  return negative ? -value : value;
}

/* mantissa * 2^exponent, to the nearest float; `lost`: bits that are not zero follow. */
static double binary_value(uint64_t mantissa, int lost, long long exponent) {
  if (mantissa == 0) return 0;
  int shift = __builtin_clzll(mantissa);
  mantissa <<= shift;
  exponent -= shift; /* of bit 0; the highest is bit 63 */
  if (exponent > 1023 - 63) return HUGE_VAL;
  if (exponent < -1074 - 64) return 0;
  int cut = 11;
  if (exponent + cut < -1074) cut = (int)(-1074 - exponent);
  uint64_t kept = cut > 63 ? 0 : mantissa >> cut;
  uint64_t half = (uint64_t)1 << (cut - 1), rest = mantissa & ((half << 1) - 1);
  kept += rest > half || (rest == half && (lost || (kept & 1)));
  if (kept == 0) return 0;
  /* Where `kept` has its bit 52, that adds 1 to the exponent's field; so does a carry. */
  uint64_t field = (uint64_t)(exponent + cut + 1074);
  return rlua_fma_double((field << 52) + kept);
}

static double rlua_read_hex(const char *text, char **end) {
  int negative, any = 0, lost = 0, point = 0;
  uint64_t mantissa = 0;
  long long exponent = 0;
  const char *at = read_sign(text, &negative);
  *end = (char *)text;
  if (at[0] != '0' || (at[1] != 'x' && at[1] != 'X')) return 0;
  for (at += 2;; at++) {
    if (lisxdigit(cast_uchar(*at))) {
      any = 1;
      if (mantissa >> 60 == 0) {
        mantissa = mantissa << 4 | (unsigned int)luaO_hexavalue(*at);
        exponent -= 4 * point;
      } else {
        lost |= *at != '0';
        exponent += 4 - 4 * point;
      }
    } else if (*at == '.' && !point) {
      point = 1;
    } else {
      break;
    }
  }
  if (!any) return 0;
  if (*at == 'p' || *at == 'P') exponent += read_exponent(&at);
  *end = (char *)at;
  double value = binary_value(mantissa, lost, exponent);
  return negative ? -value : value;
}
