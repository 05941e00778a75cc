/* diff.c: where two states differ.
 *
 * Both heaps are walked at once, from the roots, by what one way leads to (diff_pairs.c). Compared
 * is what a script can ever see, and not what the collector does: garbage, marks, dead keys.
 * Strings are values. Pointers that lead out of the VMs are the same when their names are, and when
 * both have none. Not compared are blocks of guarded userdata, ids of resources and serials of
 * references, which lie outside or do not roll back.
 *
 * Part of the one translation unit, behind diff_calls.c. Both VMs are idle (V1), and nothing is
 * written to them.
 */

/* -- functions --------------------------------------------------------------------------------- */

static int same_bytes(const void *a, const void *b, size_t size) {
  return size == 0 || memcmp(a, b, size) == 0;
}

static int same_name(const TString *a, const TString *b) {
  return a == NULL || b == NULL ? a == b : same_string(a, b);
}

/* But for the functions inside. Names of locals are not compared: they change nothing. */
static int same_code(const Proto *a, const Proto *b) {
  if (a->numparams != b->numparams || a->is_vararg != b->is_vararg ||
      a->maxstacksize != b->maxstacksize || a->sizeupvalues != b->sizeupvalues ||
      a->sizek != b->sizek || a->sizecode != b->sizecode || a->sizep != b->sizep ||
      a->linedefined != b->linedefined || a->sizelineinfo != b->sizelineinfo ||
      !same_name(a->source, b->source) ||
      !same_bytes(a->code, b->code, (size_t)a->sizecode * sizeof(Instruction)) ||
      !same_bytes(a->lineinfo, b->lineinfo, (size_t)a->sizelineinfo))
    return 0;
  for (int i = 0; i < a->sizeupvalues; i++)
    if (a->upvalues[i].instack != b->upvalues[i].instack ||
        a->upvalues[i].idx != b->upvalues[i].idx)
      return 0;
  for (int i = 0; i < a->sizek; i++) {
    const TValue *ka = &a->k[i], *kb = &b->k[i];
    if (rawtt(ka) != rawtt(kb)) return 0;
    if (ttisstring(ka) ? !same_string(tsvalue(ka), tsvalue(kb))
                       : ttisnumber(ka) && val_(ka).i != val_(kb).i)
      return 0;
  }
  return 1;
}

static void report_code(Diff *d, uint32_t at, const Proto *a, const Proto *b) {
  char texts[2][VALUE_ROOM] = {"function ", "function "};
  Text ta = {texts[0], VALUE_ROOM, 9}, tb = {texts[1], VALUE_ROOM, 9};
  put_source(&ta, a, a->linedefined);
  put_source(&tb, b, b->linedefined);
  report(d, DIFF_FUNCTION, at, here, texts[0], texts[1]);
}

/* Code has no identity that a script could see: it is compared once for each pair. */
static void meet_code(Diff *d, uint32_t at, Step step, const Proto *a, const Proto *b) {
  if (a == NULL || b == NULL) return;
  uint32_t of_a = pair_of_a(d, obj2gco(a)), of_b = pair_of_b(d, obj2gco(b));
  if (of_a == NO_PAIR && of_b == NO_PAIR) add_pair(d, at, step, obj2gco(a), obj2gco(b));
  else if (of_a != of_b && !same_code(a, b)) report_code(d, at, a, b);
}

static void compare_code(Diff *d, uint32_t at) {
  const Proto *a = gco2p((GCObject *)d->pairs[at].a), *b = gco2p((GCObject *)d->pairs[at].b);
  if (!same_code(a, b)) {
    report_code(d, at, a, b);
    return;
  }
  for (int i = 0; i < a->sizep; i++)
    meet_code(d, at, (Step){NULL, (unsigned int)i + 1, STEP_INNER}, a->p[i], b->p[i]);
}

