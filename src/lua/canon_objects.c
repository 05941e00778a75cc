/* canon_objects.c: the canonical form of objects, but for threads, and of slabs.
 *
 * `from` is where the object lies, `out` where its form goes. Objects that wait for their sweep are
 * like others, but that nothing is followed from them.
 *
 * Part of the one translation unit, behind canon.c.
 */

static size_t canon_string(Canon *c, char *out, const GCObject *from) {
  const TString *s = (const TString *)from;
  size_t head = offsetof(TString, contents);
  size_t length = s->tt == LUA_VSHRSTR ? s->shrlen : s->u.lnglen;
  memcpy(out, s, head);
  PUT_POINTER(TString, next);
  if (s->tt == LUA_VSHRSTR) PUT_POINTER(TString, u.hnext);
  memcpy(out + head, s->contents, length + 1);
  return head + length + 1;
}

static size_t canon_table(Canon *c, char *out, const GCObject *from) {
  const Table *h = (const Table *)from;
  memcpy(out, h, sizeof *h);
  PUT_POINTER(Table, next);
  PUT_POINTER(Table, array);
  PUT(Table, node, isdummy(h) ? (c->mode == CANON_CLONE ? (uint64_t)(uintptr_t)dummynode : 0)
                              : inward(c, h->node));
  PUT_POINTER(Table, lastfree);
  PUT_POINTER(Table, metatable);
  PUT_POINTER(Table, gclist);
  return sizeof *h;
}

static size_t canon_lua_closure(Canon *c, char *out, const GCObject *from) {
  const LClosure *f = (const LClosure *)from;
  size_t size = sizeLclosure(f->nupvalues);
  memset(out, 0, offsetof(LClosure, gclist));
  memcpy(out, f, offsetof(LClosure, nupvalues) + sizeof f->nupvalues);
  PUT_POINTER(LClosure, next);
  PUT_POINTER(LClosure, gclist);
  PUT_POINTER(LClosure, p);
  put_pointers(c, out + offsetof(LClosure, upvals), f->upvals, f->nupvalues * sizeof(UpVal *));
  return size;
}

/* A function of the host and its ud have one name together, whose hash the closure has. */
static void canon_pushed(Canon *c, char *out, const CClosure *f) {
  const TValue *name = &f->upvalue[HOST_NAME - 1];
  uint64_t word = load_word(&f->upvalue[HOST_WORD - 1]);
  if (c->mode == CANON_CLONE) return;
  put_word(out + offsetof(CClosure, upvalue[HOST_FUNCTION - 1]), word);
  put_word(out + offsetof(CClosure, upvalue[HOST_UD - 1]), 0);
  if (c->mode == CANON_HASH || isdead(c->g, obj2gco(f)) || !ttisstring(name)) return;
  const TString *text = seen(c, (const TString *)(const void *)tsvalue(name));
  size_t length = tsslen(text);
  if (length == 0 || length > UCHAR_MAX) {
    cannot_save(c, "the name of a host function is empty or longer than 255 bytes");
    return;
  }
  CanonName given = {word, pvalue(&f->upvalue[HOST_FUNCTION - 1]),
                     pvalue(&f->upvalue[HOST_UD - 1]), NAME_HOST};
  give_name(c, given, getstr(text), length, "", 0);
}

static size_t canon_c_closure(Canon *c, char *out, const GCObject *from) {
  const CClosure *f = (const CClosure *)from;
  memset(out, 0, offsetof(CClosure, gclist));
  memcpy(out, f, offsetof(CClosure, nupvalues) + sizeof f->nupvalues);
  PUT_POINTER(CClosure, next);
  PUT_POINTER(CClosure, gclist);
  PUT(CClosure, f, outward(c, (const void *)(uintptr_t)f->f, NAME_FUNCTION));
  int pushed = f->f == host_trampoline && f->nupvalues == HOST_UPVALUES;
  int first = pushed && c->mode != CANON_CLONE ? HOST_UD : 0;
  char *upvalues = out + offsetof(CClosure, upvalue);
  for (int i = 0; i < first; i++) put_word(upvalues + i * 16 + 8, LUA_VLIGHTUSERDATA);
  put_values(c, upvalues + first * 16, &f->upvalue[first], (size_t)(f->nupvalues - first) * 16);
  if (pushed) canon_pushed(c, out, f);
  return sizeCclosure(f->nupvalues);
}

