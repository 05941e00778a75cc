/* memory.c: blocks of the host in the arena (rlua_alloc).
 *
 * Part of the one translation unit. Nothing here raises out of this file. The public contracts are
 * in ffi/memory.rs.
 */

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
  request->block = luaM_malloc_(L, request->bytes, KIND_TAG + KIND_HOST);
}

/* NULL when it does not fit, after a collection. */
void *rlua_c_alloc(lua_State *L, size_t size) {
  card_lock(L);
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

int rlua_c_is_block(void *memory) {
  return host_block(memory) != NULL;
}

/* NULL, and the block as it was, when it does not fit. pre: is_block. */
void *rlua_c_realloc(lua_State *L, void *memory, size_t size) {
  HostBlock *block = host_block(memory), *moved;
  card_lock(L);
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
void rlua_c_free(lua_State *L, void *memory) {
  card_lock(L);
  HostBlock *block = host_block(memory);
  block->check = 0;
  luaM_free_(L, block, host_bytes(block->size));
}
