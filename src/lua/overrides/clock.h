/* clock.h: in the deterministic profile scripts read the clock that the host sets (clock.c), and a
 * calendar without zones and locales. Around lmathlib.c and loslib.c.
 */
#ifndef rlua_clock_h
#define rlua_clock_h

#include <time.h>

#include "private.h"

/* How clock() counts here, whatever the platform does: exact, so that os.clock is. */
#define CLOCK_UNITS 1000000

static lua_Unsigned rlua_draw(lua_State *L);
static time_t rlua_time(lua_State *L);
static lua_Number rlua_clock(lua_State *L);
static struct tm *rlua_gmtime(lua_State *L, const time_t *t, struct tm *tm);
static struct tm *rlua_localtime(lua_State *L, const time_t *t, struct tm *tm);
static time_t rlua_mktime(lua_State *L, struct tm *tm);
static size_t rlua_strftime(lua_State *L, char *text, size_t room, const char *format,
                            const struct tm *tm);
static double rlua_difftime(time_t later, time_t earlier);

/* In randseed of lmathlib.c, which returns nothing; its second seed is an address. */
#define rlua_seeding_time(t) \
  ({ \
    if (rlua_deterministic(L)) { \
      lua_Unsigned rlua_first = rlua_draw(L), rlua_second = rlua_draw(L); \
      setseed(L, state->s, rlua_first, rlua_second); \
      return; \
    } \
    (time)(t); \
  })

#endif
