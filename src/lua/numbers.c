/* numbers.c: numbers to text, as "%lld" and "%.14g" print them, without printf where that is easy.
 *
 * Scripts that build strings from counters spend much of their time in printf. The result is the
 * same to the byte: tests/numbers.rs compares both over edge cases and random numbers.
 */

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

/* Below 1e14 an integral float prints as its integer under "%.14g"; Lua appends the ".0". Minus
 * zero has a sign of its own. */
static int rlua_number2str(char *text, size_t size, lua_Number n) {
  if (n > -1e14 && n < 1e14 && n == (lua_Number)(lua_Integer)n && (n != 0 || !signbit(n)))
    return rlua_integer2str(text, (lua_Integer)n);
  return l_sprintf(text, size, LUA_NUMBER_FMT, (LUAI_UACNUMBER)n);
}
