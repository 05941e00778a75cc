/* host.c: what a host keeps in the arena: memory blocks, references, handles of resources.
 *
 * Part of the one translation unit, behind shim.c, whose `protect` it uses. Nothing here raises
 * out of this file. What lies outside the arena (the serial counter, the table of resources) is
 * Rust's: vm/host.rs and resource/. The public contracts are in ffi/host.rs.
 */

/* -- host memory -------------------------------------------------------------------------- */

/* Before each block of a host. `check` depends on the place and on the size, so neither a foreign
 * pointer nor a freed block passes for one. No address is in it: images stay comparable. */
typedef struct HostBlock {
  size_t size; /* what the host asked for */
  size_t check;
} HostBlock;

#define HOST_GRAIN 16

static size_t host_check(const HostBlock *block) {
  size_t offset = (size_t)block & 0xFFFFFFFFu;
  return (block->size + 0x9E3779B97F4A7C15u) * (2 * offset + 1) ^ 0x686F73746D656D31u;
}

/* Bytes that a block takes. A multiple of 16, so that the arena aligns it to 16 wherever it
 * moves. */
static size_t host_bytes(size_t size) {
  return sizeof(HostBlock) + (size + HOST_GRAIN - 1) / HOST_GRAIN * HOST_GRAIN;
}

/* Writes the header and zeroes what the host did not have before, the padding too: what lay there
 * before must not become part of the state. */
static void *host_finish(HostBlock *block, size_t held, size_t size) {
  block->size = size;
  block->check = host_check(block);
  if (size > held)
    memset((char *)(block + 1) + held, 0, host_bytes(size) - sizeof(HostBlock) - held);
  return block + 1;
}

typedef struct HostRequest { size_t bytes; void *block; } HostRequest;

BODY(hostalloc_body) {
  HostRequest *request = ud;
  request->block = luaM_malloc_(L, request->bytes, LUA_TUSERDATA);
}

/* NULL when it does not fit, after a collection. */
RLUA_INTERNAL void *rlua_c_alloc(lua_State *L, size_t size) {
  HostRequest request = {host_bytes(size), NULL};
  if (size > MAX_SIZET / 2) return NULL;
  if (luaD_rawrunprotected(L, hostalloc_body, &request) != LUA_OK) return NULL;
  return host_finish(request.block, 0, size);
}

/* The block behind a host's pointer, or NULL. pre: the 16 bytes before it lie in the arena. */
static HostBlock *host_block(void *memory) {
  HostBlock *block = (HostBlock *)memory - 1;
  return block->check == host_check(block) ? block : NULL;
}

RLUA_INTERNAL int rlua_c_is_block(void *memory) {
  return host_block(memory) != NULL;
}

/* NULL, and the block as it was, when it does not fit. pre: is_block. */
RLUA_INTERNAL void *rlua_c_realloc(lua_State *L, void *memory, size_t size) {
  HostBlock *block = host_block(memory), *moved;
  size_t held = block->size;
  if (size > MAX_SIZET / 2) return NULL;
  if (host_bytes(size) == host_bytes(held)) {
    moved = block;
  } else {
    /* Wiped first, so that the place it leaves does not pass for a block; put back on failure. */
    block->check = 0;
    moved = luaM_realloc_(L, block, host_bytes(held), host_bytes(size));
    if (moved == NULL) {
      block->check = host_check(block);
      return NULL;
    }
  }
  return host_finish(moved, held, size);
}

/* pre: is_block. */
RLUA_INTERNAL void rlua_c_free(lua_State *L, void *memory) {
  HostBlock *block = host_block(memory);
  block->check = 0;
  luaM_free_(L, block, host_bytes(block->size));
}

/* -- references --------------------------------------------------------------------------- */

/* The table of references is anchored in the registry and named by a word beside the main thread
 * (rlua_refs in overrides.h), so finding it costs one load. Its array part holds
 *
 *   [1] first free slot, or 0   [2] slots in use, free ones included
 *   [2k + 1] value of slot k, or, in a free slot, the next free one
 *   [2k + 2] serial of slot k, 0 in a free slot
 *
 * so that all of it rolls back; only the counter that serials come from does not. */
