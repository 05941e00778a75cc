/* fpenv.c: a host's floating-point environment does not reach a script, and comes back as it was.
 * Method: each odd environment (rounding, flushed subnormals, traps), each way into Lua, each way
 * out; results are compared with those of a usual host, the control word with what it was. */
#include "harness.h"

#include <setjmp.h>

#if defined(__x86_64__)
#include <immintrin.h>
typedef unsigned int Word;
static Word control(void) { return _mm_getcsr() & ~0x3fu; } /* without the flags of what happened */
static void set_control(Word word) { _mm_setcsr(word); }
/* Up, down, to zero, flush to zero, subnormals are zero, traps, all of it. */
static const Word ODD[] = {0x5f80, 0x3f80, 0x7f80, 0x9f80, 0x1fc0, 0x0000, 0x1e80, 0xffc0};
#define USUAL 0x1f80
#elif defined(__aarch64__)
typedef uint64_t Word;
static Word control(void) {
    Word word;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(word));
    return word;
}
static void set_control(Word word) {
    __asm__ __volatile__("msr fpcr, %0" : : "r"(word) : "memory");
}
static const Word ODD[] = {1u << 22, 2u << 22, 3u << 22, 1u << 24, 1u << 25, 7u << 22};
#define USUAL 0
#else
#include <fenv.h>
typedef int Word;
static Word control(void) { return fegetround(); }
static void set_control(Word word) { fesetround(word); }
static const Word ODD[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
#define USUAL FE_TONEAREST
#endif

/* Sums that round, subnormal numbers, every function, text both ways. */
static const char WORK[] =
    "local out = {}\n"
    "local function add(x) out[#out + 1] = string.format('%a', x) end\n"
    "local tiny = 2^-1040\n"
    "for i = 1, 40 do\n"
    "  local x = i / 7\n"
    "  add(x + 0.1); add(x * 1.1); add(1 / x); add(-x / 3); add(tiny * x); add(tiny / x); add(x "
    "- 1e-17)\n"
    "  add(math.sqrt(x)); add(math.sin(x)); add(math.cos(x)); add(math.tan(x)); add(math.exp(x))\n"
    "  add(math.asin(1 / (x + 1))); add(math.acos(1 / (x + 1))); add(math.log(x)); "
    "add(math.log(x, 2))\n"
    "  add(math.log(x, 10)); add(x ^ 1.3); add(math.atan(x)); add(math.atan(x, 3)); add(x % 0.3)\n"
    "  add(x // 0.3); add(math.sinh(x)); add(math.cosh(x)); add(math.tanh(x)); add(math.fmod(x, "
    "0.3))\n"
    "  add(tonumber('0.' .. i .. '1e-3')); add(tonumber(i .. '.7e30')); add(tonumber('1e-31' .. "
    "i % 10))\n"
    "  out[#out + 1] = x .. ' ' .. tiny * x .. string.format(' %.3f %.20e', x, x)\n"
    "  out[#out + 1] = tostring(tiny > 0) .. tostring(5e-324 == 0) .. math.floor(-tiny) .. 3 % -x\n"
    "  add((1 << 53) + 1.0); add((1 << 62) + i + 0.0); add(math.maxinteger + 0.0)\n"
    "end\n"
    "add(1 / 0); add(0 / 0); add(2^1023 * 2); add(tiny * tiny)\n" /* each raises an exception */
    "return table.concat(out, ' ')\n";

static int work_function;

static char *result(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &work_function);
    if (lua_pcall(L, 0, 1, 0)) FAIL("%s", lua_tostring(L, -1));
    char *copy = strdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return copy;
}

static lua_State *work_vm(lua_State *L) {
    if (luaL_loadstring(L, WORK)) FAIL("%s", lua_tostring(L, -1));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &work_function);
    return L;
}

#define AS_BEFORE(word)                                                                        \
    do {                                                                                       \
        Word found = control();                                                                \
        set_control(USUAL);                                                                    \
        if (found != (word)) FAIL("the control word is %llx, was %llx",                        \
                                  (unsigned long long)found, (unsigned long long)(word));      \
    } while (0)

TEST(results_do_not_depend_on_the_host) {
    lua_State *L = work_vm(open_vm(4 * MIB, 1));
    char *expected = result(L);
    CHECK(strlen(expected) > 10000);
    for (size_t i = 0; i < COUNT_OF(ODD); i++) {
        set_control(ODD[i]);
        char *actual = result(L);
        AS_BEFORE(ODD[i]);
        if (strcmp(actual, expected) != 0) FAIL("environment %zu changes results", i);
        free(actual);
    }
    free(expected);
    lua_close(L);
}

/* That the script would see it: a VM of the stock profile runs in the host's environment. */
TEST(the_stock_profile_runs_in_the_hosts_environment) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    work_vm(L);
    char *expected = result(L);
    set_control(ODD[0]);
    char *actual = result(L);
    AS_BEFORE(ODD[0]);
    CHECK(strcmp(actual, expected) != 0);
    free(actual);
    free(expected);
    lua_close(L);
}

static Word seen;
static int look(lua_State *L) {
    (void)L;
    seen = control();
    return 0;
}
static int look_by_host(lua_State *L, void *ud) {
    (void)ud;
    return look(L);
}
static const char *reader(lua_State *L, void *ud, size_t *size) {
    (void)ud;
    look(L);
    *size = 0;
    return NULL;
}

