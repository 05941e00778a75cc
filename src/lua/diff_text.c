/* diff_text.c: ways through a state, and values, as Lua would write them.
 *
 *   _G.enemies[3].hp          a field, an element
 *   _G.t["my key"][1.5]       any other key; one that is an object by its own way: _G.t[_G.k]
 *   _G.f^count                an upvalue by its name, or its number
 *   _G.f<code><function 2>    a function inside of a function
 *   _G.o<metatable>           of a table or userdata; <metatable of string>
 *   _G.u<user value 1>        of a userdata; <byte 16> of its memory
 *   _G.co<local hp at ai.lua:12>   a local of a coroutine, and where that call is
 *   _G.co<slot 3>             what has no name on its stack; <vararg 1>
 *   <registry>[5]  <reference 3>  <main thread><slot 1>  <block 0x8210>
 *
 * Part of the one translation unit, behind diff_pairs.c.
 */

#define WAY_ROOM 480
#define VALUE_ROOM 160
#define ROOT_ROOM 40 /* of it */
#define STEP_ROOM 160
#define SHOWN_STRING 48
#define SHOWN_KEY 96

#define text_of(v) getstr(tsvalue(v))
#define bytes_of(v) tsslen(tsvalue(v))

/* Bytes with a zero behind them; what does not fit is left out. */
typedef struct Text {
  char *start;
  size_t room, length;
} Text;

static void put_text(Text *t, const char *bytes, size_t length) {
  size_t left = t->room - 1 - t->length;
  if (length > left) {
    length = left;
    while (length > 0 && ((unsigned char)bytes[length] & 0xC0) == 0x80) length--; /* UTF-8 */
  }
  memcpy(t->start + t->length, bytes, length);
  t->length += length;
  t->start[t->length] = '\0';
}

__attribute__((format(RLUA_PRINTF, 2, 3))) static void putf(Text *t, const char *format, ...) {
  char part[STEP_ROOM];
  va_list args;
  va_start(args, format);
  vsnprintf(part, sizeof part, format, args);
  va_end(args);
  put_text(t, part, strlen(part));
}

/* The next character of a string, escaped as in a literal; answers how many bytes it is. */
static size_t put_character(Text *t, const char *s, const char *end, char quote) {
  unsigned char c = (unsigned char)*s;
  utfint code;
  const char *behind = c >= 0x80 ? utf8_decode(s, &code, 1) : NULL;
  if (behind != NULL && behind <= end) {
    put_text(t, s, (size_t)(behind - s));
    return (size_t)(behind - s);
  }
  if (c == '\n') put_text(t, "\\n", 2);
  else if (c == '\\' || (c == (unsigned char)quote && quote != '\0')) putf(t, "\\%c", c);
  else if (c < ' ' || c >= 0x7F) putf(t, "\\x%02X", c);
  else put_text(t, s, 1);
  return 1;
}

/* A part of a string in quotes, from a byte on. */
static void put_quoted(Text *t, const char *s, size_t length, size_t from, size_t most) {
  const char *at = s + from, *end = s + length, *last = length - from > most ? at + most : end;
  if (from > 0) putf(t, "byte %zu on: ", from + 1);
  put_text(t, "\"", 1);
  while (at < last) at += put_character(t, at, end, '"');
  put_text(t, "\"", 1);
  if (at < end) putf(t, "... (%zu bytes)", length);
}

/* As "%.17g" in the locale "C"; a float that is integral has a point. */
static void put_float(Text *t, lua_Number n) {
  char digits[64], plain[64];
  size_t length = 0;
  rlua_format_float(digits, "%.17g", n);
  for (const char *c = digits; *c != '\0'; c++) {
    if (strchr("+-0123456789einfa", *c) != NULL) plain[length++] = *c;
    else if (length > 0 && plain[length - 1] != '.') plain[length++] = '.';
  }
  plain[length] = '\0';
  if (plain[strspn(plain, "-0123456789")] == '\0') strcat(plain, ".0");
  put_text(t, plain, strlen(plain));
}

