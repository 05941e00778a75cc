/* canon_threads.c: the canonical form of threads, their stacks and frames, and of the state itself.
 *
 * Frames above the running one are dead, which only the thread can tell. A stack's slots above the
 * top are not: a call of a metamethod shows what older frames left in the registers of its caller,
 * and the collector marks it. A stack names its thread in its lowest slot, whose value is nil
 * (vendor/patches); a frame leads back to its thread's first one.
 *
 * Part of the one translation unit, behind canon_objects.c.
 */

static const lua_State *thread_of_base(const CallInfo *base) {
  return (const lua_State *)(const void *)((const char *)base - offsetof(lua_State, base_ci));
}

/* -- frames ------------------------------------------------------------------------------------ */

static CanonFrame *frame_slot(CanonFrame *frames, unsigned int room, uint32_t at) {
  unsigned int i = at / 64 * 0x9E3779B9u >> 7 & (room - 1);
  while (frames[i].at != 0 && frames[i].at != at) i = (i + 1) & (room - 1);
  return &frames[i];
}

static int note_frame(Canon *c, uint32_t at, uint32_t what) {
  if (2 * c->frame_count >= c->frame_room) {
    unsigned int room = c->frame_room == 0 ? 64 : 2 * c->frame_room;
    CanonFrame *grown = calloc(room, sizeof *grown);
    if (grown == NULL) return 0;
    for (unsigned int i = 0; i < c->frame_room; i++)
      if (c->frames[i].at != 0) *frame_slot(grown, room, c->frames[i].at) = c->frames[i];
    free(c->frames);
    c->frames = grown;
    c->frame_room = room;
  }
  CanonFrame *slot = frame_slot(c->frames, c->frame_room, at);
  c->frame_count += slot->at == 0;
  *slot = (CanonFrame){at, what | FRAME_KNOWN};
  return 1;
}

static uint32_t frame_flags(const lua_State *L) {
  return FRAME_USED | (L->status == LUA_YIELD ? FRAME_RESUMES : 0);
}

/* What a frame is to its thread; all of that one's are known then. */
static uint32_t what_frame(Canon *c, const CallInfo *ci) {
  if (c->frame_room != 0) {
    const CanonFrame *known = frame_slot(c->frames, c->frame_room, place_in(c, ci));
    if (known->at != 0) return known->what;
  }
  const CallInfo *base = ci;
  while (base->previous != NULL) base = seen(c, base->previous);
  const lua_State *L = thread_of_base(base);
  uint32_t what = L->ci == NULL || seen(c, L->ci) == base ? 0 : frame_flags(L), answer = 0;
  for (const CallInfo *at = base->next == NULL ? NULL : seen(c, base->next); at != NULL;
       at = at->next == NULL ? NULL : seen(c, at->next)) {
    if (!note_frame(c, place_in(c, at), what)) {
      no_memory(c);
      return 0;
    }
    if (at == ci) answer = what;
    if (at == seen(c, L->ci)) what = 0;
  }
  return answer;
}

/* What a new frame finds in place of an older one, and does not set, is there in any case: a frame
 * of Lua has in its second word what an older one left, a frame's `u2` may be older, too. A
 * continuation is read when the thread is resumed, and only then. */
static void canon_frame(Canon *c, char *out, const CallInfo *from, uint32_t what) {
  memset(out, 0, sizeof *from);
  PUT_POINTER(CallInfo, previous);
  PUT_POINTER(CallInfo, next);
  PUT_PLAIN(CallInfo, u.c.old_errfunc);
  PUT_PLAIN(CallInfo, u2);
  PUT_PLAIN(CallInfo, nresults);
  PUT_PLAIN(CallInfo, callstatus);
  if (!(what & FRAME_USED)) return;
  PUT_POINTER(CallInfo, func.p);
  PUT_POINTER(CallInfo, top.p);
  if (isLua(from)) {
    PUT_POINTER(CallInfo, u.l.savedpc);
  } else if (what & FRAME_RESUMES && from->u.c.k != NULL) {
    PUT(CallInfo, u.c.k, outward(c, (const void *)(uintptr_t)from->u.c.k, NAME_FUNCTION));
    PUT_PLAIN(CallInfo, u.c.ctx);
    if ((uint64_t)from->u.c.ctx - c->base < c->own.region_bytes)
      cannot_save(c, "the context of a continuation is a pointer into the VM");
  }
}
_Static_assert(offsetof(CallInfo, u.l.trap) == offsetof(CallInfo, u.c.old_errfunc) &&
                   offsetof(CallInfo, u.l.nextraargs) == offsetof(CallInfo, u.l.trap) + 4,
               "one word of a frame");

