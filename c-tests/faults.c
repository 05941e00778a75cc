/* faults.c: any allocation may fail, in any function, and the host lives.
 * Method: lua_setallocf puts an allocator between Lua and the arena that refuses the n-th growing
 * request, once or from then on. Each function of the API runs for n = 1, 2, ... until it gets
 * through without a refusal; after each failure the state is checked and the function repeated. A
 * panic function that ends the test watches that nothing raises. Under valgrind nothing leaks. */
#include "harness.h"

typedef struct Faults {
    lua_Alloc alloc;
    void *ud;
    long left; /* growing requests until the refusal; negative: none is due */
    int once, refused;
} Faults;

static void *refusing(void *ud, void *block, size_t old_size, size_t new_size) {
    Faults *faults = ud;
    if (new_size > (block ? old_size : 0) && faults->left >= 0) {
        if (faults->left == 0 || --faults->left == 0) {
            faults->refused++;
            if (faults->once) faults->left = -1;
            return NULL;
        }
    }
    return faults->alloc(faults->ud, block, old_size, new_size);
}

static int no_panic(lua_State *L) {
    FAIL("something raised: %s", lua_tostring(L, -1));
}

static int released, discarded;
static void count_release(lua_State *L, void *object, void *ud) {
    (void)L;
    (void)object;
    (void)ud;
    released++;
}

static int host_result(lua_State *L, void *ud) {
    (void)ud;
    if (rlua_pushlstring(L, "0123456789012345678901234567890123456789xyz", 43) != RLUA_OK)
        return RLUA_RAISE;
    return rlua_dostring(L, "return {}, {}") == RLUA_OK ? 2 : RLUA_RAISE;
}

static const rlua_Method methods[] = {{"a", host_result}, {"__len", host_result}, {NULL, NULL}};
static const rlua_ResourceType type = {sizeof type, "Thing", count_release, NULL, methods};
static int object;

static int capture(void *ud, int64_t frame, void **token) {
    (void)frame;
    if (rlua_dostring(ud, "captured = {captured}") != RLUA_OK) {
        lua_settop(ud, 0);
        return 5;
    }
    *token = malloc(1);
    return 0;
}
static void restore(void *ud, void *token) {
    (void)token;
    if (rlua_dostring(ud, "restored = {restored}") != RLUA_OK) lua_settop(ud, 0);
}
static void discard(void *ud, void *token) {
    (void)ud;
    free(token);
    discarded++;
}

static const char source[] = "local t = {} for i = 1, 20 do t[i] = {i .. 'th'} end "
                             "return coroutine.wrap(function() return t, ('x'):rep(300) end)()";

