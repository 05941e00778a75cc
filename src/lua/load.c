/* load.c: an image's body, which lies in a region by now, becomes a state again.
 *
 * Everything in it is hostile. The arena's own state was verified before (src/arena/check.rs), so
 * blocks and their kinds are known. Here each object's words become pointers again, in place, and
 * each vector gets one owner, of the right kind and long enough; nothing is followed before that.
 * Afterwards check.c proves the heap as a whole, as rlua_check does: lists, kinds, colours, hashes.
 * Where the image is trusted, no vector needs an owner: each block is made by its kind, alone, and
 * so can be any part of a state (rlua_c_load_block).
 *
 * Not verified: code. Lua has no verifier of it, and neither have we, so an image is as dangerous
 * as a binary chunk to whoever takes it from strangers without a key (docs/FORMAT.md).
 *
 * Part of the one translation unit, behind canon.c, whose other direction it is.
 */

/* Whether an object is in a gray list, while there is one. */
l_sinline int is_linked(const GCObject *o) {
  return isgray(o) || getage(o) == G_TOUCHED2;
}

/* -- objects ----------------------------------------------------------------------------------- */

static int fix_table(Loader *l, Table *h) {
  FIX(h->metatable);
  FIX(h->gclist);
  size_t size = h->array == NULL && h->alimit == 0 ? 0 : luaH_realasize(h);
  NEED(size <= MAXASIZE, "the size of an array is none");
  ALSO(fix_vector(l, &h->array, size, sizeof(TValue), KIND_VALUES));
  ALSO(note_later(l, h));
  if (h->lastfree == NULL) {
    NEED(h->node == NULL && h->lsizenode == 0, "a table without a hash part has one");
    h->node = cast(Node *, dummynode);
    return 1;
  }
  FIX(h->lastfree);
  NEED(h->lsizenode <= MAXHBITS, "the size of a hash part is none");
  return fix_vector(l, &h->node, sizenode(h), sizeof(Node), KIND_NODES);
}

/* Of a function of the host: one name stands for it and its ud. One that waits for its sweep may
 * have none. */
static int fix_pushed(Loader *l, CClosure *f) {
  NEED(f->nupvalues == HOST_UPVALUES, "a host function has the wrong parts");
  uint64_t word = load_word(&f->upvalue[HOST_FUNCTION - 1].value_);
  const CanonName *name = named(l, word);
  int is_known = name != NULL && name->kind == NAME_HOST;
  NEED(is_known || isdead(&l->main->g, obj2gco(f)), "a host function has no name");
  NEED(ttisstring(&f->upvalue[HOST_NAME - 1]) && ttisinteger(&f->upvalue[HOST_WORD - 1]) &&
           load_word(&f->upvalue[HOST_WORD - 1].value_) == word,
       "a host function has the wrong parts");
  setpvalue(&f->upvalue[HOST_FUNCTION - 1], is_known ? (void *)name->address : NULL);
  setpvalue(&f->upvalue[HOST_UD - 1], is_known ? (void *)name->ud : NULL);
  return fix_value(l, &f->upvalue[HOST_NAME - 1]);
}

static int fix_c_closure(Loader *l, CClosure *f) {
  FIX(f->gclist);
  NEED(f->f != NULL, "a C closure has no function");
  ALSO(fix_outward(l, &f->f, NAME_FUNCTION));
  if (f->f == host_trampoline) return fix_pushed(l, f);
  if (f->f == gmatch_aux || f->f == luaB_auxwrap || f->f == io_readline || f->f == math_random ||
      f->f == math_randomseed)
    ALSO(note_later(l, f));
  return fix_values(l, f->upvalue, f->nupvalues);
}

static int fix_lua_closure(Loader *l, LClosure *f) {
  FIX(f->gclist);
  FIX(f->p);
  for (int i = 0; i < f->nupvalues; i++) FIX(f->upvals[i]);
  return 1;
}

