/* msvc.c: a host with the ABI of MSVC drives rlua.dll, which mingw has built.
 * Method: clang compiles this for x86_64-pc-windows-msvc, as C and as C++, and LLVM's linker links
 * it with an import library made of rlua.def. There is no SDK: what the program asks of Windows is
 * declared here, and beside the headers of this library there are those of the compiler alone.
 * Not here: rlua.hpp, which needs MSVC's standard library of C++. */
#include "rlua.h"

#ifdef __cplusplus
#define C_ABI extern "C"
#else
#define C_ABI extern
#endif

C_ABI __declspec(dllimport) void *GetStdHandle(unsigned long which);
C_ABI __declspec(dllimport) int WriteFile(void *file, const void *bytes, unsigned long count,
                                          unsigned long *written, void *overlapped);
C_ABI __declspec(dllimport) __declspec(noreturn) void ExitProcess(unsigned status);

/* A variable is imported by its address; functions need nothing. */
C_ABI const char *const __imp_lua_ident;

/* What the compiler asks a program with floats for. */
#ifdef __cplusplus
extern "C" const int _fltused = 1;
#else
const int _fltused = 1;
#endif

enum { MIB = 1 << 20, STDOUT = -11 };

static size_t length_of(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

static int is_same(const char *a, const char *b) {
    size_t i = 0;
    if (!a || !b) return 0;
    while (a[i] && a[i] == b[i]) i++;
    return a[i] == b[i];
}

static void say(const char *text) {
    unsigned long written;
    WriteFile(GetStdHandle((unsigned long)STDOUT), text, (unsigned long)length_of(text), &written,
              NULL);
}

static unsigned passed;

static void say_number(unsigned n) {
    char digit[2] = {(char)('0' + n % 10), 0};
    if (n > 9) say_number(n / 10);
    say(digit);
}

/* The last line is run.sh's. */
static __declspec(noreturn) void end(unsigned failed) {
    say_number(passed);
    say(" passed, ");
    say_number(failed);
    say(" failed\n");
    ExitProcess(failed);
}

static __declspec(noreturn) void fail(int line, const char *what) {
    say("FAIL msvc.c:");
    say_number((unsigned)line);
    say(": this is false: ");
    say(what);
    say("\n     ");
    say(rlua_last_error(NULL) ? rlua_last_error(NULL) : "no error");
    say("\n");
    end(1);
}

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))
#define CHECK_OK(call) CHECK((call) == RLUA_OK)

static lua_State *open_vm(void) {
    lua_State *L = rlua_new_rollback(4 * MIB, 4);
    CHECK(L != NULL);
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    return L;
}

/* -- what is the same in C and in C++ ---------------------------------------------------------- */

static void scripts_run_and_go_back(void) {
    lua_State *L = open_vm();
    CHECK(__imp_lua_ident[0] == '$');
    CHECK_OK(rlua_dostring(L, "n = 1 t = {} for i = 1, 100 do t[i] = i / 3 end"));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_dostring(L, "n = 2 t = nil collectgarbage()"));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_dostring(L, "assert(n == 1 and #t == 100 and t[7] == 7 / 3)"));
    CHECK(rlua_dostring(L, "error 'no'") == RLUA_ERR_RUN);
    CHECK(is_same(lua_tolstring(L, -1, NULL), "[string \"error 'no'\"]:1: no"));
    lua_settop(L, 0);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Raises a float of the caller's, by a jump out of this frame that starts in the DLL. */
static int raises(lua_State *L) {
    lua_pushnumber(L, lua_tonumberx(L, 1, NULL) * 2);
    return lua_error(L);
}

static int raises_behind(lua_State *L, void *ud) {
    int *count = (int *)ud;
    ++*count;
    lua_pushnumber(L, 0.5);
    return RLUA_RAISE;
}

/* What the ABI says that a call preserves is there behind the jump: xmm6 to xmm15 among it, which
 * hold these floats. */