/* Each answers a status; the stack holds a table with metamethods, a string, and a number. */
static int f_openlibs(lua_State *L) {
    int status = rlua_pushnil(L);
    if (status == RLUA_OK) status = rlua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    return status == RLUA_OK ? rlua_openlibs(L, RLUA_LIB_ALL) : status;
}
static int f_newenv(lua_State *L) {
    int status = rlua_pushnil(L);
    if (status == RLUA_OK) status = rlua_setfield(L, LUA_REGISTRYINDEX, "rlua.methods");
    return status == RLUA_OK ? rlua_newenv(L, RLUA_LIB_SANDBOX) : status;
}
/* The message of a used-up budget may find no memory; the status is the same. */
static int f_budget(lua_State *L) {
    int status = rlua_loadbuffer(L, "while true do end", 17, "n", "t");
    if (status == RLUA_OK) status = rlua_set_budget(L, 100);
    if (status == RLUA_OK) status = rlua_call(L, 0, 0, 0);
    rlua_set_budget(L, RLUA_NO_BUDGET);
    return status == RLUA_BUDGET ? RLUA_OK : status;
}
static int f_loadbuffer(lua_State *L) {
    return rlua_loadbuffer(L, source, sizeof source - 1, "n", "t");
}
static int f_dostring(lua_State *L) { return rlua_dostring(L, source); }
static int f_dofile(lua_State *L) { return rlua_dofile(L, "/dev/null"); }
static int f_loadfile(lua_State *L) { return rlua_loadfile(L, "/dev/null", "t"); }
static int f_call(lua_State *L) {
    int status = rlua_getglobal(L, "work");
    return status == RLUA_OK ? rlua_call(L, 0, 30, 0) : status;
}
static int f_resume(lua_State *L) {
    lua_State *thread;
    int results, status = rlua_newthread(L, &thread);
    if (status == RLUA_OK) status = rlua_getglobal(L, "work");
    if (status == RLUA_OK) status = rlua_xmove(L, thread, 1);
    return status == RLUA_OK ? rlua_resume(thread, L, 0, &results) : status;
}
static int f_getglobal(lua_State *L) { return rlua_getglobal(L, "a name that is not there yet"); }
static int f_setglobal(lua_State *L) { return rlua_setglobal(L, "another name that is not there"); }
static int f_getfield(lua_State *L) { return rlua_getfield(L, 1, "field"); }
static int f_setfield(lua_State *L) { return rlua_setfield(L, 1, "new field"); }
static int f_geti(lua_State *L) { return rlua_geti(L, 1, 99); }
static int f_seti(lua_State *L) { return rlua_seti(L, 1, 99); }
static int f_gettable(lua_State *L) { return rlua_gettable(L, 1); }
static int f_settable(lua_State *L) { return rlua_settable(L, 1); }
static int f_next(lua_State *L) {
    int more, status = rlua_pushnil(L);
    return status == RLUA_OK ? rlua_next(L, 1, &more) : status;
}
static int f_len(lua_State *L) { return rlua_len(L, 1); }
static int f_concat(lua_State *L) { return rlua_concat(L, 2); }
static int f_compare(lua_State *L) {
    int result;
    return rlua_compare(L, 1, 2, LUA_OPLT, &result);
}
static int f_arith(lua_State *L) { return rlua_pushvalue(L, 1) + rlua_arith(L, LUA_OPADD); }
static int f_tolstring(lua_State *L) {
    const char *text;
    return rlua_tolstring(L, 3, &text, NULL);
}
static int f_pushtostring(lua_State *L) { return rlua_pushtostring(L, 1); }
static int f_traceback(lua_State *L) { return rlua_traceback(L, L, "message", 0); }
static int f_pushlstring(lua_State *L) { return rlua_pushlstring(L, source, sizeof source); }
static int f_pushes(lua_State *L) {
    int i, status = RLUA_OK;
    for (i = 0; i < 200 && status == RLUA_OK; i++)
        status = i % 4 == 0 ? rlua_pushinteger(L, i) : i % 4 == 1 ? rlua_pushnumber(L, i)
               : i % 4 == 2 ? rlua_pushboolean(L, i) : rlua_pushvalue(L, 1);
    return status;
}
static int f_createtable(lua_State *L) { return rlua_createtable(L, 9, 9); }
static int f_newuserdata(lua_State *L) { return rlua_newuserdata(L, 500, 3, NULL); }
static int f_gc(lua_State *L) { return rlua_gc(L, LUA_GCCOLLECT, 0); }
static int f_pushfunction(lua_State *L) {
    return rlua_pushfunction(L, host_result, NULL, "the name of a function");
}
static int f_hostfunction(lua_State *L) {
    int status = f_pushfunction(L);
    return status == RLUA_OK ? rlua_call(L, 0, 3, 0) : status;
}
static int f_pushcclosure(lua_State *L) { return rlua_pushcclosure(L, no_panic, 2); }
static int f_requiref(lua_State *L) { return rlua_requiref(L, "string two", luaopen_string, 1); }
static int f_rawset(lua_State *L) { return rlua_rawset(L, 1); }
static int f_rawseti(lua_State *L) { return rlua_rawseti(L, 1, 1000); }
static int f_getsubtable(lua_State *L) {
    return rlua_getsubtable(L, LUA_REGISTRYINDEX, "sub table");
}
static int f_newmetatable(lua_State *L) {
    int status = rlua_newmetatable(L, "a new metatable", NULL);
    if (status == RLUA_OK) status = rlua_setmetatable(L, "a new metatable");
    return status == RLUA_OK ? rlua_getmetatable(L, "a new metatable") : status;
}
static int f_testudata(lua_State *L) {
    void *block;
    return rlua_testudata(L, 1, "yet another metatable", &block);
}
static int f_closing(lua_State *L) {
    int status = rlua_dostring(L, "return setmetatable({}, {__close = function() x = {} end})");
    if (status == RLUA_OK) status = rlua_toclose(L, -1);
    return status == RLUA_OK ? rlua_settop(L, 1) : status;
}
static int f_alloc(lua_State *L) {
    char *block = rlua_alloc(L, 100), *moved;
    if (!block) return RLUA_NO_MEMORY;
    memset(block, 'b', 100);
    moved = rlua_realloc(L, block, 5000);
    if (!moved) CHECK(block[0] == 'b' && block[99] == 'b');
    CHECK_OK(rlua_free(L, moved ? moved : block));
    return moved ? RLUA_OK : RLUA_NO_MEMORY;
}
static int f_ref(lua_State *L) {
    rlua_Ref refs[40];
    int i, count, top = lua_gettop(L);
    for (count = 0; count < 40; count++) {
        if (rlua_pushinteger(L, count) != RLUA_OK) break;
        if ((refs[count] = rlua_ref(L)) == 0) break;
    }
    for (i = 0; i < count; i++) {
        lua_settop(L, top);
        if (rlua_getref(L, refs[i]) == RLUA_OK) CHECK_EQ(lua_tointeger(L, -1), i);
        CHECK_OK(rlua_unref(L, refs[i]));
    }
    return count == 40 ? RLUA_OK : RLUA_NO_MEMORY;
}
static int f_resource(lua_State *L) {
    int before = released, status = rlua_pushresource(L, &object, &type);
    void *found;
    if (status == RLUA_OK) {
        CHECK_OK(rlua_toresource(L, -1, &type, &found));
        CHECK_OK(rlua_closeresource(L, -1, &type));
        CHECK_EQ(released, before + 1);
    }
    return status;
}
static int f_snap(lua_State *L) {
    int before = discarded, status = rlua_snap(L);
    if (status == RLUA_OK) CHECK_OK(rlua_rollback(L, 1));
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    CHECK_OK(rlua_set_max_snapshots(L, 2));
    if (status == RLUA_OK) CHECK_EQ(discarded, before + 1);
    return status;
}

