/* collector.c: Lua's incremental collector, its work spread more evenly.
 *
 * A page that the collector writes in a frame is a page to copy, and two of its steps write to
 * nearly all at once: the one that marks the elements of a large table, and the atomic phase,
 * which looks again at every table that changed while the others were marked, and then frees the
 * newest objects up to one that lives, be they a million. So here
 * - a large table is marked in slices, one a step;
 * - what changed meanwhile is marked in steps too, twice, before the atomic phase;
 * - sweeping, which Lua counts as nearly free, counts as what it writes, and is done in its own
 *   steps alone.
 *
 * Invariants
 * - G1 *gray*: a table in slices is gray and on a gray list until the atomic phase, which looks at
 *   all of it. Lua treats a thread like that. So no slice is needed for a live object to be
 *   found, and nothing depends on `sliced`, which may name a dead table.
 * - G2 *stock*: outside the incremental mark phase Lua's own functions do everything: atomic
 *   phase, sweeps (their work is counted here, and they begin where the list does), full and
 *   emergency collections, generational mode.
 *
 * Not here: weak tables, large stacks, prototypes and userdata, which Lua marks in one step; the
 * pace itself (the collector's parameters, rlua_c_pace).
 */

/* Slots of a table that is large, and of a slice. */
#define GC_LARGE 256u
#define GC_SLICE 64u

/* Work of a slice beside the objects that it marks: those marked before are only read, which
 * writes to no page. */
#define GC_SLICE_WORK 4

/* Rounds over what changed since its marking. A round is short, so little changes in it, and each
 * leaves the next one far fewer tables (docs/BENCHMARKS.md counts them); after two, the atomic
 * phase finds few. */
#define GC_ROUNDS 2

/* lgc.c calls its singlestep with the argument L, and defines it with the parameter lua_State *L:
 * so a macro can tell the two apart, and take the calls only. The same for the others. */
static lu_mem rlua_singlestep(lua_State *L);
static void begin_sweep(lua_State *L);
static void mark_roots(global_State *g);
static void rlua_finalize_next(lua_State *L);
static int rlua_is_to_be_called(lua_State *L, Udata *u); /* guarded.c */
static void mark_kept(global_State *g);
static GCObject *rlua_next_kept(global_State *g, uint64_t *cursor);
static void converge(global_State *g);
#define convergeephemerons(first_word) convergeephemerons_##first_word)
#define convergeephemerons_global_State stock_convergeephemerons(global_State
#define convergeephemerons_g converge(g
#define singlestep(first_word) singlestep_##first_word)
#define singlestep_lua_State stock_singlestep(lua_State
#define singlestep_L rlua_singlestep(L
#define markmt(first_word) markmt_##first_word)
#define markmt_global_State stock_markmt(global_State
#define markmt_g mark_roots(g
#define GCTM(first_word) GCTM_##first_word)
#define GCTM_lua_State stock_GCTM(lua_State
#define GCTM_L rlua_finalize_next(L
#define entersweep(first_word) entersweep_##first_word)
#define entersweep_lua_State stock_entersweep(lua_State
#define entersweep_L begin_sweep(L
#define luaS_clearcache(g) (mark_kept(g), luaS_clearcache(g))
#include "lgc.c"
#undef convergeephemerons
#undef convergeephemerons_global_State
#undef convergeephemerons_g
#undef singlestep
#undef singlestep_lua_State
#undef singlestep_L
#undef markmt
#undef markmt_global_State
#undef markmt_g
#undef GCTM
#undef GCTM_lua_State
#undef GCTM_L
#undef entersweep
#undef entersweep_lua_State
#undef entersweep_L
#undef luaS_clearcache

/* Roots of our own beside the metatables of the basic types, which every kind of collection marks
 * at its start and in its atomic phase: tables that no script can reach. */
static void mark_roots(global_State *g) {
  rlua_Own *own = &g->own;
  stock_markmt(g);
  markobjectN(g, own->refs);
  markobjectN(g, own->types);
}