static size_t canon_upvalue(Canon *c, char *out, const GCObject *from) {
  const UpVal *uv = (const UpVal *)from;
  uint64_t own = (uint64_t)((const char *)&uv->u.value - c->from) + c->base;
  memset(out, 0, offsetof(UpVal, v));
  memcpy(out, uv, offsetof(UpVal, marked) + sizeof uv->marked);
  PUT_POINTER(UpVal, next);
  PUT_POINTER(UpVal, v.p);
  if ((uint64_t)(uintptr_t)uv->v.p == own) {
    put_value(c, out + offsetof(UpVal, u.value), &uv->u.value);
  } else {
    PUT_POINTER(UpVal, u.open.next);
    PUT_POINTER(UpVal, u.open.previous);
  }
  return sizeof *uv;
}

static size_t canon_proto(Canon *c, char *out, const GCObject *from) {
  memset(out, 0, sizeof(Proto));
  PUT_POINTER(Proto, next);
  PUT_PLAIN(Proto, tt);
  PUT_PLAIN(Proto, marked);
  PUT_PLAIN(Proto, numparams);
  PUT_PLAIN(Proto, is_vararg);
  PUT_PLAIN(Proto, maxstacksize);
  PUT_PLAIN(Proto, sizeupvalues);
  PUT_PLAIN(Proto, sizek);
  PUT_PLAIN(Proto, sizecode);
  PUT_PLAIN(Proto, sizelineinfo);
  PUT_PLAIN(Proto, sizep);
  PUT_PLAIN(Proto, sizelocvars);
  PUT_PLAIN(Proto, sizeabslineinfo);
  PUT_PLAIN(Proto, linedefined);
  PUT_PLAIN(Proto, lastlinedefined);
  PUT_POINTER(Proto, k);
  PUT_POINTER(Proto, code);
  PUT_POINTER(Proto, p);
  PUT_POINTER(Proto, upvalues);
  PUT_POINTER(Proto, lineinfo);
  PUT_POINTER(Proto, abslineinfo);
  PUT_POINTER(Proto, locvars);
  PUT_POINTER(Proto, source);
  PUT_POINTER(Proto, gclist);
  return sizeof(Proto);
}

/* -- userdata ---------------------------------------------------------------------------------- */

/* In an image the streams of the process have numbers. */
static void canon_stream(Canon *c, char *out, const Stream *from) {
  FILE *file = from->public.f;
  Stream stream = {.magic = from->magic};
  size_t which = file == stdin ? STREAM_STDIN : file == stdout ? STREAM_STDOUT
                 : file == stderr ? STREAM_STDERR : STREAM_CLOSED;
  if (from->public.closef != NULL) {
    if (which == STREAM_CLOSED || from->id != 0) cannot_save(c, "a file is open");
    stream.public.f = c->mode == CANON_CLONE ? file : (FILE *)which;
  }
  memcpy(out, &stream, sizeof stream);
  if (from->public.closef != NULL)
    PUT(Stream, public.closef,
        outward(c, (const void *)(uintptr_t)from->public.closef, NAME_FUNCTION));
}

/* What a match leaves behind between two calls of the iterator. */
static void canon_match(Canon *c, char *out, const GMatchState *from) {
  memset(out, 0, sizeof(GMatchState));
  PUT_POINTER(GMatchState, src);
  PUT_POINTER(GMatchState, p);
  PUT_POINTER(GMatchState, lastmatch);
  PUT_POINTER(GMatchState, ms.src_init);
  PUT_POINTER(GMatchState, ms.src_end);
  PUT_POINTER(GMatchState, ms.p_end);
}

static size_t userdata_head(const Udata *u) {
  return (size_t)udatamemoffset(u->nuvalue);
}

/* What is guarded counts as zero, wherever it is noted. In sums it still does when it has ended:
 * when that is depends on which snapshots there were. */
static int counts_as_zero(const Canon *c, const Udata *u) {
  return is_guarded(u) || (c->mode == CANON_HASH && noted_place(u) == NATIVE_ENDED);
}

/* What lies before the memory of a userdata. */
static void canon_userdata_head(Canon *c, char *out, const Udata *u) {
  const GCObject *from = obj2gco(u);
  uint32_t native = counts_as_zero(c, u) ? 0 : noted_place(u);
  memset(out, 0, userdata_head(u));
  PUT_POINTER(Udata, next);
  PUT_PLAIN(Udata, tt);
  /* Whether it is guarded depends on whether there are snapshots. */
  ((unsigned char *)out)[offsetof(Udata, marked)] = u->marked & (lu_byte)~bitmask(GUARDEDBIT);
  PUT_PLAIN(Udata, nuvalue);
  PUT_PLAIN(Udata, len);
  PUT_POINTER(Udata, metatable);
  memcpy(out + NATIVE_OFFSET, &native, sizeof native);
  if (u->nuvalue > 0) {
    PUT_POINTER(Udata, gclist);
    put_values(c, out + offsetof(Udata, uv), u->uv, u->nuvalue * sizeof(UValue));
  }
}
_Static_assert(sizeof(UValue) == sizeof(TValue), "user values are values");

