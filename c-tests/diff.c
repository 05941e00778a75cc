/* diff.c: of two states that differ in one thing, the diff names exactly that, by its way.
 * Method: a world with every kind of value and place is cloned, one thing is changed in the clone,
 * and the diff has to be one line; worlds of random tables are changed at a random place, whose way
 * is a Lua expression that ran. The same for worlds that lie elsewhere in their VMs. Where nothing
 * differs (after a save and a load, after a rollback, after a collection), nothing may be named.
 * Not here: what differs between runs of frames (synctest.c). */
#include "harness.h"
#include "random.h"

typedef struct Lines {
    char text[16384];
    size_t length;
    int count, stop_after;
} Lines;

static const char *kind_name(int kind) {
    static const char *const names[] = {"?", "value", "type", "missing", "metatable", "order",
                                        "identity", "function", "coroutine", "bytes", "weak",
                                        "random", "clock", "budget"};
    return kind > 0 && kind < (int)COUNT_OF(names) ? names[kind] : "?";
}

static int note(void *ud, const rlua_Difference *d) {
    Lines *lines = ud;
    CHECK_EQ(d->reserved, 0);
    CHECK(strlen(d->path) <= 480);
    lines->length += (size_t)snprintf(lines->text + lines->length,
                                      sizeof lines->text - lines->length, "%s%s %s: %s -> %s",
                                      lines->count ? "\n" : "", kind_name(d->kind), d->path, d->a,
                                      d->b);
    if (lines->length >= sizeof lines->text) lines->length = sizeof lines->text - 1;
    return ++lines->count == lines->stop_after;
}

static const char *diff_of(lua_State *a, lua_State *b) {
    static Lines lines;
    memset(&lines, 0, sizeof lines);
    CHECK_OK(rlua_diff_vms(a, b, 0, note, &lines));
    return lines.text;
}

static lua_State *clone_of(lua_State *L) {
    lua_State *clone = NULL;
    CHECK_OK(rlua_clone(L, &clone));
    return clone;
}

static void sum_of(lua_State *L, rlua_Checksum *sum) { CHECK_OK(rlua_checksum(L, sum)); }

/* -- a world ----------------------------------------------------------------------------------- */

static const char world[] =
    "player = {name = 'ada', hp = 10, pos = {x = 1.5, y = -2.0}, alive = true, inv = {7, 8, 9}}\n"
    "enemies = {}\n"
    "for i = 1, 5 do enemies[i] = {hp = 10 * i, name = 'e' .. i, target = player} end\n"
    "_G['odd key'] = {['end'] = {1}, ['a\\n\\'\"b'] = 2, ['\xC3\xA4'] = 3}\n"
    "keyed = {[1.5] = 'f', [true] = 't', [-7] = 'n', [player] = 'p', [print] = 'c',\n"
    "  [2^53] = 'big', [('k'):rep(50)] = 'long'}\n"
    "base = {kind = 'base'} mt = {__index = base} obj = setmetatable({}, mt)\n"
    "weak = setmetatable({}, {__mode = 'k'}) weak[player] = {1}\n"
    "local count, shared = 0, {n = 1}\n"
    "function inc() count = count + 1 return count end\n"
    "function get() return count, shared end\n"
    "function get_shared() return function() return shared end end\n"
    "inner = get_shared()\n"
    "co = coroutine.create(function(a, ...)\n"
    "  local x, t = 5, {1}\n"
    "  local function set(v) x = v end setter = set\n"
    "  while true do\n"
    "    local y = coroutine.yield(x, t)\n"
    "    if y then t[1] = y end\n"
    "    if y == 'stop' then return end\n"
    "    coroutine.yield(1)\n"
    "  end\n"
    "end)\n"
    "coroutine.resume(co, 'arg', 'v1', 'v2')\n"
    "fresh = coroutine.create(function() end)\n"
    "words = string.gmatch('one two three', '%a+') words()\n"
    "long = ('long string '):rep(20)\n"
    "zero, integer, float, text, no = 0.0, 1, 0.1, 'text', false\n"
    "deep = {} local d = deep for i = 1, 300 do d.next = {} d = d.next end d.value = 1\n"
    "twin_a, twin_b, first = {1}, {1}, enemies[5]\n"
    "debug.getregistry().mine = {1}\n"
    "random = math.random\n"
    "ordered = {} for i = 1, 20 do ordered['k' .. i] = i end\n"
    "by_table = {} for i = 1, 9 do by_table[{i}] = i end\n"
    "function outer() return function() return 1.5 end end\n";

static int place_a, place_b;
static int host_f(lua_State *L, void *ud) { (void)L, (void)ud; return 0; }
static int c_f(lua_State *L) { (void)L; return 0; }
static int c_g(lua_State *L) { (void)L; return 0; }
static rlua_Ref reference, referred;
static size_t block_offset;

