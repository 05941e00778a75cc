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
  } else if (what == OBJECT_ENDED) {
    unguard(u);
  } else {
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
