/* stalls.c: no script of a sandbox keeps the host waiting, whatever it tries.
 *
 * Method: each attempt runs in a VM of its own kind (sandboxed libraries, 64 MiB, a budget of
 * BUDGET units). It has to end: used up (most have nothing else to end by), with an error, or by
 * itself. Then the VM is rolled back to the frame before, found whole, and runs a script as if
 * nothing had been. What a unit and a linear pass take is printed: the worst of each kind. Nothing
 * tight is asserted about time, which belongs to the machine: only that no attempt hangs. */
#include "harness.h"

#include <time.h>

enum { BUDGET = 2000000, HANG_SECONDS = 10 };

typedef struct Attempt {
    const char *name;
    int expected; /* RLUA_BUDGET, or another status; ANY: one of these */
    const char *script;
} Attempt;

enum { ANY = -1 };

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static lua_State *open_sandbox(void) {
    lua_State *L = rlua_new_rollback(64 * MIB, 2);
    CHECK(L != NULL);
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_SANDBOX));
    CHECK_OK(rlua_dostring(L, "kept = 'before'"));
    return L;
}

/* Memory that only lasts for the attempt is let go: a collection costs what is there. */
static double attempt(const Attempt *a) {
    lua_State *L = open_sandbox();
    double start, took;
    int status;
    uint64_t left;
    CHECK_OK(rlua_set_budget(L, BUDGET));
    CHECK_OK(rlua_snap(L));
    alarm(HANG_SECONDS * (getenv("RLUA_TEST_SCALE") ? 30 : 1) * 3);
    start = cpu_seconds();
    status = rlua_dostring(L, a->script);
    took = cpu_seconds() - start;
    if (a->expected == ANY ? status != RLUA_BUDGET && status != RLUA_ERR_RUN &&
                                 status != RLUA_ERR_MEM && status != RLUA_OK
                           : status != a->expected)
        FAIL("%s: %s (%s), expected %s", a->name, rlua_strerror(status), rlua_last_error(L),
             a->expected == ANY ? "any" : rlua_strerror(a->expected));
    CHECK_OK(rlua_budget_left(L, &left));
    if (status == RLUA_BUDGET) CHECK_EQ(left, 0);
    if (took > HANG_SECONDS && !getenv("RLUA_TEST_SCALE"))
        FAIL("%s took %.1f seconds", a->name, took);
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_dostring(L, "assert(kept == 'before' and (('x'):rep(3)) == 'xxx')"));
    lua_close(L);
    return took;
}

static void run_all(const char *kind, const Attempt *attempts, size_t count) {
    double worst = 0;
    const char *slowest = "";
    size_t i;
    for (i = 0; i < count; i++) {
        double took = attempt(&attempts[i]);
        if (took > worst) {
            worst = took;
            slowest = attempts[i].name;
        }
    }
    printf("%s: %zu attempts, worst %.0f ms: %s\n", kind, count, worst * 1e3, slowest);
}

#define B RLUA_BUDGET

static const Attempt loops[] = {
    {"while", B, "while true do end"},
    {"repeat", B, "repeat until false"},
    {"for integer", B, "for i = 1, math.maxinteger do end"},
    {"for float", B, "for i = 1.0, math.huge do end"},
    {"for step", B, "for i = 1, -math.huge, -1 do end"},
    {"goto", B, "::a:: goto a"},
    {"continue by goto", B, "while true do goto c; ::c:: end"},
    {"generic for", B, "for _ in function() return 1 end do end"},
    {"generic for over a C function", B, "for _ in math.abs, 1, 1 do end"},
    {"pairs without an end", B,
     "for _ in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end}))"
     " do end"},
    {"ipairs without an end", B,
     "for _ in ipairs(setmetatable({}, {__index = function() return 1 end})) do end"},
    {"recursion", ANY, "local function f() return 1 + f() end f()"},
    {"tail recursion", B, "local function f() return f() end f()"},
    {"mutual tail calls of C", B, "local function f() return pcall(f) end while true do f() end"},
    {"a long body, one jump", B,
     "local s = {} for i = 1, 20000 do s[i] = 'x = 1' end "
     "local f = load(table.concat(s, ' ')) while true do f() end"},
    {"two million values", B,
     "local function f(...) return ... end local t = {} for i = 1, 2e5 do t[i] = i end "
     "local function g() return f(table.unpack(t)) end while true do g() end"},
    {"varargs", B,
     "local t = {} for i = 1, 1e5 do t[i] = i end local function f(...) local n = 0 "
     "while true do n = n + select('#', ...) end end f(table.unpack(t))"},
};