/* A handle of a resource that has not ended. */
static int is_alive(const Udata *u) {
  const Handle *handle = (const Handle *)getudatamem((Udata *)u);
  return u->len == sizeof *handle && handle->magic == HANDLE_MAGIC && handle->id != 0;
}

/* The value of a short string's field of a metatable of the state, or NULL. */
static const TValue *field_in(const Canon *c, const Table *metatable, const char *name) {
  const Table *h = metatable == NULL ? NULL : seen(c, metatable);
  if (h == NULL || isdummy(h)) return NULL;
  const Node *n = seen(c, (const Node *)h->node);
  for (const Node *end = n + sizenode(h); n < end; n++) {
    if (!keyisshrstr(n)) continue;
    const TString *key = seen(c, (const TString *)keystrval(n));
    if (strcmp(key->contents, name) == 0) return gval(n);
  }
  return NULL;
}

/* What stands for something outside: its memory counts as zero. */
static void canon_outside(Canon *c, char *out, const Udata *u, uint64_t id, int is_resource) {
  const char *why = is_resource ? "a resource is alive" : "a userdata has a finalizer in C";
  memset(out, 0, u->len);
  if (c->meet != NULL && c->mode != CANON_HASH) {
    const TValue *name = field_in(c, u->metatable, "__name");
    const TValue *gc = field_in(c, u->metatable, "__gc");
    rlua_Met met = {.offset = place_in(c, u), .memory = userdata_head(u), .size = u->len, .id = id,
                    .is_resource = is_resource != 0, .is_pending = tofinalize(u) != 0,
                    .has_finalizer = gc != NULL && (ttislcf(gc) || ttisCclosure(gc))};
    if (name != NULL && ttisstring(name)) {
      const TString *type = seen(c, (const TString *)tsvalue(name));
      met.kind = type->contents;
      met.kind_length = type->tt == LUA_VSHRSTR ? type->shrlen : type->u.lnglen;
    }
    why = c->meet(c->meet_ud, &met);
  }
  if (why != NULL) cannot_save(c, why);
}

/* The memory of a userdata whose bytes mean something to the library. 0 for others. */
static int canon_native(Canon *c, char *out, const Udata *u) {
  const char *memory = getudatamem((Udata *)u);
  uint32_t native = noted_place(u);
  if (counts_as_zero(c, u)) {
    canon_outside(c, out, u, native, 0);
  } else if (native == NATIVE_GMATCH && u->len == sizeof(GMatchState)) {
    canon_match(c, out, (const GMatchState *)memory);
  } else if (native == NATIVE_BOX && u->len == sizeof(UBox)) {
    const UBox *box = (const UBox *)memory;
    put_word(out, inward(c, box->box));
    put_word(out + 8, box->bsize);
  } else if (rlua_is_stream(u)) {
    canon_stream(c, out, (const Stream *)memory);
  } else if (is_alive(u)) {
    canon_outside(c, out, u, ((const Handle *)memory)->id, 1);
  } else {
    return 0;
  }
  return 1;
}
_Static_assert(sizeof(UBox) == 16, "a pointer and a size");

static const char *const pointer_in_userdata = "a userdata has a pointer into the VM";

static size_t canon_userdata(Canon *c, char *out, const GCObject *from) {
  const Udata *u = (const Udata *)from;
  size_t head = userdata_head(u);
  canon_userdata_head(c, out, u);
  if (!canon_native(c, out + head, u))
    put_host_bytes(c, out + head, getudatamem((Udata *)u), u->len, pointer_in_userdata);
  return head + u->len;
}

/* -- blocks ------------------------------------------------------------------------------------ */

static size_t canon_object(Canon *c, char *out, const GCObject *o) {
  switch (o->tt) {
    case LUA_VSHRSTR: case LUA_VLNGSTR: return canon_string(c, out, o);
    case LUA_VTABLE: return canon_table(c, out, o);
    case LUA_VLCL: return canon_lua_closure(c, out, o);
    case LUA_VCCL: return canon_c_closure(c, out, o);
    case LUA_VUSERDATA: return canon_userdata(c, out, o);
    case LUA_VUPVAL: return canon_upvalue(c, out, o);
    case LUA_VPROTO: return canon_proto(c, out, o);
    default:
      cannot_save(c, "a block is no object: the heap is damaged");
      return 0;
  }
}

