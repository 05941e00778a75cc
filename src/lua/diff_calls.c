/* diff_calls.c: two coroutines, or two stacks of the main thread, to which one way leads.
 *
 * The calls that are at the same place in both, from the first one on, are compared slot by slot;
 * where the first other one is, is one difference, and what is on the stack from there on means
 * something else in each.
 *
 * Part of the one translation unit, behind diff_tables.c.
 */

static const Step here = {NULL, 0, STEP_NONE};

static void put_position(Text *t, const lua_State *L) {
  const CallInfo *ci = L->ci;
  int is_main = L == G(L)->mainthread;
  if (L->stack.p == NULL) put_text(t, "unfinished", 10);
  else if (is_main) put_text(t, "idle", 4);
  else if (L->status == LUA_YIELD) put_text(t, "suspended", 9);
  else if (L->status != LUA_OK) put_text(t, "dead by an error", 16);
  else if (ci == &L->base_ci && L->top.p == ci->func.p + 1) put_text(t, "dead", 4);
  else put_text(t, "not started", 11);
  while (ci != NULL && !isLua(ci)) ci = ci->previous;
  if (ci == NULL || L->stack.p == NULL) return;
  const Proto *p = ci_func(ci)->p;
  int pc = pcRel(ci->u.l.savedpc, p);
  put_text(t, " at ", 4);
  put_source(t, p, line_of(p, pc));
  putf(t, " (instruction %d)", pc);
}

static void report_position(Diff *d, uint32_t at, const lua_State *a, const lua_State *b) {
  char texts[2][VALUE_ROOM] = {"", ""};
  Text ta = {texts[0], VALUE_ROOM, 0}, tb = {texts[1], VALUE_ROOM, 0};
  put_position(&ta, a);
  put_position(&tb, b);
  if (strcmp(texts[0], texts[1]) == 0) putf(&ta, ", called from elsewhere");
  report(d, DIFF_COROUTINE, at, here, texts[0], texts[1]);
}

/* Whether both calls are at the same place of functions that can be the same. */
static int same_call(const Diff *d, const lua_State *a, const CallInfo *ca, const lua_State *b,
                     const CallInfo *cb) {
  if (isLua(ca) != isLua(cb) || ca->func.p - a->stack.p != cb->func.p - b->stack.p) return 0;
  if (!isLua(ca)) {
    if (a->status != LUA_YIELD || ca == &a->base_ci || cb == &b->base_ci) return 1;
    return same_outward(d, (void *)(size_t)ca->u.c.k, (void *)(size_t)cb->u.c.k) &&
           (ca->u.c.k == NULL || ca->u.c.ctx == cb->u.c.ctx);
  }
  const Proto *pa = ci_func(ca)->p, *pb = ci_func(cb)->p;
  return ca->u.l.savedpc - pa->code == cb->u.l.savedpc - pb->code &&
         ca->u.l.nextraargs == cb->u.l.nextraargs && pa->sizecode == pb->sizecode;
}

/* How many calls from the base on are the same; whether these are all. */
static int same_calls(const Diff *d, const lua_State *a, const lua_State *b, int *all) {
  const CallInfo *ca = &a->base_ci, *cb = &b->base_ci;
  int count = 0;
  for (; same_call(d, a, ca, b, cb); ca = ca->next, cb = cb->next) {
    count++;
    if (ca != a->ci && cb != b->ci) continue;
    *all = ca == a->ci && cb == b->ci && a->status == b->status;
    return count;
  }
  *all = 0;
  return count;
}

/* The open upvalues of both threads, from the top of their stacks on. */
typedef struct Shared {
  const UpVal *a, *b;
} Shared;

/* Slots of a call; a variable that functions share is one of its own. */
static void meet_slots(Diff *d, uint32_t at, const CallInfo *ci, ptrdiff_t from, ptrdiff_t end,
                       Shared *shared) {
  const lua_State *a = gco2th((GCObject *)d->pairs[at].a), *b = gco2th((GCObject *)d->pairs[at].b);
  const CallInfo *next = ci == a->ci ? NULL : ci->next;
  StkId extra = next != NULL && isLua(next) ? next->func.p - next->u.l.nextraargs : NULL;
  for (ptrdiff_t i = end - 1; i >= from && !d->ended; i--) {
    StkId sa = a->stack.p + i, sb = b->stack.p + i;
    Step step = {ci, (unsigned int)i, STEP_SLOT};
    if (extra != NULL && sa >= extra)
      step = (Step){next, (unsigned int)(sa - extra) + 1, STEP_VARARG};
    while (shared->a != NULL && uplevel(shared->a) > sa) shared->a = shared->a->u.open.next;
    while (shared->b != NULL && uplevel(shared->b) > sb) shared->b = shared->b->u.open.next;
    if (shared->a != NULL && shared->b != NULL && uplevel(shared->a) == sa &&
        uplevel(shared->b) == sb)
      meet_objects(d, at, step, obj2gco(shared->a), obj2gco(shared->b));
    else
      meet(d, at, step, s2v(sa), s2v(sb));
  }
}

/* Where the slots of a call end. */
static ptrdiff_t end_of_call(const lua_State *L, const CallInfo *ci) {
  return (ci == L->ci ? L->top.p : ci->next->func.p) - L->stack.p;
}

/* Of the calls that are the same, from the innermost one on. */
static void meet_calls(Diff *d, uint32_t at, const lua_State *a, const lua_State *b, int count) {
  const CallInfo *ca = &a->base_ci, *cb = &b->base_ci;
  Shared shared = {a->openupval, b->openupval};
  for (int i = 1; i < count; i++) ca = ca->next, cb = cb->next;
  for (; ca != NULL; ca = ca->previous, cb = cb->previous) {
    ptrdiff_t ea = end_of_call(a, ca), eb = end_of_call(b, cb), from = ca->func.p - a->stack.p;
    if (ca == &a->base_ci) from++; /* its function is none */
    meet_slots(d, at, ca, from, ea < eb ? ea : eb, &shared);
  }
}

static void compare_threads(Diff *d, uint32_t at) {
  const lua_State *a = gco2th((GCObject *)d->pairs[at].a), *b = gco2th((GCObject *)d->pairs[at].b);
  int all;
  if (a->stack.p == NULL || b->stack.p == NULL) {
    if (a->stack.p != b->stack.p) report_position(d, at, a, b);
    return;
  }
  int count = same_calls(d, a, b, &all);
  ptrdiff_t ha = a->top.p - a->stack.p, hb = b->top.p - b->stack.p;
  int is_main = a == d->ga->mainthread;
  if (!all || (!is_main && (ha == 1) != (hb == 1))) report_position(d, at, a, b);
  else if (ha != hb)
    two_texts(d, DIFF_COROUTINE, at, here, "%lld values on its stack", ha - 1, hb - 1);
  if (count > 0) meet_calls(d, at, a, b, count);
  if (a->hookmask != b->hookmask || a->basehookcount != b->basehookcount)
    two_texts(d, DIFF_COROUTINE, at, here, "a hook with the mask %lld", a->hookmask, b->hookmask);
  TValue ea, eb;
  memcpy(&val_(&ea).p, lua_getextraspace((lua_State *)a), sizeof(void *));
  memcpy(&val_(&eb).p, lua_getextraspace((lua_State *)b), sizeof(void *));
  settt_(&ea, LUA_VLIGHTUSERDATA);
  settt_(&eb, LUA_VLIGHTUSERDATA);
  meet(d, at, (Step){"<extra space>", 0, STEP_ROOT}, &ea, &eb);
}