static lua_State *world_of(size_t shift) {
    lua_State *L = open_vm(8 * MIB, 4);
    char *block;
    void *memory;
    if (shift != 0) {
        lua_pushinteger(L, (lua_Integer)shift);
        lua_setglobal(L, "shift");
        run(L, "local t = {} for i = 1, shift do t[i] = {('x'):rep(i)} end shift = nil");
    }
    CHECK_OK(rlua_register(L, "game.f", c_f));
    CHECK_OK(rlua_register(L, "game.g", c_g));
    CHECK_OK(rlua_register_pointer(L, "game.a", &place_a));
    CHECK_OK(rlua_register_pointer(L, "game.b", &place_b));
    CHECK_OK(rlua_loadbuffer(L, world, strlen(world), "=world", "t"));
    CHECK_OK(rlua_call(L, 0, 0, 0));
    block = rlua_alloc(L, 100);
    CHECK(block != NULL);
    memset(block, 1, 100);
    block_offset = (size_t)block & 0xFFFFFFFFu;
    memory = lua_newuserdatauv(L, 40, 2);
    memset(memory, 2, 40);
    run(L, "value_of_u = {5}");
    lua_getglobal(L, "value_of_u");
    lua_setiuservalue(L, -2, 2);
    lua_setglobal(L, "u");
    lua_pushlightuserdata(L, &place_a);
    lua_setglobal(L, "light");
    lua_pushcfunction(L, c_f);
    lua_setglobal(L, "cfunction");
    lua_pushinteger(L, 3);
    lua_pushcclosure(L, c_f, 1);
    lua_setglobal(L, "cclosure");
    CHECK_OK(rlua_pushfunction(L, host_f, &place_a, "game.host"));
    lua_setglobal(L, "host");
    lua_pushstring(L, "referred");
    reference = rlua_ref(L);
    CHECK(reference != 0);
    lua_createtable(L, 1, 0);
    referred = rlua_ref(L);
    CHECK(referred != 0);
    lua_pushinteger(L, 77); /* on the main stack */
    return L;
}

typedef struct Case {
    const char *statement, *expected;
} Case;

