/* life.c: how a state in the arena is born, asked whether it is idle, and closed.
 *
 * Part of the one translation unit, behind protect.h. Not here: protected calls (calls.c and the
 * files behind it); a state that foreign unwinding left (recover.c).
 */

/* What the config says of the state being made, or NULL; set only around lua_newstate. */
static _Thread_local const rlua_Birth *pending_birth;
static _Thread_local _Bool *pending_cards;

/* The arena's allocation function as a host gets it, which writes to its blocks at any time. */
static lua_Alloc rlua_host_alloc(lua_Alloc alloc) {
  return alloc == hooks.allocate ? hooks.allocate_for_host : alloc;
}

/* Called by lua_newstate once the main thread is known, before any entry into Lua. */
static unsigned int rlua_makeseed(lua_State *L) {
  memset(lua_getextraspace(L), 0, LUA_EXTRASPACE);
  G(L)->own = (rlua_Own){
      .sweep_divisor = 1, .new_flags = cast_byte(maskflags), .fuel = INT64_MAX};
  card_thread(L, pending_cards, 1);
  if (pending_birth != NULL) {
    G(L)->own.draws = pending_birth->seed;
    G(L)->own.region_bytes = pending_birth->region_bytes;
    G(L)->own.deterministic = pending_birth->deterministic != 0;
    G(L)->own.new_flags |= cast_byte(rlua_deterministic(L) << KEYBIT);
    atomic_store_explicit(&state_offset, (unsigned int)(size_t)G(L), memory_order_relaxed);
    return pending_birth->string_seed;
  }
  /* As lstate.c does for a host's own state: an address, a local address, a clock. */
  uintptr_t noise[3] = {(uintptr_t)L, (uintptr_t)&noise, (uintptr_t)&lua_newstate};
  return luaS_hash((const char *)noise, sizeof noise, cast_uint(time(NULL)));
}

/* Makes a state of ours as luaL_newstate does. `birth` NULL: as stock, with a random seed. */
lua_State *rlua_c_open(void *arena, const rlua_Birth *birth, void *cards, size_t count,
                       const void *base) {
  pending_birth = birth;
  pending_cards = cards;
  rlua_card_table(base, cards, count);
  lua_State *L = lua_newstate(hooks.allocate, arena);
  pending_birth = NULL;
  pending_cards = NULL;
  if (L == NULL) return NULL;
  G(L)->own.in_arena = 1;
  lua_atpanic(L, &panic);
  lua_setwarnf(L, warnfoff, L);
  return L;
}

/* Paces the incremental collector. 0 leaves a parameter as it is. */
void rlua_c_pace(lua_State *main, int pause, int step_multiplier, int step_size,
                               uint32_t sweep_divisor) {
  card_lock(main);
  lua_gc(main, LUA_GCINC, pause, step_multiplier, step_size);
  if (sweep_divisor != 0) G(main)->own.sweep_divisor = (unsigned short)sweep_divisor;
}

/* Whose rules scripts find. */
int rlua_c_is_deterministic(lua_State *main) {
  return G(main)->own.deterministic;
}

/* V1: nothing of this VM is on the C stack. `main` is the main thread. */
int rlua_c_is_idle(lua_State *main) {
  return G(main)->own.depth == 0 && main->ci == &main->base_ci;
}

/* Closes variables and runs finalizers as lua_close does, but frees no object: the caller drops
 * the whole arena. `main` is the main thread. */
void rlua_c_finalize(lua_State *main) {
  card_lock(main);
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
void rlua_c_close_stock(lua_State *L) {
  stock_lua_close(L);
}

/* os.exit(code, true): the process ends next, so the arena needs no unmapping. The allocation
 * function may be a host's by now (lua_setallocf), which hands on to the arena's. */
static void rlua_close_at_exit(lua_State *L) {
  lua_State *main = G(L)->mainthread;
  if (G(main)->own.in_arena) {
    hooks.exiting(main, 0);
    rlua_c_finalize(main);
    hooks.exiting(main, 1);
  } else {
    stock_lua_close(L);
  }
}