/* The line of an instruction. What image or damage has, nothing outside of the vectors is read. */
static int line_of(const Proto *p, int pc) {
  if (p->lineinfo == NULL || pc >= p->sizelineinfo) return -1;
  unsigned int line = (unsigned int)p->linedefined;
  for (int i = 0; i <= pc; i++) {
    if (p->lineinfo[i] != ABSLINEINFO) {
      line += (unsigned int)p->lineinfo[i];
      continue;
    }
    for (int k = 0; k < p->sizeabslineinfo; k++)
      if (p->abslineinfo[k].pc == i) line = (unsigned int)p->abslineinfo[k].line;
  }
  return (int)line;
}

static void put_source(Text *t, const Proto *p, int line) {
  char name[LUA_IDSIZE] = "?";
  if (p->source != NULL) luaO_chunkid(name, getstr(p->source), tsslen(p->source));
  for (const char *c = name, *end = name + strlen(name); c < end;)
    c += put_character(t, c, end, '\0');
  if (line >= 0) putf(t, ":%d", line);
}

/* A pointer that leads out of the VM, by its name. */
static void put_outward(Text *t, const global_State *g, const void *pointer) {
  unsigned int slot = library_slot(pointer);
  const rlua_Pointer *met = find_pointer(&g->own, pointer);
  if (library_slots[slot].number != 0)
    putf(t, "builtin: %s%s", library_names[slot].library, library_names[slot].name);
  else if (met != NULL && met->name != NULL) putf(t, "builtin: %s", met->name);
  else if (met != NULL) putf(t, "native: %zu", (size_t)(met - g->own.pointers) + 1);
  else put_text(t, "native", 6);
}

static const char *name_of_host_function(const CClosure *f) {
  const TValue *name = &f->upvalue[HOST_NAME - 1];
  if (f->f != host_trampoline || f->nupvalues != HOST_UPVALUES) return NULL;
  return ttisstring(name) ? getstr(tsvalue(name)) : "";
}

static const char *kind_of_object(const GCObject *o) {
  switch (o->tt) {
    case LUA_VTABLE: return "table";
    case LUA_VUSERDATA: return "userdata";
    case LUA_VTHREAD: return "coroutine";
    case LUA_VUPVAL: return "variable";
    case LUA_VPROTO: return "code";
    default: return "function";
  }
}

static void put_object(Text *t, const global_State *g, const GCObject *o) {
  const union GCUnion *u = cast_u((GCObject *)o);
  putf(t, "%s", kind_of_object(o));
  if (o->tt == LUA_VLCL && u->cl.l.p != NULL) {
    put_text(t, " ", 1);
    put_source(t, u->cl.l.p, u->cl.l.p->linedefined);
  } else if (o->tt == LUA_VCCL) {
    const char *host = name_of_host_function(&u->cl.c);
    if (host != NULL) putf(t, " %.60s", host);
    else put_text(t, " ", 1), put_outward(t, g, (void *)(size_t)u->cl.c.f);
  }
}

/* A string begins at a byte. */
static void put_value_text(Text *t, const global_State *g, const TValue *v, size_t from) {
  switch (ttypetag(v)) {
    case LUA_VFALSE: put_text(t, "false", 5); return;
    case LUA_VTRUE: put_text(t, "true", 4); return;
    case LUA_VNUMINT: putf(t, "%lld", (long long)ivalue(v)); return;
    case LUA_VNUMFLT: put_float(t, rlua_canonical_in(g, fltvalue(v))); return;
    case LUA_VSHRSTR: case LUA_VLNGSTR:
      put_quoted(t, text_of(v), bytes_of(v), from, SHOWN_STRING);
      return;
    case LUA_VLCF:
      put_text(t, "function ", 9);
      put_outward(t, g, (void *)(size_t)fvalue(v));
      return;
    case LUA_VLIGHTUSERDATA:
      put_text(t, "light userdata ", 15);
      if ((size_t)pvalue(v) < LOWEST_ADDRESS) putf(t, "%zu", (size_t)pvalue(v));
      else if (is_in_region(&g->own, pvalue(v))) putf(t, "0x%zx", offset_in(pvalue(v)));
      else put_outward(t, g, pvalue(v));
      return;
    default:
      if (iscollectable(v)) put_object(t, g, gcvalue(v));
      else put_text(t, "nil", 3);
  }
}