/* In one clone a statement runs, in the other nothing. */
static const Case cases[] = {
    {"", ""},
    {"local garbage = {} for i = 1, 1000 do garbage[i] = {i} end", ""},
    {"collectgarbage()", ""},
    {"collectgarbage('step', 100) local t = {{}} collectgarbage('step')", ""},
    /* values */
    {"enemies[3].hp = 31", "value _G.enemies[3].hp: 30 -> 31"},
    {"player.pos.x = 1.25", "value _G.player.pos.x: 1.5 -> 1.25"},
    {"player.name = 'bob'", "value _G.player.name: \"ada\" -> \"bob\""},
    {"player.alive = false", "value _G.player.alive: true -> false"},
    {"zero = -0.0", "value _G.zero: 0.0 -> -0.0"},
    {"integer = 1.0", "value _G.integer: 1 -> 1.0"},
    {"float = 0.1 + 2^-56", "value _G.float: 0.10000000000000001 -> 0.10000000000000002"},
    {"float = 0/0", "value _G.float: 0.10000000000000001 -> nan"},
    {"float = -(0/0)", "value _G.float: 0.10000000000000001 -> nan"},
    {"float = -math.huge", "value _G.float: 0.10000000000000001 -> -inf"},
    {"integer = math.mininteger", "value _G.integer: 1 -> -9223372036854775808"},
    {"text = 'a\\0b\\n\"\\\\\\255'",
     "value _G.text: \"text\" -> \"a\\x00b\\n\\\"\\\\\\xFF\""},
    {"long = long:sub(1, 200) .. 'X' .. long:sub(202)",
     "value _G.long: byte 189 on: \"ing long string long string long string long str\"... "
     "(240 bytes) -> byte 189 on: \"ing long strXng long string long string long str\"... "
     "(240 bytes)"},
    {"player.inv[2] = 'eight'", "type _G.player.inv[2]: 8 -> \"eight\""},
    {"player.inv = nil", "missing _G.player.inv: table -> nil"},
    {"player.inv[3] = nil", "missing _G.player.inv[3]: 9 -> nil"},
    {"player.inv[4] = 1", "missing _G.player.inv[4]: nil -> 1"},
    {"player.mana = {}", "missing _G.player.mana: nil -> table"},
    {"player = 5 keyed = keyed", "type _G.player: table -> 5"},
    /* keys */
    {"_G['odd key']['end'][1] = 2", "value _G[\"odd key\"][\"end\"][1]: 1 -> 2"},
    {"_G['odd key']['a\\n\\'\"b'] = 3", "value _G[\"odd key\"][\"a\\n'\\\"b\"]: 2 -> 3"},
    {"_G['odd key']['\xC3\xA4'] = 4", "value _G[\"odd key\"][\"\xC3\xA4\"]: 3 -> 4"},
    {"keyed[1.5] = 'g'", "value _G.keyed[1.5]: \"f\" -> \"g\""},
    {"keyed[true] = 1", "type _G.keyed[true]: \"t\" -> 1"},
    {"keyed[-7] = nil", "missing _G.keyed[-7]: \"n\" -> nil"},
    {"keyed[player] = 'q'", "value _G.keyed[_G.player]: \"p\" -> \"q\""},
    {"keyed[player] = nil", "missing _G.keyed[_G.player]: \"p\" -> nil"},
    {"keyed[print] = nil", "missing _G.keyed[function builtin: print]: \"c\" -> nil"},
    {"keyed[2^53] = nil", "missing _G.keyed[9007199254740992]: \"big\" -> nil"},
    {"keyed[('k'):rep(50)] = 1",
     "type _G.keyed.kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: \"long\" -> 1"},
    {"keyed[base] = 1", "missing _G.keyed[_G.base]: nil -> 1"},
    {"keyed[{}] = 1", "missing _G.keyed[table]: nil -> 1"},
    /* metatables, weak tables, order */
    {"base.kind = 'other'", "value _G.base.kind: \"base\" -> \"other\""},
    {"mt.__len = print", "missing _G.mt.__len: nil -> function builtin: print"},
    {"setmetatable(obj, nil)", "metatable _G.obj<metatable>: table -> nil"},
    {"setmetatable(player, {})", "metatable _G.player<metatable>: nil -> table"},
    {"setmetatable(obj, base)",
     "metatable _G.obj<metatable>: the table at _G.mt -> the table at _G.base"},
    {"getmetatable('').__index = table",
     "identity <metatable of string>.__index: the table at _G.string -> the table at _G.table"},
    {"weak[player] = nil", "weak _G.weak[_G.player]: table -> nil"},
    {"weak[player][1] = 2", "value _G.weak[_G.player][1]: 1 -> 2"},
    {"getmetatable(weak).__mode = 'v'", "value _G.weak<metatable>.__mode: \"k\" -> \"v\""},
    {"local o = {} for i = 20, 1, -1 do o['k' .. i] = i end ordered = o",
     "order _G.ordered: pairs in one order -> pairs in another order"},
    {"for k, v in pairs(by_table) do if v == 5 then by_table[k] = 6 end end",
     "value _G.by_table[table]: 5 -> 6"},
    {"for k, v in pairs(by_table) do if v == 5 then k[1] = 0 end end",
     "value _G.by_table<a key>[1]: 5 -> 0"},
    {"for k, v in pairs(by_table) do if v == 5 then by_table[k] = nil end end",
     "missing _G.by_table[table]: 5 -> nil"},
    {"local t = player.inv t.n = 1 t.n = nil",
     "order _G.player.inv: room for 3 elements and 0 other keys -> room for 4 elements and 1 other "
     "keys"},
    /* identity */
    {"enemies[2].target = enemies[1]",
     "identity _G.enemies[2].target: the table at _G.player -> the table at _G.enemies[1]"},
    /* its way is shorter than those of what it leads to */
    {"first = enemies[4]",
     "identity _G.first: the table at _G.enemies[5] -> the table at _G.enemies[4]"},
    {"twin_b = twin_a",
     "identity _G.twin_b: another table -> the table at _G.twin_a"},
    {"enemies[1], enemies[2] = enemies[2], enemies[1]",
     "value _G.enemies[1].hp: 10 -> 20\nvalue _G.enemies[1].name: \"e1\" -> \"e2\"\n"
     "value _G.enemies[2].hp: 20 -> 10\nvalue _G.enemies[2].name: \"e2\" -> \"e1\""},
    /* functions and upvalues */
    {"inc()", "value _G.get^count: 0 -> 1"},
    {"select(2, get()).n = 2", "value _G.get_shared^shared.n: 1 -> 2"},
    {"debug.upvaluejoin(inner, 1, get, 1)",
     "identity _G.inner^shared: the variable at _G.get_shared^shared -> the variable at "
     "_G.get^count"},
    {"inc = get", "identity _G.inc: another function -> the function at _G.get"},
    {"outer = load('function outer() return function() return 1.25 end end return outer', "
     "'=world')()",
     "function"},
    {"inc = print", "function _G.inc: function world:10 -> function builtin: print"},
    {"inc = load('return 1', '=new')",
     "function _G.inc: function world:10 -> function new:0"},
    {"random = math.floor",
     "function _G.random: function builtin: math.random -> function builtin: math.floor"},
    {"print = type", "function _G.print: function builtin: print -> function builtin: type"},
    /* coroutines */
    {"setter(6)", "value _G.setter^x: 5 -> 6"},
    {"select(3, coroutine.resume(co))", "coroutine"},
    {"debug.setlocal(co, 1, 3, {2})",
     "value _G.co<local t at world:18>[1]: 1 -> 2"},
    {"debug.setlocal(co, 1, 1, 'b')", "value _G.co<local a at world:18>: \"arg\" -> \"b\""},
    {"debug.setlocal(co, 1, -1, 'w')", "value _G.co<vararg 1>: \"v1\" -> \"w\""},
    {"coroutine.close(co)", "coroutine"},
    {"coroutine.resume(fresh)", "coroutine _G.fresh: not started -> dead"},
    /* what else there is */
    {"words()", "value"},
    {"math.random()", "random"},
    {"debug.getregistry().mine[1] = 2", "value <registry>.mine[1]: 1 -> 2"},
    {"debug.getuservalue(u, 2)[1] = 6", "value _G.value_of_u[1]: 5 -> 6"},
    {"debug.setuservalue(u, 9, 1)", "type _G.u<user value 1>: nil -> 9"},
    {"warn('@on')", "value <warnings>: off -> on"},
};