/* Marks the values of a weak-keyed table, whether their keys live or not. */
static void mark_values(global_State *g, Table *t) {
  unsigned int array = luaH_realasize(t);
  for (unsigned int i = 0; i < array; i++) markvalue(g, &t->array[i]);
  for (int i = 0; i < sizenode(t); i++)
    if (!isempty(gval(gnode(t, i)))) markvalue(g, gval(gnode(t, i)));
}

/* Weak keys whose values lead to further weak keys take lua.org's collector a walk over their whole
 * table for each few links: quadratic, in one step. With a budget set, scripts may want that; so
 * after some walks all values in such tables live until the next cycle (their dead keys go). A
 * table whose values are all marked is not looked at again, so this is linear. */
static void converge(global_State *g) {
  enum { WALKS = 16 };
  if (!g->own.budgeted) {
    stock_convergeephemerons(g);
    return;
  }
  int changed = 1;
  for (int walk = 0; changed; walk++) {
    GCObject *next = g->ephemeron;
    g->ephemeron = NULL;
    changed = 0;
    while (next != NULL) {
      Table *t = gco2t(next);
      next = t->gclist;
      nw2black_(t); /* linked in this atomic phase */
      if (walk >= WALKS) mark_values(g, t);
      if (traverseephemeron(g, t, walk & 1) || walk >= WALKS) {
        propagateall(g);
        changed = 1;
      }
    }
  }
}

/* At the end of the atomic phase: marks what is kept for a snapshot alone (O1). So late, since weak
 * tables have lost it by then: no script finds it there. What weak tables it refers to are cleared
 * in turn. */
static void mark_kept(global_State *g) {
  uint64_t cursor = 0;
  GCObject *o = rlua_next_kept(g, &cursor);
  if (o == NULL) return;
  for (; o != NULL; o = rlua_next_kept(g, &cursor)) markobject(g, o);
  propagateall(g);
  converge(g);
  clearbykeys(g, g->ephemeron);
  clearbykeys(g, g->allweak);
  clearbyvalues(g, g->weak, NULL);
  clearbyvalues(g, g->allweak, NULL);
}

/* Calls the next finalizer, where it is to be called now: see guarded.c. */
static void rlua_finalize_next(lua_State *L) {
  GCObject *o = G(L)->tobefnz;
  if (o->tt == LUA_VUSERDATA && !rlua_is_to_be_called(L, gco2u(o))) udata2finalize(G(L));
  else stock_GCTM(L);
}

/* What `sliced` keeps of a table's address: no pointer, which could dangle. Two tables of a state
 * whose allocator is the host's may look alike; then a slice begins in the wrong place (G1). */
static unsigned int low_bits(const Table *h) {
  return (unsigned int)(size_t)h;
}

/* The slots of both parts, by one index: a table's array first. */
static unsigned int slots(const Table *h) {
  return luaH_realasize(h) + sizenode(h);
}

/* Any mode makes it Lua's, also one that means nothing. */
static int is_large(global_State *g, const Table *h) {
  return slots(h) > GC_LARGE && gfasttm(g, h->metatable, TM_MODE) == NULL;
}

/* Marks what the slot holds; tells whether that was work. */
static int mark_slot(global_State *g, TValue *slot) {
  if (!valiswhite(slot)) return 0;
  reallymarkobject(g, gcvalue(slot));
  return 1;
}

static int mark_node(global_State *g, Node *n) {
  int work = 0;
  if (isempty(gval(n))) {
    clearkey(n);
  } else {
    if (keyiswhite(n)) reallymarkobject(g, gckey(n)), work++;
    work += mark_slot(g, gval(n));
  }
  return work;
}

/* Moves the head of `gray` to `grayagain`; it stays gray. */
static void put_off(global_State *g) {
  GCObject *o = g->gray, **next = getgclist(o);
  g->gray = *next;
  card_at(next);
  *next = g->grayagain;
  g->grayagain = o;
}

/* Marks the next slice of the table at the head of the gray list. From the last slot to the first:
 * a table that grows meanwhile makes no more slices. */
