/* load_proof.c: what the heap of an image has to hold beyond what check.c proves of every heap.
 *
 * There the heap is one that Lua made, and damage is a host's; here anybody made it. So lists have
 * to be whole, and what the libraries' functions take for granted has to be there: they have only
 * ever seen upvalues and userdata that they made themselves.
 *
 * Part of the one translation unit, behind load_nodes.c.
 */

/* What an iterator of string.gmatch trusts: its state lies in its two strings. */
static int see_match(Loader *l, const CClosure *f) {
  NEED(f->nupvalues == 3 && ttisstring(&f->upvalue[0]) && ttisstring(&f->upvalue[1]) &&
           ttisfulluserdata(&f->upvalue[2]),
       "an iterator of string.gmatch has the wrong parts");
  const TString *s = tsvalue(&f->upvalue[0]), *p = tsvalue(&f->upvalue[1]);
  const Udata *u = uvalue(&f->upvalue[2]);
  NEED(u->tt == LUA_VUSERDATA && noted_place(u) == NATIVE_GMATCH && u->len == sizeof(GMatchState),
       "an iterator of string.gmatch has the wrong parts");
  const GMatchState *match = (const GMatchState *)getudatamem((Udata *)u);
  const char *end = getstr(s) + tsslen(s);
  NEED(match->ms.src_init == getstr(s) && match->ms.src_end == end && match->p == getstr(p) &&
           match->ms.p_end == getstr(p) + tsslen(p) && match->src >= getstr(s) &&
           match->src <= end + 1 &&
           (match->lastmatch == NULL || (match->lastmatch >= getstr(s) && match->lastmatch <= end)),
       "an iterator of string.gmatch is outside its strings");
  return 1;
}

/* Frames lie one above the other, below the top, and variables to be closed on the stack. Upvalues
 * are open below the top, the highest first: so none is left where a stack is cut. */
static int see_thread(Loader *l, const lua_State *L) {
  if (L->stack.p == NULL) return 1;
  NEED(L->errfunc >= 0 && L->errfunc <= savestack(L, L->top.p) &&
           L->errfunc % (ptrdiff_t)sizeof(StackValue) == 0,
       "a handler is outside the stack");
  for (const CallInfo *ci = &L->base_ci;; ci = ci->next) {
    NEED(ci->func.p < L->top.p && (ci->previous == NULL || ci->previous->func.p < ci->func.p),
         "a frame lies above the top, or below the one before");
    if (ci == L->ci) break;
  }
  const StackValue *above = L->top.p;
  for (const UpVal *uv = L->openupval; uv != NULL; above = uplevel(uv), uv = uv->u.open.next)
    NEED(uplevel(uv) < above, "open upvalues are above the top, or in the wrong order");
  for (StkId slot = L->tbclist.p; slot != L->stack.p;) {
    ptrdiff_t below = slot->tbclist.delta != 0 ? slot->tbclist.delta : (ptrdiff_t)MAXDELTA;
    NEED(below <= slot - L->stack.p, "a variable to be closed is outside the stack");
    slot -= below;
  }
  return 1;
}

/* What other functions of the libraries trust. */
static int see_closure(Loader *l, const CClosure *f) {
  const TValue *first = &f->upvalue[0];
  if (f->f == gmatch_aux) return see_match(l, f);
  NEED(f->nupvalues > 0, "a C closure has too few upvalues");
  if (f->f == luaB_auxwrap) {
    NEED(ttisthread(first), "a wrapped coroutine is none");
  } else if (f->f == io_readline) {
    NEED(f->nupvalues >= 3 && ttisfulluserdata(first) && rlua_is_stream(uvalue(first)) &&
             ttisinteger(&f->upvalue[1]) && ivalue(&f->upvalue[1]) == f->nupvalues - 3,
         "an iterator of lines has the wrong parts");
  } else {
    NEED(ttisfulluserdata(first) && uvalue(first)->len >= sizeof(RanState),
         "a generator of random numbers has no state");
  }
  return 1;
}

/* The library's own types are known by their metatables. */
static int see_userdata(Loader *l, const Udata *u) {
  if (u->metatable == NULL) return 1;
  NEED(u->metatable != l->files || rlua_is_stream(u), "a file handle is none");
  NEED(u->metatable != l->boxes || noted_place(u) == NATIVE_BOX, "a buffer's box is none");
  return 1;
}

