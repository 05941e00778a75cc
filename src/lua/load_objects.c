/* load_objects.c: what stands for something outside gets it, in a state that was loaded.
 *
 * In an image the memory of such userdata is zero. The image's list says where they lie; the host
 * makes what they stand for (src/vm/objects.rs).
 *
 * Part of the one translation unit, behind load.c.
 */

static int is_zero(const char *memory, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (memory[i] != 0) return 0;
  return 1;
}

/* Where something outside goes: the memory of the object in that block, if it is a userdata of that
 * type. One with a finalizer in C is guarded from here on. NULL, or what is wrong. */
const char *rlua_c_claim(lua_State *main, void *block, size_t bytes, const char *kind, int what,
                         void **memory, size_t *size) {
  int is_over = what == OBJECT_GIVEN_UP || what == OBJECT_ENDED;
  card_lock(main);
  Udata *u = block;
  if (bytes < sizeof(Udata0) || u->tt != LUA_VUSERDATA)
    return "what is said to stand for something outside is no userdata";
  *memory = getudatamem(u);
  *size = u->len;
  if (is_guarded(u) || noted_place(u) != 0 || !is_zero(*memory, u->len) ||
      isdead(G(main), obj2gco(u)) || is_over == (tofinalize(obj2gco(u)) != 0))
    return "a userdata cannot stand for something outside";
  if (u->metatable == NULL || strcmp(type_name(main, u->metatable), kind) != 0)
    return "a userdata that stands for something outside is of another type";
  const TValue *tm = gfasttm(G(main), u->metatable, TM_GC);
  lua_CFunction gc = tm != NULL ? c_function(tm) : NULL;
  if (what == OBJECT_RESOURCE) {
    if (u->len != sizeof(Handle) || u->nuvalue != 0 || gc != handle_end)
      return "a resource has no handle";
  } else if (what != OBJECT_ENDED) {
    if (gc == NULL) return "nothing would end what a userdata stands for";
    set_place(u, UNNOTED);
  }
  return NULL;
}

static int has_unclaimed(lua_State *main, GCObject *list) {
  for (; list != NULL; list = list->next) {
    Udata *u = list->tt == LUA_VUSERDATA ? gco2u(list) : NULL;
    if (u != NULL && u->metatable != NULL && is_outside(main, u, u->metatable)) return 1;
  }
  return 0;
}

/* Whether a finalizer in C would find memory that its module has not filled. */
int rlua_c_has_unclaimed(lua_State *main) {
  card_lock(main);
  return has_unclaimed(main, G(main)->finobj) || has_unclaimed(main, G(main)->tobefnz);
}

/* A handle that was claimed gets its resource. */
void rlua_c_give_resource(lua_State *main, void *memory, uint64_t id) {
  card_lock(main);
  *(Handle *)memory = (Handle){.magic = HANDLE_MAGIC, .id = id};
}

/* The userdata that a handle is the memory of. */
void *rlua_c_handle_block(void *handle) {
  return (char *)handle - offsetof(Udata0, bindata);
}

/* A handle counts as one of a state that was just put in place, which stands for nothing yet. */
void rlua_c_take_resource(lua_State *main, void *handle) {
  card_lock(main);
  memset(handle, 0, sizeof(Handle));
}

/* -- those that stay in a state that is put in place ------------------------------------------- */

/* What a guarded userdata of the live state is. */
void rlua_c_meet_guarded(lua_State *main, void *object, rlua_Met *met) {
  const Udata *u = object;
  Table *metatable = u->metatable;
  const TValue *name = metatable != NULL ? field_of(main, metatable, "__name") : &absentkey;
  *met = (rlua_Met){.memory = userdata_head(u), .size = u->len, .id = noted_place(u),
                    .is_pending = tofinalize(u) != 0,
                    .has_finalizer = has_finalizer(G(main), metatable)};
  if (ttisstring(name)) {
    met->kind = getstr(tsvalue(name));
    met->kind_length = tsslen(tsvalue(name));
  }
}

static int is_of_kind(lua_State *main, Table *metatable, const rlua_Met *was) {
  const TValue *name = field_of(main, metatable, "__name");
  if (!ttisstring(name)) return was->kind_length == 0;
  return tsslen(tsvalue(name)) == was->kind_length &&
         memcmp(getstr(tsvalue(name)), was->kind, was->kind_length) == 0;
}

/* The userdata in that block of a state that was just put in place is the one that it was, and is
 * guarded again. NULL, or what is wrong. */
const char *rlua_c_guard_again(lua_State *main, void *block, size_t bytes, const rlua_Met *was) {
  card_lock(main);
  Udata *u = block;
  if (bytes < sizeof(Udata0) || u->tt != LUA_VUSERDATA || userdata_head(u) != was->memory ||
      u->len != was->size || is_guarded(u) || noted_place(u) != 0 ||
      !is_zero(getudatamem(u), u->len) || isdead(G(main), obj2gco(u)) || !tofinalize(obj2gco(u)))
    return "a userdata that stays is another one";
  const TValue *tm = u->metatable != NULL ? gfasttm(G(main), u->metatable, TM_GC) : NULL;
  if (tm == NULL || c_function(tm) == NULL || !is_of_kind(main, u->metatable, was))
    return "a userdata that stays is of another type";
  set_place(u, (uint32_t)was->id);
  return NULL;
}

/* What a userdata that was claimed takes in the arena. */
uint32_t rlua_c_guarded_bytes(const void *object) {
  return whole_size(object);
}

/* Notes where the table outside has a userdata that was claimed. */
void rlua_c_place_guarded(lua_State *main, void *object, uint32_t place) {
  card_lock(main);
  set_place(object, place);
}

/* One whose finalizer has run stands for nothing: as in the form that led here, it is plain, and
 * its memory zero. */
void rlua_c_take_guarded(lua_State *main, void *object) {
  card_lock(main);
  Udata *u = object;
  memset(getudatamem(u), 0, u->len);
  unguard_as(u, 0);
}