#define REFS_KEY "rlua.refs"
#define REFS_FIRST_SLOTS 7
#define MAX_SLOTS ((MAXASIZE < INT_MAX ? (lua_Integer)MAXASIZE : INT_MAX) / 2 - 2)

typedef unsigned long long Ref;

#define ref_slot(ref) ((lua_Integer)((ref) & 0xFFFFFFFFu))
#define ref_serial(ref) ((lua_Integer)((ref) >> 32))

static TValue *ref_at(Table *refs, lua_Integer index) {
  return (TValue *)luaH_getint(refs, index);
}

static lua_Integer ref_integer(Table *refs, lua_Integer index) {
  const TValue *value = ref_at(refs, index);
  return ttisinteger(value) ? ivalue(value) : 0;
}

BODY(growrefs_body) {
  Table *refs = rlua_refs(L);
  (void)ud;
  if (refs == NULL) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, REFS_KEY);
    refs = hvalue(s2v(L->top.p - 1));
    luaH_resize(L, refs, 2 * REFS_FIRST_SLOTS + 2, 0);
    setivalue(ref_at(refs, 1), 0);
    setivalue(ref_at(refs, 2), 0);
    L->top.p--;
    rlua_refs(L) = refs;
  } else {
    lua_Integer slots = ref_integer(refs, 2);
    if (slots >= MAX_SLOTS) luaM_toobig(L);
    luaH_resize(L, refs, cast_uint(2 * (2 * slots + 1) + 2), 0);
  }
}

/* Finds a free slot, 0 when there is no memory for one. The stack is as it was. */
static lua_Integer ref_new_slot(lua_State *L) {
  Table *refs = rlua_refs(L);
  lua_Integer slot;
  if (refs != NULL && (slot = ref_integer(refs, 1)) != 0) {
    setobj2t(L, ref_at(refs, 1), ref_at(refs, 2 * slot + 1));
    return slot;
  }
  if (refs == NULL || isabstkey(ref_at(refs, 2 * (ref_integer(refs, 2) + 1) + 2))) {
    if (!lua_checkstack(L, 5)) return 0;
    if (luaD_pcall(L, growrefs_body, NULL, savestack(L, L->top.p), 0) != LUA_OK) {
      L->top.p--;
      return 0;
    }
    refs = rlua_refs(L);
  }
  slot = ref_integer(refs, 2) + 1;
  if (isabstkey(ref_at(refs, 2 * slot + 2))) return 0; /* a script with `debug` was here */
  setivalue(ref_at(refs, 2), slot);
  return slot;
}

/* Moves the value on top into a slot. After an error the stack is as it was. */
RLUA_INTERNAL int rlua_c_ref(lua_State *L, unsigned int serial, Ref *ref) {
  if (lua_gettop(L) < 1) return REFUSED_ARGUMENT;
  lua_Integer slot = ref_new_slot(L);
  Table *refs = rlua_refs(L);
  if (slot == 0) return LUA_ERRMEM;
  setobj2t(L, ref_at(refs, 2 * slot + 1), s2v(L->top.p - 1));
  luaC_barrierback(L, obj2gco(refs), s2v(L->top.p - 1));
  setivalue(ref_at(refs, 2 * slot + 2), serial);
  L->top.p--;
  *ref = (Ref)slot | (Ref)serial << 32;
  return LUA_OK;
}

/* The place of the value of a live reference, or NULL. */
static TValue *ref_find(lua_State *L, Ref ref) {
  Table *refs = rlua_refs(L);
  lua_Integer slot = ref_slot(ref);
  TValue *value, *serial;
  if (l_unlikely(refs == NULL || slot == 0 || ref_serial(ref) == 0)) return NULL;
  if (l_likely(2 * slot + 1 < (lua_Integer)refs->alimit)) { /* as luaH_getint, once for both */
    value = &refs->array[2 * slot];
    serial = value + 1;
  } else {
    value = ref_at(refs, 2 * slot + 1);
    serial = ref_at(refs, 2 * slot + 2);
  }
  return ttisinteger(serial) && ivalue(serial) == ref_serial(ref) ? value : NULL;
}

