/* walk.c: a walk over all of a state's heap: every block, then every pointer to an object.
 *
 * Two passes over the lists that hold all objects (allgc, finobj, tobefnz, fixedgc). The first
 * tells the visitor of each block before it reads more than the block is known to have; the second
 * tells it of each pointer before it follows it. So a visitor that keeps which blocks and objects
 * it was told of (check.c does) makes the walk safe in a heap that is damaged.
 *
 * It allocates nothing, does not recurse, and works in every phase of the collector, for a VM that
 * is idle (V1). Dead, and not told of, is: the key of an empty node; in objects that wait to be
 * swept everything but their blocks; CallInfos beyond the running one but for their links; the gray
 * lists while sweeping or at rest; `sweepgc` outside of sweeps; `gclist` of what is in no gray
 * list; lists of generations in incremental mode.
 *
 * Part of the one translation unit. Not here: what has to hold for a block or a pointer (check.c);
 * blocks of the host (memory.c), which no list names.
 */

/* What a block is. Objects are their tags. */
enum {
  BLOCK_STATE = 64, BLOCK_STRING_TABLE, BLOCK_ARRAY, BLOCK_NODES, BLOCK_STACK, BLOCK_CALLINFO,
  BLOCK_CODE, BLOCK_CONSTANTS, BLOCK_PROTOS, BLOCK_UPVALUES, BLOCK_LINES, BLOCK_ABSOLUTE_LINES,
  BLOCK_LOCALS, BLOCK_POINTERS, BLOCK_NAME
};

/* A pointer to an object of any kind; one to an object that may be waiting for its sweep. */
#define ANY_OBJECT 127
#define MAY_BE_DEAD 128

typedef struct Walk Walk;

struct Walk {
  global_State *g;
  rlua_BlockBytes block_bytes;
  void *ud;
  /* A block of `size` bytes; the object `object` is in it, or NULL. 0 ends the walk. */
  int (*block)(Walk *w, int kind, const void *block, size_t size, const GCObject *object);
  /* A pointer in `of` to an object: a tag or ANY_OBJECT, MAY_BE_DEAD. 0 ends the walk. */
  int (*pointer)(Walk *w, int kind, const void *target);
  const GCObject *of; /* the object that the walk is in; NULL for the state itself */
  size_t objects;     /* how many there are, which bounds every list */
  size_t open;        /* open upvalues: counted up as objects, down in their threads' lists */
  size_t short_strings;
  char *why; /* CHECK_ROOM bytes */
};

/* Ends the walk with a sentence. */
static int wrong(Walk *w, const char *what) {
  const GCObject *o = w->of;
  if (o == NULL) {
    snprintf(w->why, CHECK_ROOM, "L2: in the state itself %s", what);
  } else {
    snprintf(w->why, CHECK_ROOM, "L2: in the object at offset %#x (tag %d, marks %#x) %s",
             (unsigned int)(size_t)o, o->tt, o->marked, what);
  }
  return 0;
}

#define ENSURE(condition, what) \
  do { \
    if (l_unlikely(!(condition))) return wrong(w, what); \
  } while (0)
#define TRY(call) \
  do { \
    if (l_unlikely(!(call))) return 0; \
  } while (0)

typedef int (*Each)(Walk *w, GCObject *o);

/* Each object of a list. What `each` is told may be followed only after it returned 1. */
static int each_of(Walk *w, GCObject *list, Each each) {
  for (GCObject *o = list; o != NULL; o = o->next) {
    w->of = o;
    TRY(each(w, o));
  }
  w->of = NULL;
  return 1;
}

static int each_object(Walk *w, Each each) {
  const global_State *g = w->g;
  return each_of(w, g->allgc, each) && each_of(w, g->finobj, each) &&
         each_of(w, g->tobefnz, each) && each_of(w, g->fixedgc, each);
}

/* -- the first pass: blocks -------------------------------------------------------------------- */

static int vector(Walk *w, int kind, const void *block, size_t count, size_t element) {
  if (count == 0) return 1;
  ENSURE(w->block_bytes(w->ud, block, NULL) >= count * element,
         "a vector is no live block of its size");
  return w->block(w, kind, block, count * element, NULL);
}

