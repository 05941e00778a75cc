/* guarded.c: userdata with a finalizer in C, which belong to code that knows nothing of snapshots.
 *
 * Such a block stands for something outside. So its finalizer runs once, when neither the live
 * state nor a held snapshot has the object, its block does not roll back, and it is in no second
 * state. Which snapshot has it is Rust's to know (vm/guarded.rs), where snapshots are kept; here is
 * what happens to the object.
 *
 * Invariants
 * - O1 *once*: what the collector gives up while a snapshot has it is kept: an object without a
 *   pending finalizer, marked by every collection, with its metatable and its user values. Its
 *   finalizer is called when the last such snapshot goes, and it is garbage from then on.
 *
 * Plain data, and not guarded, is what says so (`__rollback = true`), and what is known to lie in
 * the arena as a whole: handles of resources, boxes of lauxlib, handles of the io library
 * (files.c), patterns of LPeg, whose code it takes from the VM's own allocation function.
 *
 * Part of the one translation unit, behind resources.c. Not here: `__gc` in Lua, and of tables:
 * they see one version of the state, and stay as they are.
 */

/* Lua's own test suite alone uses this bit of `marked`; no phase of the collector touches it. */
#define GUARDEDBIT 7
#define is_guarded(u) testbit((u)->marked, GUARDEDBIT)

/* Of an object whose finalizer has run while Lua still counts it as pending. */
#define SPENT UINT32_MAX

/* Of one that the table outside does not note: no snapshots were kept so far. */
#define UNNOTED (UINT32_MAX - 1)

/* Where the table outside notes an object: in four bytes of padding, which mean something while
 * the bit is set. */
#define PLACE_OFFSET NATIVE_OFFSET
_Static_assert(offsetof(Udata, len) == offsetof(Udata0, len), "the same in both kinds");

static uint32_t noted_place(const Udata *u) {
  uint32_t place;
  memcpy(&place, (const char *)u + PLACE_OFFSET, sizeof place);
  return place;
}

static void set_place(Udata *u, uint32_t place) {
  memcpy((char *)u + PLACE_OFFSET, &place, sizeof place);
  l_setbit(u->marked, GUARDEDBIT);
}

static void unguard_as(Udata *u, uint32_t native) {
  set_place(u, native);
  resetbit(u->marked, GUARDEDBIT);
}

/* It has ended: it may be guarded anew. What its block says to the module goes with images, and is
 * none of what peers agree on, as before. */
static void unguard(Udata *u) {
  unguard_as(u, NATIVE_ENDED);
}

/* -- which are guarded ------------------------------------------------------------------------- */

/* The value of a short string's field, without making the string. */
static const TValue *field_of(lua_State *L, Table *h, const char *name) {
  const stringtable *strings = &G(L)->strt;
  size_t length = strlen(name);
  unsigned int hash = luaS_hash(name, length, G(L)->seed);
  for (TString *s = strings->hash[lmod(hash, strings->size)]; s != NULL; s = s->u.hnext) {
    if (s->shrlen == length && memcmp(getshrstr(s), name, length) == 0)
      return luaH_getshortstr(h, s);
  }
  return &absentkey;
}

static lua_CFunction c_function(const TValue *value) {
  if (ttislcf(value)) return fvalue(value);
  return ttisCclosure(value) ? clCvalue(value)->f : NULL;
}

static const char *type_name(lua_State *L, Table *mt) {
  const TValue *name = field_of(L, mt, "__name");
  return ttisstring(name) ? getstr(tsvalue(name)) : "userdata";
}

static int is_plain(lua_State *L, Udata *u, Table *mt, lua_CFunction gc) {
  return gc == handle_end || gc == boxgc || (gc == f_gc && rlua_is_stream(u)) ||
         !l_isfalse(field_of(L, mt, "__rollback")) || strcmp(type_name(L, mt), "lpeg-pattern") == 0;
}