static lu_mem mark_slice(global_State *g, rlua_Own *own) {
  Table *h = gco2t(g->gray);
  unsigned int array = luaH_realasize(h), end = slots(h), i;
  lu_mem work = GC_SLICE_WORK;
  if (own->sliced == low_bits(h) && own->unsliced < end) end = own->unsliced;
  own->sliced = low_bits(h);
  own->unsliced = end > GC_SLICE ? end - GC_SLICE : 0;
  if (own->unsliced == 0) { /* the last one (G1) */
    own->sliced = 0;
    put_off(g);
  }
  /* From here on, what gets gray lies above the table, and is marked before its next slice. */
  markobjectN(g, h->metatable);
  for (i = own->unsliced; i < end && i < array; i++) work += mark_slot(g, &h->array[i]);
  for (; i < end; i++) work += mark_node(g, gnode(h, i - array));
  return work;
}

/* Lua's own sweeps to the first live object here, in the step that ends the atomic phase, so that
 * no later step meets objects made since: these have the new white, and are only passed. */
static void begin_sweep(lua_State *L) {
  global_State *g = G(L);
  (void)stock_entersweep;
  lua_assert(g->sweepgc == NULL);
  g->gcstate = GCSswpallgc;
  g->sweepgc = &g->allgc;
}

/* Lua counts a swept object as one unit of work and a marked one as its slots, so it sweeps objects
 * of most pages within a frame. Here a swept object counts as `sweep_divisor` units, and as up to
 * four times that where much was freed: a table, whose array lies on another page. But sweeping
 * must outrun the garbage that is made meanwhile: no object of up to 32 bytes counts for more than
 * 16 allocated bytes do, and none has less than 24. */
static lu_mem sweep(lua_State *L, const rlua_Own *own) {
  global_State *g = G(L);
  l_mem before = g->GCdebt;
  lu_mem objects = stock_singlestep(L), most = 4 * objects;
  lu_mem freed = before > g->GCdebt ? (lu_mem)(before - g->GCdebt) / 32 : 0;
  lu_mem of_16_bytes = getgcparam(g->gcstepmul) | 1; /* as incstep counts */
  if (own->sweep_divisor == 1) return objects;
  if (freed > objects) objects = freed < most ? freed : most;
  return objects * (own->sweep_divisor < of_16_bytes ? own->sweep_divisor : of_16_bytes);
}

/* One step of the mark phase, or 0 where Lua's own is to be done. */
static lu_mem mark(global_State *g, rlua_Own *own) {
  GCObject *o = g->gray;
  lua_assert(g->gckind == KGC_INC && !g->gcstopem);
  if (o == NULL && g->grayagain != NULL && own->rounds < GC_ROUNDS) {
    own->rounds++;
    own->sliced = 0;
    g->gray = g->grayagain; /* all of it is gray, so it may be traversed again */
    g->grayagain = NULL;
    return 1;
  }
  if (o == NULL || o->tt != LUA_VTABLE || !is_large(g, gco2t(o))) return 0;
  if (own->sliced == 0 || own->sliced == low_bits(gco2t(o))) return mark_slice(g, own);
  if (own->rounds == GC_ROUNDS) return 0;
  put_off(g); /* inside the table that is in slices: its turn is in the next round */
  return 1;
}

static lu_mem rlua_singlestep(lua_State *L) {
  global_State *g = G(L);
  rlua_Own *own = &g->own;
  if (issweepphase(g)) return sweep(L, own);
  if (g->gcstate == GCSpropagate) {
    lu_mem work = mark(g, own);
    if (work != 0) return work;
  } else if (g->gcstate == GCSpause) {
    own->sliced = 0;
    own->rounds = 0;
  }
  int finalizes = g->gcstate == GCScallfin;
  lu_mem work = stock_singlestep(L);
  /* Here, too, it must outrun the garbage: each finalizer counts for as much as a large object. */
  return finalizes ? work / own->sweep_divisor : work;
}
