/* load_proof.c: what the heap of an image has to hold beyond what check.c proves of every heap.
 *
 * There the heap is one that Lua made, and damage is a host's; here anybody made it. So lists have
 * to be whole, and what the libraries' functions take for granted has to be there: they have only
 * ever seen upvalues and userdata that they made themselves.
 *
 * Part of the one translation unit, behind load.c.
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

/* Frames lie one above the other, below the top, and variables to be closed on the stack. */
static int see_thread(Loader *l, const lua_State *L) {
  if (L->stack.p == NULL) return 1;
  NEED(L->errfunc >= 0 && L->errfunc <= savestack(L, L->top.p), "a handler is outside the stack");
  for (const CallInfo *ci = &L->base_ci;; ci = ci->next) {
    NEED(ci->func.p < L->top.p && (ci->previous == NULL || ci->previous->func.p < ci->func.p),
         "a frame lies above the top, or below the one before");
    if (ci == L->ci) break;
  }
  for (StkId slot = L->tbclist.p; slot != L->stack.p;) {
    ptrdiff_t below = slot->tbclist.delta != 0 ? slot->tbclist.delta : (ptrdiff_t)MAXDELTA;
    NEED(below <= slot - L->stack.p, "a variable to be closed is outside the stack");
    slot -= below;
  }
  return 1;
}

/* Each chain of nodes ends: no node has two before it, and from those without one all are met. */
static int see_chains(Loader *l, const Table *h) {
  size_t nodes = isdummy(h) ? 0 : sizenode(h), met = 0;
  if (nodes < 2) return 1;
  unsigned char *behind = calloc(nodes, 1);
  NEED(behind != NULL, NO_MEMORY_FOR_IMAGE);
  int once = 1;
  for (size_t i = 0; i < nodes && once; i++) {
    int next = gnext(gnode(h, i));
    if (next != 0) once = behind[(ptrdiff_t)i + next]++ == 0;
  }
  for (size_t i = 0; i < nodes && once; i++) {
    if (behind[i]) continue;
    for (const Node *n = gnode(h, i); met++ < nodes && gnext(n) != 0;) n += gnext(n);
  }
  free(behind);
  NEED(once && met == nodes, "a chain of nodes has no end");
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
  lua_State *L = &l->main->l.l;
  Table *registry = hvalue(&l->main->g.l_registry);
  const TValue *files = field_of(L, registry, LUA_FILEHANDLE);
  const TValue *boxes = field_of(L, registry, "_UBOX*");
  if (ttistable(files) && hvalue(files) == u->metatable)
    NEED(rlua_is_stream(u), "a file handle is none");
  if (ttistable(boxes) && hvalue(boxes) == u->metatable)
    NEED(noted_place(u) == NATIVE_BOX, "a buffer's box is none");
  return 1;
}

static size_t length_of(const GCObject *list) {
  size_t length = 0;
  for (; list != NULL; list = list->next) length++;
  return length;
}

static size_t grays_of(GCObject *list) {
  size_t length = 0;
  for (; list != NULL; list = *getgclist(list)) length++;
  return length;
}

/* From the head of a list up to `end`, or its own end. */
static int are_white(const global_State *g, GCObject *const *p, GCObject *const *end) {
  for (; p != end && *p != NULL; p = &(*p)->next)
    if (!iswhite(*p) || isdead(g, *p)) return 0;
  return 1;
}

/* What the sweep has passed. */
static int is_swept(const global_State *g) {
  if (!issweepphase(g)) return 1;
  GCObject *const *at = g->sweepgc;
  return are_white(g, &g->allgc, g->gcstate == GCSswpallgc ? at : NULL) &&
         (g->gcstate < GCSswpfinobj ||
          are_white(g, &g->finobj, g->gcstate == GCSswpfinobj ? at : NULL)) &&
         (g->gcstate < GCSswptobefnz ||
          are_white(g, &g->tobefnz, g->gcstate == GCSswptobefnz ? at : NULL));
}

/* Marks that mean nothing where they are, and that the collector would take at their word. */
static int are_marked_well(const global_State *g, const GCObject *list, int finalizable) {
  for (; list != NULL; list = list->next)
    if (testbit(list->marked, GUARDEDBIT) || !tofinalize(list) != !finalizable ||
        (g->gckind == KGC_INC && getage(list) != G_NEW))
      return 0;
  return 1;
}