static void compare_lua_functions(Diff *d, uint32_t at) {
  const LClosure *a = gco2lcl((GCObject *)d->pairs[at].a);
  const LClosure *b = gco2lcl((GCObject *)d->pairs[at].b);
  if (a->p == NULL || b->p == NULL) return;
  if (!same_code(a->p, b->p) || a->nupvalues != b->nupvalues) {
    report_code(d, at, a->p, b->p);
    return;
  }
  meet_code(d, at, (Step){NULL, 0, STEP_CODE}, a->p, b->p);
  for (int i = 0; i < a->nupvalues; i++)
    if (a->upvals[i] != NULL && b->upvals[i] != NULL)
      meet_objects(d, at, (Step){NULL, (unsigned int)i + 1, STEP_UPVALUE}, obj2gco(a->upvals[i]),
                   obj2gco(b->upvals[i]));
}

/* A function of the host is its name: the pointers behind it are the process's. */
static void compare_c_functions(Diff *d, uint32_t at) {
  const CClosure *a = gco2ccl((GCObject *)d->pairs[at].a);
  const CClosure *b = gco2ccl((GCObject *)d->pairs[at].b);
  const char *na = name_of_host_function(a), *nb = name_of_host_function(b);
  int same = na == NULL || nb == NULL
                 ? na == nb && a->nupvalues == b->nupvalues &&
                       same_outward(d, (void *)(size_t)a->f, (void *)(size_t)b->f)
                 : strcmp(na, nb) == 0;
  if (!same) {
    TValue va, vb;
    setclCvalue(((lua_State *)NULL), &va, (CClosure *)a);
    setclCvalue(((lua_State *)NULL), &vb, (CClosure *)b);
    two_values(d, DIFF_FUNCTION, at, here, &va, &vb);
  } else if (na == NULL) {
    for (int i = 0; i < a->nupvalues; i++)
      meet(d, at, (Step){NULL, (unsigned int)i + 1, STEP_UPVALUE}, &a->upvalue[i],
           &b->upvalue[i]);
  }
}

/* -- userdata, blocks -------------------------------------------------------------------------- */

/* The first word that differs, when pointers into the VMs are the same by their offsets; or the
 * size. */
static size_t first_other_byte(const Diff *d, const char *a, const char *b, size_t size) {
  for (size_t i = 0; i < size; i += sizeof(size_t)) {
    size_t width = size - i < sizeof(size_t) ? size - i : sizeof(size_t), wa = 0, wb = 0;
    if (memcmp(a + i, b + i, width) == 0) continue;
    memcpy(&wa, a + i, width);
    memcpy(&wb, b + i, width);
    if (width == sizeof(size_t) && is_in_region(&d->ga->own, (void *)wa) &&
        is_in_region(&d->gb->own, (void *)wb) && offset_in(wa) == offset_in(wb))
      continue;
    while (a[i] == b[i]) i++;
    return i;
  }
  return size;
}

static void meet_bytes(Diff *d, int kind, uint32_t at, const Step *root, const char *a,
                       const char *b, size_t size) {
  size_t first = first_other_byte(d, a, b, size);
  char texts[2][VALUE_ROOM] = {"", ""}, path[WAY_ROOM] = "";
  if (first == size) return;
  for (int side = 0; side < 2; side++) {
    Text t = {texts[side], VALUE_ROOM, 0};
    for (size_t i = first; i < size && i < first + 8; i++)
      putf(&t, i > first ? " %02X" : "%02X", (unsigned char)(side == 0 ? a : b)[i]);
  }
  Step step = {NULL, (unsigned int)first, STEP_BYTE};
  if (root == NULL) {
    report(d, kind, at, step, texts[0], texts[1]);
  } else {
    Text t = {path, sizeof path, 0};
    put_step(&t, d, NULL, *root, 0);
    put_step(&t, d, NULL, step, 0);
    report_path(d, kind, path, texts[0], texts[1]);
  }
}

/* What a match of string.gmatch keeps are pointers into its strings. */
static void compare_matches(Diff *d, uint32_t at, const GMatchState *a, const GMatchState *b) {
  if (a->src - a->ms.src_init != b->src - b->ms.src_init)
    two_texts(d, DIFF_VALUE, at, here, "at byte %lld", a->src - a->ms.src_init + 1,
              b->src - b->ms.src_init + 1);
}