static int fix_upvalue(Loader *l, UpVal *uv) {
  FIX(uv->v.p);
  NEED(uv->v.p != NULL, "an upvalue has no value");
  if (!upisopen(uv)) return fix_value(l, &uv->u.value);
  FIX(uv->u.open.next);
  FIX(uv->u.open.previous);
  NEED(uv->u.open.previous != NULL, "an open upvalue is in no list");
  return 1;
}

static int fix_proto(Loader *l, Proto *p) {
  const int counts[] = {p->sizeupvalues, p->sizek, p->sizecode, p->sizelineinfo, p->sizep,
                        p->sizelocvars, p->sizeabslineinfo};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
    NEED(counts[i] >= 0, "the size of a vector is negative");
  FIX(p->source);
  FIX(p->gclist);
  ALSO(fix_vector(l, &p->k, (size_t)p->sizek, sizeof(TValue), KIND_VALUES));
  ALSO(fix_vector(l, &p->code, (size_t)p->sizecode, sizeof(Instruction), KIND_BYTES));
  ALSO(fix_vector(l, &p->p, (size_t)p->sizep, sizeof(Proto *), KIND_POINTERS));
  ALSO(fix_vector(l, &p->upvalues, (size_t)p->sizeupvalues, sizeof(Upvaldesc), KIND_UPVALUES));
  ALSO(fix_vector(l, &p->lineinfo, (size_t)p->sizelineinfo, sizeof(ls_byte), KIND_BYTES));
  ALSO(fix_vector(l, &p->abslineinfo, (size_t)p->sizeabslineinfo, sizeof(AbsLineInfo),
                  KIND_BYTES));
  return fix_vector(l, &p->locvars, (size_t)p->sizelocvars, sizeof(LocVar), KIND_LOCALS);
}

static int fix_stream(Loader *l, Stream *stream) {
  FILE *const files[] = {NULL, stdin, stdout, stderr};
  size_t which = (size_t)stream->public.f;
  NEED(which < sizeof files / sizeof files[0] && stream->id == 0 && stream->pipe == NULL &&
           (which == STREAM_CLOSED) == (stream->public.closef == NULL),
       "a file is none of the standard ones");
  stream->public.f = files[which];
  ALSO(fix_outward(l, &stream->public.closef, NAME_FUNCTION));
  NEED(stream->public.closef == NULL || stream->public.closef == io_noclose,
       "a file is closed by something else");
  return 1;
}

/* Inlined, it would make gcc think of a header without a block. */
static __attribute__((noinline)) int fix_match(Loader *l, GMatchState *match) {
  FIX(match->src);
  FIX(match->p);
  FIX(match->lastmatch);
  FIX(match->ms.src_init);
  FIX(match->ms.src_end);
  FIX(match->ms.p_end);
  return 1;
}

static int fix_userdata(Loader *l, Udata *u) {
  FIX(u->metatable);
  NEED(!is_guarded(u), "a userdata has a finalizer in C");
  if (u->nuvalue > 0) {
    FIX(u->gclist);
    for (int i = 0; i < u->nuvalue; i++) ALSO(fix_value(l, &u->uv[i].uv));
  }
  if (u->metatable != NULL) ALSO(note_later(l, u));
  uint32_t native = noted_place(u);
  NEED(native <= NATIVE_ENDED, "a userdata is of no kind that is known");
  if (native == NATIVE_GMATCH) {
    NEED(u->len == sizeof(GMatchState), "a userdata has the wrong size");
    return fix_match(l, (GMatchState *)getudatamem(u));
  } else if (native == NATIVE_BOX) {
    UBox *box = (UBox *)getudatamem(u);
    NEED(u->len == sizeof *box, "a userdata has the wrong size");
    return fix_vector(l, &box->box, box->bsize, 1, KIND_HOST);
  } else if (rlua_is_stream(u)) {
    return fix_stream(l, (Stream *)getudatamem(u));
  } else {
    NEED(!is_alive(u), "a resource is in an image");
  }
  return 1;
}

/* -- threads ----------------------------------------------------------------------------------- */

