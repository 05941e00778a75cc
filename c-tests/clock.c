/* clock.c: in the deterministic profile time is what the host set, and dates are those of UTC in
 * the C locale.
 * Method: dates and times by chance are compared with what the C library says under TZ=UTC in the C
 * locale, and then under another zone, which must change nothing. */
#define _DEFAULT_SOURCE /* timegm */
#include <limits.h>
#include <locale.h>
#include <time.h>

#include "harness.h"

static uint64_t chance = 1;

static uint64_t draw(void) { /* xorshift64 */
    chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17;
    return chance;
}

static void set_zone(const char *zone) {
    setenv("TZ", zone, 1);
    tzset();
}

TEST(time_is_zero_until_the_host_sets_it) {
    lua_State *L = open_vm(MIB, 1);
    CHECK_EVAL(L, "os.time() .. ' ' .. os.clock() .. ' ' .. os.date()",
               "0 0.0 Thu Jan  1 00:00:00 1970");
    CHECK_OK(rlua_set_time(L, 1700000000, 123456789));
    CHECK_EVAL(L, "os.time() .. ' ' .. os.date('!%F %T')", "1700000000 2023-11-14 22:13:20");
    CHECK_EVAL(L, "os.clock() == 1700000000.123456", "true");
    CHECK_EVAL(L, "os.date('*t').year .. os.date('*t').wday .. tostring(os.date('*t').isdst)",
               "20233false");
    CHECK_OK(rlua_set_time(L, -2, 999999999)); /* it may go back */
    CHECK_EVAL(L, "os.time() .. ' ' .. os.date('%c')", "-2 Wed Dec 31 23:59:58 1969");
    CHECK_EVAL(L, "('%.6f'):format(os.clock())", "-1.000001");
    lua_close(L);
}

TEST(time_is_part_of_the_state) {
    lua_State *L = open_vm(MIB, 1);
    CHECK_OK(rlua_set_time(L, 100, 500000000));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_set_time(L, 101, 0));
    CHECK_EVAL(L, "os.clock()", "101.0");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "os.clock()", "100.5");
    lua_close(L);
}

static int tick(lua_State *L) {
    CHECK_OK(rlua_set_time(L, lua_tointeger(L, 1), 0));
    return 0;
}

TEST(time_may_be_set_while_lua_runs) {
    lua_State *L = open_vm(MIB, 1);
    lua_register(L, "tick", tick);
    run(L, "tick(5) assert(os.time() == 5) "
           "coroutine.wrap(function() tick(6) end)() assert(os.time() == 6)");
    lua_close(L);
}

TEST(a_wrong_time_is_refused) {
    lua_State *L = open_vm(MIB, 1), *stock = luaL_newstate();
    CHECK_OK(rlua_set_time(L, 3, 999999999));
    CHECK_REFUSED(rlua_set_time(L, 4, 1000000000), RLUA_BAD_ARG);
    CHECK_EVAL(L, "os.time()", "3");
    CHECK_REFUSED(rlua_set_time(stock, 4, 0), RLUA_UNSUPPORTED);
    CHECK_REFUSED(rlua_set_time(NULL, 4, 0), RLUA_NULL_ARG);
    lua_close(L);
    lua_close(stock);
}

static void compare_date(lua_State *L, time_t t) {
    static const char *const conversions[] = {
        "a", "A", "b", "B", "c", "C", "d", "D", "e", "F", "g", "G", "h", "H", "I", "j", "m",
        "M", "n", "p", "r", "R", "S", "t", "T", "u", "U", "V", "w", "W", "x", "X", "y", "Y",
        "z", "%", "Ec", "EC", "Ex", "EX", "Ey", "EY", "Od", "Oe", "OH", "OI", "Om", "OM", "OS",
        "Ou", "OU", "OV", "Ow", "OW", "Oy"};
    char expected[200], format[8];
    struct tm tm;
    size_t i;
    CHECK(gmtime_r(&t, &tm) != NULL);
    for (i = 0; i < COUNT_OF(conversions); i++) {
        snprintf(format, sizeof format, "%%%s", conversions[i]);
        strftime(expected, sizeof expected, format, &tm);
        lua_getglobal(L, "date");
        lua_pushstring(L, format);
        lua_pushinteger(L, t);
        lua_call(L, 2, 1);
        if (strcmp(lua_tostring(L, -1), expected) != 0)
            FAIL("%s of %lld is %s, expected %s", format, (long long)t, lua_tostring(L, -1),
                 expected);
        lua_pop(L, 1);
    }
}

