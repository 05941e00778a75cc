/* load_marks.c: marks and lists of the collector that an image can have.
 *
 * The collector takes them at their word: what is not white it does not visit again, what is gray
 * it takes for listed, what waits for its sweep for unreachable. check.c proves what has to hold of
 * pointers in every heap; here is what has to hold of marks.
 *
 * Invariants
 * - M1 *phases*: between two calls the atomic phase is not under way. Objects wait for their sweep
 *   in sweeps alone, in `allgc`, and have no finalizer. What a sweep has passed, and all behind the
 *   sweeps, is white. While marking, weak tables are in `grayagain`.
 * - M2 *colours*: while marking, gray is what has a link for gray lists, and is in one; and open
 *   upvalues, which are never black. Threads have no barriers: black is only one whose next
 *   collection visits it anew.
 * - M3 *ages*: old objects are not white. Touched are those that have a barrier back, gray in the
 *   first cycle, black and listed in the second. Of age OLD1 is nothing before `firstold1`.
 *
 * Part of the one translation unit, behind load.c.
 */

static int can_be_touched(const GCObject *o) {
  return o->tt == LUA_VTABLE || (o->tt == LUA_VUSERDATA && has_gclist(o));
}

/* M2 */
static int is_coloured_well(const global_State *g, const GCObject *o) {
  switch (o->tt) {
    case LUA_VTHREAD: return !isblack(o) || (g->gckind == KGC_GEN && getage(o) == G_OLD1);
    case LUA_VUPVAL: return upisopen(gco2upv((GCObject *)o)) ? !isblack(o) : !isgray(o);
    default: return !isgray(o) || has_gclist(o);
  }
}

/* M3 */
static int is_of_an_age(const global_State *g, const GCObject *o) {
  if (g->gckind == KGC_INC) return getage(o) == G_NEW;
  switch (getage(o)) {
    case G_NEW: case G_SURVIVAL: return 1;
    case G_OLD0: case G_OLD1: case G_OLD: return !iswhite(o);
    case G_TOUCHED1: return isgray(o) && can_be_touched(o);
    case G_TOUCHED2: return isblack(o) && can_be_touched(o);
    default: return 0;
  }
}

/* Of the objects of a list that is not `fixedgc`. */
static int are_marked_well(const global_State *g, const GCObject *list, int finalizable) {
  int may_be_dead = issweepphase(g) && !finalizable;
  for (; list != NULL; list = list->next)
    if (testbit(list->marked, GUARDEDBIT) || !tofinalize(list) != !finalizable ||
        (isdead(g, list) && !may_be_dead) || !is_of_an_age(g, list) ||
        (keepinvariant(g) && !is_coloured_well(g, list)))
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

/* Whether a list that is swept in this phase is white as far as it was swept, and is the one where
 * the sweep is. */
static int is_swept_list(const global_State *g, GCObject *const *p, int phase) {
  GCObject *const *end = g->gcstate == phase ? g->sweepgc : NULL;
  if (g->gcstate < phase) return 1;
  for (; p != end && *p != NULL; p = &(*p)->next)
    if (!iswhite(*p) || isdead(g, *p)) return 0;
  return end == NULL || p == end;
}

static int is_swept(const global_State *g) {
  return is_swept_list(g, &g->allgc, GCSswpallgc) && is_swept_list(g, &g->finobj, GCSswpfinobj) &&
         is_swept_list(g, &g->tobefnz, GCSswptobefnz);
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

/* From `list` on up to `end`: nothing is younger than its part of the list. */
static int are_of_age(const GCObject *list, const GCObject *end, int least) {
  for (; list != end; list = list->next)
    if (getage(list) < least) return 0;
  return 1;
}

/* Those of age OLD1 become old where the next young collection begins, and are visited then. */
static int are_seen_in_time(const global_State *g) {
  for (const GCObject *o = g->allgc; o != g->firstold1; o = o->next)
    if (getage(o) == G_OLD1) return 0;
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
         are_of_age(g->survival, g->old1, G_SURVIVAL) &&
         are_of_age(g->old1, g->reallyold, G_OLD1) && are_of_age(g->reallyold, NULL, G_OLD) &&
         are_of_age(g->finobjsur, g->finobjold1, G_SURVIVAL) &&
         are_of_age(g->finobjold1, g->finobjrold, G_OLD1) &&
         are_of_age(g->finobjrold, NULL, G_OLD) && are_seen_in_time(g);
}

static size_t grays_of(GCObject *list) {
  size_t length = 0;
  for (; list != NULL; list = *getgclist(list)) length++;
  return length;
}

/* The proof saw that these lists have ends, and what is in them. */
static int are_grays_listed(const Loader *l, const global_State *g) {
  if (!keepinvariant(g)) return 1;
  return g->weak == NULL && g->ephemeron == NULL && g->allweak == NULL &&
         grays_of(g->gray) + grays_of(g->grayagain) == l->linked;
}
