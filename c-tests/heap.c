/* heap.c: rlua_check walks Lua's heap, passes in every state that Lua makes, and sees damage.
 * Method: a world with all kinds of objects is checked between the smallest steps of the collector,
 * in both modes, with coroutines suspended. Then words of the arena are overwritten on purpose, one
 * at a time, by name and by chance; each must be seen where it is a pointer, and none may crash the
 * check. Only reads follow a write, and the word is put back, so the VM stays sound. */
#include "harness.h"
#include "random.h"

static const char world[] =
    "local weak = {} "
    "for _, mode in ipairs {'k', 'v', 'kv'} do weak[mode] = setmetatable({}, {__mode = mode}) end\n"
    "kept, closers, n = {}, {}, 0\n"
    "local function generator(k) local a, b = {k}, 'upvalue ' .. k\n"
    "  return coroutine.wrap(function(...) local t <close> = setmetatable({}, {__close = "
    "    function() closed = (closed or 0) + 1 end})\n"
    "    local function inner() a[1] = a[1] + 1 return b end\n"
    "    while true do pcall(coroutine.yield, inner, a[1], ...) end end) end\n"
    "function step() n = n + 1\n"
    "  local t = {n, n + 0.5, ('long string ' .. n):rep(9), x = n}\n"
    "  t[t] = function() return t, n end\n"
    "  for _, w in pairs(weak) do w[t] = {} w[#w + 1] = t w['s' .. n] = n end\n"
    "  kept[n % 30] = t  kept['k' .. n % 40] = generator(n) kept['k' .. n % 40](n)\n"
    "  if n % 3 == 0 then setmetatable({}, {__gc = function(o) kept[n % 7] = o end}) end\n"
    "  kept[n % 11] = load('local a <const> = ' .. n .. ' return function(...) return a end')\n"
    "  kept.e = coroutine.create(error) coroutine.resume(kept.e, n)\n"
    "  local f = kept['k' .. (n * 7) % 40] if f then f('again') end\n"
    "  kept['k' .. (n * 3) % 40] = nil end";

static void release(lua_State *L, void *object, void *ud) {
    (void)L, (void)ud;
    ++*(int *)object;
}

static lua_State *open_world(rlua_Ref *refs, size_t count) {
    static int object;
    static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, NULL};
    lua_State *L = open_vm(4 * MIB, 2);
    size_t i;
    run(L, world);
    for (i = 0; i < count; i++) {
        CHECK_OK(rlua_dostring(L, "return {}"));
        refs[i] = rlua_ref(L);
    }
    CHECK_OK(rlua_pushresource(L, &object, &type));
    CHECK_OK(rlua_setglobal(L, "thing"));
    CHECK_OK(rlua_newuserdata(L, 24, 3, NULL));
    CHECK_OK(rlua_setglobal(L, "block"));
    CHECK(rlua_alloc(L, 100) != NULL);
    for (i = 0; i < 12; i++) { /* some by name, some not */
        char name[16];
        snprintf(name, sizeof name, "pointer%zu", i);
        lua_pushlightuserdata(L, (char *)&object + i);
        CHECK_OK(rlua_setglobal(L, "pointer"));
        CHECK_OK(rlua_dostring(L, "pointers = pointers or {} pointers[pointer] = pointer"));
        if (i % 3 == 0) CHECK_OK(rlua_register_pointer(L, name, (char *)&object + i));
    }
    return L;
}

static void advance(lua_State *L, int steps, int gc_every) {
    int i;
    for (i = 0; i < steps; i++) {
        CHECK_OK(rlua_dostring(L, "step()"));
        lua_settop(L, 0);
        if (i % gc_every == 0) CHECK_OK(rlua_gc(L, LUA_GCSTEP, 0));
        CHECK_OK(rlua_check(L));
    }
}

TEST(passes_between_the_smallest_steps_of_the_collector) {
    rlua_Ref refs[20];
    lua_State *L = open_world(refs, COUNT_OF(refs));
    int i, steps = (int)(400 / test_scale());
    lua_gc(L, LUA_GCINC, 100, 1, 2);
    advance(L, steps, 1);
    lua_gc(L, LUA_GCSTOP);
    for (i = 0; i < steps * 4; i++) { /* single steps, where nothing is allocated */
        CHECK_OK(rlua_gc(L, LUA_GCSTEP, 0));
        CHECK_OK(rlua_check(L));
    }
    for (i = 0; i < (int)COUNT_OF(refs); i++) CHECK_OK(rlua_getref(L, refs[i]));
    lua_close(L);
}