static const Attempt catches[] = {
    {"pcall", B, "while true do pcall(function() while true do end end) end"},
    {"pcall of pcall", B,
     "local function f() pcall(f) while true do pcall(f) end end f()"},
    {"code behind pcall", B, "pcall(function() while true do end end) kept = 'behind'"},
    {"xpcall handler", B, "xpcall(function() while true do end end, function() return 1 end)"},
    {"handler that loops", B, "xpcall(error, function() while true do end end)"},
    {"handler that fails", ANY, "xpcall(error, function() error(1) end)"},
    {"resume", B,
     "while true do coroutine.resume(coroutine.create(function() while true do end end)) end"},
    {"wrap", B, "while true do pcall(coroutine.wrap(function() while true do end end)) end"},
    {"close", B,
     "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
     "function() while true do end end}) coroutine.yield() end) coroutine.resume(co) "
     "coroutine.close(co) kept = 'behind'"},
    {"pcall that yields", B,
     "local co = coroutine.wrap(function() while true do pcall(function() coroutine.yield() "
     "while true do end end) end end) while true do pcall(co) end"},
    {"yield in a loop", B,
     "local co = coroutine.wrap(function() while true do coroutine.yield() end end) "
     "while true do co() end"},
    {"many coroutines", B,
     "while true do coroutine.wrap(function() coroutine.yield() end)() end"},
    {"coroutines in coroutines", B,
     "local function f() while true do pcall(coroutine.wrap(f)) end end f()"},
    {"close of a variable", B,
     "do local x <close> = setmetatable({}, {__close = function() while true do end end}) end"},
    {"closes in an error", B,
     "local mt = {__close = function() while true do end end} while true do pcall(function() "
     "local a <close> = setmetatable({}, mt) local b <close> = a error(1) end) end"},
    {"load that loops", B, "load(function() while true do end end) kept = 'behind'"},
    {"load of pieces", B, "load(function() return 'x = 1 ' end)"},
    {"__index", B, "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) "
                   "while true do pcall(function() return t[1] end) end"},
    {"__eq, __lt, __concat, __len, __call", B,
     "local mt = {} local t, u = setmetatable({}, mt), setmetatable({}, mt) "
     "local function f() while true do pcall(function() return t == u, t < u, t .. u, #t end) end "
     "end"
     " mt.__eq, mt.__lt, mt.__concat, mt.__len, mt.__call = f, f, f, f, f t()"},
    {"__tostring and __name", B,
     "local t = setmetatable({}, {__tostring = function() while true do end end}) tostring(t)"},
    {"error(level)", B,
     "local function f(n) if n > 0 then return (f(n - 1)) end while true do pcall(error, '', 1e9) "
     "end end f(150000)"},
};

