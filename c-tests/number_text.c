/* number_text.c: text of numbers, classes of characters and the order of strings are the same
 * everywhere: what the C library says in the "C" locale, whatever locale the process has.
 * Method: random conversions against printf and strtod of glibc, which are exact; then the same
 * under a locale with another decimal point, another case and another order. */
#include "harness.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>

static uint64_t state = 0x9e3779b97f4a7c15;
static uint64_t random_bits(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}
static unsigned below(unsigned limit) { return (unsigned)(random_bits() >> 33) % limit; }

static double from_bits(uint64_t bits) {
    double n;
    memcpy(&n, &bits, sizeof n);
    return n;
}
static uint64_t bits_of(double n) {
    uint64_t bits;
    memcpy(&bits, &n, sizeof bits);
    return bits;
}

/* Floats of every size, integral ones, short decimals, and values in the middle of two decimals. */
static double random_float(void) {
    static const double hard[] = {0.0, 0.5, 1.5, 2.5, 0.125, 1e15, 1e16, 1e-4, 1e-5, 9.5, 99.5,
                                  999999.5, 0.05, 5e-324, 1.7976931348623157e308, INFINITY,
                                  9.9999999999999e14, 99999999999999.9, 0x1.8p0, 0x1.08p0};
    double sign = below(2) ? -1 : 1;
    switch (below(6)) {
    case 0: return from_bits(random_bits());
    case 1: return sign * (double)(random_bits() >> below(64));
    case 2: return sign * (double)below(100000) / 1000;
    case 3: return sign * ldexp((double)(random_bits() >> (40 + below(20))), -(int)below(30));
    case 4: return sign * hard[below(COUNT_OF(hard))];
    default: return from_bits(random_bits() & ~(~(uint64_t)0 << below(64)));
    }
}

static long long eval_int(lua_State *L, const char *expression) {
    char text[64];
    return strtoll(eval(L, expression, text, sizeof text), NULL, 10);
}

static lua_State *text_vm(void) {
    lua_State *L = open_vm(8 * MIB, 0);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "format");
    lua_remove(L, -2);
    return L;
}

/* string.format, whose function is at 1. */
static const char *formatted(lua_State *L, const char *conversion, int kind, double n,
                             long long integer) {
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_pushstring(L, conversion);
    if (kind == 'f') lua_pushnumber(L, n);
    else lua_pushinteger(L, integer);
    if (lua_pcall(L, 2, 1, 0)) FAIL("%s: %s", conversion, lua_tostring(L, -1));
    return lua_tostring(L, -1);
}

/* A conversion that Lua accepts, for Lua and for C. */
static void random_conversion(char kind, const char *flags, const char *length, char *lua,
                              char *c) {
    char spec[32] = "%", *at = spec + 1;
    for (const char *flag = flags; *flag; flag++)
        if (below(4) == 0) *at++ = *flag;
    if (below(2)) at += sprintf(at, "%u", 1 + below(below(2) ? 99 : 30));
    if (below(8) == 0) at += sprintf(at, ".");
    else if (below(3)) at += sprintf(at, ".%u", below(below(3) ? 20 : 100));
    *at = '\0';
    sprintf(lua, "%s%c", spec, kind);
    sprintf(c, "%s%s%c", spec, length, kind);
}

/* glibc's "%#g" loses the zeros of 1.00000e+06 where the digits have been rounded up to it (so
 * 999999.5 becomes "1.e+06"), against the C standard. */
static int glibc_drops_zeros(const char *conversion, double n) {
    const char *point = strchr(conversion, '.');
    int precision = point ? atoi(point + 1) : 6;
    char text[128];
    snprintf(text, sizeof text, "%.*e", precision > 0 ? precision - 1 : 0, fabs(n));
    return isfinite(n) && n != 0 && strtod(text, NULL) > fabs(n) && text[0] == '1' &&
           strspn(text + 1, ".0") == strcspn(text + 1, "e");
}

TEST(format_writes_what_printf_writes) {
    NOT_ON_WINDOWS("mingw's printf rounds %%a otherwise than C asks for");
    lua_State *L = text_vm();
    for (long i = 0; i < 400000 / test_scale(); i++) {
        char lua[64], c[64], expected[1024];
        const char *kinds = "diuoxXaAeEfgG";
        char kind = kinds[below(13)];
        const char *actual;
        if (strchr("aAeEfgG", kind)) {
            double n = random_float();
            if (isnan(n)) n = fabs(n) * 0 + NAN;
            random_conversion(kind, "-+ #0", "", lua, c);
            snprintf(expected, sizeof expected, c, n);
            if (strchr(lua, '#') && strchr("gG", kind) && glibc_drops_zeros(c, n)) continue;
            actual = formatted(L, lua, 'f', n, 0);
            if (strcmp(actual, expected) != 0)
                FAIL("%s of %a: \"%s\", expected \"%s\"", lua, n, actual, expected);
        } else {
            long long n = (long long)(random_bits() >> below(64));
            const char *flags = kind == 'u' ? "-0" : strchr("di", kind) ? "-+0 " : "-#0";
            if (below(8) == 0) n = 0;
            if (below(2)) n = -n;
            random_conversion(kind, flags, "ll", lua, c);
            snprintf(expected, sizeof expected, c, n);
            actual = formatted(L, lua, 'i', 0, n);
            if (strcmp(actual, expected) != 0)
                FAIL("%s of %lld: \"%s\", expected \"%s\"", lua, n, actual, expected);
        }
    }
    lua_close(L);
}

