/* images.c: a VM that is loaded from an image, in another process, has the same future.
 * Method: a world runs, is saved, and goes on; this program, started once more, loads the image and
 * goes on as long. Both save again: the images must have the same bytes, so the same values, the
 * same addresses in the VM, and the same place in a collection. On some ways one of both, or each,
 * takes snapshots and rolls back. What cannot be saved is refused, and saving changes nothing. */
#include "harness.h"

#define PATH_ROOM 64

typedef struct Bytes {
    char *start;
    size_t length;
} Bytes;

static int double_it(lua_State *L, void *ud) {
    lua_pushinteger(L, 2 * luaL_checkinteger(L, 1) + *(int *)ud);
    return 1;
}

static int host_add(lua_State *L) {
    lua_pushinteger(L, luaL_checkinteger(L, 1) + luaL_checkinteger(L, 2));
    return 1;
}

static int host_resumed(lua_State *L, int status, lua_KContext context) {
    lua_pushinteger(L, lua_gettop(L) + context + (status == LUA_YIELD));
    return lua_gettop(L);
}

static int host_yield(lua_State *L) {
    return lua_yieldk(L, lua_gettop(L), 7, host_resumed);
}

static int ud = 5, place;
static const rlua_Name names[] = {
    {"game.add", host_add, NULL, NULL},
    {"game.yield", host_yield, NULL, NULL},
    {"game.resumed", (lua_CFunction)(void (*)(void))host_resumed, NULL, NULL},
    {"game.place", NULL, NULL, &place},
    {"game.double", NULL, double_it, &ud},
    {NULL, NULL, NULL, NULL}};

static rlua_Config config_of(size_t memory_size, size_t max_snapshots) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = memory_size;
    config.max_snapshots = max_snapshots;
    config.names = names;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

static Bytes save(lua_State *L) {
    Bytes image = {NULL, 0};
    CHECK_STATUS(rlua_save_buffer(L, NULL, 0, &image.length), RLUA_STREAM);
    image.start = malloc(image.length);
    CHECK(image.start != NULL);
    CHECK_OK(rlua_save_buffer(L, image.start, image.length, &image.length));
    return image;
}

static lua_State *load(Bytes image) {
    rlua_Config config = config_of(0, 3);
    lua_State *L = NULL;
    CHECK_OK(rlua_load_buffer(&config, image.start, image.length, &L));
    CHECK_OK(rlua_check(L));
    return L;
}

/* -- worlds ------------------------------------------------------------------------------------ */

typedef struct World {
    const char *name, *make, *collector;
} World;

static const char objects[] =
    "local weak = {} "
    "for _, mode in ipairs {'k', 'v', 'kv'} do weak[mode] = setmetatable({}, {__mode = mode}) end\n"
    "kept, n = {}, 0\n"
    "local function generator(k) local a, b = {k}, 'upvalue ' .. k\n"
    "  return coroutine.wrap(function(...) local t <close> = setmetatable({}, {__close = "
    "    function() closed = (closed or 0) + 1 end})\n"
    "    local function inner() a[1] = a[1] + 1 return b end\n"
    "    while true do pcall(coroutine.yield, inner, a[1], ...) end end) end\n"
    "function step() n = n + 1\n"
    "  local t = {n, n + 0.5, ('long string ' .. n):rep(9), x = n, [-0.0] = 1, [2^53] = print}\n"
    "  t[t] = function() return t, n end\n"
    "  t[print] = n t[math.type] = 1 t[true] = false\n"
    "  for _, w in pairs(weak) do w[t] = {} w[#w + 1] = t w['s' .. n] = n end\n"
    "  kept[n % 30] = t  kept['k' .. n % 40] = generator(n) kept['k' .. n % 40](n)\n"
    "  if n % 3 == 0 then setmetatable({}, {__gc = function(o) kept[n % 7] = o end}) end\n"
    "  kept[n % 11] = load('local a <const> = ' .. n .. ' return function(...) return a end')\n"
    "  kept.e = coroutine.create(error) coroutine.resume(kept.e, n)\n"
    "  local f = kept['k' .. (n * 7) % 40] if f then f('again') end\n"
    "  kept['k' .. (n * 3) % 40] = nil kept.r = math.random(1000) kept.s = tostring(t) end";