TEST(dates_are_those_of_the_c_library) {
    NOT_ON_WINDOWS("its C library knows a part of the conversions");
    lua_State *L = open_vm(MIB, 1);
    long i, rounds = 3000 / test_scale();
    set_zone("UTC");
    run(L, "date = os.date");
    for (i = 0; i < rounds; i++) {
        compare_date(L, (time_t)(draw() % (1ull << 33)));            /* to 2242 */
        compare_date(L, (time_t)(draw() % 284012524800) - 30610224000); /* years 1000 to 9999 */
        compare_date(L, (time_t)(i * 86400 * 31));
    }
    set_zone("Asia/Tokyo");
    CHECK_EVAL(L, "date('%c %Z %z', 0)", "Thu Jan  1 00:00:00 1970 UTC +0000");
    CHECK_EVAL(L, "os.time {year = 1970, month = 1, day = 1, hour = 0}", "0");
    set_zone("UTC");
    lua_close(L);
}

TEST(times_of_tables_are_those_of_the_c_library) {
    NOT_ON_WINDOWS("its C library knows no year before 1970");
    static const char *const names[] = {"year", "month", "day", "hour", "min", "sec"};
    lua_State *L = open_vm(MIB, 1);
    long i, rounds = 20000 / test_scale();
    set_zone("UTC");
    run(L, "time = os.time");
    for (i = 0; i < rounds; i++) {
        int fields[6], field;
        struct tm tm;
        time_t t;
        long long range = i % 2 ? 4000 : 2000000;
        lua_settop(L, 0);
        lua_newtable(L);
        for (field = 0; field < 6; field++) {
            fields[field] = (int)((long long)(draw() % (uint64_t)range) - range / 2);
            if (i % 4 < 3 && field == 0) fields[field] = 1900 + (int)(draw() % 300);
            lua_pushinteger(L, fields[field]);
            lua_setfield(L, 1, names[field]);
        }
        memset(&tm, 0, sizeof tm);
        tm.tm_year = fields[0] - 1900, tm.tm_mon = fields[1] - 1, tm.tm_mday = fields[2];
        tm.tm_hour = fields[3], tm.tm_min = fields[4], tm.tm_sec = fields[5];
        t = timegm(&tm);
        if (t == -1) continue;
        lua_getglobal(L, "time");
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        CHECK_EQ(lua_tointeger(L, 2), t);
        lua_getfield(L, 1, "yday");
        CHECK_EQ(lua_tointeger(L, 3), tm.tm_yday + 1);
        lua_getfield(L, 1, "wday");
        CHECK_EQ(lua_tointeger(L, 4), tm.tm_wday + 1);
        lua_getfield(L, 1, "month");
        CHECK_EQ(lua_tointeger(L, 5), tm.tm_mon + 1);
    }
    lua_close(L);
}

TEST(years_end_where_an_int_does) {
    lua_State *L = open_vm(MIB, 1);
    CHECK_EVAL(L, "os.date('%Y', 67768036191676799)", "2147485547");
    CHECK_EVAL(L, "pcall(os.date, '%Y', 67768036191676800)", "false");
    CHECK_EVAL(L, "pcall(os.date, '%Y', math.mininteger)", "false");
    CHECK_EVAL(L, "os.time {year = 2147485547, month = 12, day = 31, hour = 23, min = 59, "
                  "sec = 59}",
               "67768036191676799");
    CHECK_EVAL(L, "pcall(os.time, {year = 2147485547, month = 12, day = 32})", "false");
    CHECK_EVAL(L, "pcall(os.date, '%Ez')", "false");
    CHECK_OK(rlua_set_time(L, INT64_MAX, 0)); /* a time, but no date */
    CHECK_EVAL(L, "os.time() == math.maxinteger and not pcall(os.date)", "true");
    CHECK_EVAL(L, "os.difftime(math.maxinteger, math.mininteger) == 2.0 ^ 64", "true");
    lua_close(L);
}

TEST(stock_profile_reads_the_systems_clock) {
    lua_State *L = luaL_newstate();
    char now[40];
    time_t before = time(NULL), told;
    luaL_openlibs(L);
    told = (time_t)strtoll(eval(L, "os.time()", now, sizeof now), NULL, 10);
    CHECK(before <= told && told <= time(NULL));
    CHECK_EVAL(L, "math.type(os.clock()) == 'float' and os.clock() < 1000", "true");
#ifndef _WIN32 /* whose zones have other names */
    set_zone("Asia/Tokyo");
    CHECK_EVAL(L, "os.time {year = 1970, month = 1, day = 1, hour = 9}", "0");
    CHECK_EVAL(L, "os.date('%H', 0)", "09");
    set_zone("UTC");
#endif
    lua_close(L);
}