/* Whose bytes mean something outside. */
static int means_outside(const Udata *u) {
  const Handle *handle = (const Handle *)getudatamem((Udata *)u);
  return is_guarded(u) || noted_place(u) == NATIVE_BOX || noted_place(u) == NATIVE_ENDED ||
         rlua_is_stream(u) ||
         (u->len == sizeof(Handle) && handle->magic == HANDLE_MAGIC);
}

/* The generator of math.random is an upvalue of its functions. */
static int is_generator(const Diff *d, uint32_t at) {
  const Pair *pair = &d->pairs[at];
  if (pair->parent == NO_PAIR || pair->kind != STEP_UPVALUE) return 0;
  const GCObject *f = d->pairs[pair->parent].a;
  lua_CFunction c = f->tt == LUA_VCCL ? gco2ccl((GCObject *)f)->f : NULL;
  return c == math_random || c == math_randomseed;
}

static void compare_userdata(Diff *d, uint32_t at) {
  const Udata *a = gco2u((GCObject *)d->pairs[at].a), *b = gco2u((GCObject *)d->pairs[at].b);
  meet_metatables(d, at, a->metatable, b->metatable);
  for (int i = 0; i < a->nuvalue && i < b->nuvalue; i++)
    meet(d, at, (Step){NULL, (unsigned int)i + 1, STEP_USER_VALUE}, &a->uv[i].uv, &b->uv[i].uv);
  if (a->nuvalue != b->nuvalue)
    two_texts(d, DIFF_VALUE, at, here, "userdata with %lld user values", a->nuvalue, b->nuvalue);
  const char *ma = getudatamem((Udata *)a), *mb = getudatamem((Udata *)b);
  if (a->len != b->len)
    two_texts(d, DIFF_BYTES, at, here, "userdata of %lld bytes", (long long)a->len,
              (long long)b->len);
  else if (means_outside(a) || means_outside(b)) return;
  else if (noted_place(a) == NATIVE_GMATCH && noted_place(b) == NATIVE_GMATCH)
    compare_matches(d, at, (const GMatchState *)ma, (const GMatchState *)mb);
  else
    meet_bytes(d, is_generator(d, at) ? DIFF_RANDOM : DIFF_BYTES, at, NULL, ma, mb, a->len);
}

/* -- the walk ---------------------------------------------------------------------------------- */

static void compare_pair(Diff *d, uint32_t at) {
  const Pair *pair = &d->pairs[at];
  switch (pair->a->tt) {
    case LUA_VTABLE: compare_tables(d, at); return;
    case LUA_VLCL: compare_lua_functions(d, at); return;
    case LUA_VCCL: compare_c_functions(d, at); return;
    case LUA_VUSERDATA: compare_userdata(d, at); return;
    case LUA_VTHREAD: compare_threads(d, at); return;
    case LUA_VPROTO: compare_code(d, at); return;
    case LUA_VUPVAL:
      meet(d, at, here, gco2upv((GCObject *)pair->a)->v.p, gco2upv((GCObject *)pair->b)->v.p);
      return;
    default: return;
  }
}

/* What waits is decided when all that does not has been met. */
static void decide(Diff *d, const Waiting *w) {
  Step step = {w->where, w->number, w->kind};
  if (w->b == NULL) {
    compare_object_keys(d, w->parent);
    return;
  }
  uint32_t of_a = pair_of_a(d, w->a), of_b = pair_of_b(d, w->b);
  if (of_a == NO_PAIR && of_b == NO_PAIR) add_pair(d, w->parent, step, w->a, w->b);
  else if (of_a != of_b) report_identity(d, w->parent, step, w->a, w->b);
}