static int fix_frame(Loader *l, CallInfo *ci) {
  FIX(ci->func.p);
  FIX(ci->top.p);
  if (isLua(ci)) {
    FIX(ci->u.l.savedpc);
    NEED((size_t)ci->u.l.savedpc % sizeof(Instruction) == 0, "a frame is inside an instruction");
    return 1;
  }
  return fix_outward(l, &ci->u.c.k, NAME_FUNCTION);
}

static int fix_frames(Loader *l, lua_State *L) {
  CallInfo *ci = &L->base_ci;
  ALSO(fix_frame(l, ci));
  if (!owns(l)) {
    FIX(ci->next);
    return 1;
  }
  for (; ci->next != NULL; ci = ci->next) {
    ALSO(fix_vector(l, &ci->next, 1, sizeof(CallInfo), KIND_CALLINFO));
    FIX(ci->next->previous);
    ALSO(fix_frame(l, ci->next));
  }
  return 1;
}

static int fix_thread(Loader *l, lua_State *L) {
  NEED(L->tt == LUA_VTHREAD, "a thread is none");
  FIX(L->next);
  FIX(L->gclist);
  FIX(L->l_G);
  FIX(L->ci);
  FIX(L->openupval);
  FIX(L->twups);
  NEED(L->l_G == &l->main->g, "a thread is of another state");
  NEED(L->errorJmp == NULL && L->cards == NULL && L->entered == NULL, "a thread runs");
  card_thread(L, l->cards, L == &l->main->l.l);
  NEED(isdead(&l->main->g, obj2gco(L)) || L->openupval == NULL || isintwups(L),
       "a thread with open upvalues is not in the list of these");
  l->upvalue_threads += isintwups(L);
  l->linked += is_linked(obj2gco(L));
  l->objects++;
  ALSO(note_later(l, L));
  uint64_t stack = load_word(&L->stack.p), last = load_word(&L->stack_last.p);
  if (stack == 0) {
    NEED(last == 0 && L->ci == NULL, "a thread has no stack");
    return 1;
  }
  NEED(last > stack && (last - stack) % sizeof(StackValue) == 0, "the size of a stack is none");
  size_t slots = (last - stack) / sizeof(StackValue);
  NEED(slots < ERRORSTACKSIZE + 1, "the size of a stack is none");
  ALSO(fix_vector(l, &L->stack.p, slots + EXTRA_STACK, sizeof(StackValue), KIND_STACK));
  L->stack_last.p = L->stack.p + slots;
  FIX(L->top.p);
  FIX(L->tbclist.p);
  for (size_t i = 0; owns(l) && i < slots + EXTRA_STACK; i++)
    ALSO(fix_value(l, s2v(L->stack.p + i)));
  NEED(ttisstrictnil(s2v(L->stack.p)), "a stack does not begin with nil");
  s2v(L->stack.p)->value_.gc = obj2gco(L); /* vendor/patches */
  ALSO(fix_frames(l, L));
  ALSO(fix_light(l, lua_getextraspace(L)));
  return fix_outward(l, (void *)&L->hook, NAME_FUNCTION);
}

/* -- the state itself -------------------------------------------------------------------------- */

/* Of bytes, or of a debt of these. */
static int is_count(l_mem bytes) {
  return bytes <= (l_mem)1 << 48 && bytes >= -((l_mem)1 << 48);
}

static int fix_collector(Loader *l, global_State *g) {
  FIX(g->allgc);
  FIX(g->sweepgc);
  FIX(g->finobj);
  FIX(g->gray);
  FIX(g->grayagain);
  FIX(g->weak);
  FIX(g->ephemeron);
  FIX(g->allweak);
  FIX(g->tobefnz);
  FIX(g->fixedgc);
  FIX(g->survival);
  FIX(g->old1);
  FIX(g->reallyold);
  FIX(g->firstold1);
  FIX(g->finobjsur);
  FIX(g->finobjold1);
  FIX(g->finobjrold);
  FIX(g->twups);
  NEED(g->gcstate <= GCSpause && g->gcstate != GCSatomic, "the collector's phase is none");
  NEED((g->gckind == KGC_INC || g->gckind == KGC_GEN) &&
           (g->currentwhite == bitmask(WHITE0BIT) || g->currentwhite == bitmask(WHITE1BIT)) &&
           g->gcstopem == 0 && g->gcemergency == 0 && !(g->gcstp & GCSTPCLS) &&
           is_count(g->totalbytes) && is_count(g->GCdebt) && is_count((l_mem)g->GCestimate) &&
           is_count((l_mem)g->lastatomic) && g->totalbytes + g->GCdebt > 0,
       "the collector's state is none");
  return 1;
}

