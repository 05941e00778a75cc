/* image.c: the state of an idle VM as bytes that mean the same in every process.
 *
 * The body of an image is a copy of the region in which nothing depends on where it lies, on the
 * process, or on what happened before: what is dead is zero (docs/FORMAT.md has every byte).
 *
 * The blocks are read one after the other, by the kinds that the arena has of them. An object
 * writes itself and the vectors that it owns, field by field, into a copy that is zero. So padding,
 * slack, what waits for its sweep, slots above the top, and frames beyond the running one are zero
 * without being named, but for what freeing them needs.
 *
 * Part of the one translation unit, behind words.c and image_objects.c. Not here: the allocator's
 * own state, which is written before (src/arena/kinds.rs); the way back (load.c).
 */

/* -- threads ----------------------------------------------------------------------------------- */

/* Of a frame that is in use. A continuation is read when the thread is resumed, and only then. */
static void put_frame(Saver *s, CallInfo *to, const CallInfo *from, int resumable,
                      int hooked) {
  put_pointer(s, to, from, func.p);
  put_pointer(s, to, from, top.p);
  to->u2 = from->u2;
  to->nresults = from->nresults;
  to->callstatus = from->callstatus;
  if (isLua(from)) {
    put_pointer(s, to, from, u.l.savedpc);
    if (hooked) to->u.l.trap = from->u.l.trap; /* else what an older frame left */
    to->u.l.nextraargs = from->u.l.nextraargs;
  } else if (resumable) {
    if (from->callstatus & CIST_YPCALL) to->u.c.old_errfunc = from->u.c.old_errfunc;
    if (from->u.c.k == NULL) return;
    to->u.c.k = (lua_KFunction)outward(s, (void *)(size_t)from->u.c.k, NAME_FUNCTION);
    to->u.c.ctx = from->u.c.ctx;
    if ((size_t)from->u.c.ctx - s->base < s->used)
      cannot_save(s, "the context of a continuation is a pointer into the VM");
  }
}

static void put_frames(Saver *s, lua_State *to, const lua_State *from, int dead) {
  int in_use = !dead, resumable = from->status == LUA_YIELD;
  for (const CallInfo *ci = &from->base_ci; ci != NULL; ci = ci->next) {
    CallInfo *copy = ci == &from->base_ci ? &to->base_ci : copy_of(s, ci);
    put_pointer(s, copy, ci, previous);
    put_pointer(s, copy, ci, next);
    if (in_use) put_frame(s, copy, ci, resumable && ci != &from->base_ci, from->hookmask != 0);
    if (ci == from->ci) in_use = 0;
  }
}

/* What is above the top is dead. In a thread that waits for its sweep, everything but what open
 * upvalues see that live on. */
static void put_stack(Saver *s, const lua_State *from, int dead) {
  const lua_State *L = from; /* MAXDELTA */
  StkId to = copy_of(s, from->stack.p);
  if (dead) {
    for (const UpVal *uv = L->openupval; uv != NULL; uv = uv->u.open.next)
      if (!isdead(s->g, uv)) put_value(s, copy_of(s, uv->v.p), uv->v.p);
    return;
  }
  for (StkId slot = from->stack.p; slot < from->top.p; slot++, to++)
    put_value(s, s2v(to), s2v(slot));
  for (StkId slot = from->tbclist.p; slot > from->stack.p;) {
    unsigned short delta = slot->tbclist.delta;
    ((StkId)copy_of(s, slot))->tbclist.delta = delta;
    slot -= delta != 0 ? delta : MAXDELTA;
  }
}