static const Attempt strings[] = {
    {"rep of nothing", B, "string.rep('', 1e18)"},
    {"rep of much", ANY, "string.rep('x', 1 << 30)"},
    {"rep in a loop", B, "while true do pcall(string.rep, 'x', 1 << 26) end"},
    {"rep with a separator", B, "string.rep('', 1 << 40, '')"},
    {"s = s .. x", B, "local s = '' while true do s = s .. 'x' end"},
    {"doubling", ANY, "local s = 'x' while true do s = s .. s end"},
    {"nested stars", B, "string.find(string.rep('a', 1e5), string.rep('a-', 100) .. 'b')"},
    {"dot stars", B, "string.find(string.rep('a', 1e5), '.*.*.*.*b')"},
    {"large sets", B, "string.find(string.rep('a', 1e6), '[' .. string.rep('b', 1e6) .. ']')"},
    {"frontiers of large sets", B,
     "string.find(string.rep('a', 1e6), '%f[' .. string.rep('b', 1e6) .. ']')"},
    {"balances", B, "string.find(string.rep('(', 1e6), '%b()')"},
    {"back references", B, "string.find(string.rep('a', 1e6), '(a*)%1b')"},
    {"deep pattern", ANY, "string.find(string.rep('a', 1e6), string.rep('a?', 1e5))"},
    {"plain find", B,
     "string.find(string.rep('a', 2e6), string.rep('a', 1e6) .. 'b', 1, true)"},
    {"gsub of nothing", B, "string.gsub(string.rep('a', 1e7), '', '')"},
    {"gsub that grows", ANY,
     "local s = 'x' while true do s = s:gsub('.', string.rep('%0', 1000)) end"},
    {"gsub with calls", B, "while true do string.gsub('aaaa', 'a', function() end) end"},
    {"gmatch", B, "for _ in string.gmatch(string.rep('a', 1e7), '()') do end"},
    {"format widths", B,
     "local f = string.rep('%99.99f', 200) local t = {} for i = 1, 200 do t[i] = 1e308 end "
     "while true do string.format(f, table.unpack(t)) end"},
    {"format of long strings", B,
     "local s = string.rep('x', 1e6) while true do string.format('%s%q', s, s) end"},
    {"byte and char", B,
     "local s = string.rep('x', 1e5) while true do string.char(s:byte(1, -1)) end"},
    {"upper and reverse", B,
     "local s = string.rep('x', 1e6) while true do s = s:upper():reverse():lower() end"},
    {"pack of padding", ANY, "string.pack('c1000000000', 'x')"},
    {"unpack of zeros", B,
     "local s = string.rep('x', 1e7) .. '\\0' while true do string.unpack('z', s) end"},
    {"comparisons of long strings", B,
     "local a, b = string.rep('x', 4e6) .. 'a', string.rep('x', 4e6) .. 'b' "
     "local n = 0 while true do if a < b or a <= b then n = n + 1 end end"},
    {"equality of long strings", B,
     "local a, b = string.rep('x', 4e6), string.rep('x', 3999999) .. 'x' local n = 0 "
     "while true do if a == b then n = n + 1 end end"},
    {"long strings as keys", B,
     "local a, b = string.rep('x', 4e6), string.rep('x', 3999999) .. 'x' local t = {[a] = 1} "
     "while true do local _ = t[b] end"},
    {"long numerals", B,
     "local s = string.rep('0', 1e6) .. '1' while true do local _ = s + 1, tonumber(s) end"},
    {"long numerals in a base", B,
     "local s = string.rep('0', 1e6) while true do tonumber(s, 36) end"},
    {"utf8", B,
     "local s = string.rep('\\u{20AC}', 1e6) while true do utf8.len(s) utf8.offset(s, -1, 1) "
     "utf8.offset(s, 1e6) end"},
    {"continuation bytes", B,
     "local s = 'x' .. string.rep('\\x80', 1e7) while true do pcall(utf8.offset, s, 2) "
     "for _ in utf8.codes(s) do end end"},
};