static int table_blocks(Walk *w, const Table *h) {
  TRY(vector(w, BLOCK_ARRAY, h->array, luaH_realasize(h), sizeof(TValue)));
  if (isdummy(h)) {
    ENSURE(h->lsizenode == 0 && h->node == dummynode, "the hash part is neither dummy nor real");
    return 1;
  }
  ENSURE(h->lsizenode <= MAXHBITS, "the hash part's size is none");
  return vector(w, BLOCK_NODES, h->node, sizenode(h), sizeof(Node));
}

static int count_is_sane(Walk *w, const int *counts, int length) {
  for (int i = 0; i < length; i++) ENSURE(counts[i] >= 0, "the size of a vector is negative");
  return 1;
}

static int proto_blocks(Walk *w, const Proto *p) {
  const int counts[] = {p->sizeupvalues, p->sizek, p->sizecode, p->sizelineinfo, p->sizep,
                        p->sizelocvars, p->sizeabslineinfo};
  TRY(count_is_sane(w, counts, (int)(sizeof counts / sizeof counts[0])));
  return vector(w, BLOCK_UPVALUES, p->upvalues, (size_t)p->sizeupvalues, sizeof(Upvaldesc)) &&
         vector(w, BLOCK_CONSTANTS, p->k, (size_t)p->sizek, sizeof(TValue)) &&
         vector(w, BLOCK_CODE, p->code, (size_t)p->sizecode, sizeof(Instruction)) &&
         vector(w, BLOCK_LINES, p->lineinfo, (size_t)p->sizelineinfo, sizeof(ls_byte)) &&
         vector(w, BLOCK_PROTOS, p->p, (size_t)p->sizep, sizeof(Proto *)) &&
         vector(w, BLOCK_LOCALS, p->locvars, (size_t)p->sizelocvars, sizeof(LocVar)) &&
         vector(w, BLOCK_ABSOLUTE_LINES, p->abslineinfo, (size_t)p->sizeabslineinfo,
                sizeof(AbsLineInfo));
}

static int thread_blocks(Walk *w, const lua_State *L) {
  size_t count = 0;
  if (L->stack.p == NULL) return 1; /* there was no memory to finish it */
  size_t bytes = (size_t)L->stack_last.p - (size_t)L->stack.p;
  ENSURE(bytes % sizeof(StackValue) == 0 && bytes / sizeof(StackValue) - 1 < ERRORSTACKSIZE,
         "the stack's size is none");
  TRY(vector(w, BLOCK_STACK, L->stack.p, bytes / sizeof(StackValue) + EXTRA_STACK,
             sizeof(StackValue)));
  for (const CallInfo *ci = L->base_ci.next; ci != NULL; ci = ci->next, count++)
    TRY(vector(w, BLOCK_CALLINFO, ci, 1, sizeof(CallInfo)));
  /* Lua counts in 16 bits, and a deep recursion has more. */
  ENSURE((unsigned short)count == L->nci, "the CallInfos are miscounted");
  return 1;
}

/* Bytes that the object takes, of which `have` are there, GCObject's at least; 0 for a tag that is
 * none, MAX_SIZE where there are too few bytes to tell. */
static size_t object_size(const GCObject *o, size_t have) {
  const union GCUnion *u = cast_u((GCObject *)o);
  switch (o->tt) {
    case LUA_VSHRSTR: return sizelstring(u->ts.shrlen);
    case LUA_VLNGSTR:
      if (have < offsetof(TString, contents) || u->ts.u.lnglen >= have) return MAX_SIZE;
      return sizelstring(u->ts.u.lnglen);
    case LUA_VUSERDATA:
      if (have < offsetof(Udata0, bindata) || u->u.len >= have) return MAX_SIZE;
      return sizeudata(u->u.nuvalue, u->u.len);
    case LUA_VLCL: return (size_t)sizeLclosure(u->cl.l.nupvalues);
    case LUA_VCCL: return (size_t)sizeCclosure(u->cl.c.nupvalues);
    case LUA_VTABLE: return sizeof(Table);
    case LUA_VPROTO: return sizeof(Proto);
    case LUA_VUPVAL: return sizeof(UpVal);
    default: return 0;
  }
}

_Static_assert(offsetof(TString, shrlen) < sizeof(GCObject) &&
                   offsetof(CClosure, nupvalues) < sizeof(GCObject),
               "sizes that object_size reads at once");