static void canon_frame_block(Canon *c, char *out, const CallInfo *ci) {
  canon_frame(c, out, ci, what_frame(c, ci));
}

/* -- stacks ------------------------------------------------------------------------------------ */

_Static_assert(sizeof(StackValue) == 16 && offsetof(StackValue, tbclist.delta) == 10,
               "a value, or one to be closed");

/* The slots of variables to be closed have their distances. */
static void put_deltas(const lua_State *L, char *out, const char *start, size_t from, size_t end) {
  StkId slot = L->tbclist.p;
  while (slot > L->stack.p) {
    size_t at = (size_t)((char *)slot - (char *)L->stack.p);
    unsigned short delta = ((const StackValue *)(start + at))->tbclist.delta;
    if (at >= from && at < end) memcpy(out + (at - from) + 10, &delta, sizeof delta);
    slot -= delta != 0 ? delta : MAXDELTA;
  }
}

/* `from` .. `end` of the stack in the block at `block`. */
static void canon_stack(Canon *c, char *out, size_t block, size_t from, size_t end) {
  const char *start = c->from + block;
  const lua_State *L = seen(c, (const lua_State *)(uintptr_t)load_word(start));
  size_t used = (size_t)((char *)L->top.p - (char *)L->stack.p);
  size_t last = (size_t)((char *)(L->stack_last.p + EXTRA_STACK) - (char *)L->stack.p);
  char one[16];
  if (from == block && from < end) {
    const void *thread = (const void *)(uintptr_t)load_word(start);
    put_word(out, c->mode == CANON_CLONE ? inward(c, thread) : 0);
    put_word(out + 8, (unsigned char)start[8]);
    out += 16;
    from += 16;
  }
  while (from < end) {
    size_t at = (from - block) / 16 * 16, next = block + at + 16;
    size_t stop = next < end ? next : end;
    if (at >= last) {
      memset(out, 0, end - from);
      return;
    }
    /* What lies there may be seen again, but must not keep a state from being saved. */
    int is_dead = at >= used && is_outward_tag((unsigned char)start[at + 8]) &&
                  is_nameless(c, start + at);
    if (l_unlikely(is_dead)) memset(one, 0, sizeof one);
    else put_value(c, one, start + at);
    if (l_unlikely(L->tbclist.p > L->stack.p)) put_deltas(L, one, start, at, at + 16);
    memcpy(out, one + (from - block - at), stop - from);
    out += stop - from;
    from = stop;
  }
}

/* -- threads ----------------------------------------------------------------------------------- */

static void canon_state(Canon *c, char *out, const global_State *from);

static void canon_lua_state(Canon *c, char *out, const lua_State *from) {
  memset(out, 0, sizeof *from);
  PUT_POINTER(lua_State, next);
  PUT_PLAIN(lua_State, tt);
  PUT_PLAIN(lua_State, marked);
  PUT_PLAIN(lua_State, status);
  PUT_PLAIN(lua_State, allowhook);
  PUT_PLAIN(lua_State, nci);
  PUT_POINTER(lua_State, l_G);
  PUT_POINTER(lua_State, stack.p);
  PUT_POINTER(lua_State, stack_last.p);
  PUT_POINTER(lua_State, top.p);
  PUT_POINTER(lua_State, tbclist.p);
  PUT_POINTER(lua_State, ci);
  PUT_POINTER(lua_State, openupval);
  PUT_POINTER(lua_State, twups);
  if (from->stack.p == NULL) return; /* there was no memory to finish it */
  PUT_POINTER(lua_State, gclist);
  PUT(lua_State, hook, outward(c, (const void *)(uintptr_t)from->hook, NAME_FUNCTION));
  PUT_PLAIN(lua_State, errfunc);
  PUT_PLAIN(lua_State, nCcalls);
  if (from->hookmask != 0) PUT_PLAIN(lua_State, oldpc); /* else lua_sethook makes it 0 */
  PUT_PLAIN(lua_State, basehookcount);
  PUT_PLAIN(lua_State, hookcount);
  PUT_PLAIN(lua_State, hookmask);
  canon_frame(c, out + offsetof(lua_State, base_ci), &from->base_ci,
              frame_flags(from) & ~(uint32_t)FRAME_RESUMES);
}

/* A thread behind its extra space; the main one with the state. Returns how many bytes. */
static size_t canon_thread(Canon *c, char *out, const LX *from) {
  put_word(out, light(c, load_word(from->extra_)));
  canon_lua_state(c, out + offsetof(LX, l), &from->l);
  if (place_in(c, from) != place_in(c, c->g) - offsetof(LG, g)) return sizeof(LX);
  memset(out + sizeof(LX), 0, sizeof(LG) - sizeof(LX));
  canon_state(c, out + offsetof(LG, g), c->g);
  return sizeof(LG);
}