static int see_case(lua_State *L, const Case *c) {
    lua_State *a = clone_of(L), *b = clone_of(L);
    rlua_Checksum before[2], after[2];
    const char *text, *chunk = c->statement;
    int right;
    if (rlua_dostring(b, chunk)) FAIL("%s: %s", chunk, rlua_last_error(b));
    sum_of(a, &before[0]);
    sum_of(b, &before[1]);
    text = diff_of(a, b);
    /* an expectation without a blank is a kind, for texts with instructions or bytes in them */
    if (*c->expected && !strchr(c->expected, ' '))
        right = strncmp(text, c->expected, strlen(c->expected)) == 0 && !strchr(text, '\n');
    else right = strcmp(text, c->expected) == 0;
    if (!right)
        fprintf(stderr, "after %s\n  found\n%s\n  expected\n%s\n", chunk, text, c->expected);
    sum_of(a, &after[0]);
    sum_of(b, &after[1]);
    CHECK(memcmp(before, after, sizeof before) == 0); /* both are untouched */
    if (*text) CHECK(memcmp(&before[0], &before[1], sizeof before[0]) != 0);
    CHECK_OK(rlua_check(a));
    CHECK_OK(rlua_check(b));
    lua_close(a);
    lua_close(b);
    return right;
}

TEST(one_change_is_named_by_its_way) {
    lua_State *L = world_of(0);
    size_t i, wrong = 0;
    for (i = 0; i < COUNT_OF(cases); i++) wrong += !see_case(L, &cases[i]);
    CHECK_EQ(wrong, 0);
    lua_close(L);
}

/* -- what a host changes ----------------------------------------------------------------------- */

static char *block_in(lua_State *L) {
    return (char *)(((uintptr_t)L & ~(uintptr_t)0xFFFFFFFFu) + block_offset);
}

static void change_block(lua_State *L) { block_in(L)[33] = 9; }
static void grow_block(lua_State *L) { CHECK(rlua_realloc(L, block_in(L), 104) != NULL); }
static void free_block(lua_State *L) { CHECK_OK(rlua_free(L, block_in(L))); }
static void new_block(lua_State *L) { CHECK(rlua_alloc(L, 50) != NULL); }
static void change_userdata(lua_State *L) {
    lua_getglobal(L, "u");
    ((char *)lua_touserdata(L, -1))[17] = 3;
    lua_pop(L, 1);
}
static void change_light(lua_State *L) {
    lua_pushlightuserdata(L, &place_b);
    lua_setglobal(L, "light");
}
static void light_number(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)7);
    lua_setglobal(L, "light");
}
static void change_function(lua_State *L) {
    lua_pushcfunction(L, c_g);
    lua_setglobal(L, "cfunction");
}
static void change_closure(lua_State *L) {
    lua_getglobal(L, "cclosure");
    lua_pushinteger(L, 4);
    lua_setupvalue(L, -2, 1);
    lua_pop(L, 1);
}
static void change_host(lua_State *L) {
    CHECK_OK(rlua_pushfunction(L, host_f, NULL, "game.other"));
    lua_setglobal(L, "host");
}
static void other_ud(lua_State *L) { /* the same function to peers */
    CHECK_OK(rlua_pushfunction(L, host_f, &place_b, "game.host"));
    lua_setglobal(L, "host");
}
static void change_stack(lua_State *L) {
    lua_pushinteger(L, 78);
    lua_replace(L, 1);
}
static void grow_stack(lua_State *L) { lua_pushinteger(L, 1); }
static void drop_reference(lua_State *L) { CHECK_OK(rlua_unref(L, reference)); }
static void change_referred(lua_State *L) {
    CHECK_OK(rlua_getref(L, referred));
    lua_pushboolean(L, 1);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
}
static void new_reference(lua_State *L) {
    lua_pushboolean(L, 1);
    CHECK(rlua_ref(L) != 0);
}
static void change_clock(lua_State *L) { CHECK_OK(rlua_set_time(L, 5, 7)); }
static void set_budget(lua_State *L) { CHECK_OK(rlua_set_budget(L, 1000)); }
static void extra_space(lua_State *L) { *(void **)lua_getextraspace(L) = (void *)(uintptr_t)9; }

