/* math_golden.c: what a script computes has the same bits everywhere, in both profiles.
 * Method: a script hashes the results of each function and operator over random arguments and hard
 * cases; the hashes are pinned. tests/math.rs does the same for the functions themselves, in more
 * places; here it is seen that scripts get these functions. */
#include "harness.h"

static const char SCRIPT[] =
    "local pack, unpack, huge = string.pack, string.unpack, math.huge\n"
    "local state = 0x9e3779b97f4a7c15\n"
    "local function bits()\n"
    "  state = state ~ (state >> 12); state = state ~ (state << 25); state = state ~ (state >> "
    "27)\n"
    "  return state * 0x2545f4914f6cdd1d\n"
    "end\n"
    "local function any() return (unpack('<d', pack('<i8', bits()))) end\n"
    "local function within(size) return ((bits() >> 11) * 2^-53 * 2 - 1) * size end\n"
    "local hard = {0.0, 1.0, 0.5, 2.0, 3.0, 10.0, 1e22, 0.1, huge, 0 / 0, 5e-324, 2.0^-1022, "
    "1e308, math.pi,\n"
    "  math.pi / 2, 355.0, 709.78, 745.13, 2.0^53, 2.0^62, 1 - 2.0^-53, 1 + 2.0^-52, 1e-8}\n"
    "for i = 1, #hard do hard[#hard + 1] = -hard[i] end\n"
    "local one = {sin = math.sin, cos = math.cos, tan = math.tan, asin = math.asin, acos = "
    "math.acos,\n"
    "  atan = math.atan, exp = math.exp, log = math.log, log10 = math.log10, sinh = math.sinh,\n"
    "  cosh = math.cosh, tanh = math.tanh, sqrt = math.sqrt, deg = math.deg, rad = math.rad,\n"
    "  log2 = function(x) return math.log(x, 2) end, log3 = function(x) return math.log(x, 3) "
    "end,\n"
    "  floor = function(x) return math.floor(x) + 0.0 end, ceil = function(x) return "
    "math.ceil(x) + 0.0 end,\n"
    "  modf = function(x) local a, b = math.modf(x); return a * 3 + b end, square = function(x) "
    "return x^2 end,\n"
    "  text = function(x) return tonumber(tostring(x)) or 0.0 end,\n"
    "  hex = function(x) return tonumber((string.format('%.5a', x))) or 0.0 end,\n"
    "  frexp = function(x) local m, e = math.frexp(x); return m * e end}\n"
    "local two = {atan2 = math.atan, pow = function(x, y) return x^y end, mpow = math.pow,\n"
    "  mod = function(x, y) return x % y end, fmod = math.fmod, idiv = function(x, y) return x "
    "// y end,\n"
    "  div = function(x, y) return x / y end, logb = math.log, max = math.max,\n"
    "  ldexp = function(x, y) return math.ldexp(x, y > -2000 and y < 2000 and y // 1 | 0 or 7) "
    "end}\n"
    "local names, parts = {}, {}\n"
    "for name in pairs(one) do names[#names + 1] = name end\n"
    "for name in pairs(two) do names[#names + 1] = name end\n"
    "table.sort(names)\n"
    "for _, name in ipairs(names) do\n"
    "  local f, hash = one[name] or two[name], 0xcbf29ce484222325\n"
    "  local function add(x, y)\n"
    "    local r = f(x, y)\n"
    "    if r ~= r then r = 0 end\n" /* in the stock profile a NaN has a sign */
    "    hash = (hash ~ unpack('<i8', pack('<d', r))) * 0x100000001b3\n"
    "    hash = hash ~ (hash >> 29)\n"
    "  end\n"
    "  for _, x in ipairs(hard) do\n"
    "    if two[name] then for _, y in ipairs(hard) do add(x, y) end else add(x) end\n"
    "  end\n"
    "  for i = 1, 1500 do add(any(), any()); add(within(1), within(1)); add(within(300), "
    "within(30)) end\n"
    "  parts[#parts + 1] = string.format('%s=%016x', name, hash)\n"
    "end\n"
    "return table.concat(parts, ' ')\n";

static const char GOLDEN[] =
    "acos=35caecb8a4b6bcfd asin=ca3a5fa58f0d4af3 atan=1e11dead5425ad66 "
    "atan2=91c4ade609f73edd ceil=a210f7448c8d77c6 cos=b7e3e4fa3118ab49 "
    "cosh=5e87f93a244fa621 deg=c8522c70c0d5a763 div=c5a3d1627eb67f7a "
    "exp=fa2c8b395c9a9e1b floor=7f80b460ed1304e6 fmod=69d9753ed717bff1 "
    "frexp=8f32ad29a8068669 hex=27ad8aa062184c4e idiv=648267f171b11c8f "
    "ldexp=65001f57579b528b log=3fd170aed0223626 log10=76e3704e6e9f9adc "
    "log2=67f281d9e8abe649 log3=12b65b54b916de7e logb=029b37ab57a1e46c "
    "max=2bc15714f7deff51 mod=a21f9cc76b36c635 modf=13a4493927f55337 "
    "mpow=6eeb8483e9ff3a7f pow=adbb4fbae26bf586 rad=beae68fb445b8498 "
    "sin=4ef3fb6fb4584e11 sinh=3a9ffc50df60c8a4 sqrt=7d575cbdae5b040a "
    "square=ba97c4db59868b51 tan=02909e2911df04b1 tanh=9221aacc8496706f "
    "text=9d4379f3799eb7e4";

static void is_golden(lua_State *L) {
    luaL_openlibs(L);
    if (luaL_dostring(L, SCRIPT)) FAIL("%s", lua_tostring(L, -1));
    CHECK_STR(lua_tostring(L, -1), GOLDEN);
    lua_close(L);
}

TEST(results_in_the_deterministic_profile) {
    is_golden(rlua_new_rollback(4 * MIB, 0));
}

TEST(results_in_the_stock_profile) {
    is_golden(luaL_newstate());
}

/* Folded by the compiler, or computed by the VM: the same. */
TEST(constants_are_folded_alike) {
    static const char *const expressions[] = {"2.5^0.3", "7.5 % 0.7", "-7.5 % 0.7",
                                              "1e300 // 0.3", "0.1 + 0.2", "3 / 7", "2^0.5",
                                              "5.5 // -2", "1e15 % 1e-5"};
    lua_State *L = open_vm(1 * MIB, 0);
    for (size_t i = 0; i < COUNT_OF(expressions); i++) {
        char left[16], operator[4], right[16], script[200];
        CHECK_EQ(sscanf(expressions[i], "%15[-0-9.e] %3[^ 0-9.-] %15s", left, operator, right), 3);
        snprintf(script, sizeof script, "(function(a, b) return a %s b end)(%s, %s) == %s %s %s",
                 operator, left, right, left, operator, right);
        CHECK_EVAL(L, script, "true");
    }
    lua_close(L);
}