_Static_assert(LUA_EXTRASPACE == 8 && offsetof(LX, l) == 8, "the extra space is one word");

/* -- the state itself -------------------------------------------------------------------------- */

/* Lists that mean nothing in a phase are there, too: barriers link to them in any. */
static void canon_collector(Canon *c, char *out, const global_State *from) {
  PUT_PLAIN(global_State, totalbytes);
  PUT_PLAIN(global_State, GCdebt);
  PUT_PLAIN(global_State, GCestimate);
  PUT_PLAIN(global_State, lastatomic);
  PUT_PLAIN(global_State, currentwhite);
  PUT_PLAIN(global_State, gcstate);
  PUT_PLAIN(global_State, gckind);
  PUT_PLAIN(global_State, gcstopem);
  PUT_PLAIN(global_State, genminormul);
  PUT_PLAIN(global_State, genmajormul);
  PUT_PLAIN(global_State, gcstp);
  PUT_PLAIN(global_State, gcemergency);
  PUT_PLAIN(global_State, gcpause);
  PUT_PLAIN(global_State, gcstepmul);
  PUT_PLAIN(global_State, gcstepsize);
  PUT_POINTER(global_State, allgc);
  PUT_POINTER(global_State, finobj);
  PUT_POINTER(global_State, tobefnz);
  PUT_POINTER(global_State, fixedgc);
  PUT_POINTER(global_State, twups);
  PUT_POINTER(global_State, sweepgc);
  PUT_POINTER(global_State, gray);
  PUT_POINTER(global_State, grayagain);
  PUT_POINTER(global_State, weak);
  PUT_POINTER(global_State, ephemeron);
  PUT_POINTER(global_State, allweak);
  PUT_POINTER(global_State, survival);
  PUT_POINTER(global_State, old1);
  PUT_POINTER(global_State, reallyold);
  /* This one is not reset with the others. */
  if (from->gckind == KGC_GEN) PUT_POINTER(global_State, firstold1);
  PUT_POINTER(global_State, finobjsur);
  PUT_POINTER(global_State, finobjold1);
  PUT_POINTER(global_State, finobjrold);
}

static void canon_own(Canon *c, char *out, const rlua_Own *from) {
  PUT_PLAIN(rlua_Own, sweep_divisor);
  rlua_Own bits = {.rounds = from->rounds}; /* whether guards are on is the new VM's affair */
  ((unsigned char *)out)[offsetof(rlua_Own, sweep_divisor) + sizeof bits.sweep_divisor] =
      ((unsigned char *)&bits)[offsetof(rlua_Own, sweep_divisor) + sizeof bits.sweep_divisor];
  PUT_PLAIN(rlua_Own, sliced);
  PUT_PLAIN(rlua_Own, unsliced);
  PUT_POINTER(rlua_Own, refs);
  PUT_POINTER(rlua_Own, types);
  PUT_PLAIN(rlua_Own, deterministic);
  PUT_PLAIN(rlua_Own, new_flags);
  PUT_PLAIN(rlua_Own, next_place);
  PUT_PLAIN(rlua_Own, nanoseconds);
  PUT_PLAIN(rlua_Own, seconds);
  PUT_PLAIN(rlua_Own, draws);
  PUT_POINTER(rlua_Own, pointers);
  PUT_PLAIN(rlua_Own, named);
  PUT_PLAIN(rlua_Own, pointer_count);
  PUT_PLAIN(rlua_Own, pointer_capacity);
  PUT_PLAIN(rlua_Own, budgeted);
  PUT_PLAIN(rlua_Own, fuel);
}

/* Which of the library's warning functions it is; one of the host's is the host's to set again. */
static uint64_t warning(Canon *c, lua_WarnFunction function) {
  int ours = function == warnfon || function == warnfcont;
  return outward(c, (const void *)(uintptr_t)(ours ? function : warnfoff), NAME_FUNCTION);
}

static void canon_state(Canon *c, char *out, const global_State *from) {
  canon_collector(c, out, from);
  canon_own(c, out + offsetof(global_State, own), &from->own);
  PUT_POINTER(global_State, strt.hash);
  PUT_PLAIN(global_State, strt.nuse);
  PUT_PLAIN(global_State, strt.size);
  put_value(c, out + offsetof(global_State, l_registry), &from->l_registry);
  PUT_PLAIN(global_State, seed);
  PUT_POINTER(global_State, mainthread);
  PUT_POINTER(global_State, memerrmsg);
  put_pointers(c, out + offsetof(global_State, tmname), from->tmname, sizeof from->tmname);
  put_pointers(c, out + offsetof(global_State, mt), from->mt, sizeof from->mt);
  put_pointers(c, out + offsetof(global_State, strcache), from->strcache, sizeof from->strcache);
  PUT(global_State, warnf, warning(c, from->warnf));
}