TEST(format_writes_characters_and_strings) {
    lua_State *L = text_vm();
    CHECK_EVAL(L, ("string.format('%5c|%-5c|%c', 65, 66, 67)"), "    A|B    |C");
    CHECK_EVAL(L, ("string.format('%5s|%-5s|%.2s|%5.1s|%.0s|%.s', 'abc', 'abc', 'abc', "
                             "'abc', 'abc', 'abc')"), "  abc|abc  |ab|    a||");
    CHECK_EVAL(L, ("string.format('%q %q %q', 0.1, math.mininteger, 1/0)"),
              "0x1.999999999999ap-4 0x8000000000000000 1e9999");
    CHECK_STR(formatted(L, "%#.6g", 'f', 999999.5, 0), "1.00000e+06");
    CHECK_EVAL(L, ("string.format('%q', '\\0a\\1271')"), "\"\\0a\\1271\"");
    CHECK_EVAL(L, ("#string.format('%c', 0) .. #string.format('%99.99f', -1e308)"), "1410");
    lua_close(L);
}

static void same_number(lua_State *L, const char *text) {
    char *end;
    double expected = strtod(text, &end);
    CHECK(*end == '\0');
    if (lua_stringtonumber(L, text) == 0) FAIL("not a number: %.60s", text);
    double actual = lua_tonumber(L, -1);
    if (bits_of(actual) != bits_of(expected))
        FAIL("%.400s is %a, expected %a", text, actual, expected);
    lua_pop(L, 1);
}

TEST(tonumber_reads_what_strtod_reads) {
    static const char *const hard[] = {
        "1e23", "8.5e22", "9007199254740993.0", "9007199254740992.99999999999999999999",
        "0e99999999",
        "2.2250738585072011e-308", "2.2250738585072012e-308", "4.9406564584124654e-324",
        "2.4703282292062327208e-324", "2.4703282292062328e-324", "1.7976931348623158e308",
        "1.7976931348623159e308", "1e400", "-1e-400", "1e-99999999999999999999",
        "1e99999999999999999", ".5", "5.", "-.5e1", "+1.e+1", "000000000000000000000000000001.0",
        "0x.8", "0x8.", "-0x1p-1074",
        "0x1p-1075", "0x1.8p-1075", "0x1.00000000000008p0", "0x1.000000000000080000000001p0",
        "0x1.fffffffffffff8p1023", "0x1.fffffffffffff7ffffp1023", "0x0.0000000000001p-1022", "-0.0",
        "0x1p99999999999999999999", "0x1p-99999999999999999999",
        "0xfffffffffffffffffffffffffff.8p-3",
        "6.631236846766476e-316", "3.2378839133029012895883524125015321748630094059e-319"};
    lua_State *L = text_vm();
    for (size_t i = 0; i < COUNT_OF(hard); i++) same_number(L, hard[i]);
    for (long i = 0; i < 400000 / test_scale(); i++) {
        char text[1400], *at = text;
        double n = fabs(random_float());
        if (!isfinite(n)) continue;
        switch (below(5)) {
        case 0: sprintf(text, "%.*e", (int)below(25), n); break;
        case 1: sprintf(text, "%a", n); break;
        case 2: /* the middle of two floats, in full, and a little beside it */
            at += sprintf(at, "%.*f", n < 1 ? 800 : 80, n < 1e-3 ? ldexp(1, -(int)below(70)) : n);
            if (below(2)) *(at - 1) = '1';
            break;
        case 3:
            sprintf(text, "0x%llx%08x.%xp%d", (unsigned long long)random_bits(), below(~0u),
                    below(~0u), (int)below(2300) - 1200);
            break;
        default:
            sprintf(text, "%u.%ue%d", below(1000000), below(1000000), (int)below(60) - 30);
            break;
        }
        same_number(L, text);
    }
    lua_close(L);
}