TEST(what_a_host_changes_is_named) {
    static const struct {
        void (*change)(lua_State *L);
        const char *expected;
    } changes[] = {
        {change_block, "bytes <block 0x*><byte 33>: 01 01 01 01 01 01 01 01 -> "
                       "09 01 01 01 01 01 01 01"},
        {grow_block, "bytes <block 0x*>: 100 bytes -> 104 bytes"},
        {free_block, "bytes <block 0x*>: 100 bytes -> 0 bytes"},
        {new_block, "bytes <block 0x*>: 0 bytes -> 50 bytes"},
        {change_userdata,
         "bytes _G.u<byte 17>: 02 02 02 02 02 02 02 02 -> 03 02 02 02 02 02 02 02"},
        {change_light, "value _G.light: light userdata builtin: game.a -> light userdata builtin: "
                       "game.b"},
        {light_number, "value _G.light: light userdata builtin: game.a -> light userdata 7"},
        {change_function,
         "function _G.cfunction: function builtin: game.f -> function builtin: game.g"},
        {change_closure, "value _G.cclosure^1: 3 -> 4"},
        {change_host, "function _G.host: function game.host -> function game.other"},
        {other_ud, ""},
        {change_stack, "value <main thread><slot 1>: 77 -> 78"},
        {grow_stack, "coroutine <main thread>: 1 values on its stack -> 2 values on its stack"},
        {drop_reference, "missing <reference 1>: \"referred\" -> nil"},
        {change_referred, "missing <reference 2>[1]: nil -> true"},
        {new_reference, "missing <reference 3>: nil -> true"},
        {change_clock, "clock <clock>: 0.000000000 s -> 5.000000007 s"},
        {set_budget, "budget <budget>: no budget -> 1000 units left"},
        {extra_space, "value <main thread><extra space>: light userdata 0 -> light userdata 9"},
    };
    lua_State *L = world_of(0);
    size_t i;
    for (i = 0; i < COUNT_OF(changes); i++) {
        lua_State *a = clone_of(L), *b = clone_of(L);
        char expected[256], *star;
        const char *text;
        changes[i].change(b);
        text = diff_of(a, b);
        snprintf(expected, sizeof expected, "%s", changes[i].expected);
        star = strchr(expected, '*');
        if (star && strstr(text, "0x")) { /* the offset is the block's */
            const char *rest = strchr(changes[i].expected, '*') + 1, *offset = strstr(text, "0x");
            unsigned long at = strtoul(offset, NULL, 16);
            if (changes[i].change != new_block) CHECK_EQ(at, block_offset);
            snprintf(star, sizeof expected - (size_t)(star - expected), "%lx%s", at, rest);
        }
        if (strcmp(text, expected) != 0)
            FAIL("change %zu\n     found\n%s\n     expected\n%s", i, text, expected);
        if (changes[i].change == change_host || changes[i].change == other_ud) {
            lua_close(a);
            lua_close(b);
            continue;
        }
        CHECK_OK(rlua_check(b));
        lua_close(a);
        lua_close(b);
    }
    lua_close(L);
}

/* Peers have other functions and addresses behind the same names. */
TEST(names_are_the_same_whatever_they_stand_for) {
    lua_State *vms[2];
    int i;
    for (i = 0; i < 2; i++) {
        lua_State *L = vms[i] = open_vm(1 * MIB, 0);
        CHECK_OK(rlua_register(L, "game.f", i ? c_f : c_g));
        CHECK_OK(rlua_register_pointer(L, "game.a", i ? &place_a : &place_b));
        lua_pushcfunction(L, i ? c_f : c_g);
        lua_setglobal(L, "f");
        lua_pushlightuserdata(L, i ? &place_a : &place_b);
        lua_setglobal(L, "p");
        CHECK_OK(rlua_pushfunction(L, host_f, i ? &place_a : NULL, "game.h"));
        lua_setglobal(L, "h");
        run(L, "t = {[f] = 1, [p] = 2, [h] = 3}");
    }
    CHECK_STR(diff_of(vms[0], vms[1]), "");
    run(vms[1], "t[f] = 5");
    CHECK_STR(diff_of(vms[0], vms[1]), "value _G.t[function builtin: game.f]: 1 -> 5");
    lua_close(vms[0]);
    lua_close(vms[1]);
}

/* -- any place --------------------------------------------------------------------------------- */

/* Random trees of tables, and the ways to all their leaves as expressions. */
static const char random_world[] =
    "local seed, tables = ...\n"
    "math.randomseed(seed)\n"
    "local all, ways, leaves, random = {}, {}, {}, math.random\n"
    "world = {} all[1], ways[1] = world, '_G.world'\n"
    "local words = {'hp', 'x', 'name', 'end', 'a b', 'q\"', 'long' .. ('y'):rep(60), '\\n', 'é'}\n"
    "local function key(t)\n"
    "  local k, r = nil, random(6)\n"
    "  if r <= 2 then k = #t + 1 elseif r == 3 then k = random(-9, 99) * 1.0 / 2\n"
    "  elseif r == 4 then k = random(2) == 1 else k = words[random(#words)] .. random(5) end\n"
    "  if math.type(k) == 'float' and k % 1 == 0 then k = math.tointeger(k) end\n"
    "  return k end\n"
    "local function step(k)\n"
    "  if type(k) ~= 'string' then return ('[%s]'):format(k) end\n"
    "  if k:match '^[%a_][%w_]*$' then return '.' .. k end\n"
    "  return '[\"' .. k:gsub('[\\\\\"]', '\\\\%0'):gsub('\\n', '\\\\n') .. '\"]' end\n"
    "local values = {function() return random(100) end, function() return random() end,\n"
    "  function() return 's' .. random(100) end, function() return random(2) == 1 end,\n"
    "  function() return ('long'):rep(random(5, 20)) end}\n"
    "for i = 1, tables do\n"
    "  local n = random(#all) local t, k, new = all[n], nil, {}\n"
    "  repeat k = key(t) until t[k] == nil\n"
    "  t[k] = new all[#all + 1], ways[#ways + 1] = new, ways[n] .. step(k)\n"
    "  for j = 1, random(6) do\n"
    "    local l repeat l = key(new) until new[l] == nil\n"
    "    new[l] = values[random(#values)]() leaves[#leaves + 1] = ways[#ways] .. step(l) end\n"
    "end\n"
    "local way = leaves[random(#leaves)]\n"
    "assert(load('return ' .. way))()\n"
    "return way, random(8)\n";