/* Pointers that lead out of the VM, which names find again. Their index is made anew; in a clone,
 * where addresses are the same, it is the same. */
static void canon_list(Canon *c, char *out, size_t bytes) {
  const rlua_Own *own = &c->own;
  memset(out, 0, bytes);
  for (unsigned int i = 0; i < own->pointer_count; i++, out += sizeof(rlua_Pointer)) {
    const rlua_Pointer *from = &own->pointers[i];
    int kind = from->kind == POINTER_FUNCTION ? NAME_FUNCTION : NAME_POINTER;
    PUT(rlua_Pointer, address, c->mode == CANON_CLONE ? (uint64_t)(uintptr_t)from->address
                               : from->name == NULL   ? IMAGE_NAMELESS | i
                                                      : outward(c, from->address, kind));
    PUT_POINTER(rlua_Pointer, name);
    PUT_PLAIN(rlua_Pointer, number);
    PUT_PLAIN(rlua_Pointer, kind);
  }
  if (c->mode != CANON_CLONE || own->pointers == NULL) return;
  out += (own->pointer_capacity - own->pointer_count) * sizeof(rlua_Pointer);
  memcpy(out, index_of(own->pointers, own->pointer_capacity),
         2 * sizeof(unsigned int) * own->pointer_capacity);
}

/* Another number than before: a pointer has got a name, so its form is another in places that
 * nobody wrote to. */
uint32_t rlua_c_canon_named(const void *canon) {
  return ((const Canon *)canon)->own.named;
}

/* Another number than before: what was written since has names in it. */
uint32_t rlua_c_canon_names_met(const void *canon) {
  return ((const Canon *)canon)->names_met;
}

/* Where a thread's stack and frames lie; those of a dead one may be gone, and are not looked at. */
void rlua_c_canon_thread_parts(const void *canon, size_t thread, rlua_Part found, void *ud) {
  const Canon *c = canon;
  const lua_State *L = &((const LX *)(c->from + thread))->l;
  if (L->stack.p == NULL) return;
  found(ud, (size_t)L->stack.p - c->base,
        (size_t)((char *)(L->stack_last.p + EXTRA_STACK) - (char *)L->stack.p));
  for (const CallInfo *ci = L->base_ci.next; ci != NULL; ci = seen(c, ci)->next)
    found(ud, (size_t)ci - c->base, sizeof *ci);
}

/* -- one canonical form ------------------------------------------------------------------------ */

/* Of the state that lies `from` on, as it lay at `base`, with its first block at `main`. For a
 * clone, `to` is where it will lie. NULL when there is no memory. */
void *rlua_c_canon_begin(const void *from, uint64_t base, size_t main, int mode, uint64_t to) {
  Canon *c = calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  c->from = from;
  c->base = base;
  c->bias = mode == CANON_CLONE ? to - base : -base;
  c->mode = mode;
  c->g = &((const LG *)(c->from + main))->g;
  c->own = c->g->own;
  if (c->own.pointers != NULL) c->own.pointers = seen(c, c->own.pointers);
  know_tags(c);
  return c;
}

/* The names that were met: kind, length, bytes, each once. */
const char *rlua_c_canon_names(const void *canon, size_t *bytes, uint32_t *count) {
  const Canon *c = canon;
  *bytes = c->text_bytes;
  *count = c->name_count;
  return c->text;
}

/* What the name of `known->word` stands for; 0 where none was met. */
int rlua_c_canon_known(const void *canon, rlua_Outward *known) {
  const Canon *c = canon;
  if (c->name_room == 0) return 0;
  const CanonName *name = name_slot(c->names, c->name_room, known->word);
  if (name->word == 0) return 0;
  *known = (rlua_Outward){name->address, name->ud, name->word, (uint64_t)name->kind};
  return 1;
}

/* From here on `meet` is asked of each userdata that stands for something outside; of one with a
 * long block more than once. */
void rlua_c_canon_meet(void *canon, rlua_Meet meet, void *ud) {
  Canon *c = canon;
  c->meet = meet;
  c->meet_ud = ud;
}

void rlua_c_canon_end(void *canon) {
  Canon *c = canon;
  free(c->names);
  free(c->text);
  free(c->frames);
  free(c);
}

/* Where the stack of a thread lies, of which the block is the canonical form. */
size_t rlua_c_stack_of(const void *block) {
  return (size_t)load_word(&((const LX *)block)->l.stack.p);
}