static void walk_pairs(Diff *d) {
  while (!d->ended) {
    if (d->next < d->count) {
      compare_pair(d, (uint32_t)d->next++);
    } else if (d->waiting_next < d->waiting_count) {
      Waiting waiting = d->waiting[d->waiting_next++];
      decide(d, &waiting);
    } else {
      return;
    }
  }
}

/* -- roots ------------------------------------------------------------------------------------- */

static void meet_root(Diff *d, const char *name, const TValue *a, const TValue *b) {
  meet(d, NO_PAIR, (Step){name, 0, STEP_ROOT}, a, b);
}

static void meet_root_objects(Diff *d, const char *name, const void *a, const void *b) {
  Step step = {name, 0, STEP_ROOT};
  if (a != NULL && b != NULL) meet_objects(d, NO_PAIR, step, a, b);
  else if (a != b)
    report(d, DIFF_MISSING, NO_PAIR, step, a != NULL ? "table" : "nil",
           b != NULL ? "table" : "nil");
}

static const TValue *reference_at(const Table *refs, size_t index) {
  static const TValue nil = {.tt_ = LUA_VNIL};
  return refs != NULL && index <= luaH_realasize(refs) ? &refs->array[index - 1] : &nil;
}

/* Slots in use (references.c). Serials do not roll back. */
static void meet_references(Diff *d, const Table *a, const Table *b) {
  static const TValue nil = {.tt_ = LUA_VNIL};
  size_t ha = a == NULL ? 0 : luaH_realasize(a), hb = b == NULL ? 0 : luaH_realasize(b);
  for (size_t slot = 1; 2 * slot + 2 <= (ha > hb ? ha : hb) && !d->ended; slot++) {
    const TValue *sa = reference_at(a, 2 * slot + 2), *sb = reference_at(b, 2 * slot + 2);
    int in_a = checktag(sa, LUA_VSERIAL) && val_(sa).i != 0;
    int in_b = checktag(sb, LUA_VSERIAL) && val_(sb).i != 0;
    Step step = {NULL, (unsigned int)slot, STEP_REFERENCE};
    const TValue *va = in_a ? reference_at(a, 2 * slot + 1) : &nil;
    const TValue *vb = in_b ? reference_at(b, 2 * slot + 1) : &nil;
    if (in_a && in_b) meet(d, NO_PAIR, step, va, vb);
    else if (in_a != in_b) two_values(d, DIFF_MISSING, NO_PAIR, step, va, vb);
  }
}

static void meet_roots(Diff *d) {
  const global_State *a = d->ga, *b = d->gb;
  static const char *const names[LUA_NUMTYPES] = {
      "<metatable of nil>", "<metatable of boolean>", "<metatable of light userdata>",
      "<metatable of number>", "<metatable of string>", "<metatable of table>",
      "<metatable of function>", "<metatable of userdata>", "<metatable of thread>"};
  TValue globals;
  setivalue(&globals, LUA_RIDX_GLOBALS);
  Entry ga = find_entry(a, hvalue(&a->l_registry), &globals);
  Entry gb = find_entry(b, hvalue(&b->l_registry), &globals);
  if (ga.value != NULL && gb.value != NULL) meet_root(d, "_G", ga.value, gb.value);
  meet_root(d, "<registry>", &a->l_registry, &b->l_registry);
  meet_root_objects(d, "<main thread>", a->mainthread, b->mainthread);
  meet_references(d, a->own.refs, b->own.refs);
  meet_root_objects(d, "<resource types>", a->own.types, b->own.types);
  for (int i = 0; i < LUA_NUMTYPES; i++) meet_root_objects(d, names[i], a->mt[i], b->mt[i]);
}

