/* text.c: what the libraries of strings and utf8 charge (budget.h). Includes lstrlib.c and
 * lutf8lib.c.
 *
 * Strings are charged where they are made (unit.c), buffers where they grow. Here are the loops
 * that make none: patterns, searches, and what is long in its arguments alone. Those that are no
 * longer than one string may be charged afterwards.
 */

/* Values are pushed, or a format or a pattern is walked. */
#define luaL_checkstack(L, n, message) \
  (rlua_spend(L, (unsigned int)(n) >> 3), luaL_checkstack(L, n, message))

static const char *charged_find(lua_State *L, const char *s, size_t ls, const char *p, size_t lp);

/* The functions of the library that are charged by their arguments keep their names in its list. */
#define CHARGED(name) static int name(lua_State *L)
CHARGED(str_rep);
CHARGED(str_format);
CHARGED(str_pack);
CHARGED(str_packsize);
CHARGED(str_unpack);
CHARGED(str_find);
CHARGED(str_match);
CHARGED(gmatch);
CHARGED(str_gsub);
#define str_rep(L) stock_str_rep(L)
#define str_format(L) stock_str_format(L)
#define str_pack(L) stock_str_pack(L)
#define str_packsize(L) stock_str_packsize(L)
#define str_unpack(L) stock_str_unpack(L)
#define str_find(L) stock_str_find(L)
#define str_match(L) stock_str_match(L)
#define gmatch(L) stock_gmatch(L)
#define str_gsub(L) stock_str_gsub(L)

/* Each try at a position begins with this depth. */
#define MAXCCALLS (rlua_spend_one(ms->L), 200)

#define matchbracketclass(first_word, p, ec) matchbracketclass_##first_word, p, ec)
#define matchbracketclass_int matchbracketclass(int
#define matchbracketclass_c (spend_set(ms->L, p, ep), matchbracketclass)(c
#define matchbracketclass_uchar (spend_set(ms->L, p, ep), matchbracketclass)(uchar
#define singlematch(first_word, ...) singlematch_##first_word, __VA_ARGS__)
#define singlematch_MatchState singlematch(MatchState
#define singlematch_ms (rlua_spend_one(ms->L), singlematch)(ms
#define matchbalance(first_word, s, p) matchbalance_##first_word, s, p)
#define matchbalance_MatchState matchbalance(MatchState
#define matchbalance_ms charged_balance(ms
#define match_capture(first_word, s, l) match_capture_##first_word, s, l)
#define match_capture_MatchState match_capture(MatchState
#define match_capture_ms charged_capture(ms
#define lmemfind(first_word, ...) lmemfind_##first_word, __VA_ARGS__)
#define lmemfind_const stock_lmemfind(const
#define lmemfind_s charged_find(L, s

static inline void spend_set(lua_State *L, const char *p, const char *ep) {
  if (ep - p > 8) rlua_spend(L, (size_t)(ep - p) >> 3);
}

__attribute__((unused))
static const char *stock_lmemfind(const char *s1, size_t l1, const char *s2, size_t l2);
struct MatchState;
static const char *charged_balance(struct MatchState *ms, const char *s, const char *p);
static const char *charged_capture(struct MatchState *ms, const char *s, int l);
static const char *charged_find(lua_State *L, const char *s, size_t ls, const char *p, size_t lp);

#define lua_newuserdatauv(L, size, n) rlua_new_native((L), (size), NATIVE_GMATCH)
#define long RLUA_LONG
#include "lstrlib.c"
#undef long
#undef lua_newuserdatauv

#undef str_rep
#undef str_format
#undef str_pack
#undef str_packsize
#undef str_unpack
#undef str_find
#undef str_match
#undef gmatch
#undef str_gsub
#undef MAXCCALLS
#undef singlematch
#undef matchbracketclass
#undef matchbalance
#undef match_capture
#undef lmemfind

static const char *charged_balance(MatchState *ms, const char *s, const char *p) {
  const char *end = matchbalance(ms, s, p);
  if (*s == *p) rlua_spend(ms->L, (size_t)((end != NULL ? end : ms->src_end) - s) >> 3);
  return end;
}

/* Only a capture that is compared as a whole is walked as a whole. */
static const char *charged_capture(MatchState *ms, const char *s, int l) {
  const char *end = match_capture(ms, s, l);
  rlua_spend(ms->L, 1 + ((size_t)ms->capture[l - '1'].len >> 6));
  return end;
}

/* Bytes that two texts have in common, in steps of 64. */
static size_t common_blocks(const char *a, const char *b, size_t length) {
  size_t same = 0;
  while (length - same > 64 && memcmp(a + same, b + same, 64) == 0) same += 64;
  return same;
}