/* Whether a userdata with that metatable is one that has to be guarded. */
static int is_outside(lua_State *L, Udata *u, Table *mt) {
  const TValue *tm = gfasttm(G(L), mt, TM_GC);
  lua_CFunction gc = tm != NULL ? c_function(tm) : NULL;
  return gc != NULL && !is_guarded(u) && !is_plain(L, u, mt, gc);
}

/* What a userdata takes in the arena. */
static uint32_t whole_size(const Udata *u) {
  return (uint32_t)sizeudata(u->nuvalue, u->len);
}

/* Notes an object outside, or raises, with its metatable taken off again. */
static void guard(lua_State *L, Udata *u, Table *mt) {
  uint32_t place = UNNOTED;
  int answer = G(L)->own.guards ? hooks.guard(L, u, whole_size(u), &place) : GUARD_YES;
  if (l_likely(answer == GUARD_YES)) {
    set_place(u, place);
    return;
  }
  u->metatable = NULL;
  if (answer == GUARD_NO_MEMORY) luaM_error(L);
  if (answer == GUARD_TOO_MANY)
    luaG_runerror(L, "finalizers before a rollback make more and more userdata of the type '%s'",
                  type_name(L, mt));
  luaG_runerror(L,
                "a userdata of the type '%s' has a C function as __gc, so it stands for something "
                "outside that does not roll back; this VM refuses those (rlua_Config.guard)",
                type_name(L, mt));
}

/* lua_setmetatable: after the metatable is set. */
static void rlua_check_finalizer(lua_State *L, GCObject *o, Table *mt) {
  global_State *g = G(L);
  if (o->tt == LUA_VUSERDATA && g->own.marks_guarded && !(g->gcstp & GCSTPCLS) &&
      is_outside(L, gco2u(o), mt))
    guard(L, gco2u(o), mt);
  luaC_checkfinalizer(L, o, mt);
}

static int note_list(GCObject *list, rlua_Note note, void *vm) {
  for (; list != NULL; list = list->next) {
    Udata *u = list->tt == LUA_VUSERDATA ? gco2u(list) : NULL;
    if (u == NULL || !is_guarded(u) || noted_place(u) != UNNOTED) continue;
    uint32_t place;
    int answer = note(vm, u, whole_size(u), &place);
    if (answer != GUARD_YES) return answer;
    set_place(u, place);
  }
  return GUARD_YES;
}

/* Which userdata an idle VM that holds no snapshots marks as guarded: none, or those with a
 * finalizer in C; and with `note`, which need not find the VM in the registry, each is noted
 * outside, those that were made before and wait for their finalizers first. Answers what `note`
 * said where it did not say GUARD_YES. */
int rlua_c_turn_guard(lua_State *main, int marks, rlua_Note note, void *vm) {
  card_lock(main);
  global_State *g = G(main);
  int answer = note == NULL ? GUARD_YES : note_list(g->finobj, note, vm);
  if (answer == GUARD_YES && note != NULL) answer = note_list(g->tobefnz, note, vm);
  if (answer != GUARD_YES) return answer;
  g->own.marks_guarded = marks != 0;
  g->own.guards = note != NULL;
  return GUARD_YES;
}

/* -- their end --------------------------------------------------------------------------------- */

/* Its finalizer is called, or was. */
static void end_guard(Udata *u) {
  if (tofinalize(obj2gco(u))) set_place(u, SPENT);
  else unguard(u);
}

/* Whether the collector, whose turn it is to finalize `u`, calls the finalizer. */
static int rlua_is_to_be_called(lua_State *L, Udata *u) {
  if (l_likely(!is_guarded(u))) return 1;
  uint32_t place = noted_place(u);
  int answer = place == SPENT     ? END_PAST
               : place == UNNOTED ? END_NOW
                                  : hooks.given_up(L, u, place);
  if (answer != END_LATER) unguard(u);
  return answer == END_NOW;
}

