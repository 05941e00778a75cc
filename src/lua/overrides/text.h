/* text.h: text of numbers, classes of characters and the order of strings depend on no locale and
 * no C library.
 *
 * Numbers to text: numbers.c, format.c; text to numbers: numerals.c. These replace what luaconf.h
 * and the C library give, in both profiles.
 */
#ifndef rlua_text_h
#define rlua_text_h

#include <ctype.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "lobject.h"

/* -- characters: ASCII, as in the "C" locale. c is an unsigned char, or EOF. ------------------- */

#define RLUA_BETWEEN(c, low, high) ((unsigned int)(c) - (low) <= (unsigned int)((high) - (low)))

static inline int rlua_isdigit(int c) { return RLUA_BETWEEN(c, '0', '9'); }
static inline int rlua_islower(int c) { return RLUA_BETWEEN(c, 'a', 'z'); }
static inline int rlua_isupper(int c) { return RLUA_BETWEEN(c, 'A', 'Z'); }
static inline int rlua_isalpha(int c) { return RLUA_BETWEEN(c | 32, 'a', 'z'); }
static inline int rlua_isalnum(int c) { return rlua_isalpha(c) || rlua_isdigit(c); }
static inline int rlua_isxdigit(int c) {
  return rlua_isdigit(c) || RLUA_BETWEEN(c | 32, 'a', 'f');
}
static inline int rlua_isspace(int c) { return c == ' ' || RLUA_BETWEEN(c, '\t', '\r'); }
static inline int rlua_iscntrl(int c) { return RLUA_BETWEEN(c, 0, 31) || c == 127; }
static inline int rlua_isgraph(int c) { return RLUA_BETWEEN(c, 33, 126); }
static inline int rlua_ispunct(int c) { return rlua_isgraph(c) && !rlua_isalnum(c); }
static inline int rlua_tolower(int c) { return rlua_isupper(c) ? c + 32 : c; }
static inline int rlua_toupper(int c) { return rlua_islower(c) ? c - 32 : c; }

#undef isdigit
#undef islower
#undef isupper
#undef isalpha
#undef isalnum
#undef isxdigit
#undef isspace
#undef iscntrl
#undef isgraph
#undef ispunct
#undef tolower
#undef toupper
#define isdigit(c) rlua_isdigit(c)
#define islower(c) rlua_islower(c)
#define isupper(c) rlua_isupper(c)
#define isalpha(c) rlua_isalpha(c)
#define isalnum(c) rlua_isalnum(c)
#define isxdigit(c) rlua_isxdigit(c)
#define isspace(c) rlua_isspace(c)
#define iscntrl(c) rlua_iscntrl(c)
#define isgraph(c) rlua_isgraph(c)
#define ispunct(c) rlua_ispunct(c)
#define tolower(c) rlua_tolower(c)
#define toupper(c) rlua_toupper(c)

/* The order of strings is that of their bytes. */
#undef strcoll
#define strcoll(a, b) strcmp((a), (b))

/* -- numbers ---------------------------------------------------------------------------------- */

static int rlua_integer2str(char *text, lua_Integer n);
static int rlua_number2str(char *text, lua_Number n);
static double rlua_read_decimal(const char *text, char **end);
static double rlua_read_hex(const char *text, char **end);
#undef lua_integer2str
#undef lua_number2str
#undef lua_str2number
#undef lua_strx2number
#undef lua_getlocaledecpoint
#define lua_integer2str(s, sz, n) ((void)(sz), rlua_integer2str((s), (n)))
#define lua_number2str(s, sz, n) ((void)(sz), rlua_number2str((s), (n)))
#define lua_str2number(s, end) rlua_read_decimal((s), (end))
#define lua_strx2number(s, end) rlua_read_hex((s), (end))
#define lua_getlocaledecpoint() '.'

/* string.format, by the type of the argument; lstrlib.c has checked the conversion. %p is left to
 * the C library. */
static int rlua_format_integer(char *text, const char *conversion, long long n);
static int rlua_format_float(char *text, const char *conversion, double n);
static int rlua_format_string(char *text, const char *conversion, const char *s);
static inline int rlua_format_int(char *text, const char *conversion, int n) {
  return rlua_format_integer(text, conversion, n);
}
static inline int rlua_format_pointer(char *text, const char *conversion, const void *p) {
  if (conversion[strlen(conversion) - 1] == 's') return rlua_format_string(text, conversion, p);
  return sprintf(text, conversion, p);
}
#undef l_sprintf
#define l_sprintf(s, sz, conversion, n) \
  ((void)(sz), _Generic((n), \
    int: rlua_format_int, lua_Integer: rlua_format_integer, double: rlua_format_float, \
    char *: rlua_format_string, const char *: rlua_format_string, \
    void *: rlua_format_pointer, const void *: rlua_format_pointer)((s), (conversion), (n)))

/* io.write, as "%lld" and "%.14g". */
static int rlua_write_integer(FILE *file, long long n);
static int rlua_write_float(FILE *file, double n);
#define rlua_write_number(file, n) \
  _Generic((n), double: rlua_write_float, long long: rlua_write_integer)((file), (n))

#undef lua_number2strx
#define lua_number2strx(L, s, sz, conversion, n) \
  ((void)(L), l_sprintf((s), (sz), (conversion), (LUAI_UACNUMBER)(n)))

/* string.pack's "l" and "T". lstrlib.c sees RLUA_LONG in the place of `long`: its integers must not
 * be written with that. */
#undef LUAI_UACINT
#define LUAI_UACINT lua_Integer
_Static_assert(sizeof(RLUA_LONG) == 8 && sizeof(size_t) == 8, "sizes that scripts see");

/* os.setlocale. The locale is the process's, so in the deterministic profile it is always "C". */
static const char *rlua_setlocale(lua_State *L, int category, const char *name);

#endif