/* What the state has beside its objects. */
static void meet_inputs(Diff *d) {
  const rlua_Own *a = &d->ga->own, *b = &d->gb->own;
  int warns_a = d->ga->warnf == warnfon, warns_b = d->gb->warnf == warnfon;
  char texts[2][VALUE_ROOM];
  if (a->deterministic && b->deterministic &&
      (a->seconds != b->seconds || a->nanoseconds != b->nanoseconds)) {
    for (int side = 0; side < 2; side++) {
      const rlua_Own *own = side == 0 ? a : b;
      snprintf(texts[side], VALUE_ROOM, "%lld.%09u s", (long long)own->seconds, own->nanoseconds);
    }
    report_path(d, DIFF_CLOCK, "<clock>", texts[0], texts[1]);
  }
  if (a->draws != b->draws)
    two_texts(d, DIFF_RANDOM, NO_PAIR, (Step){"<seeds of math.randomseed>", 0, STEP_ROOT},
              "state %llx", (long long)a->draws, (long long)b->draws);
  if (warns_a != warns_b)
    report_path(d, DIFF_VALUE, "<warnings>", warns_a ? "on" : "off", warns_b ? "on" : "off");
  if (a->budgeted != b->budgeted || (a->budgeted && a->fuel != b->fuel)) {
    for (int side = 0; side < 2; side++) {
      const rlua_Own *own = side == 0 ? a : b;
      if (own->budgeted) snprintf(texts[side], VALUE_ROOM, "%lld units left", (long long)own->fuel);
      else snprintf(texts[side], VALUE_ROOM, "no budget");
    }
    report_path(d, DIFF_BUDGET, "<budget>", texts[0], texts[1]);
  }
}

/* -- for Rust ---------------------------------------------------------------------------------- */

/* Compares two idle states, up to `most` differences. NULL when there is no memory. */
void *rlua_c_diff(lua_State *a, lua_State *b, size_t most) {
  Diff *d = calloc(1, sizeof *d);
  if (d == NULL) return NULL;
  d->ga = G(a);
  d->gb = G(b);
  d->most = most;
  meet_roots(d);
  walk_pairs(d);
  if (!d->ended) meet_inputs(d);
  if (!d->no_memory) return d;
  rlua_c_diff_end(d);
  return NULL;
}

/* Whether it is none of a C module's; an image may claim any size. */
static int is_host_block(const HostBlock *block, size_t bytes) {
  return bytes == 0 || (bytes >= sizeof *block && block->check == host_check(block) &&
                        block->size <= bytes - sizeof *block);
}

/* A block of the host at that offset in each; 0 bytes where there is none. 0 when no more are
 * wanted, or there is no memory. */
int rlua_c_diff_block(void *diff, size_t offset, size_t a_bytes, size_t b_bytes) {
  Diff *d = diff;
  char name[64];
  const HostBlock *a = (const HostBlock *)(base_of_state(d->ga) + offset);
  const HostBlock *b = (const HostBlock *)(base_of_state(d->gb) + offset);
  int ours = is_host_block(a, a_bytes) && is_host_block(b, b_bytes);
  if (ours) { /* the host knows it by what is behind the header */
    if (a_bytes != 0) a_bytes = a++->size;
    if (b_bytes != 0) b_bytes = b++->size;
    offset += sizeof *a;
  }
  snprintf(name, sizeof name, "<block 0x%zx>", offset);
  Step step = {name, 0, STEP_ROOT};
  if (a_bytes != b_bytes)
    two_texts(d, DIFF_BYTES, NO_PAIR, step, "%lld bytes", (long long)a_bytes, (long long)b_bytes);
  else
    meet_bytes(d, DIFF_BYTES, NO_PAIR, &step, (const char *)a, (const char *)b, a_bytes);
  return !d->ended;
}

/* The kind of a difference, and its texts, which live as long as the diff; 0 behind the last. */
int rlua_c_diff_found(const void *diff, size_t index, const char **path, const char **a,
                      const char **b) {
  const Diff *d = diff;
  if (index >= d->found_count) return 0;
  const Found *found = &d->found[index];
  *path = d->text + found->path;
  *a = d->text + found->a;
  *b = d->text + found->b;
  return found->kind;
}

/* Whether there was no memory on the way. */
int rlua_c_diff_failed(const void *diff) {
  return ((const Diff *)diff)->no_memory;
}

void rlua_c_diff_end(void *diff) {
  free_diff(diff);
  free(diff);
}