static void save_thread(Saver *s, const lua_State *from, int dead) {
  lua_State *to = copy_of(s, from);
  size_t extra;
  put_header(s, to, obj2gco(from));
  to->status = from->status;
  to->allowhook = from->allowhook;
  to->nci = from->nci;
  put_pointer(s, to, from, l_G);
  put_pointer(s, to, from, stack.p);
  put_pointer(s, to, from, stack_last.p);
  put_pointer(s, to, from, top.p);
  put_pointer(s, to, from, tbclist.p);
  put_pointer(s, to, from, ci);
  put_pointer(s, to, from, openupval);
  put_pointer(s, to, from, twups);
  if (from->stack.p == NULL) return; /* there was no memory to finish it */
  put_frames(s, to, from, dead);
  put_stack(s, from, dead);
  if (dead) return;
  put_link(s, to, from);
  to->hook = (lua_Hook)outward(s, (void *)(size_t)from->hook, NAME_FUNCTION);
  to->errfunc = from->errfunc;
  to->nCcalls = from->nCcalls;
  if (from->hookmask != 0) to->oldpc = from->oldpc; /* else lua_sethook makes it 0 */
  to->basehookcount = from->basehookcount;
  to->hookcount = from->hookcount;
  to->hookmask = from->hookmask;
  memcpy(&extra, lua_getextraspace((lua_State *)from), sizeof extra);
  extra = light(s, (const void *)extra);
  memcpy(lua_getextraspace(to), &extra, sizeof extra);
}

_Static_assert(LUA_EXTRASPACE == sizeof(size_t), "the extra space is one word");

/* -- the state itself -------------------------------------------------------------------------- */

static void put_collector(Saver *s, global_State *to, const global_State *from) {
  to->totalbytes = from->totalbytes;
  to->GCdebt = from->GCdebt;
  to->GCestimate = from->GCestimate;
  to->lastatomic = from->lastatomic;
  to->currentwhite = from->currentwhite;
  to->gcstate = from->gcstate;
  to->gckind = from->gckind;
  to->gcstopem = from->gcstopem;
  to->genminormul = from->genminormul;
  to->genmajormul = from->genmajormul;
  to->gcstp = from->gcstp;
  to->gcemergency = from->gcemergency;
  to->gcpause = from->gcpause;
  to->gcstepmul = from->gcstepmul;
  to->gcstepsize = from->gcstepsize;
  put_pointer(s, to, from, allgc);
  put_pointer(s, to, from, finobj);
  put_pointer(s, to, from, tobefnz);
  put_pointer(s, to, from, fixedgc);
  put_pointer(s, to, from, twups);
  if (issweepphase(from)) put_pointer(s, to, from, sweepgc);
  if (keepinvariant(from)) {
    put_pointer(s, to, from, gray);
    put_pointer(s, to, from, grayagain);
    put_pointer(s, to, from, weak);
    put_pointer(s, to, from, ephemeron);
    put_pointer(s, to, from, allweak);
  }
  if (from->gckind == KGC_GEN) {
    put_pointer(s, to, from, survival);
    put_pointer(s, to, from, old1);
    put_pointer(s, to, from, reallyold);
    put_pointer(s, to, from, firstold1);
    put_pointer(s, to, from, finobjsur);
    put_pointer(s, to, from, finobjold1);
    put_pointer(s, to, from, finobjrold);
  }
}

/* Pointers that lead out of the VM, which names find again. Their index is made anew. */
static void put_pointers(Saver *s, const rlua_Own *own) {
  if (own->pointers == NULL) return;
  rlua_Pointer *to = copy_of(s, own->pointers);
  for (unsigned int i = 0; i < own->pointer_count; i++) {
    const rlua_Pointer *from = &own->pointers[i];
    int kind = from->kind == POINTER_FUNCTION ? NAME_FUNCTION : NAME_POINTER;
    to[i].address = (const void *)(from->name == NULL ? IMAGE_NAMELESS | i
                                                      : outward(s, from->address, kind));
    put_pointer(s, &to[i], from, name);
    to[i].number = from->number;
    to[i].kind = from->kind;
    if (from->name != NULL) put_bytes(s, from->name, strlen(from->name));
  }
}

static void put_own(Saver *s, rlua_Own *to, const rlua_Own *from) {
  to->sweep_divisor = from->sweep_divisor;
  to->rounds = from->rounds;
  to->sliced = from->sliced;
  to->unsliced = from->unsliced;
  put_pointer(s, to, from, refs);
  put_pointer(s, to, from, types);
  to->deterministic = from->deterministic;
  to->new_flags = from->new_flags;
  to->next_place = from->next_place;
  to->nanoseconds = from->nanoseconds;
  to->seconds = from->seconds;
  to->draws = from->draws;
  put_pointer(s, to, from, pointers);
  to->pointer_count = from->pointer_count;
  to->pointer_capacity = from->pointer_capacity;
  to->budgeted = from->budgeted;
  to->fuel = from->fuel;
  put_pointers(s, from);
}