static const struct {
    const char *name;
    int (*run)(lua_State *L);
} functions[] = {
#define F(name) {#name, f_##name}
    F(openlibs), F(newenv), F(budget), F(loadbuffer), F(dostring), F(dofile), F(loadfile),
    F(call), F(resume),
    F(getglobal), F(setglobal), F(getfield), F(setfield), F(geti), F(seti), F(gettable),
    F(settable), F(next), F(len), F(concat), F(compare), F(arith), F(tolstring),
    F(pushtostring), F(traceback), F(pushlstring), F(pushes), F(createtable), F(newuserdata),
    F(gc), F(pushfunction), F(hostfunction), F(pushcclosure), F(requiref), F(rawset), F(rawseti),
    F(getsubtable), F(newmetatable), F(testudata), F(closing), F(alloc), F(ref), F(resource),
    F(snap),
};

static const char setup[] =
    "local made = function() return {('made'):rep(20), {}} end\n"
    "function work() local t = {} for i = 1, 30 do t[i] = {i .. ''} end return t end\n"
    "return setmetatable({}, {__index = made, __newindex = function(t, k, v)\n"
    "  rawset(t, k, {v}) end, __len = made, __concat = made, __lt = made, __add = made,\n"
    "  __tostring = function() return ('text'):rep(30) end}), 'a string', 12.5";