/* A coroutine in each place where one can yield; all of them go on at each step. */
static const char places[] =
    "local yield, mt = coroutine.yield, {}\n"
    "for _, e in ipairs {'add', 'index', 'newindex', 'concat', 'eq', 'lt', 'le', 'unm', 'len',\n"
    "    'call', 'close'} do mt['__' .. e] = function(...) yield(e)\n"
    "    return e == 'len' and 3 or ... end\n"
    "end\n"
    "local function object() return setmetatable({}, mt) end\n"
    "local function deep(k) if k > 0 then local v = deep(k - 1) return v end\n"
    "  yield(k) return k end\n"
    "local function values(t) return function(_, k) yield 'iterator' return next(t, k) end end\n"
    "local bodies = {\n"
    "  function() pcall(yield, 1) end,\n"
    "  function() pcall(function() yield(1) error {2} end) end,\n"
    "  function() xpcall(function() yield(1) error 'x' end, function(m) return m .. 'y' end) end,\n"
    "  function() xpcall(pcall, print, yield, 3) end,\n"
    "  function() return select(2, xpcall(function() xpcall(yield, print, 1) error 'outer' end,\n"
    "    function(m) return m .. '!' end)) end,\n"
    "  function() local _ = object() + 1 end, function() local _ = object().x end,\n"
    "  function() object().x = 1 end, function() local _ = object() .. 'x' .. 'y' end,\n"
    "  function() local _ = object() == object() end, function() local _ = object() < 1 end,\n"
    "  function() local _ = object() <= 1 end, function() local _ = -object() end,\n"
    "  function() local _ = #object() end, function() local _ = object()(1) end,\n"
    "  function() local o <close> = object() local p <close> = object() yield 'body' end,\n"
    "  function() pcall(function() local o <close> = object() error 'closing' end) end,\n"
    "  function() for k, v in values {1, 2, x = 3} do yield(k) end end,\n"
    "  function() for k in pairs(setmetatable({}, {__pairs = function(t) yield 'pairs'\n"
    "    return next, t end})) do yield(k) end end,\n"
    "  function() deep(150) end,\n"
    "  function(...) local a, b = select('#', ...), ... yield(a, b) return yield(...) end,\n"
    "  function() for w in ('a bc def ghi'):gmatch '%a+' do yield(w) end end,\n"
    "  function() for p, c in utf8.codes 'aäö' do yield(p) end end,\n"
    "  function() for i, v in ipairs {1, 2, 3} do yield(v) end end,\n"
    "  function() local t = {} for i = 1, 9 do t[i] = i end\n"
    "    for k in next, t do t[k] = nil yield(k) end end,\n"
    "  function() local u = 0 local function up() u = u + 1 return u end\n"
    "    yield(up) yield(up()) end,\n"
    "  function() local c = coroutine.wrap(function() yield 'inner' yield 'more' end)\n"
    "    c() yield(c) c() yield(c) end,\n"
    "  function() table.sort({3, 2, 1}, function(a, b) return a < b end) yield 'sorted' end,\n"
    "  function() yield(host_yield and host_yield(1, 2, 3)) end,\n"
    "  function() yield(host_yield and pcall(host_yield, 1)) end,\n"
    "  function() coroutine.close(coroutine.create(print)) yield(coroutine.running()) end,\n"
    "}\n"
    "running, n, log = {}, 0, {}\n"
    "function step() n = n + 1\n"
    "  for i, body in ipairs(bodies) do\n"
    "    local co = running[i]\n"
    "    if not co or coroutine.status(co) == 'dead' then\n"
    "      co = coroutine.create(body) running[i] = co end\n"
    "    log[i] = select(2, coroutine.resume(co, n, i, {}))\n"
    "  end end";

static const char host[] =
    "n, t = 0, {}\n"
    "function step() n = n + 1 t[place] = n t[add] = add(n, 1) t[double] = double(n)\n"
    "  t[#t + 1] = tostring(add) t.next = next(t, place)\n"
    "  t.iterator = t.iterator or ('x y z'):gmatch '%a'\n"
    "  if not t.iterator() then t.iterator = nil end\n"
    "  block = n % 5 == 0 and io.stdout or io.stderr end";

static const char hooks[] =
    "n, lines, budget = 0, 0, {}\n"
    "local co = coroutine.create(function() while true do coroutine.yield(n) local x = 1 end end)\n"
    "debug.sethook(co, function() lines = lines + 1 end, 'l')\n"
    "function step() n = n + 1 coroutine.resume(co) budget[n % 9] = {} warn '@on' warn '@off' end";