/* Once: a stranger's strings may all be in one chain. */
static const Table *metatable_of(const Loader *l, const char *name) {
  const TValue *found = field_of(&l->main->l.l, hvalue(&l->main->g.l_registry), name);
  return ttistable(found) ? hvalue(found) : NULL;
}

static size_t length_of(const GCObject *list) {
  size_t length = 0;
  for (; list != NULL; list = list->next) length++;
  return length;
}

/* Metamethods are found by these. */
static int has_event_names(const global_State *g) {
  static const char *const names[] = {"index", "newindex", "gc",  "mode", "len", "eq",     "add",
                                      "sub",   "mul",      "mod", "pow",  "div", "idiv",   "band",
                                      "bor",   "bxor",     "shl", "shr",  "unm", "bnot",   "lt",
                                      "le",    "concat",   "call", "close"};
  _Static_assert(sizeof names / sizeof names[0] == TM_N, "one each");
  for (int i = 0; i < TM_N; i++) {
    const char *name = getstr(g->tmname[i]);
    if (memcmp(name, "__", 2) != 0 || strcmp(name + 2, names[i]) != 0) return 0;
  }
  return 1;
}

/* Nothing is beside the lists: the proof saw that each leads to objects, once. */
static int see_lists(Loader *l) {
  const global_State *g = &l->main->g;
  size_t threads = 0;
  NEED(length_of(g->allgc) + length_of(g->finobj) + length_of(g->tobefnz) +
           length_of(g->fixedgc) == l->objects,
       "an object is in no list");
  NEED(are_grays_listed(l, g), "a gray object is in no gray list, or in a wrong one");
  for (lua_State *L = g->twups; L != NULL; L = L->twups) {
    NEED(!isdead(g, L), "a thread that waits for its sweep is in the list of those with upvalues");
    threads++;
  }
  NEED(threads == l->upvalue_threads, "a thread is not in the list of those with open upvalues");
  const lua_State *L = g->mainthread;
  NEED(L->ci == &L->base_ci && L->status == LUA_OK && !yieldable(L) && getCcalls(L) == 0,
       "the main thread is not idle");
  NEED(has_event_names(g), "the name of a metamethod is another one");
  NEED(marks_are_right(g), "an object has the wrong marks");
  NEED(generations_are_right(g), "the lists of generations are none");
  for (int i = 0; i < STRCACHE_N; i++)
    for (int j = 0; j < STRCACHE_M; j++)
      NEED(g->strcache[i][j] != NULL, "the cache of strings is empty");
  NEED(is_swept(g), "an object that was swept is not white");
  const TValue *libraries = field_of(&l->main->l.l, hvalue(&g->l_registry), CLIBS);
  NEED(!ttistable(libraries) || luaH_getn(hvalue(libraries)) == 0, "C libraries are in an image");
  return 1;
}

/* Of an object that is not a table, which may be looked up in. */
static int see_object(Loader *l, GCObject *o) {
  switch (o->tt) {
    case LUA_VTABLE: return 1;
    case LUA_VUSERDATA: return see_userdata(l, gco2u(o));
    case LUA_VTHREAD: return see_thread(l, gco2th(o));
    default: return see_closure(l, gco2ccl(o));
  }
}

/* Behind all blocks, and a proof of the heap: what is the process's own. NULL, or what is wrong. */
const char *rlua_c_load_finish(void *loader) {
  Loader *l = loader;
  int holds = 1;
  size_t kept = 0;
  for (size_t i = 0; i < l->later_count && holds; i++) {
    GCObject *o = (GCObject *)l->later[i];
    if (isdead(&l->main->g, o)) continue;
    l->later[kept++] = o;
    holds = o->tt != LUA_VTABLE || see_nodes(l, gco2t(o));
  }
  holds = holds && see_lists(l);
  if (!holds) return l->wrong;
  l->files = metatable_of(l, LUA_FILEHANDLE);
  l->boxes = metatable_of(l, "_UBOX*");
  for (size_t i = 0; i < kept && holds; i++) holds = see_object(l, (GCObject *)l->later[i]);
  return l->wrong;
}
