/* path.c: the way through tables, upvalues and stacks that leads to an object, for a sentence.
 *
 *   _G.enemies[3].brain^target      a field, an element, an upvalue by its name
 *
 * A search that gets deeper and deeper, so the way that it finds is a shortest one; bounded, since
 * it follows every way. It allocates nothing and changes nothing.
 *
 * Part of the one translation unit, behind canon.c.
 */

#define DEEPEST_PATH 8
#define PATH_STEPS 400000

typedef struct Finder {
  const void *target;
  long left; /* values that may still be looked at */
  char *text;
  size_t room;
} Finder;

static int leads_to(Finder *f, const TValue *v, int depth, size_t length);

/* One step further, whose name is appended. */
static int by_step(Finder *f, const TValue *v, int depth, size_t length, const char *format, ...) {
  if (!iscollectable(v)) return 0;
  va_list args;
  va_start(args, format);
  int more = vsnprintf(f->text + length, f->room - length, format, args);
  va_end(args);
  return more > 0 && (size_t)more < f->room - length &&
         leads_to(f, v, depth - 1, length + (size_t)more);
}

static int by_object(Finder *f, const GCObject *o, int depth, size_t length, const char *name) {
  TValue v;
  if (o == NULL) return 0;
  v.value_.gc = (GCObject *)o;
  v.tt_ = cast_byte(ctb(o->tt));
  return by_step(f, &v, depth, length, "%s", name);
}

static int by_table(Finder *f, const Table *h, int depth, size_t length) {
  size_t array = luaH_realasize(h);
  for (size_t i = 0; i < array; i++)
    if (by_step(f, &h->array[i], depth, length, "[%zu]", i + 1)) return 1;
  for (size_t i = 0, nodes = sizenode(h); i < nodes; i++) {
    const Node *n = gnode(h, i);
    if (isempty(gval(n))) continue;
    int found = keyisshrstr(n) ? by_step(f, gval(n), depth, length, ".%s", getshrstr(keystrval(n)))
                : keyisinteger(n)
                    ? by_step(f, gval(n), depth, length, "[%lld]", (long long)keyival(n))
                    : by_step(f, gval(n), depth, length, "[?]");
    if (found) return 1;
    if (keyiscollectable(n) && !keyisdead(n) &&
        by_object(f, keyval(n).gc, depth, length, "<a key>")) return 1;
  }
  return h->metatable != NULL &&
         by_object(f, obj2gco(h->metatable), depth, length, "<metatable>");
}

static int by_lua_closure(Finder *f, const LClosure *c, int depth, size_t length) {
  for (int i = 0; i < c->nupvalues; i++) {
    const TString *name = i < c->p->sizeupvalues ? c->p->upvalues[i].name : NULL;
    if (c->upvals[i] != NULL && by_step(f, c->upvals[i]->v.p, depth, length, "^%s",
                                        name != NULL ? getstr(name) : "?"))
      return 1;
  }
  return by_object(f, obj2gco(c->p), depth, length, "<code>");
}

static int by_userdata(Finder *f, const Udata *u, int depth, size_t length) {
  for (int i = 0; i < u->nuvalue; i++)
    if (by_step(f, &u->uv[i].uv, depth, length, "<user value %d>", i + 1)) return 1;
  return u->metatable != NULL &&
         by_object(f, obj2gco(u->metatable), depth, length, "<metatable>");
}

static int by_thread(Finder *f, const lua_State *L, int depth, size_t length) {
  for (const StackValue *slot = L->stack.p; slot != NULL && slot < L->top.p; slot++)
    if (by_step(f, s2v(slot), depth, length, "<slot %d>", (int)(slot - L->stack.p))) return 1;
  return 0;
}

/* Whether it is the target, or the target is a vector of it. */
static int is_target(const GCObject *o, const void *target) {
  const union GCUnion *u = cast_u((GCObject *)o);
  if (o == target) return 1;
  switch (o->tt) {
    case LUA_VTABLE: return u->h.array == target || u->h.node == target;
    case LUA_VTHREAD: return (const char *)o - offsetof(LX, l) == target || u->th.stack.p == target;
    case LUA_VPROTO: return u->p.k == target;
    default: return 0;
  }
}

static int leads_to(Finder *f, const TValue *v, int depth, size_t length) {
  if (is_target(gcvalue(v), f->target)) return 1;
  if (depth == 0 || f->left-- <= 0) return 0;
  switch (ttypetag(v)) {
    case LUA_VTABLE: return by_table(f, hvalue(v), depth, length);
    case LUA_VLCL: return by_lua_closure(f, clLvalue(v), depth, length);
    case LUA_VUSERDATA: return by_userdata(f, uvalue(v), depth, length);
    case LUA_VTHREAD: return by_thread(f, thvalue(v), depth, length);
    case LUA_VCCL:
      for (int i = 0; i < clCvalue(v)->nupvalues; i++)
        if (by_step(f, &clCvalue(v)->upvalue[i], depth, length, "^%d", i + 1)) return 1;
      return 0;
    default: return 0;
  }
}

/* The way to an object, written to `text`; empty where none is found. */
static void find_path(const global_State *g, const void *target, char *text, size_t room) {
  const Table *registry = hvalue(&g->l_registry);
  Finder f = {target, PATH_STEPS, text, room};
  TValue main;
  setthvalue(g->mainthread, &main, g->mainthread);
  for (int depth = 0; depth <= DEEPEST_PATH && f.left > 0; depth++) {
    const TValue *globals = luaH_getint((Table *)registry, LUA_RIDX_GLOBALS);
    if (by_step(&f, globals, depth + 1, 0, "_G")) return;
    if (by_step(&f, &g->l_registry, depth + 1, 0, "<registry>")) return;
    if (by_step(&f, &main, depth + 1, 0, "<main thread>")) return;
  }
  text[0] = '\0';
}

/* Of what could not be saved in a region itself, PATH_ROOM bytes, and where it lies. */
size_t rlua_c_canon_path(const void *canon, char *text) {
  const Canon *c = canon;
  text[0] = '\0';
  if ((uint64_t)(uintptr_t)c->from == c->base) find_path(c->g, c->where, text, PATH_ROOM);
  return (size_t)((const char *)c->where - c->from);
}