static const char shapes[] =
    "n, t, m, wide = 0, {}, {}, {} for i = 1, 2000 do wide[i] = {i} end\n"
    "function step() n = n + 1\n"
    "  for i = 1, 20 do t[(n * 37 + i) % 300] = i t['k' .. (n * 11 + i) % 90] = {i} end\n"
    "  for i = 1, 12 do t[(n * 53 + i) % 300] = nil t['k' .. (n * 7 + i) % 90] = nil end\n"
    "  local sum = 0 for k, v in pairs(t) do sum = sum * 3 + (tonumber(v) or 1) m[v] = k end\n"
    "  if n % 10 == 0 then m = {} end\n"
    "  s = (s or '') .. sum if #s > 3000 then s = '' end\n"
    "  big = n % 4 == 0 and table.pack(table.unpack({}, 1, 250)) or ('x'):rep(n * 40 % 9000)\n"
    "end";

static const char incremental[] = "collectgarbage('incremental', 120, 100, 8)";
static const char generational[] = "collectgarbage('generational', 20, 60)";

static const World worlds[] = {
    {"objects", objects, ""},           {"objects, incremental", objects, incremental},
    {"objects, generational", objects, generational},
    {"places", places, ""},             {"places, incremental", places, incremental},
    {"places, generational", places, generational},
    {"host", host, ""},                 {"host, generational", host, generational},
    {"hooks", hooks, ""},               {"shapes", shapes, ""},
    {"shapes, incremental", shapes, incremental}, {"shapes, generational", shapes, generational}};

static lua_State *open_world(const World *world, size_t memory_size) {
    rlua_Config config = config_of(memory_size, 3);
    lua_State *L = NULL;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    CHECK_OK(rlua_register(L, "game.add", host_add));
    CHECK_OK(rlua_register(L, "game.yield", host_yield));
    CHECK_OK(rlua_register(L, "game.resumed", (lua_CFunction)(void (*)(void))host_resumed));
    CHECK_OK(rlua_register_pointer(L, "game.place", &place));
    lua_pushlightuserdata(L, &place);
    lua_setglobal(L, "place");
    lua_pushcfunction(L, host_add);
    lua_setglobal(L, "add");
    lua_pushcfunction(L, host_yield);
    lua_setglobal(L, "host_yield");
    CHECK_OK(rlua_pushfunction(L, double_it, &ud, "game.double"));
    lua_setglobal(L, "double");
    CHECK(rlua_alloc(L, 100) != NULL);
    run(L, world->collector);
    run(L, world->make);
    return L;
}

/* Some steps, and small steps of the collector, so that saves meet each of its states. `rollbacks`:
 * before them, there and back. */
static void advance(lua_State *L, int steps, int rollbacks) {
    int i;
    for (i = 0; i < rollbacks; i++) {
        CHECK_OK(rlua_snap(L));
        for (int k = 0; k <= i; k++) run(L, "step()");
        CHECK_OK(rlua_rollback(L, 1));
    }
    for (i = 0; i < steps; i++) {
        run(L, "step()");
        if (i % 3 == 2) lua_gc(L, LUA_GCSTEP, 0);
    }
}

/* -- the other process ------------------------------------------------------------------------- */

static Bytes read_all(FILE *file) {
    Bytes bytes = {NULL, 0};
    CHECK(fseek(file, 0, SEEK_END) == 0);
    bytes.length = (size_t)ftell(file);
    rewind(file);
    bytes.start = malloc(bytes.length + 1);
    CHECK(bytes.start != NULL && fread(bytes.start, 1, bytes.length, file) == bytes.length);
    return bytes;
}

static void write_image(lua_State *L) {
    Bytes image = save(L);
    lua_close(L);
    if (fwrite(image.start, 1, image.length, stdout) != image.length) exit(2);
    exit(fflush(stdout) == 0 ? 0 : 2);
}

/* The program, started as the other process: an image from its standard input, or the number of a
 * world that it makes itself; one to its standard output. */