/* What is kept for a snapshot alone, one after the other. */
static GCObject *rlua_next_kept(global_State *g, uint64_t *cursor) {
  return g->own.in_arena ? hooks.kept(g->mainthread, cursor) : NULL;
}

/* A warn function may raise, and here nothing below would catch it. */
static void warn_of_finalizer(lua_State *L, void *ud) {
  (void)ud;
  rlua_enter_warnerror(L, "__gc");
}

/* Calls the finalizer of an object in the live state, as GCTM in lgc.c does. Lua calls none after
 * this one. `main` is the main thread of an idle VM. */
void rlua_c_end_guarded(lua_State *main, void *object) {
  card_lock(main);
  global_State *g = G(main);
  Udata *u = object;
  const TValue *tm = u->metatable != NULL ? gfasttm(g, u->metatable, TM_GC) : NULL;
  end_guard(u);
  if (tm == NULL) return;
  lu_byte oldah = main->allowhook, oldgcstp = g->gcstp;
  g->gcstp |= GCSTPGC;
  main->allowhook = 0;
  setobj2s(main, main->top.p++, tm); /* the stack has EXTRA_STACK slots for such */
  setuvalue(main, s2v(main->top.p), u);
  main->top.p++;
  main->ci->callstatus |= CIST_FIN;
  int status = luaD_pcall(main, dothecall, NULL, savestack(main, main->top.p - 2), 0);
  main->ci->callstatus &= ~CIST_FIN;
  main->allowhook = oldah;
  g->gcstp = oldgcstp;
  if (status != LUA_OK) {
    ptrdiff_t error = savestack(main, main->top.p - 1);
    luaD_pcall(main, warn_of_finalizer, NULL, savestack(main, main->top.p), 0);
    main->top.p = restorestack(main, error);
  }
}

/* -- their blocks ------------------------------------------------------------------------------ */

/* Some modules say that an object has ended by its metatable: they take it off, or set another one,
 * without a finalizer. The metatable rolls back, and the object would end once more; so behind the
 * copy stands which one it had, or ARMED where that had a finalizer. An object that had ended so
 * has no metatable after the restore. */
#define ARMED UINTPTR_MAX

/* Without the metatable's cache: inside a restore nothing of Lua's may be written, since no tracker
 * would see it. */
static int has_finalizer(const global_State *g, Table *metatable) {
  return metatable != NULL && !notm(luaH_getshortstr(metatable, g->tmname[TM_GC]));
}

/* Answers how many bytes the copy takes: no more than the object, whose header is larger than what
 * stands behind the block. */
size_t rlua_c_save_guarded(lua_State *main, void *object, void *copy) {
  Udata *u = object;
  memcpy(copy, getudatamem(u), u->len);
  uintptr_t had = has_finalizer(G(main), u->metatable) ? ARMED : (uintptr_t)u->metatable;
  memcpy((char *)copy + u->len, &had, sizeof had);
  return u->len + sizeof had;
}

/* A page is written only where it differs. What has ended at a place of the table is not noted
 * there again: a snapshot from before says otherwise, and nothing notes the object when that has
 * gone. */
size_t rlua_c_put_back_guarded(void *object, const void *copy, uint32_t ended_at) {
  Udata *u = object;
  if (ended_at != SPENT && is_guarded(u) && noted_place(u) == ended_at) end_guard(u);
  if (memcmp(getudatamem(u), copy, u->len) != 0) memcpy(getudatamem(u), copy, u->len);
  uintptr_t had;
  memcpy(&had, (const char *)copy + u->len, sizeof had);
  if (had != ARMED && had != (uintptr_t)u->metatable) u->metatable = NULL;
  return u->len + sizeof had;
}

/* For the check: whether what lies in a block can be what was noted. */
int rlua_c_is_guarded_object(const void *object, uint32_t bytes) {
  const Udata *u = object;
  return u->tt == LUA_VUSERDATA && sizeudata(u->nuvalue, u->len) == bytes;
}