static int marks_are_right(const global_State *g) {
  for (const GCObject *o = g->fixedgc; o != NULL; o = o->next)
    if (o->marked != G_OLD || o->tt != LUA_VSHRSTR) return 0; /* as luaC_fix leaves it */
  for (int i = 0; i < TM_N; i++) /* which nobody marks */
    if (g->tmname[i]->marked != G_OLD) return 0;
  if (g->memerrmsg->marked != G_OLD) return 0;
  return are_marked_well(g, g->allgc, 0) && are_marked_well(g, g->finobj, 1) &&
         are_marked_well(g, g->tobefnz, 1);
}

/* Whether these objects stand in a list in this order; NULL stands at its end. */
static int are_in_order(const GCObject *list, const GCObject *a, const GCObject *b,
                        const GCObject *c) {
  const GCObject *const ages[] = {a, b, c};
  for (size_t i = 0; i < 3; i++) {
    while (list != NULL && list != ages[i]) list = list->next;
    if (list != ages[i]) return 0;
  }
  return 1;
}

/* From `list` on up to `end`: nothing is younger than its part of the list, and nothing old is
 * white. */
static int are_of_age(const GCObject *list, const GCObject *end, int least) {
  for (; list != end; list = list->next)
    if (getage(list) < least || getage(list) > G_TOUCHED2 || (iswhite(list) && isold(list)))
      return 0;
  return 1;
}

static int generations_are_right(const global_State *g) {
  if (g->gckind == KGC_INC)
    return g->survival == NULL && g->old1 == NULL && g->reallyold == NULL &&
           g->firstold1 == NULL && g->finobjsur == NULL && g->finobjold1 == NULL &&
           g->finobjrold == NULL;
  return g->gcstate == GCSpropagate &&
         are_in_order(g->allgc, g->survival, g->old1, g->reallyold) &&
         are_in_order(g->finobj, g->finobjsur, g->finobjold1, g->finobjrold) &&
         (g->firstold1 == NULL || are_in_order(g->allgc, g->firstold1, g->reallyold, NULL)) &&
         are_of_age(g->allgc, g->survival, G_NEW) &&
         are_of_age(g->survival, g->old1, G_SURVIVAL) &&
         are_of_age(g->old1, g->reallyold, G_OLD1) && are_of_age(g->reallyold, NULL, G_OLD) &&
         are_of_age(g->finobj, g->finobjsur, G_NEW) &&
         are_of_age(g->finobjsur, g->finobjold1, G_SURVIVAL) &&
         are_of_age(g->finobjold1, g->finobjrold, G_OLD1) &&
         are_of_age(g->finobjrold, NULL, G_OLD);
}

/* Nothing is beside the lists: the proof saw that each leads to objects, once. */
static int see_lists(Loader *l) {
  const global_State *g = &l->main->g;
  size_t threads = 0;
  NEED(length_of(g->allgc) + length_of(g->finobj) + length_of(g->tobefnz) +
           length_of(g->fixedgc) == l->objects,
       "an object is in no list");
  if (keepinvariant(g))
    NEED(grays_of(g->gray) + grays_of(g->grayagain) + grays_of(g->weak) + grays_of(g->ephemeron) +
             grays_of(g->allweak) == l->linked,
         "a gray object is in no gray list");
  for (const lua_State *L = g->twups; L != NULL; L = L->twups) threads++;
  NEED(threads == l->upvalue_threads, "a thread is not in the list of those with open upvalues");
  const lua_State *L = g->mainthread;
  NEED(L->ci == &L->base_ci && L->status == LUA_OK && !yieldable(L), "the main thread is not idle");
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

/* Behind all blocks, and a proof of the heap: what is the process's own. NULL, or what is wrong. */
const char *rlua_c_load_finish(void *loader) {
  Loader *l = loader;
  int holds = see_lists(l);
  for (size_t i = 0; i < l->later_count && holds; i++) {
    GCObject *o = (GCObject *)l->later[i];
    if (isdead(&l->main->g, o)) continue;
    holds = o->tt == LUA_VUSERDATA ? see_userdata(l, gco2u(o))
            : o->tt == LUA_VTABLE  ? see_chains(l, gco2t(o))
            : o->tt == LUA_VTHREAD ? see_thread(l, gco2th(o))
                                   : see_closure(l, gco2ccl(o));
  }
  return l->wrong;
}