TEST(passes_in_both_modes_and_across_rollbacks) {
    lua_State *L = open_world(NULL, 0);
    int round, steps = (int)(60 / test_scale());
    for (round = 0; round < 6; round++) {
        lua_gc(L, round % 2 ? LUA_GCGEN : LUA_GCINC, 0, 0, 0);
        advance(L, steps, 5);
        CHECK_OK(rlua_snap(L));
        advance(L, steps, 3);
        CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

TEST(passes_after_every_failure_of_an_allocation) {
    lua_State *L = rlua_new_rollback(256 * KIB, 1);
    int i;
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_dostring(L, world));
    for (i = 0; i < 60 / (int)test_scale(); i++) {
        int status = rlua_dostring(L, "local hog = {} while true do step() hog[#hog + 1] = {} end");
        CHECK_STATUS(status, RLUA_ERR_MEM);
        lua_settop(L, 0);
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

/* The extra space of a thread is the host's alone, and as in stock Lua a new one has a copy. */
TEST(new_threads_have_the_hosts_word) {
    rlua_Ref refs[3];
    lua_State *L = open_world(refs, COUNT_OF(refs)), *thread;
    memset(lua_getextraspace(L), 0x5a, sizeof(void *));
    thread = lua_newthread(L);
    CHECK(memcmp(lua_getextraspace(thread), lua_getextraspace(L), sizeof(void *)) == 0);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(passes_with_userdata_of_no_bytes) {
    lua_State *L = open_vm(1 * MIB, 1);
    void *block;
    int values;
    for (values = 0; values < 4; values++) {
        CHECK_OK(rlua_newuserdata(L, 0, values, &block));
        CHECK_OK(rlua_check(L));
    }
    lua_close(L);
}

/* -- damage ---------------------------------------------------------------------------------- */

/* Overwrites a word, asks, and puts it back. */
static int with_word(lua_State *L, void *place, uint64_t word) {
    uint64_t before;
    int status;
    memcpy(&before, place, sizeof before);
    memcpy(place, &word, sizeof word);
    status = rlua_check(L);
    memcpy(place, &before, sizeof before);
    return status;
}

static uint64_t word_at(const void *place) {
    uint64_t word;
    memcpy(&word, place, sizeof word);
    return word;
}

static char *object(lua_State *L, const char *expression) {
    char chunk[200], *found;
    snprintf(chunk, sizeof chunk, "return %s", expression);
    CHECK_OK(rlua_dostring(L, chunk));
    found = (char *)(uintptr_t)lua_topointer(L, -1);
    lua_settop(L, 0);
    CHECK(found != NULL);
    return found;
}

/* Where fields lie in Lua's objects (lobject.h, lstate.h). */
enum { NEXT = 0, TAG = 8, TABLE_ARRAY = 16, TABLE_NODE = 24, TABLE_METATABLE = 40,
       CLOSURE_PROTO = 24, CLOSURE_UPVALUE = 32, STRING_CONTENTS = 24,
       UPVALUE_V = 16 };

static void check_seen(lua_State *L, char *place, uint64_t word, const char *expected) {
    CHECK_REFUSED(with_word(L, place, word), RLUA_CORRUPT);
    if (strstr(rlua_last_error(L), expected) == NULL)
        FAIL("the sentence is \"%s\", expected: %s", rlua_last_error(L), expected);
    CHECK_OK(rlua_check(L));
}

TEST(each_kind_of_damage_is_named) {
    lua_State *L = open_world(NULL, 0);
    char *table, *text, *other, *closure, *upvalue, *gone, *place;
    advance(L, 20, 1000);
    run(L, "local u = {} mt = {} t = setmetatable({10, 20, {}}, mt) s = 'a short one' "
           "f = function() u[1] = 1 return u end g = f");
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCSTOP);
    table = object(L, "t");
    text = object(L, "s");
    other = object(L, "mt");
    closure = object(L, "f");
    upvalue = (char *)(uintptr_t)word_at(closure + CLOSURE_UPVALUE);
    check_seen(L, table + TABLE_METATABLE, (uint64_t)(uintptr_t)text, "another kind");
    check_seen(L, table + TABLE_METATABLE, (uint64_t)(uintptr_t)other + 8, "no object");
    check_seen(L, table + TABLE_METATABLE, 12345, "no object");
    check_seen(L, table + TABLE_METATABLE, (uint64_t)(uintptr_t)&L, "no object");
    check_seen(L, table + TABLE_ARRAY, (uint64_t)(uintptr_t)table, "second owner");
    check_seen(L, table + TABLE_ARRAY, word_at(other + TABLE_NODE), "no live block of its size");
    check_seen(L, table + TABLE_NODE, word_at(table + TABLE_NODE) + 16, "neither dummy nor real");
    check_seen(L, table + TAG, word_at(table + TAG) ^ 7, "tag");
    check_seen(L, text + TAG, word_at(text + TAG) ^ (uint64_t)1 << 32, "wrong chain");
    check_seen(L, text + STRING_CONTENTS, word_at(text + STRING_CONTENTS) ^ 1, "hash");
    check_seen(L, closure + CLOSURE_PROTO, (uint64_t)(uintptr_t)table, "another kind");
    check_seen(L, closure + CLOSURE_UPVALUE, (uint64_t)(uintptr_t)table, "another kind");
    check_seen(L, upvalue + UPVALUE_V, (uint64_t)(uintptr_t)table, "upvalue");
    check_seen(L, table + NEXT, (uint64_t)(uintptr_t)table, "second owner");
    check_seen(L, table + NEXT, 64, "leads to no object");
    place = (char *)(uintptr_t)word_at(table + TABLE_ARRAY);
    check_seen(L, place + 2 * 16, (uint64_t)(uintptr_t)text, "another kind");
    check_seen(L, place + 8, 0x5a, "the tag of a value");
    gone = object(L, "{}");
    lua_gc(L, LUA_GCCOLLECT);
    check_seen(L, place + 2 * 16, (uint64_t)(uintptr_t)gone, "no object");
    lua_close(L);
}

/* A live object that points to one which waits for its sweep, and one that hides from the marks:
 * what a missing barrier of the collector would make. */
TEST(pointers_that_the_collector_would_miss_are_named) {
    lua_State *L = open_world(NULL, 0);
    uint64_t doomed, fresh;
    char *place;
    int i, hidden = 0, waits = 0, gone = 0;
    run(L, "t, live, dead = {{}}, {}, {} for i = 1, 500 do live[i] = {} dead[i] = {} end");
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCINC, 1000, 1, 1);
    lua_gc(L, LUA_GCSTOP);
    place = (char *)(uintptr_t)word_at(object(L, "t") + TABLE_ARRAY);
    doomed = (uint64_t)(uintptr_t)object(L, "dead[250]");
    run(L, "dead = nil");
    for (i = 0; i < 5000 && !gone; i++) {
        CHECK_OK(rlua_gc(L, LUA_GCSTEP, 0));
        fresh = (uint64_t)(uintptr_t)object(L, "{}");
        if (with_word(L, place, fresh) == RLUA_CORRUPT)
            hidden |= strstr(rlua_last_error(L), "hidden") != NULL;
        if (with_word(L, place, doomed) == RLUA_CORRUPT) {
            waits |= strstr(rlua_last_error(L), "waits for its sweep") != NULL;
            gone |= strstr(rlua_last_error(L), "leads to no object") != NULL;
        }
    }
    CHECK(hidden);
    CHECK(waits);
    CHECK(gone);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* Words that look like pointers into the arena are moved a little, one at a time; what is not seen
 * is data, or one of the dead fields that walk.c lists. And random words get random values: nothing
 * may crash. Which words is chance: equal steps would meet the same field of each block. */
TEST(damage_by_chance_is_seen_and_crashes_nothing) {
    lua_State *L = open_world(NULL, 0);
    uint64_t base = (uint64_t)(uintptr_t)L >> 32 << 32;
    uint64_t used, offset;
    long pointers = 0, seen = 0, crashes_tried = 0;
    unsigned one_in = test_scale() > 1 ? 28 : 7; /* a share needs some hundreds to be one */
    random_seed(1);
    run(L, "for i = 1, 30 do step() end");
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCSTOP);
    used = info_of(L).used_bytes;
    for (offset = 4096; offset < used; offset += 8) {
        char *place = (char *)(uintptr_t)(base + offset);
        uint64_t word;
        if (random_below(one_in)) continue;
        word = word_at(place);
        if (word - base < used && word - base > 1024) {
            pointers++;
            seen += with_word(L, place, word ^ 8) == RLUA_CORRUPT;
        }
        word = (uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX);
        if (random_below(3)) word = base + word % (used + 4096) / 8 * 8;
        crashes_tried++;
        with_word(L, place, word);
    }
    printf("     %ld pointers moved, %ld seen; %ld random words\n", pointers, seen, crashes_tried);
    CHECK(pointers > 100);
    CHECK(seen * 5 > pointers * 2);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}
