/* image_objects.c: the objects of an image, but for threads.
 *
 * Each writes its fields, and the vectors that it owns, to the same place in the copy. Objects that
 * wait for their sweep (`dead`) keep what freeing them needs.
 *
 * Part of the one translation unit, behind words.c. Not here: threads and the state (image.c).
 */

static void put_header(Saver *s, void *to, const GCObject *from) {
  GCObject *copy = to;
  put_pointer(s, copy, from, next);
  copy->tt = from->tt;
  copy->marked = from->marked;
}

/* Whether an object is in a gray list: its link means something then. */
static int is_linked(const global_State *g, const GCObject *o) {
  return keepinvariant(g) && (isgray(o) || (g->gckind == KGC_GEN && getage(o) == G_TOUCHED2));
}

#define put_link(s, to, from) \
  (is_linked((s)->g, obj2gco(from)) ? (void)put_pointer(s, to, from, gclist) : (void)0)

static void save_string(Saver *s, const TString *from) {
  TString *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  to->extra = from->extra;
  to->shrlen = from->shrlen;
  to->hash = from->hash;
  if (from->tt == LUA_VSHRSTR) {
    put_pointer(s, to, from, u.hnext);
    put_bytes(s, from->contents, from->shrlen);
  } else {
    to->u.lnglen = from->u.lnglen;
    put_bytes(s, from->contents, from->u.lnglen);
  }
}

static int is_outward_tag(int tag) {
  return tag == LUA_VLCF || tag == LUA_VLIGHTUSERDATA;
}

static void put_node(Saver *s, Node *to, const Node *from) {
  int key = from->u.key_tt;
  to->u.tt_ = from->u.tt_;
  to->u.key_tt = from->u.key_tt;
  to->u.next = from->u.next;
  if (!isempty(gval(from)))
    to->u.value_.i = (lua_Integer)payload(s, from->u.tt_, &from->u.value_);
  if (keyisdead(from)) {
    to->u.key_val.i = (lua_Integer)((size_t)from->u.key_val.gc - s->base); /* may be gone */
    return;
  }
  to->u.key_val.i = (lua_Integer)payload(s, key, &from->u.key_val);
  if (l_unlikely(is_outward_tag(key)) && !s->g->own.deterministic &&
      ((uint64_t)to->u.key_val.i & IMAGE_OUTWARD))
    cannot_save(s, "in the stock profile its order depends on a key's address");
}

static void save_table(Saver *s, const Table *from, int dead) {
  Table *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  to->flags = from->flags;
  to->lsizenode = from->lsizenode;
  to->alimit = from->alimit;
  put_pointer(s, to, from, array);
  if (!isdummy(from)) {
    put_pointer(s, to, from, node);
    put_pointer(s, to, from, lastfree);
  }
  if (dead) return;
  put_pointer(s, to, from, metatable);
  put_link(s, to, from);
  put_values(s, from->array, luaH_realasize(from));
  if (isdummy(from)) return;
  Node *nodes = copy_of(s, from->node);
  size_t count = sizenode(from);
  for (size_t i = 0; i < count; i++) put_node(s, &nodes[i], &from->node[i]);
}

static void save_lua_closure(Saver *s, const LClosure *from, int dead) {
  LClosure *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  to->nupvalues = from->nupvalues;
  if (dead) return;
  put_link(s, to, from);
  put_pointer(s, to, from, p);
  for (int i = 0; i < from->nupvalues; i++) put_pointer(s, to, from, upvals[i]);
}

/* A function of the host and its ud have one name together. */
static uint64_t pushed_name(Saver *s, const CClosure *f) {
  const TValue *name = &f->upvalue[HOST_NAME - 1];
  HostName pushed = {
      .name = ttisstring(name) ? getstr(tsvalue(name)) : "",
      .function = pvalue(&f->upvalue[HOST_FUNCTION - 1]),
      .ud = pvalue(&f->upvalue[HOST_UD - 1])};
  size_t length = strlen(pushed.name);
  if (length == 0 || length > UCHAR_MAX) {
    cannot_save(s, "the name of a host function is empty or longer than 255 bytes");
    return 0;
  }
  for (size_t i = 0; i < s->pushed_count; i++) {
    const HostName *other = &s->pushed[i];
    if (strcmp(other->name, pushed.name) != 0) continue;
    if (other->function != pushed.function || other->ud != pushed.ud)
      cannot_save(s, "two host functions, or one with two ud, have the same name");
    return IMAGE_OUTWARD | (other->number - 1);
  }
  if (s->pushed_count == s->pushed_room) {
    size_t room = 2 * s->pushed_room + 16;
    HostName *grown = realloc(s->pushed, room * sizeof *grown);
    if (grown == NULL) {
      no_memory(s);
      return 0;
    }
    s->pushed = grown;
    s->pushed_room = room;
  }
  rlua_Outward outside = {pushed.function, pushed.ud, NAME_HOST};
  uint64_t word = numbered(s, &pushed.number, outside, "", pushed.name);
  s->pushed[s->pushed_count++] = pushed;
  return word;
}

static void save_c_closure(Saver *s, const CClosure *from, int dead) {
  CClosure *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  to->nupvalues = from->nupvalues;
  if (dead) return;
  put_link(s, to, from);
  to->f = (lua_CFunction)outward(s, (void *)(size_t)from->f, NAME_FUNCTION);
  int first = 0;
  if (from->f == host_trampoline && from->nupvalues == HOST_UPVALUES) {
    setpvalue(&to->upvalue[HOST_FUNCTION - 1], (void *)pushed_name(s, from));
    setpvalue(&to->upvalue[HOST_UD - 1], NULL);
    first = HOST_NAME - 1;
  }
  for (int i = first; i < from->nupvalues; i++) put_value(s, &to->upvalue[i], &from->upvalue[i]);
}