static void errors_jump_over_the_host(void) {
    lua_State *L = open_vm();
    double a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    int i, count = 0;
    lua_pushcclosure(L, raises, 0);
    lua_setglobal(L, "raises");
    for (i = 0; i < 1000; i++) {
        lua_getglobal(L, "raises");
        lua_pushnumber(L, i);
        CHECK(lua_pcallk(L, 1, 0, 0, 0, NULL) == LUA_ERRRUN);
        CHECK(lua_tonumberx(L, -1, NULL) == i * 2.0);
        lua_settop(L, 0);
        a += 1, b += a, c += b, d += c, e += d, f += e, g += f, h += g;
    }
    CHECK(a == 1001 && b == 501502 && h > g && g > f && f > e && e > d && d > c);
    CHECK_OK(rlua_pushfunction(L, raises_behind, &count, "raises_behind"));
    CHECK_OK(rlua_setglobal(L, "raises_behind"));
    CHECK_OK(rlua_dostring(L, "local ok, why = pcall(raises, 21) assert(not ok and why == 42)\n"
                              "ok, why = pcall(raises_behind) assert(not ok and why == 0.5)\n"
                              "local co = coroutine.wrap(function() raises(4) end)\n"
                              "ok, why = pcall(co) assert(not ok and why == 8)"));
    CHECK(count == 1);
    CHECK_OK(rlua_snap(L)); /* the VM knows that nobody is in it */
    lua_close(L);
}

static char image[MIB];

static void images_and_structs_are_the_same(void) {
    lua_State *L = open_vm(), *other = NULL;
    rlua_Checksum sum, other_sum;
    static rlua_Config config; /* all of it zero */
    static rlua_Info info;
    size_t length = 0, i;
    info.size = sizeof info;
    config.size = sizeof config;
    config.memory_size = 4 * MIB;
    config.max_snapshots = 2;
    config.trust = RLUA_TRUST_OWN;
    CHECK_OK(rlua_dostring(L, "co = coroutine.create(function(...) while true do\n"
                              "coroutine.yield(...) end end) assert(coroutine.resume(co, 1.5))"));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_save_buffer(L, image, sizeof image, &length));
    CHECK_OK(rlua_load_buffer(&config, image, length, &other));
    CHECK_OK(rlua_snap(other));
    CHECK_OK(rlua_checksum(L, &sum));
    CHECK_OK(rlua_checksum(other, &other_sum));
    for (i = 0; i < sizeof sum.bytes; i++) CHECK(sum.bytes[i] == other_sum.bytes[i]);
    CHECK_OK(rlua_info(other, &info));
    CHECK(info.limit_bytes == 4 * MIB && info.snapshot_count == 1);
    lua_close(other);
    lua_close(L);
}

/* -- exceptions of C++ ------------------------------------------------------------------------- */

#ifdef __cplusplus
/* What a type's description begins with, in MSVC's library; a type is known by its name. */
extern "C" const void *const vtable_of_types[1] __asm__("??_7type_info@@6B@") = {nullptr};

static int ended;

struct Counted {
    ~Counted() { ended++; }
};

static int throws(lua_State *L) {
    Counted counted;
    if (lua_gettop(L) >= 0) throw 7;
    return 0;
}

static int caught_of(lua_State *L, const char *chunk) {
    try {
        CHECK_OK(rlua_dostring(L, chunk));
    } catch (int n) {
        return n;
    }
    return 0;
}

static void exceptions_pass_through_lua(void) {
    static const char *const chunks[] = {"throws()", "pcall(pcall, throws)",
                                         "coroutine.wrap(function() throws() end)()",
                                         "local x = setmetatable({}, {__index = throws}).x"};
    lua_State *L = open_vm();
    int round;
    lua_pushcclosure(L, throws, 0);
    lua_setglobal(L, "throws");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 40; round++) {
        CHECK(caught_of(L, chunks[round % 4]) == 7);
        CHECK(ended == round + 1);
        CHECK(rlua_snap(L) == RLUA_BUSY);
        CHECK_OK(rlua_recover(L));
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_dostring(L, "assert(select('#', pcall(error, 1)) == 2)"));
    }
    lua_close(L);
}
#endif

static void run(const char *name, void (*test)(void)) {
    test();
    passed++;
    say("ok   ");
    say(name);
    say("\n");
}

C_ABI void start(void);

void start(void) {
    run("scripts_run_and_go_back", scripts_run_and_go_back);
    run("errors_jump_over_the_host", errors_jump_over_the_host);
    run("images_and_structs_are_the_same", images_and_structs_are_the_same);
#ifdef __cplusplus
    run("exceptions_pass_through_lua", exceptions_pass_through_lua);
#endif
    end(0);
}