TEST(tonumber_refuses_what_is_no_numeral) {
    static const char *const bad[] = {"", " ", "+", ".", "e5", "1e", "1e+", "0x", "0x.", "0xp1",
                                      "0x1p", "1x", "1..", "1.2.3", "nan", "inf", "1,5", "- 1",
                                      "0x1.8p", "1f", "infinity", "1e5x", "0x1.g"};
    lua_State *L = text_vm();
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (lua_stringtonumber(L, bad[i]) != 0) FAIL("\"%s\" is a number", bad[i]);
    CHECK(lua_stringtonumber(L, " \t\n\v\f\r0x1.8p1 \t\n") != 0);
    lua_close(L);
}

/* Everything that a locale could change. */
static const char TEXTS[] =
    "local out = {}\n"
    "local function add(...) out[#out + 1] = table.concat({...}, ' ') end\n"
    "add(1.5, 1e100, -0.25 .. '', string.format('%.3f %g %e %a', 1.5, 0.1, 2.5, 0.1))\n"
    "add(tostring(tonumber('1.5')), tostring(tonumber('1,5')), tostring(tonumber('0x.8')))\n"
    "add(load('return 2.5')(), tostring(load('return 2,5') ~= nil), '1.5' + 1)\n"
    "local all = {}\n"
    "for c = 0, 255 do all[#all + 1] = string.char(c) end\n"
    "all = table.concat(all)\n"
    "add(all:upper(), all:lower())\n"
    "for class in ('acdglpsuwxACDGLPSUWX'):gmatch('.') do add((all:gsub('%' .. class, ''))) end\n"
    "local words = {'Zebra', 'apfel', 'Apfel', '\\195\\164pfel', 'zebra', 'a-b', 'ab', '\\228', "
    "''}\n"
    "table.sort(words); add(table.concat(words, ','))\n"
    "add(tostring(os.setlocale()), tostring(os.setlocale('')), tostring(os.setlocale('C', "
    "'numeric')),\n"
    "    tostring(os.setlocale('de_DE.UTF-8')), tostring(os.setlocale(nil, 'ctype')))\n"
    "return table.concat(out, '\\n')\n";

static char *texts(void) {
    lua_State *L = open_vm(1 * MIB, 0);
    size_t length;
    if (luaL_dostring(L, TEXTS)) FAIL("%s", lua_tostring(L, -1));
    const char *text = lua_tolstring(L, -1, &length);
    char *copy = malloc(length + 1);
    memcpy(copy, text, length + 1);
    lua_close(L);
    /* The text has zeros: escape them for a comparison as a string. */
    for (size_t i = 0; i < length; i++)
        if (copy[i] == '\0') copy[i] = '\1';
    return copy;
}

TEST(classes_are_those_of_the_c_locale) {
    static const struct {
        char letter;
        int (*of)(int);
    } classes[] = {{'a', isalpha}, {'c', iscntrl}, {'d', isdigit}, {'g', isgraph}, {'l', islower},
                   {'p', ispunct}, {'s', isspace}, {'u', isupper}, {'w', isalnum}, {'x', isxdigit}};
    lua_State *L = open_vm(1 * MIB, 0);
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        for (int c = 0; c < 256; c++) {
            char script[160];
            snprintf(script, sizeof script, "string.char(%d):find('%%%c') and 1 or 0", c,
                     classes[i].letter);
            if (eval_int(L, script) != (classes[i].of(c) != 0))
                FAIL("%%%c and character %d", classes[i].letter, c);
            snprintf(script, sizeof script, "string.char(%d):upper():byte() * 256 + "
                     "string.char(%d):lower():byte()", c, c);
            CHECK_EQ(eval_int(L, script), toupper(c) * 256 + tolower(c));
        }
    lua_close(L);
}

/* Makes locales with a decimal comma, another case and another order, where glibc's tool and
 * sources are there; `folder` is where setlocale then finds them. */
static void make_locales(char *folder) {
    static const char *const locales[][2] = {{"de_DE", "UTF-8"}, {"tr_TR", "UTF-8"},
                                             {"de_DE", "ISO-8859-1"}, {"tr_TR", "ISO-8859-9"}};
    if (mkdtemp(folder) == NULL) return;
    for (size_t i = 0; i < COUNT_OF(locales); i++) {
        char command[256];
        snprintf(command, sizeof command, "localedef -i %s -f %s %s/%s.%s >/dev/null 2>&1",
                 locales[i][0], locales[i][1], folder, locales[i][0], locales[i][1]);
        if (system(command) != 0) continue;
    }
    setenv("LOCPATH", folder, 1);
}

static void remove_locales(const char *folder) {
    char command[128];
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_EQ(system(command), 0);
}