static jmp_buf out;
static int jump_out(lua_State *L) {
    (void)L;
    longjmp(out, 1);
}

TEST(every_way_in_sets_it_and_every_way_out_puts_it_back) {
    lua_State *L = open_vm(1 * MIB, 1);
    lua_pushcfunction(L, look);
    lua_setglobal(L, "look");
    run(L, "co = coroutine.create(function() look(); coroutine.yield(); look(); error('e') end)\n"
           "plain = coroutine.wrap(function() look() end)");
    for (size_t i = 0; i < COUNT_OF(ODD); i++) {
        Word odd = ODD[i];
#define WAY(call)              \
    seen = (Word)-1;           \
    set_control(odd);          \
    call;                      \
    AS_BEFORE(odd);            \
    CHECK_EQ(seen, USUAL)
        WAY((lua_getglobal(L, "look"), lua_call(L, 0, 0)));
        WAY((lua_getglobal(L, "look"), lua_pcall(L, 0, 0, 0)));
        WAY((luaL_loadstring(L, "look(); error('e')"), lua_pcall(L, 0, 0, 0), lua_settop(L, 0)));
        WAY((luaL_loadstring(L, "pcall(pcall, error); look()"), lua_pcall(L, 0, 0, 0)));
        WAY((luaL_loadstring(L, "coroutine.wrap(look)()"), rlua_call(L, 0, 0, 0)));
        WAY(lua_load(L, reader, NULL, "=x", NULL));
        lua_settop(L, 0);
        WAY((rlua_pushfunction(L, look_by_host, NULL, "look"), rlua_call(L, 0, 0, 0)));
        /* A coroutine that yields to the host, and dies by an error. */
        lua_State *co = lua_newthread(L);
        int results;
        luaL_loadstring(co, "look(); coroutine.yield(); look(); error('e')");
        WAY(lua_resume(co, L, 0, &results));
        WAY(lua_resume(co, L, 0, &results));
        lua_settop(L, 0);
        /* A finalizer in the middle of a collection. */
        run(L, "setmetatable({}, {__gc = look})");
        WAY(lua_gc(L, LUA_GCCOLLECT));
        /* A variable that closes. */
        luaL_loadstring(L, "return setmetatable({}, {__close = look})");
        lua_call(L, 0, 1);
        lua_toclose(L, -1);
        WAY(lua_settop(L, 0));
        CHECK_OK(rlua_snap(L)); /* idle, and nothing of it is left in the state */
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

TEST(an_error_that_nobody_catches_puts_it_back) {
    for (volatile size_t i = 0; i < COUNT_OF(ODD); i++) {
        lua_State *volatile L = open_vm(1 * MIB, 1);
        lua_atpanic(L, jump_out);
        set_control(ODD[i]);
        if (setjmp(out) == 0) {
            luaL_loadstring(L, "error('e')");
            lua_call(L, 0, 0);
        }
        AS_BEFORE(ODD[i]);
        CHECK_OK(rlua_recover(L));
        CHECK_EVAL(L, "1 + 1", "2");
        lua_close(L);
    }
}

/* What computes without a script. */
TEST(the_api_computes_alike) {
    lua_State *L = open_vm(1 * MIB, 1);
    for (size_t i = 0; i < COUNT_OF(ODD); i++) {
        double sum, third, tiny;
        set_control(ODD[i]);
        lua_pushnumber(L, 0.1);
        lua_pushnumber(L, 0.2);
        lua_arith(L, LUA_OPADD);
        lua_pushnumber(L, 0x1p-1073);
        lua_pushnumber(L, 0);
        int equal = lua_compare(L, -1, -2, LUA_OPEQ), less = lua_compare(L, -1, -2, LUA_OPLT);
        int at_most = lua_compare(L, -2, -1, LUA_OPLE);
        lua_stringtonumber(L, "0.3e-20");
        third = lua_tonumber(L, -1);
        lua_pushstring(L, "1.7e-21");
        tiny = lua_tonumber(L, -1);
        sum = lua_tonumber(L, 1);
        lua_pushnumber(L, 5e-324);
        lua_tostring(L, -1);
        lua_pushnumber(L, 0.1);
        lua_pushnumber(L, 2e-310);
        lua_concat(L, 2);
        AS_BEFORE(ODD[i]);
        CHECK_STR(lua_tostring(L, -1), "0.12e-310");
        lua_pop(L, 1);
        CHECK(sum == 0.1 + 0.2 && third == 0.3e-20 && tiny == 1.7e-21);
        CHECK(!equal && less && !at_most);
        CHECK_STR(lua_tostring(L, -1), "4.9406564584125e-324");
        lua_settop(L, 0);
    }
    lua_close(L);
}

/* Two VMs: the inner one's end is not the outer one's. */
static lua_State *inner;
static int call_inner(lua_State *L) {
    run(inner, "x = 0.1 + 0.2");
    return look(L);
}

TEST(a_vm_in_a_vm_leaves_it_alone) {
    lua_State *L = open_vm(1 * MIB, 1);
    inner = open_vm(1 * MIB, 1);
    set_control(ODD[0]);
    lua_pushcfunction(L, call_inner);
    lua_call(L, 0, 0);
    AS_BEFORE(ODD[0]);
    CHECK_EQ(seen, USUAL);
    lua_close(inner);
    lua_close(L);
}
