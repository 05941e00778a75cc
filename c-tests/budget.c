/* budget.c: a budget is counted, raised through everything, part of the state, and the host's.
 * What scripts try against it is in stalls.c.
 *
 * Method: small budgets, and what each kind of caller sees; counts are compared between runs. */
#include "harness.h"

static lua_State *open_with(uint64_t units) {
    lua_State *L = rlua_new_rollback(8 * MIB, 4);
    CHECK(L != NULL);
    CHECK_OK(rlua_openlibs(L, RLUA_LIB_ALL));
    CHECK_OK(rlua_set_budget(L, units));
    return L;
}

static uint64_t left(lua_State *L) {
    uint64_t units = 1;
    CHECK_OK(rlua_budget_left(L, &units));
    return units;
}

static uint64_t cost(lua_State *L, const char *script) {
    CHECK_OK(rlua_set_budget(L, 1u << 30));
    CHECK_OK(rlua_dostring(L, script));
    lua_settop(L, 0);
    return (1u << 30) - left(L);
}

TEST(a_vm_has_no_budget_at_first) {
    lua_State *L = open_with(RLUA_NO_BUDGET);
    CHECK(left(L) == RLUA_NO_BUDGET);
    CHECK_OK(rlua_dostring(L, "for i = 1, 1e6 do end"));
    CHECK(left(L) == RLUA_NO_BUDGET);
    lua_close(L);
}

TEST(the_same_script_costs_the_same_in_every_vm) {
    static const char script[] =
        "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(i) .. i t[t[i]] = {i} end "
        "table.sort(t) for k, v in pairs(t) do pcall(string.find, k, '.-' .. i) end "
        "coroutine.wrap(function() error('x') end)";
    lua_State *a = open_with(0), *b = open_with(5);
    uint64_t first;
    CHECK_OK(rlua_set_budget(a, 1u << 30));
    rlua_dostring(a, script);
    first = left(a);
    CHECK_OK(rlua_set_budget(b, 1u << 30));
    rlua_dostring(b, script);
    CHECK(first == left(b) && first < (1u << 30) - 1000);
    lua_close(a);
    lua_close(b);
}

TEST(longer_work_costs_more) {
    lua_State *L = open_with(0);
    uint64_t thousand = cost(L, "for i = 1, 1000 do end");
    uint64_t million = cost(L, "for i = 1, 1000000 do end");
    uint64_t calls = cost(L, "local f = function() end for i = 1, 1000 do f() end");
    CHECK(thousand >= 1000 && thousand < 1200);
    CHECK(million >= 1000000 && million < 1000200);
    CHECK(calls >= 2000 && calls < 2400);
    CHECK(cost(L, "local s = ('x'):rep(1 << 20)") > cost(L, "local s = ('x'):rep(16)") + 1000);
    lua_close(L);
}