/* The list of pointers, whose index is made anew. */
static int fix_list(Loader *l, rlua_Own *own) {
  unsigned int *index = index_of(own->pointers, own->pointer_capacity);
  memset(index, 0, 2 * sizeof *index * own->pointer_capacity);
  for (unsigned int i = 0; i < own->pointer_count; i++) {
    rlua_Pointer *pointer = &own->pointers[i];
    NEED(pointer->kind <= POINTER_DATA, "a pointer in the list is of no kind");
    if (pointer->name == NULL) {
      NEED((uint64_t)(size_t)pointer->address == (IMAGE_NAMELESS | i), "a pointer has no name");
    } else {
      ALSO(fix_vector(l, &pointer->name, 1, 1, KIND_BYTES));
      NEED(pointer->address != NULL, "a pointer has a name, and is NULL");
      ALSO(fix_outward(l, &pointer->address,
                       pointer->kind == POINTER_FUNCTION ? NAME_FUNCTION : NAME_POINTER));
    }
    unsigned int *slot = index_slot(own->pointers, own->pointer_capacity, pointer->address);
    NEED(*slot == 0, "a pointer is in the list twice");
    *slot = i + 1;
  }
  return 1;
}

static int fix_pointers(Loader *l, rlua_Own *own) {
  NEED(own->pointer_count <= own->pointer_capacity &&
           (own->pointer_capacity == 0 || ispow2(own->pointer_capacity)),
       "the size of the list of pointers is none");
  ALSO(fix_vector(l, &own->pointers, own->pointer_capacity, list_bytes(1), KIND_OUTWARD));
  return own->pointers == NULL || !owns(l) || fix_list(l, own);
}

static int fix_state(Loader *l, global_State *g) {
  ALSO(fix_collector(l, g));
  NEED(g->strt.size > 0 && ispow2(g->strt.size), "the string table's size is none");
  ALSO(fix_vector(l, &g->strt.hash, (size_t)g->strt.size, sizeof(TString *), KIND_POINTERS));
  ALSO(fix_value(l, &g->l_registry));
  FIX(g->mainthread);
  NEED(g->mainthread == &l->main->l.l, "the main thread is another");
  FIX(g->memerrmsg);
  for (int i = 0; i < TM_N; i++) FIX(g->tmname[i]);
  for (int i = 0; i < LUA_NUMTYPES; i++) FIX(g->mt[i]);
  for (int i = 0; i < STRCACHE_N; i++)
    for (int j = 0; j < STRCACHE_M; j++) FIX(g->strcache[i][j]);
  ALSO(fix_outward(l, &g->warnf, NAME_FUNCTION));
  NEED(g->warnf == warnfoff || g->warnf == warnfon || g->warnf == warnfcont,
       "the warning function is none");
  rlua_Own *own = &g->own;
  unsigned int flags = NO_METAMETHODS | (own->deterministic ? bitmask(KEYBIT) : 0u);
  FIX(own->refs);
  FIX(own->types);
  NEED(own->deterministic <= 1 && own->budgeted <= 1 && own->sweep_divisor > 0 &&
           own->depth == 0 && own->host_fp == 0 && own->new_flags == cast_byte(flags) &&
           own->fuel > INT64_MIN / 2 /* it only falls */,
       "what the library keeps in the state makes no sense");
  return fix_pointers(l, own);
}

/* -- vectors ----------------------------------------------------------------------------------- */

/* Whole blocks, where they lie, so that memory is gone through once, and in order: behind the
 * elements that count there is slack, which is zero. Their owners see to their kinds and sizes. */