/* A thread lies behind its extra space, and the main one before the global state. */
static int thread_block(Walk *w, GCObject *o) {
  const void *start = (char *)o - offsetof(LX, l);
  int is_main = o == obj2gco(w->g->mainthread);
  size_t size = is_main ? sizeof(LG) : sizeof(LX);
  ENSURE(w->block_bytes(w->ud, start, NULL) >= size, "nothing is: a list leads to no object");
  ENSURE(o->tt == LUA_VTHREAD, "nothing is: a list leads into the middle of a block");
  TRY(w->block(w, is_main ? BLOCK_STATE : LUA_VTHREAD, start, size, o));
  return thread_blocks(w, (lua_State *)o);
}

static int object_blocks(Walk *w, GCObject *o) {
  size_t have = (size_t)o % sizeof(void *) == 0 ? w->block_bytes(w->ud, o, NULL) : 0;
  w->objects++;
  if (have < sizeof(GCObject)) { /* not to be read yet, not for a sentence either */
    w->of = NULL;
    TRY(thread_block(w, o));
    w->of = o;
    return 1;
  }
  size_t size = object_size(o, have);
  ENSURE(size != 0, "the tag is that of no object");
  ENSURE(size <= have, "the block is smaller than the object");
  TRY(w->block(w, o->tt, o, size, o));
  if (o->tt == LUA_VTABLE) return table_blocks(w, gco2t(o));
  if (o->tt == LUA_VPROTO) return proto_blocks(w, gco2p(o));
  return 1;
}

/* What the list's index says, and its names: keys.c, names.c. */
static int pointers_are_right(Walk *w, const rlua_Own *own) {
  const unsigned int *index = index_of(own->pointers, own->pointer_capacity);
  size_t listed = 0;
  for (size_t i = 0; i < 2 * (size_t)own->pointer_capacity; i++) {
    ENSURE(index[i] <= own->pointer_count, "the index of pointers leads out of their list");
    listed += index[i] != 0;
  }
  ENSURE(listed == own->pointer_count, "the index of pointers is miscounted");
  for (unsigned int i = 0; i < own->pointer_count; i++) {
    const rlua_Pointer *pointer = &own->pointers[i];
    ENSURE(find_pointer(own, pointer->address) == pointer, "a pointer is not found by its address");
    if (pointer->name == NULL) continue;
    size_t have = w->block_bytes(w->ud, pointer->name, NULL);
    const char *end = have == 0 ? NULL : memchr(pointer->name, '\0', have);
    ENSURE(end != NULL, "the name of a pointer is no live block, or has no end");
    TRY(w->block(w, BLOCK_NAME, pointer->name, (size_t)(end - pointer->name) + 1, NULL));
  }
  return 1;
}

static int pointer_blocks(Walk *w) {
  const rlua_Own *own = &w->g->own;
  if (own->pointer_capacity == 0) {
    ENSURE(own->pointers == NULL && own->pointer_count == 0, "a list of pointers has no size");
    return 1;
  }
  ENSURE(ispow2(own->pointer_capacity) && own->pointer_count <= own->pointer_capacity,
         "the size of the list of pointers is none");
  TRY(vector(w, BLOCK_POINTERS, own->pointers, own->pointer_capacity, list_bytes(1)));
  return pointers_are_right(w, own);
}

static int walk_blocks(Walk *w) {
  const stringtable *strings = &w->g->strt;
  ENSURE(w->g->mainthread == &((LG *)((char *)w->g - offsetof(LG, g)))->l.l,
         "the main thread is another");
  TRY(each_object(w, object_blocks));
  TRY(pointer_blocks(w));
  ENSURE(strings->size > 0 && ispow2(strings->size), "the string table's size is no power of two");
  return vector(w, BLOCK_STRING_TABLE, strings->hash, (size_t)strings->size, sizeof(TString *));
}

/* -- the second pass: pointers ----------------------------------------------------------------- */

static int optional(Walk *w, int kind, const void *target) {
  return target == NULL || w->pointer(w, kind, target);
}

static int string(Walk *w, const TString *s) {
  if (s == NULL) return 1; /* stripped */
  TRY(w->pointer(w, ANY_OBJECT, s));
  ENSURE(novariant(s->tt) == LUA_TSTRING, "a name is no string");
  return 1;
}