__attribute__((constructor)) static void be_the_other(void) {
    const char *job = getenv("IMAGES_OTHER");
    int steps, rollbacks, world;
    Bytes image;
    lua_State *L;
    if (job == NULL || sscanf(job, "%d %d %d", &steps, &rollbacks, &world) < 2) return;
    harness.in_child = 1;
    if (world >= 0) {
        L = open_world(&worlds[world], 16 * MIB);
        advance(L, steps, rollbacks);
        write_image(L);
    }
    image = read_all(stdin);
    L = load(image);
    free(image.start);
    advance(L, steps, rollbacks);
    write_image(L);
}

/* `world`: which one the process makes, or -1, where it gets the image. */
static Bytes in_another_process(Bytes image, int steps, int rollbacks, int world) {
    FILE *in = tmpfile(), *out = tmpfile();
    char job[PATH_ROOM];
    int status;
    Bytes after;
    pid_t child;
    CHECK(in != NULL && out != NULL);
    CHECK(fwrite(image.start, 1, image.length, in) == image.length && fflush(in) == 0);
    rewind(in);
    snprintf(job, sizeof job, "%d %d %d", steps, rollbacks, world);
#ifdef _WIN32
    setenv("IMAGES_OTHER", job, 1);
    child = posix_start_between(fileno(in), fileno(out));
    unsetenv("IMAGES_OTHER");
#else
    child = fork();
    if (child == 0) {
        dup2(fileno(in), 0);
        dup2(fileno(out), 1);
        setenv("IMAGES_OTHER", job, 1);
        const char *build = getenv("IMAGES_OTHER_BUILD"); /* of another platform, say */
        if (build) execlp(build, build, getenv("IMAGES_OTHER_PROGRAM"), (char *)NULL);
        char self[4096] = {0}; /* under valgrind /proc/self/exe is valgrind */
        char *again[] = {self, NULL};
        if (readlink("/proc/self/exe", self, sizeof self - 1) > 0) run_again(again);
        _exit(127);
    }
#endif
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    after = read_all(out);
    fclose(in);
    fclose(out);
    return after;
}

static void check_same(Bytes a, Bytes b, const char *world, int point) {
    size_t i, shown = 0;
    if (a.length == b.length && memcmp(a.start, b.start, a.length) == 0) return;
    for (i = 0; i < a.length && i < b.length && shown < 12; i++)
        if (a.start[i] != b.start[i] && i + 32 < a.length) {
            fprintf(stderr, "  byte %#zx: %02x, %02x\n", i, a.start[i] & 255, b.start[i] & 255);
            shown++;
        }
    FAIL("%s, point %d: images of %zu and %zu bytes differ", world, point, a.length, b.length);
}