TEST(a_used_up_budget_ends_the_call_and_every_later_one) {
    lua_State *L = open_with(1000);
    CHECK_STATUS(rlua_dostring(L, "while true do end"), RLUA_BUDGET);
    CHECK(strstr(lua_tostring(L, -1), ":1: the budget is used up") != NULL);
    CHECK(strstr(rlua_last_error(L), "the budget is used up") != NULL);
    CHECK_EQ(left(L), 0);
    CHECK_STATUS(rlua_dostring(L, "return 1"), RLUA_BUDGET);
    lua_settop(L, 0);
    CHECK_OK(rlua_pushinteger(L, 1)); /* runs nothing */
    CHECK_OK(rlua_setglobal(L, "n"));
    CHECK_OK(rlua_set_budget(L, 1000));
    CHECK_OK(rlua_dostring(L, "n = n + 1"));
    CHECK_EQ(global_int(L, "n"), 2);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(nothing_of_a_script_runs_behind_the_error) {
    lua_State *L = open_with(5000);
    CHECK_STATUS(rlua_dostring(L,
        "n = 0\n"
        "local closing = setmetatable({}, {__close = function() n = n + 1 end})\n"
        "local function loop() local x <close> = closing while true do end end\n"
        "xpcall(function() pcall(loop) n = n + 10 end, function() n = n + 100 end)\n"
        "n = n + 1000\n"), RLUA_BUDGET);
    CHECK_OK(rlua_set_budget(L, RLUA_NO_BUDGET));
    CHECK_EQ(global_int(L, "n"), 0);
    lua_close(L);
}

TEST(a_coroutine_that_was_stopped_is_dead) {
    lua_State *L = open_with(RLUA_NO_BUDGET), *co;
    int results;
    CHECK_OK(rlua_dostring(L, "co = coroutine.create(function() coroutine.yield() n = 1 "
                              "while true do end end) coroutine.resume(co)"));
    lua_getglobal(L, "co");
    co = lua_tothread(L, -1);
    CHECK_OK(rlua_set_budget(L, 100));
    CHECK_STATUS(rlua_resume(co, L, 0, &results), RLUA_BUDGET);
    CHECK_EQ(lua_status(co), RLUA_ERRBUDGET);
    CHECK_OK(rlua_set_budget(L, 100000));
    CHECK_OK(rlua_dostring(L, "s = coroutine.status(co)"));
    CHECK_EVAL(L, "s", "dead");
    CHECK_REFUSED(rlua_resume(co, L, 0, &results), RLUA_BAD_ARG);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(it_rolls_back) {
    lua_State *L = open_with(10000);
    uint64_t before, after;
    CHECK_OK(rlua_snap(L));
    before = left(L);
    CHECK_OK(rlua_dostring(L, "for i = 1, 100 do end"));
    after = left(L);
    CHECK(after < before);
    CHECK_STATUS(rlua_dostring(L, "while true do end"), RLUA_BUDGET);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(left(L) == before);
    CHECK_OK(rlua_dostring(L, "for i = 1, 100 do end"));
    CHECK(left(L) == after);
    CHECK_OK(rlua_set_budget(L, RLUA_NO_BUDGET));
    CHECK_OK(rlua_rollback(L, 1));
    CHECK(left(L) == before);
    lua_close(L);
}

TEST(lua_pcall_of_a_host_returns_a_status_of_its_own) {
    lua_State *L = open_with(1000);
    CHECK_EQ(luaL_loadstring(L, "while true do pcall(function() while true do end end) end"), 0);
    CHECK_EQ(lua_pcall(L, 0, 0, 0), RLUA_ERRBUDGET);
    CHECK(strstr(lua_tostring(L, -1), "the budget is used up") != NULL);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static int nested_status;

static int nested(lua_State *L, void *ud) {
    (void)ud;
    nested_status = rlua_dostring(L, "while true do end");
    return 0;
}

TEST(a_nested_call_gets_it_and_the_outermost_too) {
    lua_State *L = open_with(1000);
    CHECK_OK(rlua_pushfunction(L, nested, NULL, "nested"));
    CHECK_OK(rlua_setglobal(L, "nested"));
    CHECK_STATUS(rlua_dostring(L, "pcall(nested) n = 1"), RLUA_BUDGET);
    CHECK_STATUS(nested_status, RLUA_BUDGET);
    lua_getglobal(L, "n");
    CHECK(lua_isnil(L, -1));
    lua_close(L);
}

static int give(lua_State *L, void *ud) {
    return rlua_set_budget(L, *(uint64_t *)ud) == RLUA_OK ? 0 : rlua_error(L, "refused");
}

/* The frames on the stack, which ran without a budget, have it at once; so have those of the
 * coroutines that are in between. */
TEST(a_host_function_sets_the_first_budget_of_what_is_running) {
    static const char *const scripts[] = {
        "give() while true do end",
        "give() for i = 1, 1e18 do end",
        "give() repeat until nil",
        "local function f() give() end f() f = nil while true do end",
        "local function f() return give() end f() while true do end",
        "coroutine.wrap(function() coroutine.wrap(give)() while true do end end)()",
        "coroutine.wrap(function() give() end)() while true do end",
        "setmetatable({}, {__index = give}).x = nil local t = setmetatable({}, {__index = give}) "
        "local _ = t.x while true do end",
        "for _ in function(_, i) if not i then give() return 1 end end do while true do end end",
        "pcall(function() give() error() end) while true do end",
    };
    uint64_t units = 10000;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        lua_State *L = open_with(RLUA_NO_BUDGET);
        CHECK_OK(rlua_pushfunction(L, give, &units, "give"));
        CHECK_OK(rlua_setglobal(L, "give"));
        alarm(20);
        int status = rlua_dostring(L, scripts[i]);
        if (status != RLUA_BUDGET) FAIL("%s: %s", scripts[i], rlua_last_error(L));
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

/* One that gives more lets the script go on. */
TEST(a_host_function_may_set_it_anew) {
    lua_State *L = open_with(1000);
    uint64_t units = 1000, none = RLUA_NO_BUDGET;
    CHECK_OK(rlua_pushfunction(L, give, &units, "give"));
    CHECK_OK(rlua_setglobal(L, "give"));
    CHECK_OK(rlua_pushfunction(L, give, &none, "free"));
    CHECK_OK(rlua_setglobal(L, "free"));
    CHECK_OK(rlua_dostring(L, "for i = 1, 100 do for j = 1, 500 do end give() end"));
    CHECK_OK(rlua_dostring(L, "free() for i = 1, 100000 do end"));
    CHECK(left(L) == RLUA_NO_BUDGET);
    lua_close(L);
}

static int closed;

static int count_close(lua_State *L) {
    (void)L;
    closed++;
    return 0;
}

TEST(what_a_host_closes_is_closed) {
    lua_State *L = open_with(RLUA_NO_BUDGET);
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, count_close);
    lua_setfield(L, -2, "__close");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "resource");
    closed = 0;
    CHECK_OK(rlua_set_budget(L, 1000));
    CHECK_STATUS(rlua_dostring(L, "local x <close> = resource while true do end"), RLUA_BUDGET);
    CHECK_EQ(closed, 1);
    lua_close(L);
}

/* Which warnings come, nobody asks here; that the VM closes is the test. */
TEST(a_finalizer_that_loops_ends_and_the_vm_closes) {
    lua_State *L = open_with(100000);
    CHECK_STATUS(rlua_dostring(L, "for i = 1, 1e9 do setmetatable({}, {__gc = function() "
                                  "while true do end end}) end"), RLUA_BUDGET);
    CHECK_OK(rlua_check(L));
    lua_close(L);
    L = open_with(1000);
    CHECK_OK(rlua_dostring(L, "x = setmetatable({}, {__gc = function() while true do end end})"));
    lua_close(L);
}

TEST(no_memory_for_the_message_is_no_other_error) {
    for (size_t limit = 60; limit < 120; limit += 2) {
        lua_State *L = rlua_new_rollback(limit * KIB, 0);
        if (L == NULL || rlua_openlibs(L, RLUA_LIB_SANDBOX) != RLUA_OK ||
            rlua_set_budget(L, 30000) != RLUA_OK) {
            if (L != NULL) lua_close(L);
            continue;
        }
        int status = rlua_dostring(L, "local t = {} while true do pcall(function() while true do "
                                      "t[#t + 1] = 'x' .. #t end end) end");
        if (status != RLUA_BUDGET && status != RLUA_ERR_MEM)
            FAIL("%zu KiB: %s", limit, rlua_last_error(L));
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

TEST(wrong_arguments_are_refused) {
    uint64_t units;
    lua_State *L = open_with(0);
    CHECK_REFUSED(rlua_set_budget(NULL, 1), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_budget_left(NULL, &units), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_budget_left(L, NULL), RLUA_NULL_ARG);
    lua_close(L);
    CHECK_REFUSED(rlua_set_budget(L, 1), RLUA_NOT_ROLLBACK);
}
