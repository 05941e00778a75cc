/* pauses.c: the longest single step of the collector, for what makes one step long.
 *
 *   pauses [CYCLES]
 *
 * Method: a state of one kind is built, and the collector runs by single steps of the least size,
 * each of them timed; between steps the program changes some of the state, as a game does. A value
 * in a weak table that nothing else refers to goes in the atomic phase, so the step in which it has
 * gone is that phase's; those before it mark, those after it sweep and clear. A figure is the
 * longest step of a phase in CPU time, the least of that over all cycles, since interrupts and
 * other processes make some longer. A host's steps are many such ones, and none is shorter.
 *
 * Not here: what a frame takes with the collector's usual pace (world.c, `frames`).
 */
#define _POSIX_C_SOURCE 200809L
#define PROGRAM "pauses"
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include "rlua.h"

#include "measure.h"

enum { MARK, ATOMIC, SWEEP, PHASES };

typedef struct Case {
  const char *cause, *build, *change;
  int every; /* steps between two runs of `change`, which must make less than they mark */
} Case;

#define ENTITIES(count) \
  "local e = {} for i = 1, " count " do e[i] = {x = i, y = i, hp = 9, bag = {i, 0, 1}} end\n" \
  "local at = 0 function change() for i = 1, 16 do at = at % #e + 1 local t = e[at]\n" \
  "  t.x = t.x + 1 t.bag = {t.x, {}, at} end end"

static const Case cases[] = {
  {"world of 4 MiB, changed meanwhile", ENTITIES("20000"), "change()", 512},
  {"world of 16 MiB, changed meanwhile", ENTITIES("80000"), "change()", 512},
  {"world of 64 MiB, changed meanwhile", ENTITIES("320000"), "change()", 512},
  {"one array of 16 MiB", "t = {} for i = 1, 1 << 20 do t[i] = i end", NULL, 0},
  {"one array of 1,000,000 tables", "t = {} for i = 1, 1000000 do t[i] = {} end", NULL, 0},
  {"one stack of 900,000 slots",
   "co = coroutine.create(function() local function deep(n) if n == 0 then coroutine.yield() end\n"
   "  return 1 + deep(n - 1) end deep(179000) end) assert(coroutine.resume(co))", NULL, 0},
  {"10,000 suspended coroutines",
   "t = {} for i = 1, 10000 do t[i] = coroutine.wrap(function() local a, b = {}, {}\n"
   "  while true do coroutine.yield(a, b) end end) t[i]() end", NULL, 0},
  {"10,000 suspended coroutines, 100 run between steps",
   "t = {} for i = 1, 10000 do t[i] = coroutine.wrap(function() local a, b = {}, {}\n"
   "  while true do coroutine.yield(a, b) end end) t[i]() end\n"
   "local at = 0 function change() for _ = 1, 100 do at = at % #t + 1 t[at]() end end",
   "change()", 512},
  {"10,000 coroutines with upvalues of theirs open",
   "t = {} for i = 1, 10000 do t[i] = coroutine.wrap(function() local a = {}\n"
   "  local function f() a = {} end while true do coroutine.yield(f) end end) t[i]() end", NULL, 0},
  {"weak values: 200,000, all of them alive",
   "k, w = {}, setmetatable({}, {__mode = 'v'}) for i = 1, 200000 do k[i] = {} w[i] = k[i] end",
   NULL, 0},
  {"weak keys: 200,000, all of them alive, plain values",
   "k, w = {}, setmetatable({}, {__mode = 'k'})\n"
   "for i = 1, 200000 do k[i] = {} w[k[i]] = i end", NULL, 0},
  {"weak keys: 200,000, each value a table",
   "k, w = {}, setmetatable({}, {__mode = 'k'})\n"
   "for i = 1, 200000 do k[i] = {} w[k[i]] = {} end", NULL, 0},
  {"weak keys: a chain of 20,000 in one table",
   "k, w = {}, setmetatable({}, {__mode = 'k'}) local last = k\n"
   "for i = 1, 20000 do local next = {} w[last] = next last = next end", NULL, 0},
  {"weak keys: a chain of 300 over 300 tables",
   "k, w = {}, {} local last = k\n"
   "for i = 1, 300 do w[i] = setmetatable({}, {__mode = 'k'}) end\n"
   "for i = 1, 300 do local next = {} w[301 - i][last] = next last = next end", NULL, 0},
  {"200,000 objects with finalizers, all of them alive",
   "t = {} local m = {__gc = function() end}\n"
   "for i = 1, 200000 do t[i] = setmetatable({}, m) end", NULL, 0},
  {"200,000 objects with finalizers, made and dropped each cycle",
   "local m = {__gc = function() end}\n"
   "function prepare() for i = 1, 200000 do setmetatable({}, m) end end", NULL, 0},
  {"1,000,000 strings dropped: their table shrinks",
   "function prepare() local t = {} for i = 1, 1000000 do t[i] = 's' .. i end end", NULL, 0},
};

static void run(lua_State *L, const char *code) {
  if (luaL_dostring(L, code)) fail(lua_tostring(L, -1));
}

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One cycle by single steps; the longest of each phase. */
static void cycle(lua_State *L, const Case *of, double longest[PHASES]) {
  int phase = MARK, steps = 0, done;
  run(L, "if prepare then prepare() end probe[1] = {}");
  do {
    double start = cpu_ns();
    done = lua_gc(L, LUA_GCSTEP, 0);
    double spent = cpu_ns() - start;
    if (phase == ATOMIC) phase = SWEEP;
    if (phase == MARK) {
      lua_getglobal(L, "probe");
      if (lua_rawgeti(L, -1, 1) == LUA_TNIL) phase = ATOMIC;
      lua_pop(L, 2);
    }
    if (spent > longest[phase]) longest[phase] = spent;
    if (of->change != NULL && ++steps % of->every == 0) run(L, of->change);
  } while (!done);
  if (phase == MARK) fail("a cycle ended, and nobody saw its atomic phase");
}

static void measure(const Case *of, int cycles) {
  double least[PHASES] = {0};
  lua_State *L = rlua_new_rollback((size_t)1 << 30, 1);
  if (L == NULL) fail(rlua_last_error(NULL));
  luaL_openlibs(L);
  lua_gc(L, LUA_GCINC, 200, 4, 1);
  run(L, "collectgarbage('stop') probe = setmetatable({}, {__mode = 'v'})");
  run(L, of->build);
  lua_gc(L, LUA_GCCOLLECT);
  for (int i = 0; i < cycles; i++) {
    double longest[PHASES] = {0};
    cycle(L, of, longest);
    for (int phase = 0; phase < PHASES; phase++)
      if (i == 0 || longest[phase] < least[phase]) least[phase] = longest[phase];
  }
  printf("%-62s %10.1f %10.1f %10.1f\n", of->cause, least[MARK] / 1e3, least[ATOMIC] / 1e3,
         least[SWEEP] / 1e3);
  fflush(stdout);
  lua_close(L);
}

int main(int argc, char **argv) {
  int cycles = argc > 1 ? atoi(argv[1]) : 3;
  if (cycles < 1) fail("CYCLES is 1 or more");
  printf("%-62s %10s %10s %10s\n", "longest single step, us of CPU", "mark", "atomic", "sweep");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) measure(&cases[i], cycles);
  return 0;
}