/* -- ways -------------------------------------------------------------------------------------- */

static void put_way(Text *t, const Diff *d, uint32_t at, const Step *last, int nested);

static int is_identifier(const char *s, size_t length) {
  if (length == 0 || length > SHOWN_KEY || lisdigit((unsigned char)*s)) return 0;
  for (size_t i = 0; i < length; i++)
    if (!lislalnum((unsigned char)s[i])) return 0;
  for (int i = 0; i < NUM_RESERVED; i++)
    if (strlen(luaX_tokens[i]) == length && memcmp(luaX_tokens[i], s, length) == 0) return 0;
  return 1;
}

static void put_key(Text *t, const Diff *d, const Node *n, int nested) {
  TValue key = {.value_ = keyval(n), .tt_ = keytt(n)};
  const global_State *g =
      ((size_t)n ^ (size_t)d->ga) >> 32 == 0 ? d->ga : d->gb; /* R1 */
  if (ttisstring(&key) && is_identifier(text_of(&key), bytes_of(&key))) {
    putf(t, ".%.*s", (int)bytes_of(&key), text_of(&key));
    return;
  }
  put_text(t, "[", 1);
  if (ttisstring(&key)) {
    put_quoted(t, text_of(&key), bytes_of(&key), 0, SHOWN_KEY);
  } else if (iscollectable(&key) && !nested) {
    uint32_t at = g == d->ga ? pair_of_a(d, gcvalue(&key)) : pair_of_b(d, gcvalue(&key));
    if (at != NO_PAIR && d->pairs[at].kind != STEP_KEY_OBJECT) put_way(t, d, at, NULL, 1);
    else put_value_text(t, g, &key, 0);
  } else {
    put_value_text(t, g, &key, 0);
  }
  put_text(t, "]", 1);
}

static void put_upvalue(Text *t, const GCObject *f, unsigned int number) {
  const Proto *p = f->tt == LUA_VLCL ? gco2lcl((GCObject *)f)->p : NULL;
  const TString *name =
      p != NULL && (int)number <= p->sizeupvalues ? p->upvalues[number - 1].name : NULL;
  if (name != NULL && tsslen(name) > 0) putf(t, "^%.*s", (int)tsslen(name), getstr(name));
  else putf(t, "^%u", number);
}

/* The name of a local that is alive, or NULL. */
static const TString *local_name(const Proto *p, unsigned int number, int pc) {
  for (int i = 0; i < p->sizelocvars && p->locvars[i].startpc <= pc; i++)
    if (pc < p->locvars[i].endpc && --number == 0) return p->locvars[i].varname;
  return NULL;
}

static void put_slot(Text *t, const lua_State *L, const CallInfo *ci, unsigned int number) {
  StkId slot = L->stack.p + number;
  if (isLua(ci)) {
    const Proto *p = ci_func(ci)->p;
    int pc = pcRel(ci->u.l.savedpc, p);
    const TString *name = local_name(p, (unsigned int)(slot - ci->func.p), pc);
    if (name != NULL) {
      putf(t, "<local %.*s at ", (int)(tsslen(name) > 60 ? 60 : tsslen(name)), getstr(name));
      put_source(t, p, line_of(p, pc));
      put_text(t, ">", 1);
      return;
    }
  }
  putf(t, "<slot %u>", number);
}