static const Attempt tables[] = {
    {"move over a huge range", B, "table.move({}, 1, math.maxinteger - 1, 2)"},
    {"move of the table's own", B,
     "table.move(setmetatable({}, {__index = function() return 1 end, __newindex = function() end})"
     ","
     " 1, 1 << 60, 2)"},
    {"insert below a false length", B,
     "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)"},
    {"remove below a false length", B,
     "table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)"},
    {"concat of empty strings", B,
     "local t = {} for i = 1, 1e5 do t[i] = '' end while true do table.concat(t) end"},
    {"unpack", B, "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.unpack(t) end"},
    {"sort with an order that is none", ANY,
     "local t = {} for i = 1, 1e5 do t[i] = i end table.sort(t, function(a, b) return true end)"},
    {"sort with an order that changes", ANY,
     "local t, n = {}, 0 for i = 1, 1e5 do t[i] = i end "
     "table.sort(t, function(a, b) n = n + 1 return n % 3 == 0 end)"},
    {"sort with a killer order", B, /* McIlroy's: it decides as the sort asks */
     "local t, val, solid, candidate = {}, {}, 0, 0 local gas = 1e9 for i = 1, 5e4 do t[i] = i "
     "val[i] = gas end table.sort(t, function(x, y) if val[x] == gas and val[y] == gas then "
     "solid = solid + 1 if x == candidate then val[x] = solid else val[y] = solid end end "
     "if val[x] == gas then candidate = x elseif val[y] == gas then candidate = y end "
     "return val[x] < val[y] end)"},
    {"sort by a sawtooth", ANY,
     "local t = {} for i = 1, 3e5 do t[i] = i * 7919 % 1000 end table.sort(t)"},
    {"next over an emptied table", B,
     "local t = {} for i = 1, 1e5 do t[-i] = 1 end for i = 1, 1e5 - 1 do t[-i] = nil end "
     "while true do next(t) end"},
    {"next over an emptied array", B,
     "local t = {} for i = 1, 1e5 do t[i] = 1 end for i = 1, 1e5 - 1 do t[i] = nil end "
     "while true do next(t) end"},
    {"a chain of __index", B,
     "local t = {} for i = 1, 1900 do t = setmetatable({}, {__index = t}) end "
     "while true do local _ = t.x, t.x, t.x, t.x end"},
    {"a chain of __newindex", ANY,
     "local t = {} for i = 1, 1900 do t = setmetatable({}, {__newindex = t}) end "
     "while true do t.x = nil end"},
    {"rehash by one key too many", B,
     "local t = {} for i = 1, 1 << 16 do t[-i] = 1 end local k = 1 "
     "while true do t[-k] = nil; t[-k - (1 << 16)] = 1; k = k + 1 end"},
    {"integers that collide in the next size", ANY,
     "local n = (1 << 17) - 1 local t = {} for i = 1, 1 << 17 do t[i * n] = i end"},
    {"integers that collide in any size", ANY,
     "local t = {} for i = 1, 1 << 17 do t[i << 40] = i end"},
    {"integers that collide as this library hashes", RLUA_ERR_RUN,
     /* The low 32 bits of hash(i) = i + high32((i >> 7) * K); i = 128 * j for j that multiplied
      * by K leave the same high half: found here by search, as an attacker would. */
     "local K, t, found = 0x9E3779B97F4A7C15, {}, 0 "
     "local function hash(i) return (i + ((i >> 7) * K >> 32)) & 0x3FF end "
     "for i = 1, 1 << 40, 128 do if hash(i) == 5 then t[i] = 1 end end"},
    {"floats that collide", ANY,
     "local t = {} for i = 0, 1 << 17 do t[2.0 ^ -i * 1.5] = i t[i + 0.5] = i end"},
    {"keys that stay when a table shrinks", ANY,
     "local K, t, keep = 0x9E3779B97F4A7C15, {}, {} "
     "local function hash(i) return i + ((i >> 7) * K >> 32) end "
     "for i = 1, 200000 do local k = -i; t[k] = 1 if hash(k) & 0xFF == 7 then keep[k] = 1 end end "
     "for k in next, t do if not keep[k] then t[k] = nil end end "
     "for i = 1, 1e9 do t['x' .. i] = 1 t['x' .. i] = nil end"},
    {"a growing table", ANY, "local t = {} while true do t[#t + 1] = t end"},
    {"tables in tables", ANY, "local t = {} while true do t = {t} end"},
    {"closures", ANY, "local f = print while true do local g = f f = function() return g end end"},
    {"a failed request each time", B,
     "local t = {} pcall(function() while true do t[#t + 1] = ('x'):rep(1000) .. #t end end) "
     "while true do pcall(string.rep, 'x', 1 << 25) end"},
    {"weak tables", B,
     "local t = setmetatable({}, {__mode = 'k'}) while true do t[{}] = {} end"},
    {"ephemerons in a row", ANY,
     "local t, k = setmetatable({}, {__mode = 'k'}), {} while true do local n = {} t[k] = n k = n "
     "end"},
};