static int value(Walk *w, const TValue *v) {
  switch (rawtt(v)) {
    case LUA_VNIL: case LUA_VEMPTY: case LUA_VABSTKEY: case LUA_VFALSE: case LUA_VTRUE:
    case LUA_VLIGHTUSERDATA: case LUA_VNUMINT: case LUA_VNUMFLT: case LUA_VLCF:
    case LUA_VSERIAL: return 1;
    case ctb(LUA_VSHRSTR): case ctb(LUA_VLNGSTR): case ctb(LUA_VTABLE): case ctb(LUA_VLCL):
    case ctb(LUA_VCCL): case ctb(LUA_VUSERDATA): case ctb(LUA_VTHREAD):
      return w->pointer(w, withvariant(rawtt(v)), val_(v).gc);
    default: return wrong(w, "the tag of a value is none");
  }
}

static int values(Walk *w, const TValue *v, size_t count) {
  for (size_t i = 0; i < count; i++) TRY(value(w, &v[i]));
  return 1;
}

static int table_pointers(Walk *w, const Table *h) {
  size_t nodes = sizenode(h);
  ENSURE(!testbit(h->flags, KEYBIT) == !w->g->own.deterministic, "a table has another profile");
  TRY(optional(w, LUA_VTABLE, h->metatable));
  TRY(values(w, h->array, luaH_realasize(h)));
  if (isdummy(h)) return 1;
  size_t last = (size_t)h->lastfree - (size_t)h->node;
  ENSURE(last <= nodes * sizeof(Node) && last % sizeof(Node) == 0, "lastfree is no node");
  for (Node *n = h->node; n < h->node + nodes; n++) {
    ptrdiff_t next = n - h->node + gnext(n);
    ENSURE(next >= 0 && (size_t)next < nodes, "a chain leads out of the nodes");
    if (isempty(gval(n))) continue;
    TValue key = {.value_ = keyval(n), .tt_ = keytt(n)};
    ENSURE(!keyisdead(n) && !keyisnil(n), "the key of a value is dead");
    TRY(value(w, &key));
    ENSURE(is_met(w->g, &key), "a pointer that is a key has no number");
    TRY(value(w, gval(n)));
  }
  return 1;
}

static int proto_pointers(Walk *w, const Proto *p) {
  TRY(string(w, p->source));
  TRY(values(w, p->k, (size_t)p->sizek));
  for (int i = 0; i < p->sizeupvalues; i++) TRY(string(w, p->upvalues[i].name));
  for (int i = 0; i < p->sizep; i++) TRY(optional(w, LUA_VPROTO, p->p[i]));
  for (int i = 0; i < p->sizelocvars; i++) TRY(string(w, p->locvars[i].varname));
  return 1;
}

static int lclosure_pointers(Walk *w, const LClosure *cl) {
  TRY(optional(w, LUA_VPROTO, cl->p));
  for (int i = 0; i < cl->nupvalues; i++) TRY(optional(w, LUA_VUPVAL, cl->upvals[i]));
  return 1;
}

static int upvalue_pointers(Walk *w, const UpVal *uv) {
  if (upisopen(uv)) return 1; /* the thread's list tells of it */
  ENSURE(uv->v.p == &uv->u.value, "a closed upvalue is not its own value");
  return value(w, &uv->u.value);
}

static int userdata_pointers(Walk *w, const Udata *u) {
  TRY(optional(w, LUA_VTABLE, u->metatable));
  for (int i = 0; i < u->nuvalue; i++) TRY(value(w, &u->uv[i].uv));
  return 1;
}

static int string_is_right(Walk *w, const TString *s) {
  if (s->tt == LUA_VSHRSTR) {
    ENSURE(s->shrlen <= LUAI_MAXSHORTLEN && s->contents[s->shrlen] == '\0', "a string has no end");
    ENSURE(s->hash == luaS_hash(s->contents, s->shrlen, w->g->seed), "a string's hash is wrong");
    return 1;
  }
  ENSURE(s->contents[s->u.lnglen] == '\0', "a string has no end");
  ENSURE(s->extra == 0 || s->hash == luaS_hash(s->contents, s->u.lnglen, w->g->seed),
         "a string's hash is wrong");
  return 1;
}