static void same_future(const World *world, int points) {
    lua_State *L = open_world(world, 16 * MIB);
    int point;
    for (point = 0; point < points; point++) {
        int steps = 1 + point % 7;
        Bytes image = save(L), here, there;
        advance(L, steps, point % 3);
        here = save(L);
        there = in_another_process(image, steps, point % 4, -1);
        check_same(here, there, world->name, point);
        free(image.start);
        free(here.start);
        free(there.start);
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static void same_future_by_name(const char *name) {
    size_t i, count = 0;
    for (i = 0; i < COUNT_OF(worlds); i++) {
        if (strncmp(worlds[i].name, name, strlen(name)) != 0) continue;
        same_future(&worlds[i], (int)(60 / test_scale()) + 1);
        count++;
    }
    CHECK(count > 0);
}

TEST(objects_of_every_kind_have_the_same_future) { same_future_by_name("objects"); }
TEST(coroutines_go_on_from_every_place) { same_future_by_name("places"); }
TEST(what_has_a_name_is_found_again) { same_future_by_name("host"); }
TEST(hooks_and_warnings_go_on) { same_future_by_name("hooks"); }
TEST(tables_keep_their_shapes) { same_future_by_name("shapes"); }

/* Where it is made does not matter: not in which process, and not on which platform. */
TEST(the_same_world_is_made_elsewhere) {
    for (size_t i = 0; i < COUNT_OF(worlds); i++) {
        static char nothing;
        Bytes none = {&nothing, 0}, here, there;
        lua_State *L = open_world(&worlds[i], 16 * MIB);
        advance(L, 10, 2);
        here = save(L);
        there = in_another_process(none, 10, 2, (int)i);
        check_same(here, there, worlds[i].name, 10);
        free(here.start);
        free(there.start);
        lua_close(L);
    }
}

/* Every state of the collector between its smallest steps. */
static void each_collector_step(const World *world, int every) {
    lua_State *L = open_world(world, 16 * MIB);
    int i;
    advance(L, 40, 0);
    lua_gc(L, LUA_GCSTOP);
    for (i = 0; i < 400; i++) {
        Bytes image = save(L), again;
        lua_State *copy = load(image);
        lua_gc(copy, LUA_GCSTEP, 1);
        lua_gc(L, LUA_GCSTEP, 1);
        if (i % every == 0) {
            run(L, "step()");
            run(copy, "step()");
        }
        free(image.start);
        image = save(L);
        again = save(copy);
        check_same(image, again, world->name, i);
        free(image.start);
        free(again.start);
        lua_close(copy);
    }
    lua_close(L);
}

TEST(a_collection_goes_on_from_every_step) {
    each_collector_step(&worlds[1], 9);
    each_collector_step(&worlds[4], 9);
    each_collector_step(&worlds[10], 50);
}
TEST(a_young_collection_goes_on_from_every_step) { each_collector_step(&worlds[2], 5); }

static size_t used_bytes(lua_State *L) {
    rlua_Info info;
    info.size = sizeof info;
    CHECK_OK(rlua_info(L, &info));
    return info.used_bytes;
}

/* A table waits for its sweep while the string that it leads to has gone, and the end of the state
 * with it. Before, images of such states were not loaded. */
TEST(what_is_dead_may_lead_behind_the_end) {
    lua_State *L = open_vm(2 * MIB, 0);
    int step, falls = 0;
    run(L, "collectgarbage('stop') dead, kept = {}, {} for i = 1, 500 do kept[i] = {i} end");
    run(L, "dead[1] = string.rep('x', 50000) dead.x = string.rep('y', 100000) dead = nil");
    for (step = 0; step < 200; step++) {
        size_t before = used_bytes(L);
        Bytes image, again;
        lua_State *copy;
        lua_gc(L, LUA_GCSTEP, 1);
        falls += used_bytes(L) + 50000 <= before;
        image = save(L);
        copy = load(image);
        again = save(copy);
        check_same(image, again, "a sweep", step);
        free(image.start);
        free(again.start);
        lua_close(copy);
    }
    CHECK(falls > 0);
    lua_close(L);
}

/* -- saving ------------------------------------------------------------------------------------ */

TEST(saving_changes_nothing) {
    lua_State *L = open_world(&worlds[0], 16 * MIB), *other;
    Bytes first, second;
    advance(L, 50, 1);
    first = save(L);
    second = save(L);
    check_same(first, second, "saved twice", 0);
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(info_of(L).snapshot_count, 2);
    free(second.start);
    second = save(L);
    check_same(first, second, "saved behind a snapshot", 0);
    other = load(first);
    free(second.start);
    second = save(other);
    check_same(first, second, "loaded and saved", 0);
    free(first.start);
    free(second.start);
    lua_close(other);
    lua_close(L);
}

/* Two processes that did the same have the same image, wherever the region lies. */
TEST(an_image_depends_on_the_state_alone) {
    lua_State *L = open_world(&worlds[0], 16 * MIB), *other = open_world(&worlds[0], 16 * MIB);
    Bytes a, b;
    advance(L, 60, 3);
    advance(other, 60, 0);
    a = save(L);
    b = save(other);
    check_same(a, b, "another history", 0);
    free(a.start);
    free(b.start);
    lua_close(L);
    lua_close(other);
}

static int refuse_part(void *seen, const void *bytes, size_t length) {
    (void)bytes;
    *(size_t *)seen += length;
    return 3;
}

TEST(a_writer_that_refuses_ends_the_save) {
    lua_State *L = open_vm(1 * MIB, 1);
    size_t seen = 0;
    CHECK_REFUSED(rlua_save(L, refuse_part, &seen), RLUA_STREAM);
    CHECK(seen > 0);
    CHECK_REFUSED(rlua_save(L, NULL, NULL), RLUA_NULL_ARG);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static int nameless(lua_State *L) {
    (void)L;
    return 0;
}

static void release(lua_State *L, void *object, void *unused) {
    (void)L, (void)object, (void)unused;
}

static void refused(lua_State *L, const char *sentence) {
    size_t length;
    CHECK_STATUS(rlua_save_buffer(L, NULL, 0, &length), RLUA_UNSAVABLE);
    if (strstr(rlua_last_error(L), sentence) == NULL)
        FAIL("the sentence is \"%s\", expected: %s", rlua_last_error(L), sentence);
    run(L, "thing = nil collectgarbage() collectgarbage()");
    CHECK_STATUS(rlua_save_buffer(L, NULL, 0, &length), RLUA_STREAM);
}

TEST(a_refusal_tells_the_way) {
    static const char *const ways[][2] = {
        {"a = {b = {0, {0, 0, {c = nameless}}}}", "in _G.a.b[2][3].c,"},
        {"local up = {nameless} function f() return up end", "in _G.f^up[1],"},
        {"a = {1, print, ['a key'] = nameless}", "in _G.a[\"a key\"],"},
        {"kept = nameless", "in _G.kept,"},
        {"local up = nameless function f() return up end", "in _G.f^up,"},
        {"t = setmetatable({}, {nameless})", "in _G.t<metatable>[1],"},
        {"co = coroutine.create(function(...) coroutine.yield(...) end)\n"
         "coroutine.resume(co, {nameless})", "in _G.co<vararg 1>[1],"}};
    size_t i, length;
    for (i = 0; i < COUNT_OF(ways); i++) {
        lua_State *L = open_vm(1 * MIB, 0);
        lua_pushcfunction(L, nameless);
        lua_setglobal(L, "nameless");
        run(L, ways[i][0]);
        run(L, "nameless = nil collectgarbage()");
        CHECK_STATUS(rlua_save_buffer(L, NULL, 0, &length), RLUA_UNSAVABLE);
        if (strstr(rlua_last_error(L), ways[i][1]) == NULL)
            FAIL("the sentence is \"%s\", expected: %s", rlua_last_error(L), ways[i][1]);
        lua_close(L);
    }
}

TEST(what_has_no_name_is_refused_until_it_is_gone) {
    static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, NULL};
    lua_State *L = open_vm(4 * MIB, 0);
    void **block;
    lua_pushcfunction(L, nameless);
    lua_setglobal(L, "thing");
    refused(L, "C function");
    lua_pushlightuserdata(L, &place);
    lua_setglobal(L, "thing");
    refused(L, "light userdata");
    run(L, "thing = io.open('/dev/null')");
    refused(L, "file is open");
    CHECK_OK(rlua_pushresource(L, &place, &type));
    CHECK_OK(rlua_setglobal(L, "thing"));
    refused(L, "resource");
    block = lua_newuserdatauv(L, 64, 0);
    block[3] = block;
    lua_setglobal(L, "thing");
    refused(L, "pointer into the VM");
    block = rlua_alloc(L, 64);
    block[1] = block;
    CHECK_STATUS(rlua_save_buffer(L, NULL, 0, &(size_t){0}), RLUA_UNSAVABLE);
    CHECK_OK(rlua_free(L, block));
    lua_close(L);
}

static int width(lua_State *L, void *unused) {
    static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, NULL};
    void *object;
    (void)unused;
    lua_pushinteger(L, rlua_toresource(L, 1, &type, &object));
    return 1;
}

/* By a script, by the host, by the collector, which has not swept it yet. */
TEST(a_resource_that_has_ended_is_saved_with_its_methods) {
    static const rlua_Method methods[] = {{"width", width}, {NULL, NULL}};
    static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, methods};
    static const rlua_Name names[] = {{"Thing.width", NULL, width, NULL},
                                      {NULL, NULL, NULL, NULL}};
    rlua_Config config;
    int way;
    for (way = 0; way < 3; way++) {
        lua_State *L = open_vm(4 * MIB, 2), *loaded;
        char *image;
        size_t length;
        CHECK_OK(rlua_pushresource(L, &place, &type));
        CHECK_OK(rlua_setglobal(L, "thing"));
        CHECK_EVAL(L, "thing:width()", "0");
        CHECK_OK(rlua_snap(L));
        CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_UNSAVABLE);
        if (way == 0) run(L, "do local ended <close> = thing end");
        if (way == 1) {
            CHECK_OK(rlua_getglobal(L, "thing"));
            CHECK_OK(rlua_closeresource(L, -1, &type));
            lua_settop(L, 0);
        }
        if (way == 2) run(L, "meta = debug.getmetatable(thing) thing = nil collectgarbage()");
        CHECK_OK(rlua_save_bound(L, &length));
        image = malloc(length);
        CHECK_OK(rlua_save_buffer(L, image, length, &length));
        memset(&config, 0, sizeof config);
        config.size = sizeof config;
        config.trust = RLUA_TRUST_PROVED;
        config.names = names;
        CHECK_OK(rlua_load_buffer(&config, image, length, &loaded));
        if (way < 2) {
            char stale[8];
            snprintf(stale, sizeof stale, "%d", RLUA_STALE);
            CHECK_EVAL(loaded, "thing:width()", stale);
        }
        CHECK_OK(rlua_check(loaded));
        lua_close(loaded);
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "thing:width()", "0");
        lua_close(L);
        free(image);
    }
}

