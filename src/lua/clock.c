/* clock.c: time and chance as inputs of the VM.
 *
 * In the deterministic profile os.time, os.clock and os.date read what the host set
 * (rlua_set_time), zero at first. There is one zone, UTC, and one locale, C's; the calendar is
 * the Gregorian, for years that an int holds. What randomseed() without arguments takes is drawn
 * from the config's seed. All of that is part of the state, and rolls back. In the stock profile
 * everything is the platform's.
 *
 * Part of the one translation unit, before lmathlib.c.
 */

#include "internal.h"

/* Sets the clock. The caller has checked that there are fewer nanoseconds than a second has. */
void rlua_c_set_time(lua_State *L, int64_t seconds, uint32_t nanoseconds) {
  card_lock(L);
  G(L)->own.seconds = seconds;
  G(L)->own.nanoseconds = nanoseconds;
}

/* The next number of SplitMix64, which begins at the config's seed. */
static lua_Unsigned rlua_draw(lua_State *L) {
  uint64_t z = G(L)->own.draws += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static time_t rlua_time(lua_State *L) {
  return rlua_deterministic(L) ? (time_t)G(L)->own.seconds : (time)(NULL);
}

/* In CLOCK_UNITS. */
static lua_Number rlua_clock(lua_State *L) {
  const rlua_Own *own = &G(L)->own;
  if (!rlua_deterministic(L)) return (lua_Number)(clock)() * (CLOCK_UNITS / CLOCKS_PER_SEC);
  return (lua_Number)own->seconds * CLOCK_UNITS + own->nanoseconds / (1000000000 / CLOCK_UNITS);
}

static double rlua_difftime(time_t later, time_t earlier) {
  return (double)((__int128)later - earlier);
}

/* -- the calendar ------------------------------------------------------------------------------ */

#define DAY_SECONDS 86400
#define DAYS_OF_400_YEARS 146097
/* Days from 0000-03-01, where a cycle of 400 years begins, to 1970-01-01. */
#define DAYS_BEFORE_1970 719468

static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

static int is_leap(int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first of a month, counted from 0. Years begin in March here, so that
 * the leap day is the last: see Hinnant, "chrono-compatible low-level date algorithms". */
static int64_t days_before_month(int64_t year, int month) {
  int64_t y = year - (month < 2), cycle = floor_div(y, 400), year_of_cycle = y - cycle * 400;
  int64_t day_of_year = (153 * (int64_t)((month + 10) % 12) + 2) / 5;
  int64_t leaps = year_of_cycle / 4 - year_of_cycle / 100;
  return cycle * DAYS_OF_400_YEARS + year_of_cycle * 365 + leaps + day_of_year - DAYS_BEFORE_1970;
}

/* NULL when the year fits in no int. */
static struct tm *civil_time(int64_t seconds, struct tm *tm) {
  int64_t days = floor_div(seconds, DAY_SECONDS), shifted = days + DAYS_BEFORE_1970;
  int second_of_day = (int)((seconds % DAY_SECONDS + DAY_SECONDS) % DAY_SECONDS);
  int64_t cycle = floor_div(shifted, DAYS_OF_400_YEARS);
  int day = (int)(shifted - cycle * DAYS_OF_400_YEARS);
  int year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  int day_of_year = day - (365 * year + year / 4 - year / 100);
  int month = (5 * day_of_year + 2) / 153;
  int64_t full_year = cycle * 400 + year + (month >= 10);
  if (full_year - 1900 < INT_MIN || full_year - 1900 > INT_MAX) return NULL;
  memset(tm, 0, sizeof *tm);
  tm->tm_year = (int)(full_year - 1900);
  tm->tm_mon = (month + 2) % 12;
  tm->tm_mday = day_of_year - (153 * month + 2) / 5 + 1;
  tm->tm_hour = second_of_day / 3600;
  tm->tm_min = second_of_day / 60 % 60;
  tm->tm_sec = second_of_day % 60;
  tm->tm_wday = (int)(days + 4 - floor_div(days + 4, 7) * 7);
  tm->tm_yday = (int)(days - days_before_month(full_year, 0));
  return tm;
}

static struct tm *rlua_gmtime(lua_State *L, const time_t *t, struct tm *tm) {
  return rlua_deterministic(L) ? civil_time(*t, tm) : rlua_gmtime_r(t, tm);
}

static struct tm *rlua_localtime(lua_State *L, const time_t *t, struct tm *tm) {
  return rlua_deterministic(L) ? civil_time(*t, tm) : rlua_localtime_r(t, tm);
}

/* Normalizes the fields, whatever ints they are; -1 as mktime where the year leaves its range. */
static time_t rlua_mktime(lua_State *L, struct tm *tm) {
  if (!rlua_deterministic(L)) return (mktime)(tm);
  int64_t years = (int64_t)tm->tm_year + 1900 + floor_div(tm->tm_mon, 12);
  int month = (int)(tm->tm_mon - floor_div(tm->tm_mon, 12) * 12);
  int64_t days = days_before_month(years, month) + tm->tm_mday - 1;
  int64_t seconds = days * DAY_SECONDS + (int64_t)tm->tm_hour * 3600 + (int64_t)tm->tm_min * 60 +
                    tm->tm_sec;
  return civil_time(seconds, tm) == NULL ? (time_t)-1 : (time_t)seconds;
}

/* -- dates as text ----------------------------------------------------------------------------- */

static const char *const day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

/* Week of the year when weeks begin on the day `first`; days before the first such day are in
 * week 0. */
static int week_from(const struct tm *tm, int first) {
  return (tm->tm_yday + 7 - (tm->tm_wday + 7 - first) % 7) / 7;
}

/* ISO 8601: week 1 is the one with the first Thursday. */
static int iso_week(const struct tm *tm, int64_t *year) {
  int from_monday = (tm->tm_wday + 6) % 7;
  int thursday = tm->tm_yday - from_monday + 3;
  *year = (int64_t)tm->tm_year + 1900;
  if (thursday < 0) thursday += 365 + is_leap(--*year);
  else if (thursday >= 365 + is_leap(*year)) thursday -= 365 + is_leap((*year)++);
  return thursday / 7 + 1;
}

static int write_number(char *text, const char *format, int64_t n) {
  return snprintf(text, 32, format, (long long)n);
}

/* One conversion in the C locale, of C99; the modifiers E and O change nothing there. */
static int write_field(char *text, char conversion, const struct tm *tm) {
  int64_t year = (int64_t)tm->tm_year + 1900, iso_year;
  int hour12 = (tm->tm_hour + 11) % 12 + 1, week = iso_week(tm, &iso_year);
  int64_t century = floor_div(year, 100);
  switch (conversion) {
    case 'a': return snprintf(text, 32, "%.3s", day_names[tm->tm_wday]);
    case 'A': return snprintf(text, 32, "%s", day_names[tm->tm_wday]);
    case 'b': case 'h': return snprintf(text, 32, "%.3s", month_names[tm->tm_mon]);
    case 'B': return snprintf(text, 32, "%s", month_names[tm->tm_mon]);
    case 'C': return write_number(text, "%02lld", century);
    case 'd': return write_number(text, "%02lld", tm->tm_mday);
    case 'e': return write_number(text, "%2lld", tm->tm_mday);
    case 'g': return write_number(text, "%02lld", iso_year - floor_div(iso_year, 100) * 100);
    case 'G': return write_number(text, "%lld", iso_year);
    case 'H': return write_number(text, "%02lld", tm->tm_hour);
    case 'I': return write_number(text, "%02lld", hour12);
    case 'j': return write_number(text, "%03lld", tm->tm_yday + 1);
    case 'm': return write_number(text, "%02lld", tm->tm_mon + 1);
    case 'M': return write_number(text, "%02lld", tm->tm_min);
    case 'n': return snprintf(text, 32, "\n");
    case 'p': return snprintf(text, 32, tm->tm_hour < 12 ? "AM" : "PM");
    case 'S': return write_number(text, "%02lld", tm->tm_sec);
    case 't': return snprintf(text, 32, "\t");
    case 'u': return write_number(text, "%lld", (tm->tm_wday + 6) % 7 + 1);
    case 'U': return write_number(text, "%02lld", week_from(tm, 0));
    case 'V': return write_number(text, "%02lld", week);
    case 'w': return write_number(text, "%lld", tm->tm_wday);
    case 'W': return write_number(text, "%02lld", week_from(tm, 1));
    case 'y': return write_number(text, "%02lld", year - century * 100);
    case 'Y': return write_number(text, "%lld", year);
    case 'z': return snprintf(text, 32, "+0000");
    case 'Z': return snprintf(text, 32, "UTC");
    default: return snprintf(text, 32, "%c", conversion);
  }
}

/* What a conversion is short for, or NULL. */
static const char *long_form(char conversion) {
  switch (conversion) {
    case 'c': return "a b e T Y";
    case 'D': case 'x': return "m/d/y";
    case 'F': return "Y-m-d";
    case 'r': return "I:M:S p";
    case 'R': return "H:M";
    case 'T': case 'X': return "H:M:S";
    default: return NULL;
  }
}

static int write_conversion(char *text, char conversion, const struct tm *tm) {
  const char *form = long_form(conversion);
  int length = 0;
  if (form == NULL) return write_field(text, conversion, tm);
  for (; *form != '\0'; form++) {
    if (ispunct((unsigned char)*form) || *form == ' ') text[length++] = *form;
    else length += write_conversion(text + length, *form, tm);
  }
  return length;
}

/* `format` is one conversion, which loslib.c has checked. What the C library does not know is that
 * of the C locale in the stock profile, too. */
static size_t rlua_strftime(lua_State *L, char *text, size_t room, const char *format,
                            const struct tm *tm) {
  char conversion = format[strlen(format) - 1];
  int ours = rlua_deterministic(L);
#ifdef RLUA_STRFTIME_KNOWN
  ours |= strlen(format) != 2 || strchr(RLUA_STRFTIME_KNOWN, conversion) == NULL;
#endif
  if (!ours) return (strftime)(text, room, format, tm);
  return (size_t)write_conversion(text, conversion, tm);
}
