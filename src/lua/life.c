/* life.c: how a state in the arena is born, asked whether it is idle, and closed.
 *
 * Part of the one translation unit (vendor/unit.c), so it sees Lua's real structures. The Rust
 * side of each function is in bindings.rs. Not here: protected calls (shim.c).
 */
#define RLUA_INTERNAL __attribute__((visibility("hidden")))

/* The string seed of the state being made; set only around lua_newstate. */
static _Thread_local struct { int set; unsigned int value; } pending_seed;

/* The arena's allocation function, the same for every VM of ours. */
static lua_Alloc arena_alloc;

/* Into Rust, the same for every VM: a handle of a resource was collected or closed; os.exit closes
 * the VM (called before the finalizers and after them). */
typedef void (*CollectHook)(lua_State *L, void *handle, unsigned long long id);
typedef void (*ExitHook)(lua_State *main, int finalized);
static CollectHook collect_hook;
static ExitHook exit_hook;

RLUA_INTERNAL void rlua_c_set_hooks(CollectHook on_collect, ExitHook on_exit) {
  collect_hook = on_collect;
  exit_hook = on_exit;
}

/* Called by lua_newstate once the main thread is known, before any entry into Lua. */
static unsigned int rlua_makeseed(lua_State *L) {
  memset((char *)L - LUA_EXTRASPACE, 0, LUA_EXTRASPACE); /* ours and the host's own word */
  rlua_private(L)->sweep_divisor = 1;
  if (pending_seed.set) return pending_seed.value;
  /* As lstate.c does for a host's own state: an address, a local address, a clock. */
  uintptr_t noise[3] = {(uintptr_t)L, (uintptr_t)&noise, (uintptr_t)&lua_newstate};
  return luaS_hash((const char *)noise, sizeof noise, cast_uint(time(NULL)));
}

/* Makes a state as luaL_newstate does, in the caller's allocator. `seed` NULL: as stock. */
RLUA_INTERNAL lua_State *rlua_c_open(lua_Alloc alloc, void *ud, const unsigned int *seed) {
  pending_seed.set = seed != NULL;
  pending_seed.value = seed ? *seed : 0;
  arena_alloc = alloc;
  lua_State *L = lua_newstate(alloc, ud);
  pending_seed.set = 0;
  if (L == NULL) return NULL;
  lua_atpanic(L, &panic);
  lua_setwarnf(L, warnfoff, L);
  return L;
}

/* Paces the incremental collector. 0 leaves a parameter as it is. */
RLUA_INTERNAL void rlua_c_pace(lua_State *main, int pause, int step_multiplier, int step_size,
                               unsigned int sweep_divisor) {
  lua_gc(main, LUA_GCINC, pause, step_multiplier, step_size);
  if (sweep_divisor != 0) rlua_private(main)->sweep_divisor = sweep_divisor;
}

/* V1: nothing of this VM is on the C stack. `main` is the main thread. */
RLUA_INTERNAL int rlua_c_is_idle(lua_State *main) {
  return rlua_private(main)->depth == 0 && main->ci == &main->base_ci;
}

/* Closes variables and runs finalizers as lua_close does, but frees no object: the caller drops
 * the whole arena. `main` is the main thread. */
RLUA_INTERNAL void rlua_c_finalize(lua_State *main) {
  global_State *g = G(main);
  main->ci = &main->base_ci;
  main->errfunc = 0;
  luaD_closeprotected(main, 1, LUA_OK);
  main->top.p = main->stack.p + 1;
  g->gcstp = GCSTPCLS;
  luaC_changemode(main, KGC_INC);
  separatetobefnz(g, 1);
  callallpendingfinalizers(main);
}

/* lua_close of a state that is not in an arena. */
RLUA_INTERNAL void rlua_c_close_stock(lua_State *L) {
  stock_lua_close(L);
}

/* os.exit(code, true): the process ends next, so the arena needs no unmapping. */
static void rlua_close_at_exit(lua_State *L) {
  if (G(L)->frealloc == arena_alloc) {
    lua_State *main = G(L)->mainthread;
    exit_hook(main, 0);
    rlua_c_finalize(main);
    exit_hook(main, 1);
  } else {
    stock_lua_close(L);
  }
}