static int save_inside(lua_State *L) {
    size_t length;
    lua_pushinteger(L, rlua_save_buffer(L, NULL, 0, &length));
    return 1;
}

TEST(a_vm_that_runs_is_busy) {
    lua_State *L = open_vm(1 * MIB, 1);
    lua_pushcfunction(L, save_inside);
    lua_call(L, 0, 1);
    CHECK_EQ(lua_tointeger(L, -1), RLUA_BUSY);
    lua_close(L);
}

/* -- loading ----------------------------------------------------------------------------------- */

static void not_loaded(const rlua_Config *config, Bytes image, int status, const char *sentence) {
    lua_State *L = (lua_State *)&place;
    CHECK_STATUS(rlua_load_buffer(config, image.start, image.length, &L), status);
    CHECK(L == NULL);
    if (strstr(rlua_last_error(NULL), sentence) == NULL)
        FAIL("the sentence is \"%s\", expected: %s", rlua_last_error(NULL), sentence);
}

TEST(what_is_no_image_is_refused) {
    lua_State *L = open_world(&worlds[0], 2 * MIB);
    rlua_Config config = config_of(0, 0);
    Bytes image = save(L);
    size_t at, length = image.length;
    for (at = 0; at < length; at += at < 140 ? 1 : 997) {
        image.length = at;
        not_loaded(&config, image, RLUA_BAD_IMAGE, "ends early");
    }
    image.length = length;
    for (at = 0; at < length; at += at < 140 ? 1 : 997) {
        image.start[at] ^= 4;
        lua_State *loaded = NULL;
        CHECK(rlua_load_buffer(&config, image.start, length, &loaded) != RLUA_OK && !loaded);
        image.start[at] ^= 4;
    }
    config.memory_size = 1 * MIB;
    not_loaded(&config, image, RLUA_BAD_CONFIG, "memory_size");
    config = config_of(0, 0);
    config.names = NULL;
    not_loaded(&config, image, RLUA_UNSAVABLE, "game.");
    CHECK_REFUSED(rlua_load_buffer(&config, NULL, 0, &L), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_load(&config, NULL, NULL, &L), RLUA_NULL_ARG);
    free(image.start);
}