static size_t canon_thread(Canon *c, char *out, const LX *from);
static void canon_frame_block(Canon *c, char *out, const CallInfo *ci);
static void canon_stack(Canon *c, char *out, size_t block, size_t from, size_t end);
static void canon_list(Canon *c, char *out, size_t bytes);

/* A whole block, of fewer bytes than a long vector has. */
static void canon_block(Canon *c, char *out, size_t offset, size_t bytes, uint32_t kind) {
  const void *from = c->from + offset;
  size_t done = bytes;
  switch (kind) {
    case KIND_OBJECT: done = canon_object(c, out, from); break;
    case KIND_THREAD: done = canon_thread(c, out, from); break;
    case KIND_HOST:
      put_host_bytes(c, out, from, bytes, "a block of the host has a pointer into the VM");
      break;
    case KIND_BYTES: memcpy(out, from, bytes); break;
    case KIND_VALUES: put_values(c, out, from, bytes); done = bytes / 16 * 16; break;
    case KIND_NODES: put_nodes(c, out, from, bytes); done = bytes / 24 * 24; break;
    case KIND_STACK: canon_stack(c, out, offset, offset, offset + bytes); break;
    case KIND_CALLINFO: canon_frame_block(c, out, from); break;
    case KIND_POINTERS: put_pointers(c, out, from, bytes); break;
    case KIND_LOCALS: put_pairs(c, out, from, bytes, 8); done = bytes / 16 * 16; break;
    case KIND_UPVALUES: put_pairs(c, out, from, bytes, 3); done = bytes / 16 * 16; break;
    default: canon_list(c, out, bytes); break;
  }
  if (done < bytes) memset(out + done, 0, bytes - done);
}

/* What is longer than the longest block of a slab. */
#define PART_ROOM 8192

/* A part of a block of its own that is a few elements long, or an object without a length. */
static void canon_through(Canon *c, char *out, size_t offset, size_t bytes, uint32_t kind,
                          size_t from, size_t end) {
  char part[PART_ROOM] __attribute__((aligned(16)));
  char *whole = bytes <= sizeof part ? part : malloc(bytes);
  if (whole == NULL) {
    no_memory(c);
    return;
  }
  canon_block(c, whole, offset, bytes, kind);
  memcpy(out, whole + (from - offset), end - from);
  if (whole != part) free(whole);
}

/* A part of a vector: `done` of each element, which has `size` bytes. */
static void canon_elements(Canon *c, char *out, size_t offset, size_t bytes, uint32_t kind,
                           size_t size, size_t from, size_t end) {
  char one[32] __attribute__((aligned(16)));
  size_t whole = offset + bytes / size * size; /* behind it is slack */
  while (from < end) {
    size_t element = from < whole ? offset + (from - offset) / size * size : whole;
    size_t next = from < whole ? element + size : offset + bytes;
    if (from >= whole) {
      memset(out, 0, end - from);
      return;
    }
    if (element == from && next <= end) { /* as many whole ones as there are */
      size_t last = (end < whole ? end : whole);
      size_t many = (last - from) / size * size;
      canon_block(c, out, from, many, kind);
      out += many;
      from += many;
      continue;
    }
    canon_block(c, one, element, size, kind);
    size_t stop = next < end ? next : end;
    memcpy(out, one + (from - element), stop - from);
    out += stop - from;
    from = stop;
  }
}

/* Long strings, and userdata: a head, bytes, and what is left of the block. */
static void canon_long(Canon *c, char *out, size_t offset, size_t from, size_t end) {
  const GCObject *o = (const GCObject *)(c->from + offset);
  int is_string = o->tt == LUA_VLNGSTR;
  const Udata *u = (const Udata *)o;
  size_t head = is_string ? offsetof(TString, contents) : userdata_head(u);
  size_t length = is_string ? ((const TString *)o)->u.lnglen + 1 : u->len;
  size_t first = offset + head, last = first + length;
  if (from < first) {
    char part[PART_ROOM] __attribute__((aligned(16)));
    if (is_string) {
      TString short_one = *(const TString *)o;
      memcpy(part, &short_one, head);
      put_word(part + offsetof(TString, next), inward(c, o->next));
    } else {
      canon_userdata_head(c, part, u);
    }
    size_t stop = end < first ? end : first;
    memcpy(out, part + (from - offset), stop - from);
    out += stop - from;
    from = stop;
  }
  if (from < end && from < last) {
    size_t stop = end < last ? end : last;
    const char *memory = c->from + from;
    if (is_string) memcpy(out, memory, stop - from);
    else put_host_bytes(c, out, memory, stop - from, pointer_in_userdata);
    out += stop - from;
    from = stop;
  }
  if (from < end) memset(out, 0, end - from);
}