static const char *const new_values[] = {"nil", "123456", "-0.0", "'new'", "{}", "print",
                                         "1e300", "('z'):rep(200)"};

/* The statement's way is a Lua expression that ran: the diff's has to be the same text. */
static void any_place(lua_State *a, lua_State *b, const char *way, const char *value) {
    char statement[1024];
    const char *text, *rest;
    snprintf(statement, sizeof statement, "%s = %s", way, value);
    run(b, statement);
    text = diff_of(a, b);
    rest = strchr(text, ' ');
    if (!rest || strncmp(rest + 1, way, strlen(way)) != 0 || rest[1 + strlen(way)] != ':' ||
        strchr(text, '\n'))
        FAIL("after %s\n     found\n%s", statement, text);
    CHECK(strncmp(text, "value", 5) == 0 || strncmp(text, "type", 4) == 0 ||
          strncmp(text, "missing", 7) == 0);
}

static const char *make_random_world(lua_State *L, unsigned seed, unsigned tables, int *value) {
    static char way[900];
    CHECK_OK(rlua_loadbuffer(L, random_world, strlen(random_world), "=world", "t"));
    lua_pushinteger(L, seed);
    lua_pushinteger(L, tables);
    if (rlua_call(L, 2, 2, 0)) FAIL("seed %u: %s", seed, rlua_last_error(L));
    snprintf(way, sizeof way, "%s", lua_tostring(L, -2));
    *value = (int)lua_tointeger(L, -1) - 1;
    lua_settop(L, 0);
    return way;
}

TEST(a_change_at_any_place_is_named) {
    unsigned seed, rounds = 1500 / (unsigned)test_scale() + 1;
    int value;
    for (seed = 1; seed <= rounds; seed++) {
        lua_State *a = open_vm(8 * MIB, 0), *b;
        const char *way = make_random_world(a, seed, 1 + seed % 120, &value);
        b = clone_of(a);
        CHECK_STR(diff_of(a, b), "");
        any_place(a, b, way, new_values[value]);
        lua_close(a);
        lua_close(b);
    }
}

/* The second world lies elsewhere: none of its objects has the offset of its twin. */
TEST(worlds_that_lie_elsewhere_are_compared_by_their_ways) {
    unsigned seed, rounds = 500 / (unsigned)test_scale() + 1;
    int value;
    for (seed = 1; seed <= rounds; seed++) {
        lua_State *a = open_vm(8 * MIB, 0), *b = open_vm(8 * MIB, 0);
        const char *way;
        run(b, "for i = 1, 300 do _G['k' .. i] = {} end for i = 1, 300 do _G['k' .. i] = nil end "
               "kept = {} for i = 1, 50 do kept[i] = {i} end");
        run(a, "for i = 1, 300 do _G['k' .. i] = {} end for i = 1, 300 do _G['k' .. i] = nil end "
               "kept = 0");
        run(b, "kept = 0");
        make_random_world(b, seed, 1 + seed % 120, &value);
        way = make_random_world(a, seed, 1 + seed % 120, &value);
        CHECK_STR(diff_of(a, b), "");
        any_place(a, b, way, new_values[value]);
        lua_close(a);
        lua_close(b);
    }
}

/* -- nothing ----------------------------------------------------------------------------------- */

static void *saved(lua_State *L, size_t *length) {
    void *image;
    CHECK_STATUS(rlua_save_buffer(L, NULL, 0, length), RLUA_STREAM);
    image = malloc(*length);
    CHECK(image != NULL);
    CHECK_OK(rlua_save_buffer(L, image, *length, length));
    return image;
}

static const rlua_Name names[] = {{"game.f", c_f, NULL, NULL},
                                  {"game.g", c_g, NULL, NULL},
                                  {"game.a", NULL, NULL, &place_a},
                                  {"game.b", NULL, NULL, &place_b},
                                  {"game.host", NULL, host_f, &place_b},
                                  {NULL, NULL, NULL, NULL}};

static rlua_Config config_with_names(void) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.names = names;
    return config;
}

/* A NaN in a place, with one sign in `a` and with the other in `b`: 0/0 has another one on each
 * platform. The first path that differs, or none. */