static const Attempt sources[] = {
    {"40,000 elseif", ANY,
     "load('if a then ' .. string.rep('elseif a then ', 40000) .. 'end')"},
    {"400,000 elseif", B,
     "load('if a then ' .. string.rep('elseif a then ', 400000) .. 'end')"},
    {"a chain of and and or", ANY, "load('x = a' .. string.rep(' and a or a', 200000))"},
    {"deep parentheses", ANY, "load('x = ' .. string.rep('(', 1e6))"},
    {"deep blocks", ANY, "load(string.rep('do ', 1e6))"},
    {"deep functions", ANY, "load(string.rep('return function() ', 1e6))"},
    {"deep tables", ANY, "load('x = ' .. string.rep('{', 1e6))"},
    {"unary operators", ANY, "load('x = ' .. string.rep('-', 1e6) .. '1')"},
    {"concats to the right", ANY, "load('x = 1' .. string.rep('..1', 1e6))"},
    {"labels", ANY,
     "local t = {} for i = 1, 30000 do t[i] = '::a' .. i .. '::' end load(table.concat(t))"},
    {"gotos and labels", ANY,
     "local t = {} for i = 1, 15000 do t[#t + 1] = 'goto a' .. i end "
     "for i = 1, 15000 do t[#t + 1] = '::b' .. i .. '::' end load(table.concat(t, ' '))"},
    {"names searched far outside", B,
     "local t = {} for i = 1, 190 do t[#t + 1] = 'local l' .. i end "
     "local locals = table.concat(t, ' ') local s = string.rep('return function() ' .. locals, 90)"
     " while true do load(s .. string.rep(' x = x', 5000) .. string.rep(' end', 90)) end"},
    {"a long source again and again", B,
     "local s = string.rep('x = 1 ', 10000) while true do load(s) end"},
    {"long strings in brackets", ANY, "load('x = [' .. string.rep('=', 1e6) .. '[')"},
    {"constants", ANY,
     "local t = {} for i = 1, 50000 do t[i] = 'x = ' .. i .. '.5' end load(table.concat(t, ' '))"},
    {"an error about a long token", ANY,
     "local s = string.rep('x', 1e6) while true do load(s .. ' ' .. s) end"},
    {"the message of a long name", ANY,
     "local f = load('return ' .. string.rep('x', 1e6) .. '.y') while true do pcall(f) end"},
};

TEST(loops_end) {
    run_all("loops", loops, COUNT_OF(loops));
}

TEST(what_catches_errors_does_not_catch_this_one) {
    run_all("catches", catches, COUNT_OF(catches));
}

TEST(loops_in_strings_end) {
    run_all("strings", strings, COUNT_OF(strings));
}

TEST(loops_in_tables_end) {
    run_all("tables", tables, COUNT_OF(tables));
}

TEST(compiling_ends) {
    run_all("sources", sources, COUNT_OF(sources));
}

/* Strings of one hash, made against the seed that the host gave: each looks through all before. */
static unsigned hash_of(const char *text, size_t length, unsigned seed) {
    unsigned h = seed ^ (unsigned)length;
    for (; length > 0; length--) h ^= (h << 5) + (h >> 2) + (unsigned char)text[length - 1];
    return h;
}

/* The seed 0 of a config gives strings the seed 0. */
TEST(strings_that_collide_end) {
    lua_State *L = open_sandbox();
    char text[16];
    unsigned long i;
    int status = RLUA_OK, found = 0;
    CHECK_OK(rlua_set_budget(L, BUDGET));
    CHECK_OK(rlua_snap(L));
    lua_newtable(L);
    for (i = 0; status == RLUA_OK && found < 300; i++) {
        int length = snprintf(text, sizeof text, "%lx", i);
        if ((hash_of(text, (size_t)length, 0) & 0xfff) != 1) continue;
        found++;
        status = rlua_pushboolean(L, 1);
        if (status == RLUA_OK) status = rlua_setfield(L, -2, text);
    }
    CHECK_STATUS(status, RLUA_ERR_RUN);
    CHECK(strstr(lua_tostring(L, -1), "collide") != NULL);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_check(L));
    lua_close(L);
}