/* `from` .. `end` of a block that is a run by itself. NULL, or why it cannot be saved; nothing for
 * no memory. */
const char *rlua_c_canon_run(void *canon, size_t offset, size_t bytes, uint32_t kind, size_t from,
                             size_t end, char *out) {
  Canon *c = canon;
  const GCObject *o = (const GCObject *)(c->from + offset);
  c->of = o;
  if (from == offset && end == offset + bytes && kind != KIND_STACK) {
    canon_block(c, out, offset, bytes, kind);
    return c->wrong;
  }
  switch (kind) {
    case KIND_HOST:
      put_host_bytes(c, out, c->from + from, end - from,
                     "a block of the host has a pointer into the VM");
      break;
    case KIND_BYTES: memcpy(out, c->from + from, end - from); break;
    case KIND_VALUES: case KIND_LOCALS: case KIND_UPVALUES:
      canon_elements(c, out, offset, bytes, kind, 16, from, end);
      break;
    case KIND_NODES: canon_elements(c, out, offset, bytes, kind, 24, from, end); break;
    case KIND_POINTERS: put_pointers(c, out, c->from + from, end - from); break;
    case KIND_STACK: canon_stack(c, out, offset, from, end); break;
    case KIND_OBJECT:
      if (o->tt == LUA_VLNGSTR ||
          (o->tt == LUA_VUSERDATA && gco2u(o)->nuvalue <= 255 && !counts_as_zero(c, gco2u(o)) &&
           bytes > PART_ROOM)) {
        canon_long(c, out, offset, from, end);
        break;
      }
      /* FALLTHROUGH */
    default: canon_through(c, out, offset, bytes, kind, from, end);
  }
  return c->wrong;
}

/* `from` .. `end` of a slab: its head, the kinds, blocks, and nothing behind
 * what was ever handed out. */
const char *rlua_c_canon_slab(void *canon, size_t at, size_t from, size_t end, char *out) {
  Canon *c = canon;
  const char *start = c->from + at;
  const ArenaSlab *slab = (const ArenaSlab *)start;
  const ArenaShape *shape = arena_shape(slab);
  size_t size = shape->size, count = (size_t)(slab->fresh - shape->first) / size;
  char room[ARENA_MAX_SMALL] __attribute__((aligned(16)));
  uint64_t is_free[2] = {0, 0};
  for (size_t place = slab->free; place != 0;) {
    size_t index = (place - shape->first) * shape->reciprocal >> 16;
    is_free[index / 64] |= (uint64_t)1 << index % 64;
    place = *(const ArenaLink *)(start + place);
  }
  if (from < at + shape->first) {
    char head[ARENA_SLAB_KINDS + 64 + 16] = {0};
    memcpy(head, start, ARENA_SLAB_KINDS + (count + 1) / 2);
    for (size_t index = 0; index < count + count % 2; index++)
      if (index == count || is_free[index / 64] >> index % 64 & 1)
        head[ARENA_SLAB_KINDS + index / 2] &= (char)(0xF0 >> index % 2 * 4);
    size_t stop = end < at + shape->first ? end : at + shape->first;
    memcpy(out, head + (from - at), stop - from);
    out += stop - from;
    from = stop;
  }
  size_t index = (from - at - shape->first) / size;
  for (; from < end && index < count; index++) {
    size_t offset = at + shape->first + index * size;
    size_t stop = offset + size < end ? offset + size : end;
    int whole = from == offset && stop == offset + size;
    char *to = whole ? out : room;
    if (is_free[index / 64] >> index % 64 & 1) {
      memset(to, 0, size);
      memcpy(to, c->from + offset, sizeof(ArenaLink));
    } else {
      c->of = c->from + offset;
      canon_block(c, to, offset, size, arena_kind_of(slab, c->from + offset));
    }
    if (!whole) memcpy(out, room + (from - offset), stop - from);
    out += stop - from;
    from = stop;
  }
  if (from < end) memset(out, 0, end - from);
  return c->wrong;
}