static const char *diff_of_nans(int profile, const char *place) {
    rlua_Config config = config_with_names();
    lua_State *L = NULL, *vms[2];
    rlua_Checksum sums[2];
    const char *text;
    int i;
    config.memory_size = 1 * MIB;
    config.profile = profile;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    for (i = 0; i < 2; i++) {
        vms[i] = clone_of(L);
        lua_gc(vms[i], LUA_GCSTOP);
        CHECK_EQ(luaL_loadstring(vms[i], place), LUA_OK);
        lua_pushboolean(vms[i], i);
        lua_call(vms[i], 1, 0);
        CHECK(lua_checkstack(vms[i], 100)); /* where the argument was counts, too */
        lua_settop(vms[i], 100);
        lua_settop(vms[i], 0);
        sum_of(vms[i], &sums[i]);
    }
    text = diff_of(vms[0], vms[1]);
    CHECK_EQ(memcmp(&sums[0], &sums[1], sizeof sums[0]) == 0, *text == 0);
    for (i = 0; i < 2; i++) lua_close(vms[i]);
    lua_close(L);
    return text;
}

TEST(a_nan_has_a_sign_in_the_stock_profile_alone) {
    static const char *const places[] = {
        "local n = 0/0 if ... then n = -n end x = n",
        "local n = 0/0 if ... then n = -n end x = {n}",
        "local n = 0/0 if ... then n = -n end function x() return n end",
        "local n = 0/0 if ... then n = -n end x = coroutine.wrap(function()\n"
        "coroutine.yield(n) return n end) x()"};
    size_t i;
    for (i = 0; i < COUNT_OF(places); i++) {
        CHECK_STR(diff_of_nans(RLUA_PROFILE_DETERMINISTIC, places[i]), "");
        CHECK(strstr(diff_of_nans(RLUA_PROFILE_STOCK, places[i]), "nan -> "));
    }
}

TEST(a_rollback_leaves_nothing) {
    lua_State *L = world_of(0), *before = clone_of(L);
    CHECK_OK(rlua_snap(L));
    run(L, "inc() enemies = nil coroutine.resume(co) words() collectgarbage() math.random()");
    CHECK_OK(rlua_free(L, block_in(L)));
    CHECK(strlen(diff_of(before, L)) > 100);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_STR(diff_of(before, L), "");
    lua_close(before);
    lua_close(L);
}

TEST(a_save_and_a_load_leave_nothing) {
    rlua_Config config = config_with_names();
    lua_State *L = world_of(0), *loaded = NULL;
    Lines lines;
    size_t length, other_length;
    void *image = saved(L, &length), *other;
    config.trust = RLUA_TRUST_OWN;
    CHECK_OK(rlua_load_buffer(&config, image, length, &loaded));
    config.trust = 0; /* the diff needs none: it runs nothing */
    CHECK_STR(diff_of(L, loaded), "");
    run(L, "enemies[1].hp = 3 setmetatable({}, {__gc = function() error 'runs' end}) kept = 1");
    other = saved(L, &other_length);
    memset(&lines, 0, sizeof lines);
    CHECK_OK(rlua_diff(&config, image, length, other, other_length, 0, note, &lines));
    CHECK_STR(lines.text, "missing _G.kept: nil -> 1\nvalue _G.enemies[1].hp: 10 -> 3");
    memset(&lines, 0, sizeof lines);
    CHECK_OK(rlua_diff(&config, image, length, image, length, 0, note, &lines));
    CHECK_EQ(lines.count, 0);
    free(image);
    free(other);
    lua_close(loaded);
    lua_close(L);
}

/* A finalizer of an image is not run when the image was compared. */
static int finalized;
static int finalizes(lua_State *L) {
    (void)L;
    finalized++;
    return 0;
}

TEST(comparing_images_runs_nothing_in_them) {
    static const rlua_Name own[] = {{"game.finalizes", finalizes, NULL, NULL},
                                    {NULL, NULL, NULL, NULL}};
    rlua_Config config = config_with_names();
    lua_State *L = open_vm(1 * MIB, 0);
    size_t length;
    void *image;
    config.names = own;
    lua_register(L, "finalizes", finalizes);
    CHECK_OK(rlua_register(L, "game.finalizes", finalizes));
    run(L, "kept = setmetatable({}, {__gc = function() finalizes() end})");
    image = saved(L, &length);
    CHECK_OK(rlua_diff(&config, image, length, image, length, 0, NULL, NULL));
    CHECK_EQ(finalized, 0);
    lua_close(L);
    CHECK_EQ(finalized, 1);
    free(image);
}

/* -- bounds ------------------------------------------------------------------------------------ */