static void save_upvalue(Saver *s, const UpVal *from, int dead) {
  UpVal *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  put_pointer(s, to, from, v.p);
  if (upisopen(from)) {
    put_pointer(s, to, from, u.open.next);
    put_pointer(s, to, from, u.open.previous);
  } else if (!dead) {
    put_value(s, &to->u.value, &from->u.value);
  }
}

static void save_proto(Saver *s, const Proto *from, int dead) {
  Proto *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  to->numparams = from->numparams;
  to->is_vararg = from->is_vararg;
  to->maxstacksize = from->maxstacksize;
  to->sizeupvalues = from->sizeupvalues;
  to->sizek = from->sizek;
  to->sizecode = from->sizecode;
  to->sizelineinfo = from->sizelineinfo;
  to->sizep = from->sizep;
  to->sizelocvars = from->sizelocvars;
  to->sizeabslineinfo = from->sizeabslineinfo;
  to->linedefined = from->linedefined;
  to->lastlinedefined = from->lastlinedefined;
  put_pointer(s, to, from, k);
  put_pointer(s, to, from, code);
  put_pointer(s, to, from, p);
  put_pointer(s, to, from, upvalues);
  put_pointer(s, to, from, lineinfo);
  put_pointer(s, to, from, abslineinfo);
  put_pointer(s, to, from, locvars);
  if (dead) return;
  put_pointer(s, to, from, source);
  put_link(s, to, from);
  put_values(s, from->k, (size_t)from->sizek);
  put_bytes(s, from->code, (size_t)from->sizecode * sizeof(Instruction));
  put_bytes(s, from->lineinfo, (size_t)from->sizelineinfo);
  put_bytes(s, from->abslineinfo, (size_t)from->sizeabslineinfo * sizeof(AbsLineInfo));
  Proto **protos = copy_of(s, from->p);
  for (int i = 0; i < from->sizep; i++) protos[i] = (Proto *)offset_of(s, from->p[i]);
  Upvaldesc *upvalues = copy_of(s, from->upvalues);
  for (int i = 0; i < from->sizeupvalues; i++) {
    put_pointer(s, &upvalues[i], &from->upvalues[i], name);
    upvalues[i].instack = from->upvalues[i].instack;
    upvalues[i].idx = from->upvalues[i].idx;
    upvalues[i].kind = from->upvalues[i].kind;
  }
  LocVar *locals = copy_of(s, from->locvars);
  for (int i = 0; i < from->sizelocvars; i++) {
    put_pointer(s, &locals[i], &from->locvars[i], varname);
    locals[i].startpc = from->locvars[i].startpc;
    locals[i].endpc = from->locvars[i].endpc;
  }
}

/* -- userdata ---------------------------------------------------------------------------------- */

static void save_stream(Saver *s, Stream *to, const Stream *from) {
  FILE *file = from->public.f;
  *to = (Stream){.magic = from->magic};
  if (from->public.closef == NULL) return;
  size_t which = file == stdin ? STREAM_STDIN : file == stdout ? STREAM_STDOUT
                 : file == stderr ? STREAM_STDERR : STREAM_CLOSED;
  if (which == STREAM_CLOSED || from->id != 0) cannot_save(s, "a file is open");
  to->public.f = (FILE *)which;
  to->public.closef =
      (lua_CFunction)outward(s, (void *)(size_t)from->public.closef, NAME_FUNCTION);
}

/* What a match leaves behind between two calls of the iterator. */
static void save_gmatch(Saver *s, GMatchState *to, const GMatchState *from) {
  put_pointer(s, to, from, src);
  put_pointer(s, to, from, p);
  put_pointer(s, to, from, lastmatch);
  put_pointer(s, to, from, ms.src_init);
  put_pointer(s, to, from, ms.src_end);
  put_pointer(s, to, from, ms.p_end);
}

static void save_userdata(Saver *s, const Udata *from, int dead) {
  Udata *to = copy_of(s, from);
  put_header(s, to, obj2gco(from));
  to->nuvalue = from->nuvalue;
  to->len = from->len;
  if (dead) return;
  put_pointer(s, to, from, metatable);
  if (from->nuvalue > 0) {
    put_link(s, to, from);
    for (int i = 0; i < from->nuvalue; i++) put_value(s, &to->uv[i].uv, &from->uv[i].uv);
  }
  if (is_guarded(from)) {
    cannot_save(s, "a userdata has a finalizer in C");
    return;
  }
  const char *memory = getudatamem((Udata *)from);
  void *copy = copy_of(s, memory);
  uint32_t native = noted_place(from);
  memcpy((char *)to + NATIVE_OFFSET, &native, sizeof native);
  if (native == NATIVE_GMATCH) {
    save_gmatch(s, copy, (const GMatchState *)memory);
  } else if (native == NATIVE_BOX) {
    const UBox *box = (const UBox *)memory;
    *(UBox *)copy = (UBox){(void *)offset_of(s, box->box), box->bsize};
  } else if (rlua_is_stream(from)) {
    save_stream(s, copy, (const Stream *)memory);
  } else if (from->len == sizeof(Handle) && ((const Handle *)memory)->magic == HANDLE_MAGIC) {
    cannot_save(s, "a resource is alive");
  } else {
    put_host_bytes(s, memory, from->len, "a userdata has a pointer into the VM");
  }
}