/* As lmemfind, charged by what is compared. */
static const char *charged_find(lua_State *L, const char *s, size_t ls, const char *p, size_t lp) {
  if (lp == 0) return s;
  if (lp > ls) return NULL;
  const char *last = s + (ls - lp);
  for (const char *from = s; from <= last; from++) {
    const char *at = (const char *)memchr(from, *p, (size_t)(last - from) + 1);
    rlua_spend(L, 1 + ((size_t)((at != NULL ? at : last) - from) >> 6));
    if (at == NULL) return NULL;
    size_t same = common_blocks(at, p, lp);
    if (same != 0) rlua_spend(L, same >> 6);
    if (memcmp(at + same, p + same, lp - same) == 0) return at;
    from = at;
  }
  return NULL;
}

/* An argument that is a string, by its length. What is wrong with it the function itself says. */
static void spend_argument(lua_State *L, int index, int shift) {
  if (lua_type(L, index) == LUA_TSTRING) rlua_spend(L, (size_t)lua_rawlen(L, index) >> shift);
}

#define CHARGED_BY(name, index, shift) \
  CHARGED(name) { \
    spend_argument(L, index, shift); \
    return stock_##name(L); \
  }

/* Empty copies take time too. */
CHARGED(str_rep) {
  lua_Integer count = lua_tointeger(L, 2);
  if (count > 0) rlua_spend(L, (lua_Unsigned)count >> 3);
  return stock_str_rep(L);
}

/* Each argument may be printed with 99 digits. */
CHARGED(str_format) {
  spend_argument(L, 1, 3);
  rlua_spend(L, 32u * (unsigned int)lua_gettop(L));
  return stock_str_format(L);
}

CHARGED_BY(str_pack, 1, 3)
CHARGED_BY(str_packsize, 1, 3)
CHARGED_BY(str_find, 2, 6)
CHARGED_BY(str_match, 2, 6)
CHARGED_BY(gmatch, 2, 6)
CHARGED_BY(str_gsub, 2, 6)

CHARGED(str_unpack) {
  spend_argument(L, 1, 3);
  spend_argument(L, 2, 6); /* "z" */
  return stock_str_unpack(L);
}

/* -- utf8 -------------------------------------------------------------------------------------- */

CHARGED(utflen);
CHARGED(byteoffset);
static int charged_iter(lua_State *L, int strict);
#define utflen(L) stock_utflen(L)
#define byteoffset(L) stock_byteoffset(L)
#define iter_aux(first_word, strict) iter_aux_##first_word, strict)
#define iter_aux_lua_State iter_aux(lua_State
#define iter_aux_L charged_iter(L
#include "lutf8lib.c"
#undef utflen
#undef byteoffset
#undef iter_aux
#undef luaL_checkstack

/* From one place to another, both counted from the string's begin or end, as u_posrelat does. */
static void spend_range(lua_State *L, lua_Integer from, lua_Integer to) {
  lua_Integer length = (lua_Integer)lua_rawlen(L, 1);
  from = u_posrelat(from, (size_t)length);
  to = u_posrelat(to, (size_t)length);
  if (to > length) to = length;
  if (0 <= from && from < to) rlua_spend(L, (lua_Unsigned)(to - from) >> 3);
}

CHARGED(utflen) {
  if (lua_type(L, 1) == LUA_TSTRING)
    spend_range(L, lua_isnoneornil(L, 2) ? 1 : lua_tointeger(L, 2),
                lua_isnoneornil(L, 3) ? -1 : lua_tointeger(L, 3));
  return stock_utflen(L);
}

/* How far it went, it tells; where it found nothing, to an end of the string. */
CHARGED(byteoffset) {
  int results = stock_byteoffset(L);
  lua_Integer length = (lua_Integer)lua_rawlen(L, 1), count = lua_tointeger(L, 2);
  lua_Integer start = lua_gettop(L) > 3 && !lua_isnoneornil(L, 3) ? lua_tointeger(L, 3)
                      : count >= 0                               ? 1
                                                                 : length + 1;
  lua_Integer end = lua_isnil(L, -1) ? (count < 0 ? 1 : length) : lua_tointeger(L, -1);
  start = u_posrelat(start, (size_t)length);
  rlua_spend(L, (lua_Unsigned)(end < start ? start - end : end - start) >> 3);
  return results;
}

static int charged_iter(lua_State *L, int strict) {
  int results = iter_aux(L, strict);
  lua_Integer from = lua_tointeger(L, 2);
  spend_range(L, from < 0 ? 0 : from, results == 2 ? lua_tointeger(L, -2) : -1);
  return results;
}