static int fix_nodes(Loader *l, Node *n, size_t count) {
  for (Node *end = n + count; n < end; n++) {
    ALSO(fix_payload(l, n->u.tt_, &n->u.value_));
    if (l_likely(!keyisdead(n))) {
      ALSO(fix_payload(l, n->u.key_tt, &n->u.key_val));
      continue;
    }
    NEED(load_word(&n->u.key_val) <= UINT32_MAX, "a dead key is none");
    set_word(&n->u.key_val, l->base + load_word(&n->u.key_val));
  }
  return 1;
}

/* Pointers, `stride` bytes from one to the next. */
static int fix_every(Loader *l, char *block, size_t bytes, size_t stride) {
  for (size_t at = 0; at + stride <= bytes; at += stride) ALSO(fix_pointer(l, block + at));
  return 1;
}

/* -- blocks ------------------------------------------------------------------------------------ */

static int has_gclist(const GCObject *o) {
  switch (o->tt) {
    case LUA_VTABLE: case LUA_VLCL: case LUA_VCCL: case LUA_VPROTO: return 1;
    case LUA_VUSERDATA: return gco2u(o)->nuvalue > 0;
    default: return 0;
  }
}

static int fix_object(Loader *l, GCObject *o, size_t bytes) {
  union GCUnion *u = cast_u(o);
  NEED(bytes >= sizeof(GCObject), "an object is too small");
  size_t size = object_size(o, bytes);
  NEED(size != 0 && size <= bytes, "an object is larger than its block, or has no tag");
  FIX(o->next);
  l->objects++;
  l->linked += has_gclist(o) && is_linked(o);
  switch (o->tt) {
    case LUA_VSHRSTR:
      FIX(u->ts.u.hnext);
      return 1;
    case LUA_VLNGSTR: return 1;
    case LUA_VTABLE: return fix_table(l, &u->h);
    case LUA_VLCL: return fix_lua_closure(l, &u->cl.l);
    case LUA_VCCL: return fix_c_closure(l, &u->cl.c);
    case LUA_VUSERDATA: return fix_userdata(l, &u->u);
    case LUA_VUPVAL: return fix_upvalue(l, &u->upv);
    default: return fix_proto(l, &u->p);
  }
}

/* Of a region whose `used` bytes were written from outside, and marked as such. */
static void take_cards(const void *base, void *cards, size_t count, size_t used) {
  rlua_card_table(base, cards, count);
#ifdef RLUA_ORACLE
  card_mark(base, 0, rlua_oracle_take(base, used));
#else
  (void)used;
#endif
}

/* `main` is where the state's block lies, `cards` the region's. NULL when there is no memory. */
void *rlua_c_load_begin(void *base, size_t used, size_t main, void *cards, size_t count,
                        const rlua_Outward *names, uint32_t name_count,
                        rlua_BlockBytes block_bytes, void *ud) {
  Loader *l = calloc(1, sizeof *l);
  if (l == NULL) return NULL;
  take_cards(base, cards, count, used);
  l->cards = cards;
  l->base = (size_t)base;
  l->used = used;
  l->block_bytes = block_bytes;
  l->ud = ud;
  l->main = (LG *)((char *)base + main);
  know_rules(l);
  l->owned = calloc(used / 8 / 64 + 1, sizeof *l->owned);
  for (l->name_room = 64; l->name_room / 2 <= name_count; l->name_room *= 2) {}
  l->names = calloc(l->name_room, sizeof *l->names);
  if (l->owned == NULL || l->names == NULL) {
    rlua_c_load_end(l);
    return NULL;
  }
  for (uint32_t i = 0; i < name_count; i++)
    *name_slot(l->names, l->name_room, names[i].word) =
        (CanonName){names[i].word, names[i].address, names[i].ud, (int)names[i].kind};
  return l;
}

static int fix_frame_block(Loader *l, CallInfo *ci) {
  FIX(ci->previous);
  FIX(ci->next);
  return fix_frame(l, ci);
}