TEST(what_is_found_is_bounded) {
    lua_State *a = open_vm(8 * MIB, 0), *b;
    Lines lines;
    run(a, "t = {} for i = 1, 5000 do t[i] = i end");
    b = clone_of(a);
    run(b, "for i = 1, 5000 do t[i] = -i end");
    memset(&lines, 0, sizeof lines);
    CHECK_OK(rlua_diff_vms(a, b, 0, note, &lines));
    CHECK_EQ(lines.count, 1000);
    CHECK(strncmp(lines.text, "value _G.t[1]: 1 -> -1\nvalue _G.t[2]: 2 -> -2\n", 44) == 0);
    memset(&lines, 0, sizeof lines);
    CHECK_OK(rlua_diff_vms(a, b, 3, note, &lines));
    CHECK_EQ(lines.count, 3);
    memset(&lines, 0, sizeof lines);
    CHECK_OK(rlua_diff_vms(a, b, SIZE_MAX, note, &lines));
    CHECK_EQ(lines.count, 5000);
    memset(&lines, 0, sizeof lines);
    lines.stop_after = 7;
    CHECK_OK(rlua_diff_vms(a, b, 0, note, &lines));
    CHECK_EQ(lines.count, 7);
    lua_close(a);
    lua_close(b);
}

/* No recursion: a list as long as the memory allows, and its way has its ends. */
TEST(deep_states_are_walked) {
    lua_State *a = open_vm(64 * MIB, 0), *b;
    const char *text;
    run(a, "list = {v = 0} local l = list for i = 1, 200000 do l.next = {v = i} l = l.next end "
           "last = l");
    run(a, "local f = function() end for i = 1, 50000 do local g = f f = function() return g end "
           "end chain = f");
    b = clone_of(a);
    run(b, "last.next = 1");
    text = diff_of(a, b);
    CHECK_STR(text, "missing _G.last.next: nil -> 1");
    lua_close(b);
    run(a, "last.v = -1");
    b = clone_of(a);
    run(b, "last.v = 200000 last = nil");
    run(a, "last = nil");
    text = diff_of(a, b);
    CHECK(strncmp(text, "value _G....", 12) == 0);
    CHECK(strstr(text, ".next.next.next.v: -1 -> 200000") != NULL);
    CHECK(!strchr(text, '\n'));
    lua_close(a);
    lua_close(b);
}

static lua_State *other_vm;

static int calls_back(void *ud, const rlua_Difference *d) {
    lua_State *L = ud;
    char before[64];
    snprintf(before, sizeof before, "%s", d->path);
    CHECK_OK(rlua_dostring(L, "t = nil collectgarbage() for i = 1, 1000 do _G['x' .. i] = {} end"));
    CHECK_OK(rlua_dostring(other_vm, "t = nil collectgarbage()"));
    CHECK_OK(rlua_diff_vms(L, other_vm, 0, NULL, NULL));
    CHECK_STR(d->path, before);
    return 0;
}

static int inside(lua_State *L) {
    lua_pushinteger(L, rlua_diff_vms(L, other_vm, 0, NULL, NULL));
    lua_pushinteger(L, rlua_diff_vms(other_vm, L, 0, NULL, NULL));
    return 2;
}

TEST(a_callback_may_do_anything) {
    lua_State *a = open_vm(8 * MIB, 0), *b;
    run(a, "t = {} for i = 1, 50 do t[i] = {i} end");
    b = other_vm = clone_of(a);
    run(b, "for i = 1, 50 do t[i][1] = 'changed' end");
    CHECK_OK(rlua_diff_vms(a, b, 0, calls_back, a));
    CHECK_OK(rlua_check(a));
    CHECK_OK(rlua_check(b));
    lua_close(a);
    lua_close(b);
}

TEST(wrong_arguments_are_refused) {
    lua_State *L = open_vm(1 * MIB, 0), *b = open_vm(1 * MIB, 0), *thread;
    rlua_Config config = config_with_names();
    size_t length;
    char *image;
    other_vm = b;
    CHECK_REFUSED(rlua_diff_vms(NULL, L, 0, note, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_diff_vms(L, NULL, 0, note, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_diff_vms(L, (lua_State *)&config, 0, note, NULL), RLUA_NOT_ROLLBACK);
    CHECK_REFUSED(rlua_diff_vms(L, L, 0, note, NULL), RLUA_BAD_ARG);
    thread = lua_newthread(L);
    CHECK_REFUSED(rlua_diff_vms(L, thread, 0, note, NULL), RLUA_BAD_ARG);
    lua_pop(L, 1);
    lua_register(L, "inside", inside);
    run(L, "a, b = inside()");
    CHECK_EQ(global_int(L, "a"), RLUA_BUSY);
    CHECK_EQ(global_int(L, "b"), RLUA_BUSY);
    run(L, "inside = nil");
    image = saved(L, &length);
    CHECK_REFUSED(rlua_diff(&config, NULL, 0, image, length, 0, note, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_diff(&config, image, length, NULL, 0, 0, note, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_diff(&config, image, length - 1, image, length, 0, note, NULL),
                  RLUA_BAD_IMAGE);
    image[length / 2] ^= 1;
    CHECK_REFUSED(rlua_diff(&config, image, length, image, length, 0, note, NULL),
                  RLUA_BAD_IMAGE);
    free(image);
    lua_close(b);
    CHECK_REFUSED(rlua_diff_vms(L, b, 0, note, NULL), RLUA_NOT_ROLLBACK);
    lua_close(L);
}