/* 1, 0 when the reference is stale, or REFUSED_STACK. */
RLUA_INTERNAL int rlua_c_getref(lua_State *L, Ref ref) {
  const TValue *value = ref_find(L, ref);
  if (l_unlikely(value == NULL)) return 0;
  if (l_unlikely(!has_room(L, 1))) return REFUSED_STACK; /* growing it does not move `value` */
  setobj2s(L, L->top.p, value);
  L->top.p++;
  return 1;
}

RLUA_INTERNAL int rlua_c_unref(lua_State *L, Ref ref) {
  Table *refs = rlua_refs(L);
  TValue *value = ref_find(L, ref);
  if (value == NULL) return 0;
  setobj2t(L, value, ref_at(refs, 1));
  setivalue(ref_at(refs, 2 * ref_slot(ref) + 2), 0);
  setivalue(ref_at(refs, 1), ref_slot(ref));
  return 1;
}

/* -- handles of resources ----------------------------------------------------------------- */

/* The whole content of a handle. The table outside checks the id and the handle's address, so a
 * userdata that only looks like one is told apart. */
typedef struct Handle {
  lua_Unsigned magic, id;
} Handle;

#define HANDLE_MAGIC ((lua_Unsigned)0x31656C646E616872)
#define TYPES_KEY "rlua.resources"

typedef struct Method {
  const char *name;
  HostFunction function;
} Method;

/* The handle at an index, or NULL. */
RLUA_INTERNAL void *rlua_c_handle(lua_State *L, int index, unsigned long long *id) {
  const TValue *value = is_index(L, index) ? index2value(L, index) : NULL;
  if (value == NULL || !ttisfulluserdata(value) || uvalue(value)->len != sizeof(Handle))
    return NULL;
  Handle *handle = (Handle *)getudatamem(uvalue(value));
  *id = handle->id;
  return handle->magic == HANDLE_MAGIC ? handle : NULL;
}

/* __gc and __close. The hook tells whether the handle is alive and releases what it stands for. */
static int handle_end(lua_State *L) {
  unsigned long long id;
  void *handle = rlua_c_handle(L, 1, &id);
  if (handle != NULL) collect_hook(L, handle, id);
  return 0;
}

typedef struct ResourceArgs {
  const char *name;
  const Method *methods;
  void *ud;
  unsigned long long id;
  Handle *handle;
} ResourceArgs;

static void set_function(lua_State *L, int table, const Method *method, void *ud) {
  lua_pushlightuserdata(L, (void *)method->function);
  lua_pushlightuserdata(L, ud);
  lua_pushstring(L, method->name);
  lua_pushcclosure(L, host_trampoline, 3);
  lua_setfield(L, table, method->name);
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
    set_function(L, strncmp(method->name, "__", 2) == 0 ? meta : meta + 1, method, args->ud);
  if (lua_getfield(L, meta, "__index") == LUA_TNIL) {
    lua_pushvalue(L, meta + 1);
    lua_setfield(L, meta, "__index");
  }
  lua_pushcfunction(L, handle_end);
  lua_setfield(L, meta, "__gc");
  lua_settop(L, meta);
}

BODY(pushresource_body) {
  ResourceArgs *args = ud;
  luaL_checkstack(L, 12, NULL);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, TYPES_KEY);
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

RLUA_INTERNAL int rlua_c_pushresource(lua_State *L, const char *name, const Method *methods,
                                      void *ud, unsigned long long id, void **handle) {
  ResourceArgs args = {.name = name, .methods = methods, .ud = ud, .id = id};
  int status = protect(L, pushresource_body, &args, 0);
  *handle = args.handle;
  return status;
}