/* Which of the library's warning functions it is; one of the host's is the host's to set again. */
static uint64_t warning(Saver *s, lua_WarnFunction function) {
  int ours = function == warnfon || function == warnfcont;
  return outward(s, (void *)(size_t)(ours ? function : warnfoff), NAME_FUNCTION);
}

static void save_state(Saver *s) {
  const global_State *from = s->g;
  global_State *to = copy_of(s, from);
  put_collector(s, to, from);
  put_own(s, &to->own, &from->own);
  put_pointer(s, to, from, strt.hash);
  to->strt.nuse = from->strt.nuse;
  to->strt.size = from->strt.size;
  TString **strings = copy_of(s, from->strt.hash);
  for (int i = 0; i < from->strt.size; i++)
    strings[i] = (TString *)offset_of(s, from->strt.hash[i]);
  put_value(s, &to->l_registry, &from->l_registry);
  to->seed = from->seed;
  put_pointer(s, to, from, mainthread);
  put_pointer(s, to, from, memerrmsg);
  for (int i = 0; i < TM_N; i++) put_pointer(s, to, from, tmname[i]);
  for (int i = 0; i < LUA_NUMTYPES; i++) put_pointer(s, to, from, mt[i]);
  for (int i = 0; i < STRCACHE_N; i++)
    for (int j = 0; j < STRCACHE_M; j++) put_pointer(s, to, from, strcache[i][j]);
  to->warnf = (lua_WarnFunction)warning(s, from->warnf);
}

/* -- blocks ------------------------------------------------------------------------------------ */

static void save_object(Saver *s, const GCObject *o) {
  const union GCUnion *u = cast_u((GCObject *)o);
  int dead = isdead(s->g, o);
  switch (o->tt) {
    case LUA_VSHRSTR: case LUA_VLNGSTR: save_string(s, &u->ts); break;
    case LUA_VTABLE: save_table(s, &u->h, dead); break;
    case LUA_VLCL: save_lua_closure(s, &u->cl.l, dead); break;
    case LUA_VCCL: save_c_closure(s, &u->cl.c, dead); break;
    case LUA_VUSERDATA: save_userdata(s, &u->u, dead); break;
    case LUA_VUPVAL: save_upvalue(s, &u->upv, dead); break;
    case LUA_VPROTO: save_proto(s, &u->p, dead); break;
    default: cannot_save(s, "a block is no object: the heap is damaged");
  }
}

/* `out` is zero but for the allocator's own state. NULL when there is no memory. */
void *rlua_c_save_begin(lua_State *main, void *out, size_t used, int hashed) {
  Saver *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->hashed = hashed;
  s->g = G(main);
  s->base = (size_t)main & ~(size_t)0xFFFFFFFFu; /* R1 */
  s->out = out;
  s->used = used;
  s->host = calloc(s->g->own.pointer_count + 1, sizeof *s->host);
  if (s->host != NULL) return s;
  free(s);
  return NULL;
}

/* A live block of that kind. NULL, or why it cannot be saved; nothing for no memory. */
const char *rlua_c_save_block(void *saver, size_t offset, size_t bytes, uint32_t kind) {
  Saver *s = saver;
  s->of = (const void *)(s->base + offset);
  if (kind == KIND_OBJECT) {
    save_object(s, s->of);
  } else if (kind == KIND_THREAD) {
    lua_State *L = &((LX *)s->of)->l;
    save_thread(s, L, isdead(s->g, obj2gco(L)));
    if (L == s->g->mainthread) save_state(s);
  } else if (kind == KIND_HOST) {
    put_host_bytes(s, s->of, bytes, "a block of the host has a pointer into the VM");
  }
  return s->wrong;
}

/* The names in the order of their numbers: kind, length, bytes. */
const char *rlua_c_save_names(void *saver, size_t *bytes) {
  Saver *s = saver;
  *bytes = s->text_bytes;
  return s->text;
}

/* What they stand for here. */
const rlua_Outward *rlua_c_save_outward(void *saver, uint32_t *count) {
  Saver *s = saver;
  *count = s->names;
  return s->stand_for;
}

void rlua_c_save_end(void *saver) {
  Saver *s = saver;
  free(s->host);
  free(s->pushed);
  free(s->stand_for);
  free(s->text);
  free(s);
}
