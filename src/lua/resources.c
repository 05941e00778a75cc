/* resources.c: handles of resources (rlua_pushresource).
 *
 * Part of the one translation unit, behind functions.c. Nothing here raises out of this file. The
 * table of resources is Rust's (resource/), since it does not roll back. The public contracts are
 * in ffi/resources.rs.
 */

/* The whole content of a handle. The table outside checks the id and the handle's address, so a
 * userdata that only looks like one is told apart. When the resource ends, its id goes. */
typedef struct Handle {
  uint64_t magic, id;
} Handle;

#define HANDLE_MAGIC ((uint64_t)0x31656C646E616872)

/* The handle at an index, or NULL. */
void *rlua_c_handle(lua_State *L, int index, uint64_t *id) {
  const TValue *value = is_index(L, index) ? index2value(L, index) : NULL;
  if (value == NULL || !ttisfulluserdata(value) || uvalue(value)->len != sizeof(Handle))
    return NULL;
  Handle *handle = (Handle *)getudatamem(uvalue(value));
  *id = handle->id;
  return handle->magic == HANDLE_MAGIC ? handle : NULL;
}

static const char *type_name(lua_State *L, Table *mt); /* guarded.c */

/* Whether a handle of a resource that has ended was of that type, as its metatable says. */
int rlua_c_was_of_type(lua_State *L, int index, const char *name) {
  Table *mt = uvalue(index2value(L, index))->metatable;
  return mt != NULL && strcmp(type_name(L, mt), name) == 0;
}

/* What a handle stands for has ended, as far as the state goes. Userdata are opaque: no mark. */
void rlua_c_forget_resource(lua_State *L, void *handle) {
  card_lock(L);
  ((Handle *)handle)->id = 0;
}

/* __gc and __close. The hook tells whether the handle is alive and releases what it stands for. */
static int handle_end(lua_State *L) {
  uint64_t id;
  void *handle = rlua_c_handle(L, 1, &id);
  if (handle == NULL || id == 0) return 0;
  rlua_c_forget_resource(L, handle);
  hooks.collected(L, handle, id);
  return 0;
}

typedef struct ResourceArgs {
  const char *name;
  const Method *methods;
  void *ud;
  uint64_t id;
  Handle *handle;
} ResourceArgs;

/* In an image a method's name is the type's, a dot, and its own. */
static void set_function(lua_State *L, int table, const Method *method, const ResourceArgs *args) {
  const char *name = lua_pushfstring(L, "%s.%s", args->name, method->name);
  push_host_function(L, method->function, args->ud, name);
  lua_setfield(L, table, method->name);
  lua_pop(L, 1);
}

/* Makes the metatable of a type: names that begin with two underscores go into it, the others
 * into __index. */
static void new_metatable(lua_State *L, const ResourceArgs *args) {
  lua_createtable(L, 0, 6);
  int meta = lua_gettop(L);
  lua_pushstring(L, args->name);
  lua_setfield(L, meta, "__name");
  lua_pushstring(L, args->name);
  lua_setfield(L, meta, "__metatable");
  lua_pushcfunction(L, handle_end);
  lua_setfield(L, meta, "__close");
  lua_createtable(L, 0, 4);
  for (const Method *method = args->methods; method && method->name; method++)
    set_function(L, strncmp(method->name, "__", 2) == 0 ? meta : meta + 1, method, args);
  if (lua_getfield(L, meta, "__index") == LUA_TNIL) {
    lua_pushvalue(L, meta + 1);
    lua_setfield(L, meta, "__index");
  }
  lua_pushcfunction(L, handle_end);
  lua_setfield(L, meta, "__gc");
  lua_settop(L, meta);
}

/* Pushes the table of metatables by name. It is a root of the collector (collector.c), so that no
 * script can reach it. */
static void push_types(lua_State *L) {
  rlua_Own *own = &G(L)->own;
  if (own->types == NULL) {
    lua_newtable(L);
    own->types = hvalue(s2v(L->top.p - 1));
  } else {
    sethvalue2s(L, L->top.p, own->types);
    api_incr_top(L);
  }
}

BODY(pushresource_body) {
  ResourceArgs *args = ud;
  luaL_checkstack(L, 12, NULL);
  push_types(L);
  if (lua_getfield(L, -1, args->name) != LUA_TTABLE) {
    lua_pop(L, 1);
    new_metatable(L, args);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, args->name);
  }
  args->handle = (Handle *)lua_newuserdatauv(L, sizeof(Handle), 0);
  args->handle->magic = HANDLE_MAGIC;
  args->handle->id = args->id;
  lua_insert(L, -3);            /* handle, types, metatable */
  lua_remove(L, -2);
  lua_setmetatable(L, -2);
}

/* Answers Lua's status, with the error value on top, or REFUSED_STACK. */
int rlua_c_pushresource(lua_State *L, const char *name, const Method *methods, void *ud,
                        uint64_t id, void **handle) {
  card_lock(L);
  ResourceArgs args = {.name = name, .methods = methods, .ud = ud, .id = id};
  *handle = NULL;
  if (!has_room(L, 3)) return REFUSED_STACK;
  int status = luaD_pcall(L, pushresource_body, &args, savestack(L, L->top.p), 0);
  if (status == LUA_OK) *handle = args.handle;
  return status;
}
