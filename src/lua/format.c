/* format.c: one conversion of string.format, as glibc's printf writes it in the "C" locale.
 *
 * lstrlib.c has checked the conversion: known flags, at most two digits of width and of precision.
 * So no text has more than MAX_ITEM bytes, or MAX_ITEMF for %f. Each function writes a zero behind
 * the text and answers its length. tests/numbers.rs compares with printf.
 *
 * Not here: %q, and "%s" without modifiers (lstrlib.c); tostring (numbers.c).
 */

typedef struct Conversion {
  unsigned char left, plus, blank, alternate, zero;
  char kind;
  int width;
  int precision; /* -1 where none is given */
} Conversion;

static Conversion read_conversion(const char *text) {
  Conversion c = {.precision = -1};
  for (text++;; text++) {
    if (*text == '-') c.left = 1;
    else if (*text == '+') c.plus = 1;
    else if (*text == ' ') c.blank = 1;
    else if (*text == '#') c.alternate = 1;
    else if (*text == '0') c.zero = 1;
    else break;
  }
  for (; rlua_isdigit(*text); text++) c.width = c.width * 10 + (*text - '0');
  if (*text == '.') {
    c.precision = 0;
    for (text++; rlua_isdigit(*text); text++) c.precision = c.precision * 10 + (*text - '0');
  }
  while (*text == 'l') text++;
  c.kind = *text;
  return c;
}

/* Prefix and body, filled up to the width: with blanks on the left or the right, or with zeros
 * between the two. */
static int fill(char *text, const Conversion *c, int zeros, const char *prefix, const char *body,
                int length) {
  int before = (int)strlen(prefix), room = c->width - before - length;
  char *to = text;
  if (room < 0) room = 0;
  if (!c->left && !zeros) {
    memset(to, ' ', (size_t)room);
    to += room;
  }
  memcpy(to, prefix, (size_t)before);
  to += before;
  if (!c->left && zeros) {
    memset(to, '0', (size_t)room);
    to += room;
  }
  memcpy(to, body, (size_t)length);
  to += length;
  if (c->left) {
    memset(to, ' ', (size_t)room);
    to += room;
  }
  *to = '\0';
  return (int)(to - text);
}

static const char *sign_of(const Conversion *c, int negative) {
  return negative ? "-" : c->plus ? "+" : c->blank ? " " : "";
}

/* %d %i %u %o %x %X %c; lstrlib.c's own formats may have text in front. */
static int rlua_format_integer(char *text, const char *conversion, long long n) {
  if (*conversion != '%') {
    *text = *conversion;
    return 1 + rlua_format_integer(text + 1, conversion + 1, n);
  }
  Conversion c = read_conversion(conversion);
  char body[128], *end = body + sizeof body, *at = end;
  if (c.kind == 'c') {
    *--at = (char)n;
    return fill(text, &c, 0, "", at, 1);
  }
  int is_signed = c.kind == 'd' || c.kind == 'i';
  unsigned long long rest = (unsigned long long)n;
  if (is_signed && n < 0) rest = 0 - rest;
  const char *digits = c.kind == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  unsigned int base = c.kind == 'o' ? 8 : c.kind == 'x' || c.kind == 'X' ? 16 : 10;
  const char *prefix = is_signed ? sign_of(&c, n < 0) : "";
  if (base == 16 && c.alternate && n != 0) prefix = c.kind == 'X' ? "0X" : "0x";
  for (; rest != 0; rest /= base) *--at = digits[rest % base];
  int least = c.precision < 0 ? 1 : c.precision;
  while (end - at < least) *--at = '0';
  if (base == 8 && c.alternate && (at == end || *at != '0')) *--at = '0';
  return fill(text, &c, c.zero && c.precision < 0, prefix, at, (int)(end - at));
}

static int rlua_format_string(char *text, const char *conversion, const char *s) {
  Conversion c = read_conversion(conversion);
  size_t length = c.precision < 0 ? strlen(s) : strnlen(s, (size_t)c.precision);
  return fill(text, &c, 0, "", s, (int)length);
}

/* %a of a finite float of 0 or more, without the prefix. */
static int write_hex(char *text, const Conversion *c, double n) {
  const char *digits = c->kind == 'A' ? "0123456789ABCDEF" : "0123456789abcdef";
  uint64_t bits = rlua_fma_bits(n), mantissa = bits & 0xfffffffffffffu;
  int field = (int)(bits >> 52), exponent = field == 0 ? -1022 : field - 1023, count = 13;
  if (bits == 0) exponent = 0;
  if (field != 0) mantissa |= (uint64_t)1 << 52;
  if (c->precision >= 0 && c->precision < 13) {
    int cut = (13 - c->precision) * 4;
    uint64_t half = (uint64_t)1 << (cut - 1), rest = mantissa & ((half << 1) - 1);
    mantissa >>= cut;
    mantissa += rest > half || (rest == half && (mantissa & 1));
    mantissa <<= cut;
    count = c->precision;
  } else if (c->precision < 0) {
    while (count > 0 && (mantissa >> (13 - count) * 4 & 15) == 0) count--;
  }
  int length = 0;
  text[length++] = digits[mantissa >> 52];
  if (count > 0 || c->precision > 0 || c->alternate) text[length++] = '.';
  for (int i = 0; i < count; i++) text[length++] = digits[mantissa >> (12 - i) * 4 & 15];
  for (int i = count; i < c->precision; i++) text[length++] = '0';
  text[length++] = c->kind == 'A' ? 'P' : 'p';
  text[length++] = exponent < 0 ? '-' : '+';
  return length + rlua_integer2str(text + length, exponent < 0 ? -exponent : exponent);
}

/* %e of a finite float of 0 or more. */
static int write_scientific(char *text, const Conversion *c, double n, int precision) {
  char digits[DIGITS_ROOM];
  int exponent, length = 0;
  int count = decimal_digits(n, precision + 1, digits, &exponent);
  text[length++] = digits[0];
  if (count > 1 || c->alternate) text[length++] = '.';
  memcpy(text + length, digits + 1, (size_t)count - 1);
  length += count - 1;
  return length + write_exponent(text + length, c->kind, exponent);
}

#define FLOAT_ROOM 512 /* 309 digits, the point, 99 digits */

/* %a %A %e %E %f %F %g %G */
static int rlua_format_float(char *text, const char *conversion, double n) {
  Conversion c = read_conversion(conversion);
  char body[FLOAT_ROOM], prefix[4] = "";
  int upper = rlua_isupper(c.kind), length = 0;
  int precision = c.precision < 0 ? 6 : c.precision;
  strcpy(prefix, sign_of(&c, signbit(n) != 0));
  if (!isfinite(n)) return fill(text, &c, 0, prefix, not_finite(n, upper), 3);
  n = fabs(n);
  switch (rlua_tolower(c.kind)) {
    case 'a':
      strcat(prefix, upper ? "0X" : "0x");
      length = write_hex(body, &c, n);
      break;
    case 'e':
      length = write_scientific(body, &c, n, precision);
      break;
    case 'f':
      length = (int)hooks.fixed(n, precision, body, sizeof body);
      if (precision == 0 && c.alternate) body[length++] = '.';
      break;
    default:
      if (precision == 0) precision = 1;
      length = write_general(body, n, precision, c.alternate, upper ? 'E' : 'e');
      break;
  }
  return fill(text, &c, c.zero, prefix, body, length);
}