/* In the stack's part that frames can have. */
static int is_on_stack(const lua_State *L, const StackValue *slot) {
  return slot >= L->stack.p && slot <= L->stack_last.p + EXTRA_STACK &&
         ((size_t)slot - (size_t)L->stack.p) % sizeof(StackValue) == 0;
}

static int call_pointers(Walk *w, const lua_State *L, const CallInfo *ci) {
  ENSURE(is_on_stack(L, ci->func.p) && is_on_stack(L, ci->top.p) && ci->func.p < ci->top.p,
         "a call lies outside the stack");
  if (!isLua(ci)) return 1;
  const TValue *func = s2v(ci->func.p);
  ENSURE(rawtt(func) == ctb(LUA_VLCL), "a call of Lua has no function of Lua");
  TRY(value(w, func));
  const Proto *p = clLvalue(func)->p;
  TRY(w->pointer(w, LUA_VPROTO, p));
  ENSURE(ci->u.l.savedpc >= p->code && ci->u.l.savedpc <= p->code + p->sizecode,
         "a call is outside its function's code");
  return 1;
}

static int calls_pointers(Walk *w, const lua_State *L) {
  const CallInfo *previous = NULL;
  int running = 0;
  for (const CallInfo *ci = &L->base_ci; ci != NULL; previous = ci, ci = ci->next) {
    ENSURE(ci->previous == previous, "a CallInfo does not know the one before it");
    if (running) continue; /* not in use */
    TRY(call_pointers(w, L, ci));
    running = ci == L->ci;
  }
  ENSURE(running, "the running CallInfo is none of the thread's");
  return 1;
}

/* Upvalues of a thread that waits for its sweep may wait too. */
static int open_upvalues(Walk *w, lua_State *L) {
  UpVal *const *place = &L->openupval;
  for (UpVal *uv = L->openupval; uv != NULL; place = &uv->u.open.next, uv = uv->u.open.next) {
    TRY(w->pointer(w, LUA_VUPVAL | (isdead(w->g, L) ? MAY_BE_DEAD : 0), uv));
    ENSURE(upisopen(uv) && w->open-- > 0, "a closed upvalue is in a thread's list, or one twice");
    ENSURE(uv->u.open.previous == place, "an open upvalue does not know the one before it");
    ENSURE(is_on_stack(L, (StkId)uv->v.p) && (StkId)uv->v.p < L->stack_last.p + EXTRA_STACK,
           "an open upvalue is outside its thread's stack");
  }
  return 1;
}

static int thread_pointers(Walk *w, lua_State *L) {
  ENSURE(L->l_G == w->g, "a thread is of another state");
  if (L->stack.p == NULL) return 1;
  TRY(open_upvalues(w, L));
  if (isdead(w->g, L)) return 1;
  ENSURE(L->errorJmp == NULL, "a thread of an idle VM has an error handler");
  ENSURE(is_on_stack(L, L->top.p) && is_on_stack(L, L->tbclist.p) && L->tbclist.p <= L->top.p,
         "the top, or a variable to be closed, is outside the stack");
  TRY(calls_pointers(w, L));
  /* The collector clears what is above the top whenever it may have freed something. */
  for (const StackValue *slot = L->stack.p; slot < L->stack_last.p + EXTRA_STACK; slot++)
    TRY(value(w, s2v(slot)));
  return 1;
}

static int count_object(Walk *w, GCObject *o) {
  w->open += o->tt == LUA_VUPVAL && upisopen(gco2upv(o));
  w->short_strings += o->tt == LUA_VSHRSTR;
  return 1;
}

static int object_pointers(Walk *w, GCObject *o) {
  if (o->tt == LUA_VTHREAD) return thread_pointers(w, gco2th(o));
  if (isdead(w->g, o)) return 1;
  switch (o->tt) {
    case LUA_VSHRSTR: case LUA_VLNGSTR: return string_is_right(w, gco2ts(o));
    case LUA_VTABLE: return table_pointers(w, gco2t(o));
    case LUA_VUSERDATA: return userdata_pointers(w, gco2u(o));
    case LUA_VPROTO: return proto_pointers(w, gco2p(o));
    case LUA_VUPVAL: return upvalue_pointers(w, gco2upv(o));
    case LUA_VLCL: return lclosure_pointers(w, gco2lcl(o));
    default: return values(w, gco2ccl(o)->upvalue, gco2ccl(o)->nupvalues);
  }
}

