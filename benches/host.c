/* host.c: runs one benchmark in one process and prints its time.
 *
 * The same source is compiled twice. Without RLUA it links a static archive of stock Lua (each
 * .c file by itself, -O2, glibc's malloc); with RLUA it links librlua.so, and with BUDGET too
 * scripts have a budget. throughput.py runs two of them alternately and compares what they print.
 *
 *   host run SCRIPT         CPU seconds of one run of a script
 *   host churn OPERATIONS   CPU nanoseconds an operation of the allocator, fragmented heap
 *   host create COUNT       CPU nanoseconds to make a VM, open its libraries, and close it
 *   host files COUNT        CPU nanoseconds to open a file, write a line, and close it, in a script
 *
 * Time is the process's CPU time: page faults and system calls count, other processes do not.
 * Not here: snapshots (world.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#ifdef RLUA
#include "rlua.h"
#endif

#define MIB ((size_t)1 << 20)

static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "host: %s\n", what);
  exit(1);
}

/* Snapshots are allowed but none is taken: the price of being able to. */
static lua_State *new_vm(size_t memory_size) {
#ifdef RLUA
  lua_State *L = rlua_new_rollback(memory_size, 8);
#ifdef BUDGET
  if (L != NULL && rlua_set_budget(L, INT64_MAX) != RLUA_OK) fail("no budget");
#endif
#else
  lua_State *L = luaL_newstate();
  (void)memory_size;
#endif
  if (L == NULL) fail("no VM");
  return L;
}

static void run_script(const char *path) {
  lua_State *L = new_vm(1024 * MIB);
  luaL_openlibs(L);
  if (luaL_loadfile(L, path) != LUA_OK) fail(lua_tostring(L, -1));
  double start = cpu_seconds();
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) fail(lua_tostring(L, -1));
  printf("%.6f\n", cpu_seconds() - start);
  lua_close(L);
}

typedef struct Block {
  void *address;
  size_t size;
} Block;

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) { /* xorshift64 */
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

/* Sizes as Lua asks for them: mostly objects of 24 to 150 bytes, some arrays, a few large. */
static size_t next_size(void) {
  uint64_t r = next_random();
  if (r % 100 < 80) return 24 + (r >> 32) % 128;
  if (r % 100 < 98) return 128 + (r >> 32) % 1024;
  return 1024 + (r >> 32) % 16384;
}

static void allocate(lua_Alloc alloc, void *ud, Block *block) {
  block->size = next_size();
  block->address = alloc(ud, NULL, LUA_TUSERDATA, block->size);
  if (block->address == NULL) fail("out of memory");
  memset(block->address, 1, 16);
}

/* 16 MiB of blocks from the VM's allocator, as a host gets them, every other one freed; then each
 * operation frees one block at random and allocates one of another size. */
static void churn(long operations) {
  lua_State *L = new_vm(256 * MIB);
  luaL_openlibs(L);
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  Block *blocks = calloc(1 << 18, sizeof *blocks);
  size_t count = 0, kept = 0, bytes = 0;
  for (; bytes < 16 * MIB; count++) {
    allocate(alloc, ud, &blocks[count]);
    bytes += blocks[count].size;
  }
  for (size_t i = 0; i < count; i++) {
    if (i % 2 == 0) alloc(ud, blocks[i].address, blocks[i].size, 0);
    else blocks[kept++] = blocks[i];
  }
  double start = cpu_seconds();
  for (long i = 0; i < operations; i++) {
    Block *block = &blocks[next_random() % kept];
    alloc(ud, block->address, block->size, 0);
    allocate(alloc, ud, block);
  }
  printf("%.2f\n", (cpu_seconds() - start) * 1e9 / (double)operations);
  for (size_t i = 0; i < kept; i++) alloc(ud, blocks[i].address, blocks[i].size, 0);
  free(blocks);
  lua_close(L);
}

static void create(long count) {
  double start = cpu_seconds();
  for (long i = 0; i < count; i++) {
    lua_State *L = new_vm(64 * MIB);
    luaL_openlibs(L);
    lua_close(L);
  }
  printf("%.0f\n", (cpu_seconds() - start) * 1e9 / (double)count);
}

static void files(long count) {
  static const char chunk[] =
      "local open = io.open for i = 1, ... do "
      "local f = open('/dev/null', 'w') f:write('line\\n') f:close() end";
  lua_State *L = new_vm(64 * MIB);
  luaL_openlibs(L);
  if (luaL_loadstring(L, chunk) != LUA_OK) fail(lua_tostring(L, -1));
  lua_pushinteger(L, count);
  double start = cpu_seconds();
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) fail(lua_tostring(L, -1));
  printf("%.0f\n", (cpu_seconds() - start) * 1e9 / (double)count);
  lua_close(L);
}

int main(int argc, char **argv) {
  if (argc != 3) fail("usage: host run SCRIPT | churn OPERATIONS | create COUNT | files COUNT");
  if (strcmp(argv[1], "run") == 0) run_script(argv[2]);
  else if (strcmp(argv[1], "churn") == 0) churn(atol(argv[2]));
  else if (strcmp(argv[1], "create") == 0) create(atol(argv[2]));
  else if (strcmp(argv[1], "files") == 0) files(atol(argv[2]));
  else fail("unknown mode");
  return 0;
}
