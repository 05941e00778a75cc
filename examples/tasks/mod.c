/* mod.c: mods of strangers in one VM, as docs/SANDBOX.md tells.
 * Method: one mod loops for ever, one looks for a way out, one behaves. The first is stopped and
 * taken back, the second finds nothing, the third plays on and goes back with the game. */
#include "task.h"

static int spawned;

static int spawn(lua_State *L, void *ud) {
    (void)L;
    ++*(int *)ud;
    return 0;
}

/* A mod: its globals, which the host keeps. */
static rlua_Ref load_mod(lua_State *L, const char *name, const char *source) {
    check(L, rlua_newenv(L, RLUA_LIB_SANDBOX));       /* libraries of its own */
    int env = lua_gettop(L);
    check(L, rlua_pushfunction(L, spawn, &spawned, "spawn")); /* what you offer */
    check(L, rlua_setfield(L, env, "spawn"));
    check(L, rlua_loadbuffer(L, source, strlen(source), name, "t")); /* text, never bytecode */
    lua_pushvalue(L, env);
    lua_setupvalue(L, -2, 1);                         /* a chunk's first upvalue is _ENV */
    check(L, rlua_call(L, 0, 0, RLUA_TRACEBACK));
    return rlua_ref(L);                               /* takes the environment off the stack */
}

/* Its part of a frame. 0: it was stopped, and what it did is taken back. */
static int run_mod(lua_State *L, rlua_Ref mod, int64_t frame) {
    check(L, rlua_snap_frame(L, frame));
    check(L, rlua_set_budget(L, 100000));             /* the same amount on every machine */
    check(L, rlua_getref(L, mod));
    check(L, rlua_getfield(L, -1, "update"));
    int status = rlua_call(L, 0, 0, RLUA_TRACEBACK);
    if (status == RLUA_OK) {
        check(L, rlua_set_budget(L, RLUA_NO_BUDGET));
        lua_settop(L, 0);
        return 1;
    }
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    check(L, rlua_rollback_to(L, frame));             /* the stack, too */
    return 0;
}

int main(void) {
    lua_State *L = rlua_new_rollback(16 << 20, 9);    /* the limit of its memory */
    check(NULL, L ? RLUA_OK : RLUA_NO_MEMORY);
    check(L, rlua_openlibs(L, RLUA_LIB_SANDBOX));
    rlua_Ref loops = load_mod(L, "=loops", "function update() n = 1; while true do end end");
    rlua_Ref looks = load_mod(L, "=looks",
        "function update() found = io or os or debug or load('\\27Lua', 'x', 'b') end");
    rlua_Ref plays = load_mod(L, "=plays", "n = 0; function update() n = n + 1; spawn() end");

    expect("a loop is stopped", run_mod(L, loops, 0) == 0);
    check(L, rlua_getref(L, loops));
    check(L, rlua_getfield(L, -1, "n"));
    expect("what it did is taken back", lua_isnil(L, -1));
    lua_settop(L, 0);

    expect("who looks for a way out may", run_mod(L, looks, 1) == 1);
    check(L, rlua_getref(L, looks));
    check(L, rlua_getfield(L, -1, "found"));
    expect("and finds none", lua_isnil(L, -1));
    lua_settop(L, 0);

    expect("who behaves plays on", run_mod(L, plays, 2) && run_mod(L, plays, 3) && spawned == 2);
    check(L, rlua_rollback_to(L, 3));
    check(L, rlua_getref(L, plays));
    check(L, rlua_getfield(L, -1, "n"));
    expect("and goes back with the game", lua_tointeger(L, -1) == 1);
    lua_close(L);
    return end();
}