/* Each short string is in the chain of its hash, once; strings that wait for their sweep too. */
static int string_table(Walk *w) {
  const stringtable *strings = &w->g->strt;
  size_t listed = 0;
  for (int i = 0; i < strings->size; i++)
    for (const TString *s = strings->hash[i]; s != NULL; s = s->u.hnext) {
      TRY(w->pointer(w, LUA_VSHRSTR | MAY_BE_DEAD, s));
      ENSURE((int)lmod(s->hash, strings->size) == i, "a string is in a wrong chain");
      ENSURE(++listed <= w->short_strings, "a chain of strings is a ring");
    }
  ENSURE(listed == w->short_strings && listed == (size_t)strings->nuse,
         "a short string is not in the string table");
  return 1;
}

static int gray_list(Walk *w, GCObject *list) {
  size_t length = 0;
  for (GCObject *o = list; o != NULL; o = *getgclist(o)) {
    TRY(w->pointer(w, ANY_OBJECT, o));
    ENSURE(o->tt == LUA_VTABLE || o->tt == LUA_VLCL || o->tt == LUA_VCCL || o->tt == LUA_VTHREAD ||
               o->tt == LUA_VPROTO || (o->tt == LUA_VUSERDATA && gco2u(o)->nuvalue > 0),
           "a gray list leads to what cannot be in one");
    ENSURE(!isgray(o) != (getage(o) != G_TOUCHED2), "an object in a gray list is not gray");
    ENSURE(++length <= w->objects, "a gray list is a ring");
  }
  return 1;
}

static int collector_pointers(Walk *w) {
  global_State *g = w->g;
  if (keepinvariant(g)) {
    TRY(gray_list(w, g->gray) && gray_list(w, g->grayagain) && gray_list(w, g->weak) &&
        gray_list(w, g->ephemeron) && gray_list(w, g->allweak));
  }
  if (issweepphase(g) && g->sweepgc != NULL && g->sweepgc != &g->allgc &&
      g->sweepgc != &g->finobj && g->sweepgc != &g->tobefnz)
    TRY(w->pointer(w, ANY_OBJECT | MAY_BE_DEAD, g->sweepgc)); /* `next` comes first */
  if (g->gckind == KGC_GEN) {
    GCObject *const ages[] = {g->survival, g->old1, g->reallyold, g->firstold1, g->finobjsur,
                              g->finobjold1, g->finobjrold};
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) TRY(optional(w, ANY_OBJECT, ages[i]));
  }
  size_t length = 0;
  for (lua_State *L = g->twups; L != NULL; L = L->twups) {
    TRY(w->pointer(w, LUA_VTHREAD | MAY_BE_DEAD, L));
    ENSURE(++length <= w->objects, "the list of threads with upvalues is a ring");
  }
  return 1;
}

static int state_pointers(Walk *w) {
  global_State *g = w->g;
  const rlua_Own *own = &g->own;
  TRY(value(w, &g->l_registry));
  ENSURE(ttistable(&g->l_registry), "the registry is no table");
  TRY(optional(w, LUA_VTABLE, own->refs) && optional(w, LUA_VTABLE, own->types));
  TRY(w->pointer(w, LUA_VSHRSTR, g->memerrmsg));
  for (int i = 0; i < TM_N; i++) TRY(w->pointer(w, LUA_VSHRSTR, g->tmname[i]));
  for (int i = 0; i < LUA_NUMTAGS; i++) TRY(optional(w, LUA_VTABLE, g->mt[i]));
  for (int i = 0; i < STRCACHE_N; i++)
    for (int j = 0; j < STRCACHE_M; j++) TRY(string(w, g->strcache[i][j]));
  return collector_pointers(w) && string_table(w);
}

static int walk_pointers(Walk *w) {
  TRY(each_object(w, count_object));
  TRY(state_pointers(w));
  TRY(each_object(w, object_pointers));
  ENSURE(w->open == 0, "an open upvalue is in no thread's list");
  return 1;
}