static int fix_list_block(Loader *l, const void *block) {
  rlua_Own *own = &l->main->g.own;
  NEED(block == (const void *)own->pointers, "a list of pointers is nobody's");
  return fix_list(l, own);
}

/* A vector's block, or whole elements of it. */
static int fix_elements(Loader *l, void *block, size_t bytes, uint32_t kind) {
  switch (kind) {
    case KIND_VALUES: return fix_values(l, block, bytes / sizeof(TValue));
    case KIND_NODES: return fix_nodes(l, block, bytes / sizeof(Node));
    case KIND_POINTERS: return fix_every(l, block, bytes, sizeof(void *));
    case KIND_LOCALS: return fix_every(l, block, bytes, sizeof(LocVar));
    case KIND_UPVALUES: return fix_every(l, block, bytes, sizeof(Upvaldesc));
    case KIND_STACK: return owns(l) || fix_values(l, block, bytes / sizeof(StackValue));
    case KIND_CALLINFO: return owns(l) || fix_frame_block(l, block);
    case KIND_OUTWARD: return owns(l) || fix_list_block(l, block);
    default: return 1;
  }
}

/* Bytes of the elements of a block of that kind that can be made anew one by one; 0 where only the
 * whole can be. */
uint32_t rlua_c_element_bytes(uint32_t kind) {
  switch (kind) {
    case KIND_HOST: case KIND_BYTES: case KIND_POINTERS: return 8;
    case KIND_VALUES: case KIND_LOCALS: case KIND_UPVALUES: return 16;
    case KIND_NODES: return sizeof(Node);
    default: return 0;
  }
}

/* A live block of that kind, each once, by rising offset; `opaque` where hosts write to it. Of a
 * vector it may be whole elements, where the image is trusted. NULL, or what is wrong with it;
 * nothing for no memory. */
const char *rlua_c_load_block(void *loader, size_t offset, size_t bytes, uint32_t kind,
                              int opaque) {
  Loader *l = loader;
  void *block = (void *)(l->base + offset);
  if (kind == KIND_OBJECT) {
    fix_object(l, block, bytes);
    if (((GCObject *)block)->tt == LUA_VUSERDATA && !opaque)
      cannot_load(l, "a userdata lies where hosts write nothing");
  } else if (kind == KIND_THREAD) {
    if (block == l->main ? bytes < sizeof(LG) : bytes < sizeof(LX))
      cannot_load(l, "a thread is too small");
    else if (fix_thread(l, &((LX *)block)->l) && block == l->main)
      fix_state(l, &l->main->g);
  } else {
    fix_elements(l, block, bytes, kind);
  }
  return l->wrong;
}

void rlua_c_load_end(void *loader) {
  Loader *l = loader;
  free(l->owned);
  free(l->names);
  free(l->later);
  free(l);
}

/* What differs from process to process; in place, it is what it was `before`. Returns the main
 * thread. */
lua_State *rlua_c_adopt(void *block, void *arena, uint64_t region_bytes, const void *before) {
  LG *main = block;
  global_State *g = &main->g;
  g->frealloc = hooks.allocate;
  g->ud = arena;
  g->panic = panic;
  g->ud_warn = &main->l.l;
  g->own.in_arena = 1;
  g->own.region_bytes = region_bytes;
  if (before != NULL) {
    const global_State *old = &((const LG *)before)->g;
    g->frealloc = old->frealloc;
    g->ud = old->ud;
    g->panic = old->panic;
    if (old->warnf != warnfoff && old->warnf != warnfon && old->warnf != warnfcont) {
      g->warnf = old->warnf;
      g->ud_warn = old->ud_warn;
    }
  }
  atomic_store_explicit(&state_offset, (unsigned int)(size_t)g, memory_order_relaxed);
  return &main->l.l;
}

/* Where a whole state was put in place: the cards of its region. In a clone, of each thread. */
void rlua_c_set_cards(const void *base, void *cards, size_t count, size_t used) {
  take_cards(base, cards, count, used);
}

void rlua_c_set_thread_cards(void *block, void *cards, int is_main) {
  card_thread(&((LX *)block)->l, cards, is_main);
}
