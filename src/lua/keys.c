/* keys.c: pointers that lead out of a VM, and the numbers that stand for them in it.
 *
 * A C function or a light userdata that is a key of a table has an address that differs from
 * process to process, so in the deterministic profile another number decides its place in the
 * table:
 *
 *   pointer                              number
 *   a function of the libraries          a hash of its name (names.c)
 *   into the VM's own region             the offset
 *   below 64 KiB, so no address at all   itself
 *   registered by the host               a hash of its name
 *   any other                            how many pointers the VM had met before
 *
 * The last two stand in a list in the arena. A pointer joins it when it first becomes a key or a
 * text, or is registered, and its number stays: a table could not be searched else. All of that
 * rolls back. Two processes that use the same pointers in the same order, whatever these are, have
 * the same numbers.
 *
 * Part of the one translation unit, before ltable.c. Not here: names (names.c).
 */

/* How a pointer that is in the list is used; rlua_register and rlua_register_pointer. */
enum { POINTER_MET, POINTER_FUNCTION, POINTER_DATA };

struct rlua_Pointer {
  const void *address;
  char *name;          /* a block of its own, or NULL */
  unsigned int number; /* decides the place in tables; never changes */
  unsigned int kind;
};

/* Below it no system maps anything: a light userdata that small is a number of the host's. */
#define LOWEST_ADDRESS 65536u

/* Where the global state lies in each arena: a table alone leads to it. The same in all, since it
 * is the first block (A4). */
static _Atomic(unsigned int) state_offset;

static unsigned int rlua_library_number(lua_CFunction function); /* names.c */

static const rlua_Own *own_of(const Table *t) {
  size_t base = (size_t)t & ~(size_t)0xFFFFFFFFu;
  unsigned int offset = atomic_load_explicit(&state_offset, memory_order_relaxed);
  return &((const global_State *)(base + offset))->own;
}

/* Of an address in the region of the VM: its low bits. */
static int is_in_region(const rlua_Own *own, const void *address) {
  return (size_t)address - ((size_t)own & ~(size_t)0xFFFFFFFFu) < own->region_bytes;
}

/* -- the list ---------------------------------------------------------------------------------- */

/* Behind the list, with room for `capacity`, lies its index: places in the list plus 1, 0 where
 * nothing is, found by address. */
#define index_of(pointers, capacity) ((unsigned int *)((pointers) + (capacity)))
#define list_bytes(capacity) \
  ((size_t)(capacity) * (sizeof(rlua_Pointer) + 2 * sizeof(unsigned int)))
#define FIRST_POINTERS 8u

static unsigned int *index_slot(rlua_Pointer *pointers, unsigned int capacity,
                                const void *address) {
  unsigned int *index = index_of(pointers, capacity), mask = 2 * capacity - 1;
  uint64_t mixed = (uint64_t)(size_t)address * 0x9E3779B97F4A7C15u;
  for (unsigned int i = (unsigned int)(mixed >> 32) & mask;; i = (i + 1) & mask)
    if (index[i] == 0 || pointers[index[i] - 1].address == address) return &index[i];
}

static rlua_Pointer *find_pointer(const rlua_Own *own, const void *address) {
  if (own->pointers == NULL) return NULL;
  unsigned int place = *index_slot(own->pointers, own->pointer_capacity, address);
  return place == 0 ? NULL : &own->pointers[place - 1];
}

/* Raises when there is no memory, and nothing has changed then. */
static void grow_pointers(lua_State *L) {
  rlua_Own *own = &G(L)->own;
  unsigned int capacity = own->pointers == NULL ? FIRST_POINTERS : 2 * own->pointer_capacity;
  rlua_Pointer *grown = luaM_malloc_(L, list_bytes(capacity), KIND_TAG + KIND_OUTWARD);
  memset(grown, 0, list_bytes(capacity));
  for (unsigned int i = 0; i < own->pointer_count; i++) {
    grown[i] = own->pointers[i];
    *index_slot(grown, capacity, grown[i].address) = i + 1;
  }
  if (own->pointers != NULL) luaM_free_(L, own->pointers, list_bytes(own->pointer_capacity));
  own->pointers = grown;
  own->pointer_capacity = capacity;
}

/* The pointer's place in the list, which it joins; raises when there is no memory. */
static rlua_Pointer *meet_pointer(lua_State *L, const void *address) {
  rlua_Own *own = &G(L)->own;
  rlua_Pointer *pointer = find_pointer(own, address);
  if (pointer != NULL) return pointer;
  if (own->pointers == NULL || own->pointer_count == own->pointer_capacity) grow_pointers(L);
  pointer = &own->pointers[own->pointer_count++];
  card_range(pointer, sizeof *pointer);
  *pointer = (rlua_Pointer){address, NULL, own->pointer_count, POINTER_MET};
  unsigned int *slot = index_slot(own->pointers, own->pointer_capacity, address);
  card_at(slot);
  *slot = own->pointer_count;
  return pointer;
}

/* -- keys -------------------------------------------------------------------------------------- */

/* The pointer of a key that needs a number from the list, or NULL. */
static const void *listed_address(const global_State *g, const TValue *key) {
  const void *address;
  if (!g->own.deterministic) return NULL;
  if (rawtt(key) == LUA_VLCF)
    return rlua_library_number(fvalue(key)) == 0 ? (void *)(size_t)fvalue(key) : NULL;
  if (rawtt(key) != LUA_VLIGHTUSERDATA) return NULL;
  address = pvalue(key);
  return (size_t)address >= LOWEST_ADDRESS && !is_in_region(&g->own, address) ? address : NULL;
}

static void rlua_meet_key(lua_State *L, const TValue *key) {
  const void *address = listed_address(G(L), key);
  if (address != NULL) meet_pointer(L, address);
}

/* For walk.c. */
static int is_met(const global_State *g, const TValue *key) {
  const void *address = listed_address(g, key);
  return address == NULL || find_pointer(&g->own, address) != NULL;
}

/* One that was never met is in no table. */
static unsigned int met_number(const rlua_Own *own, const void *address) {
  const rlua_Pointer *pointer = find_pointer(own, address);
  return pointer == NULL ? 0 : pointer->number;
}

static unsigned int rlua_hash_object(const Table *t, const void *object) {
  (void)t;
  return (unsigned int)(size_t)object;
}

__attribute__((noinline)) static unsigned int rlua_hash_light(const Table *t,
                                                               const void *address) {
  if (testbit(t->flags, KEYBIT) && (size_t)address >= LOWEST_ADDRESS) {
    const rlua_Own *own = own_of(t);
    if (!is_in_region(own, address)) return met_number(own, address);
  }
  return (unsigned int)(size_t)address;
}

__attribute__((noinline)) static unsigned int rlua_hash_function(const Table *t,
                                                                  lua_CFunction function) {
  if (!testbit(t->flags, KEYBIT)) return (unsigned int)(size_t)function;
  unsigned int number = rlua_library_number(function);
  return number != 0 ? number : met_number(own_of(t), (void *)(size_t)function);
}