static void put_step(Text *t, const Diff *d, const GCObject *parent, Step step, int nested) {
  switch (step.kind) {
    case STEP_ROOT: putf(t, "%s", (const char *)step.where); return;
    case STEP_INDEX: putf(t, "[%u]", step.number); return;
    case STEP_KEY: put_key(t, d, step.where, nested); return;
    case STEP_KEY_OBJECT: put_text(t, "<a key>", 7); return;
    case STEP_METATABLE: put_text(t, "<metatable>", 11); return;
    case STEP_UPVALUE: put_upvalue(t, parent, step.number); return;
    case STEP_USER_VALUE: putf(t, "<user value %u>", step.number); return;
    case STEP_SLOT: put_slot(t, gco2th((GCObject *)parent), step.where, step.number); return;
    case STEP_VARARG: putf(t, "<vararg %u>", step.number); return;
    case STEP_REFERENCE: putf(t, "<reference %u>", step.number); return;
    case STEP_CODE: put_text(t, "<code>", 6); return;
    case STEP_INNER: putf(t, "<function %u>", step.number); return;
    case STEP_BYTE: putf(t, "<byte %u>", step.number); return;
    default: return;
  }
}

/* The way to a pair, and a step beyond it unless that is NULL. What does not fit is left out in the
 * middle. */
static void put_way(Text *t, const Diff *d, uint32_t at, const Step *last, int nested) {
  char part[STEP_ROOM], tail[WAY_ROOM - ROOT_ROOM];
  size_t first = sizeof tail, most = nested ? STEP_ROOM / 2 : sizeof tail;
  if (most > t->room - ROOT_ROOM) most = t->room - ROOT_ROOM;
  int cut = 0;
  Step step = last != NULL ? *last : (Step){NULL, 0, STEP_NONE};
  for (;;) {
    if (!cut || at == NO_PAIR) {
      Text one = {part, sizeof part, 0};
      part[0] = '\0';
      put_step(&one, d, at == NO_PAIR ? NULL : d->pairs[at].a, step, nested);
      cut = cut || one.length > first - (sizeof tail - most);
      if (!cut) memcpy(tail + (first -= one.length), part, one.length);
    }
    if (at == NO_PAIR) break;
    const Pair *pair = &d->pairs[at];
    step = (Step){pair->where, pair->number, pair->kind};
    at = pair->parent;
  }
  if (cut) putf(t, "%s...", part);
  put_text(t, tail + first, sizeof tail - first);
}

/* -- what was found ---------------------------------------------------------------------------- */

/* Names of a host and of an image may be anything. */
static void clean(char *s) {
  for (utfint code; *s != '\0';) {
    const char *behind = utf8_decode(s, &code, 1);
    if (behind == NULL || code < ' ' || (code >= 0x7F && code < 0xA0)) *s++ = '?';
    else s += behind - s;
  }
}

static size_t keep_text(Diff *d, const char *text) {
  size_t at = d->text_bytes, bytes = strlen(text) + 1;
  while (d->text_room - at < bytes) {
    char *grown = realloc(d->text, 2 * d->text_room + bytes);
    if (grown == NULL) return (size_t)diff_no_memory(d);
    d->text_room = 2 * d->text_room + bytes;
    d->text = grown;
  }
  memcpy(d->text + at, text, bytes);
  clean(d->text + at);
  d->text_bytes += bytes;
  return at;
}

static void report_path(Diff *d, int kind, const char *path, const char *a, const char *b) {
  if (d->ended || !grow_list(d, &d->found, d->found_count, &d->found_room, sizeof *d->found))
    return;
  Found found = {kind, keep_text(d, path), keep_text(d, a), keep_text(d, b)};
  if (d->no_memory) return;
  d->found[d->found_count++] = found;
  if (d->found_count >= d->most) d->ended = 1;
}

/* At a step beyond a pair. */
static void report(Diff *d, int kind, uint32_t at, Step step, const char *a, const char *b) {
  char path[2 * WAY_ROOM];
  Text t = {path, sizeof path, 0};
  path[0] = '\0';
  if (d->ended) return;
  put_way(&t, d, at, &step, 0);
  report_path(d, kind, path, a, b);
}