TEST(a_locale_of_the_process_changes_nothing) {
    NOT_ON_WINDOWS("localedef makes the locales");
    static const char *const names[] = {"de_DE.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1",
                                        "tr_TR.ISO-8859-9"};
    char folder[] = "/tmp/rlua-locales-XXXXXX", *expected = texts();
    size_t tried = 0;
    make_locales(folder);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (setlocale(LC_ALL, names[i]) == NULL) continue;
        tried++;
        char point[8];
        snprintf(point, sizeof point, "%.1f", 0.5);
        CHECK_STR(point, "0,5"); /* the locale is in force */
        char *actual = texts();
        CHECK_STR(setlocale(LC_ALL, NULL), names[i]); /* and no script has changed it */
        lua_State *stock = luaL_newstate(); /* whose numbers do not depend on it either */
        luaL_openlibs(stock);
        CHECK_EVAL(stock, "os.setlocale()", names[i]);
        CHECK_EVAL(stock, "1.5 .. string.format(' %.2f ', 2.5) .. tonumber('1.5')", "1.5 2.50 1.5");
        lua_close(stock);
        setlocale(LC_ALL, "C");
        CHECK_STR(actual, expected);
        free(actual);
    }
    free(expected);
    remove_locales(folder);
    if (tried < COUNT_OF(names)) NOT_RUN("localedef is missing (package locales)");
}

/* os.setlocale of the stock profile is the C library's. */
TEST(the_stock_profile_has_the_processs_locale) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    CHECK_EVAL(L, "os.setlocale('C')", "C");
    CHECK_EVAL(L, "tostring(os.setlocale('nowhere'))", "nil");
    lua_close(L);
}

/* -- NaN -------------------------------------------------------------------------------------- */

static const uint64_t CANONICAL = (uint64_t)0x7ff8 << 48;

static void has_one_nan(lua_State *L) {
    static const uint64_t all[] = {(uint64_t)0xfff8 << 48, (uint64_t)0x7ff8 << 48,
                                   0x7ff8000000000001, 0xffffffffffffffff, 0x7ffc000012345678};
    luaL_openlibs(L);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        lua_pushnumber(L, from_bits(all[i]));
        CHECK_EQ(bits_of(lua_tonumber(L, -1)), CANONICAL);
        lua_setglobal(L, "nan");
        CHECK_EVAL(L, ("tostring(nan) .. nan .. -nan .. string.format(' %f %E %+a %5g', nan, "
                                 "-nan, nan, -nan)"), "nannannan nan NAN +nan   nan");
        CHECK_EVAL(L, ("string.format('%q', nan)"), "(0/0)");
        CHECK_EVAL(L, ("string.pack('>dnf', nan, -nan, nan) == "
            "'\\x7f\\xf8\\0\\0\\0\\0\\0\\0' .. string.pack('>n', 0/0) .. '\\x7f\\xc0\\0\\0' and "
            "1 or 0"), "1");
    }
    CHECK_EVAL(L, ("tostring(0/0) .. -(0/0) .. math.huge - math.huge"), "nannannan");
    lua_getglobal(L, "nan");
    CHECK_STR(lua_pushfstring(L, "%f", from_bits(all[0])), "nan");
    lua_pushnumber(L, 0);
    lua_pushnumber(L, 0);
    lua_arith(L, LUA_OPDIV);
    CHECK_EQ(bits_of(lua_tonumber(L, -1)), CANONICAL);
    CHECK_STR(lua_tostring(L, -1), "nan");
    lua_close(L);
}

TEST(a_nan_has_one_form_outside_the_vm) {
    has_one_nan(rlua_new_rollback(1 * MIB, 0));
}

TEST(a_nan_of_the_stock_profile_keeps_its_sign) {
    lua_State *L = luaL_newstate();
    lua_pushnumber(L, from_bits((uint64_t)0xfff8 << 48 | 5));
    CHECK_EQ(bits_of(lua_tonumber(L, -1)), (uint64_t)0xfff8 << 48 | 5);
    CHECK_STR(lua_tostring(L, -1), "-nan");
    lua_pushnumber(L, from_bits((uint64_t)0x7ff8 << 48));
    CHECK_STR(lua_tostring(L, -1), "nan");
    lua_close(L);
}

/* Sizes that differ between platforms in stock Lua. */
TEST(pack_has_the_same_sizes_everywhere) {
    lua_State *L = open_vm(1 * MIB, 0);
    CHECK_EVAL(L, ("table.concat({string.packsize('b'), string.packsize('h'), "
        "string.packsize('i'), string.packsize('l'), string.packsize('j'), string.packsize('T'), "
        "string.packsize('f'), string.packsize('n'), string.packsize('!b l'), "
        "string.pack('I4', 1):byte(1)}, ' ')"), "1 2 4 8 8 8 4 8 16 1");
    lua_close(L);
}