static lua_State *open_faulty(Faults *faults) {
    static const rlua_Participant participant = {sizeof participant, capture, restore, discard};
    lua_State *L = rlua_new_rollback(4 * MIB, 2);
    CHECK(L != NULL);
    lua_atpanic(L, no_panic);
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_dostring(L, setup));
    CHECK_OK(rlua_add_participant(L, &participant, L));
    faults->left = -1;
    faults->refused = 0;
    faults->alloc = lua_getallocf(L, &faults->ud);
    lua_setallocf(L, refusing, faults);
    return L;
}

static void set_faults(lua_State *L, Faults *faults, long left) {
    faults->left = left;
    lua_setallocf(L, refusing, faults); /* a rollback has put back what was set before */
}

/* One function, the n-th request refused: an error or success, but never damage. Answers whether a
 * request was refused. */
static int with_fault(size_t which, long n, int once) {
    Faults faults = {NULL, NULL, -1, once, 0};
    lua_State *L = open_faulty(&faults);
    int status, refused;
    set_faults(L, &faults, n);
    status = functions[which].run(L);
    faults.left = -1;
    refused = faults.refused;
    if (!refused && status != RLUA_OK)
        FAIL("%s: status %d, no fault: %s", functions[which].name, status, rlua_last_error(L));
    if (status != RLUA_OK && status != RLUA_ERR_MEM && status != RLUA_ERR_RUN &&
        status != RLUA_NO_MEMORY && status != RLUA_PARTICIPANT && status != RLUA_ERR_ERR)
        FAIL("%s, request %ld: status %d", functions[which].name, n, status);
    if (rlua_check(L) != RLUA_OK)
        FAIL("%s, request %ld: %s", functions[which].name, n, rlua_last_error(L));
    CHECK_OK(rlua_settop(L, 0));
    CHECK_OK(rlua_gc(L, LUA_GCCOLLECT, 0));
    CHECK_OK(rlua_dostring(L, setup));
    status = functions[which].run(L);
    if (status != RLUA_OK)
        FAIL("%s after request %ld had failed: %s", functions[which].name, n, rlua_last_error(L));
    CHECK_OK(rlua_check(L));
    lua_close(L);
    return refused;
}

static void fault_each(int once) {
    size_t which;
    long n, step = test_scale();
    for (which = 0; which < COUNT_OF(functions); which++)
        for (n = 1; with_fault(which, n, once); n += step) CHECK(n < 5000);
}

TEST(every_single_refusal_is_survived) {
    fault_each(1); /* Lua collects and asks again */
}

TEST(refusal_from_the_nth_request_on_is_survived) {
    fault_each(0);
}

/* rlua_open itself, by ever smaller limits: there is no state yet to put an allocator into. */
TEST(opening_under_any_limit_is_a_vm_or_null) {
    size_t limit;
    for (limit = 0; limit < 200 * KIB; limit += 1021 * (size_t)test_scale()) {
        lua_State *L = rlua_new_rollback(limit + 1, 2);
        if (!L) continue;
        lua_atpanic(L, no_panic);
        if (rlua_openlibs(L, RLUA_LIB_ALL) == RLUA_OK) CHECK_OK(rlua_snap(L));
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

/* The test must be able to fail: a refusal that nobody survives is seen. */
static void push_unprotected(void *unused) {
    Faults faults = {NULL, NULL, -1, 0, 0};
    lua_State *L = open_faulty(&faults);
    (void)unused;
    CHECK(freopen("/dev/null", "w", stderr) != NULL);
    set_faults(L, &faults, 1);
    lua_newtable(L);
}

TEST(raise_is_seen) {
    CHECK_EQ(in_child(push_unprotected, NULL), 1);
}