TEST(a_key_is_needed_where_one_was_used) {
    static const unsigned char key[32] = {1, 2, 3}, another[32] = {1, 2, 4};
    rlua_Config config = config_of(1 * MIB, 1);
    lua_State *L = NULL, *copy = NULL;
    Bytes image;
    config.image_key = key;
    CHECK_OK(rlua_open(&config, &L));
    image = save(L);
    CHECK_OK(rlua_load_buffer(&config, image.start, image.length, &copy));
    lua_close(copy);
    config.image_key = another;
    not_loaded(&config, image, RLUA_BAD_IMAGE, "hash differs");
    config.image_key = NULL;
    not_loaded(&config, image, RLUA_BAD_IMAGE, "key");
    free(image.start);
    lua_close(L);
    L = open_vm(1 * MIB, 1);
    image = save(L);
    config.image_key = key;
    not_loaded(&config, image, RLUA_BAD_IMAGE, "key");
    free(image.start);
    lua_close(L);
}

/* References and the end of a VM are as in the VM that was saved. */
TEST(references_stay_good) {
    lua_State *L = open_vm(1 * MIB, 1), *copy;
    rlua_Ref ref, later;
    Bytes image;
    CHECK_OK(rlua_dostring(L, "return {42}"));
    ref = rlua_ref(L);
    image = save(L);
    copy = load(image);
    CHECK_OK(rlua_getref(copy, ref));
    lua_geti(copy, -1, 1);
    CHECK_EQ(lua_tointeger(copy, -1), 42);
    CHECK_OK(rlua_dostring(L, "return 1"));
    CHECK_OK(rlua_dostring(copy, "return 1"));
    later = rlua_ref(L);
    CHECK(later == rlua_ref(copy) && later != ref);
    free(image.start);
    lua_close(copy);
    lua_close(L);
}

/* -- clones, checksums ------------------------------------------------------------------------- */

TEST(a_clone_has_the_same_future_and_a_life_of_its_own) {
    lua_State *L = open_world(&worlds[4], 16 * MIB), *clone = NULL;
    int i;
    for (i = 0; i < 20; i++) {
        rlua_Checksum before, a, b;
        CHECK_OK(rlua_checksum(L, &before));
        CHECK_OK(rlua_clone(L, &clone));
        advance(clone, 3, 1);
        CHECK_OK(rlua_checksum(L, &a));
        CHECK(memcmp(&before, &a, sizeof a) == 0);
        advance(L, 3, 0);
        CHECK_OK(rlua_checksum(L, &a));
        CHECK_OK(rlua_checksum(clone, &b));
        CHECK(memcmp(&a, &b, sizeof a) == 0 && memcmp(&before, &a, sizeof a) != 0);
        CHECK_OK(rlua_check(clone));
        lua_close(clone);
    }
    CHECK_REFUSED(rlua_clone(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_checksum(L, NULL), RLUA_NULL_ARG);
    lua_close(L);
}

/* States that differ in nothing but one value: all of them were made, and all but one are gone. */
TEST(a_checksum_sees_one_value) {
    static const char values[] =
        "local a, b = 1, 2 values = {0, 1, 0.0, -0.0, 1.0, '0', '', false, true, {}, {1}, {{}},\n"
        "  setmetatable({}, {}), setmetatable({}, {__mode = 'k'}), print, type, io.stdout,\n"
        "  function() return 1 end, function() return 2 end, function() return a end,\n"
        "  function() return b end, coroutine.create(print), coroutine.wrap(type)}";
    static const char *const places[] = {
        "x = ...", "x = {...}", "x = {[math.type(...) and tostring(...) or ...] = 1}",
        "x = {k = {{...}}}", "setmetatable(_G, {x = ...})",
        "local v = ... x = function() return v end", "debug.getregistry().x = ...",
        "x = coroutine.create(function(...) local a = ... coroutine.yield() return a end)\n"
        "coroutine.resume(x, ...)", "debug.setmetatable(1, {x = ...})"};
    enum { VALUES = 23 };
    rlua_Checksum sums[VALUES];
    size_t at;
    int i, k;
    for (at = 0; at < COUNT_OF(places); at++) {
        for (i = 0; i < VALUES; i++) {
            lua_State *L = open_vm(1 * MIB, 0);
            run(L, values);
            CHECK_EQ(luaL_loadstring(L, places[at]), LUA_OK);
            lua_getglobal(L, "values");
            CHECK_EQ(lua_rawlen(L, -1), VALUES);
            lua_geti(L, -1, i + 1);
            lua_remove(L, -2);
            lua_call(L, 1, 0);
            run(L, "values = nil collectgarbage() collectgarbage()");
            CHECK_OK(rlua_checksum(L, &sums[i]));
            for (k = 0; k < i; k++)
                if (memcmp(&sums[i], &sums[k], sizeof sums[k]) == 0)
                    FAIL("%s: values %d and %d are one", places[at], k + 1, i + 1);
            lua_close(L);
        }
    }
}

/* What an image cannot have does not end a checksum, and does not count. */
TEST(a_checksum_leaves_out_what_lies_outside) {
    static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, NULL};
    lua_State *L = open_vm(1 * MIB, 2);
    rlua_Checksum a, b;
    CHECK_OK(rlua_pushresource(L, &place, &type));
    CHECK_OK(rlua_setglobal(L, "thing"));
    lua_pushlightuserdata(L, &place);
    lua_setglobal(L, "pointer");
    CHECK_OK(rlua_checksum(L, &a));
    lua_pushlightuserdata(L, &ud);
    lua_setglobal(L, "pointer");
    CHECK_OK(rlua_checksum(L, &b));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    run(L, "pointer = nil");
    CHECK_OK(rlua_checksum(L, &b));
    CHECK(memcmp(&a, &b, sizeof a) != 0);
    lua_close(L);
}
