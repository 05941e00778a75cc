/* way.h: a VM together with one way of going back in time: a tracker of librlua, or a copy of
 * all used memory, which is what each tracker is compared with.
 *
 * Not here: what the VM runs and what is measured (world.c).
 */
#ifndef rlua_bench_way_h
#define rlua_bench_way_h

#include <stddef.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include "rlua.h"

/* From WAY_TRACKERS on: trackers, by the names that RLUA_TRACKER knows. */
enum { WAY_PLAIN, WAY_NONE, WAY_COPY_FRESH, WAY_COPY_RING, WAY_COPY_REUSED, WAY_COPY_BEST,
       WAY_TRACKERS, WAY_COUNT = WAY_TRACKERS + 8 };

/* The functions that worlds are driven with, of the library that the VM lives in. */
#define WAY_FUNCTIONS(X) \
  X(lua_getglobal) X(lua_pushinteger) X(lua_pushstring) X(lua_pushboolean) X(lua_pcallk) \
  X(lua_tointegerx) X(lua_tolstring) X(lua_settop) X(lua_close) X(luaL_openlibs) \
  X(luaL_loadfilex) X(rlua_open) X(rlua_info) X(rlua_last_error)
typedef struct Library {
#define X(name) __typeof__(name) *name;
  WAY_FUNCTIONS(X)
#undef X
} Library;

/* What a copying way keeps of one moment. */
typedef struct Copy {
  void *bytes;
  size_t size, room;
} Copy;

typedef struct Way {
  int kind;
  lua_State *L;
  const Library *library;
  size_t kept;   /* how many moments are kept */
  Copy *copies;  /* a ring of `kept`; NULL for a tracker of librlua */
  size_t newest; /* position of the newest moment in the ring */
  double dirty_pages; /* a measurement, kept by the benchmark */
} Way;

/* A way's number, or -1. A name that is no way yet becomes a tracker's. */
int way_of_name(const char *name);
const char *way_name(int kind);

/* The library of WAY_PLAIN, by its path. */
void way_load_plain(const char *path);

/* Makes a VM that keeps `kept` moments, its collector paced for rollback or as in lua_newstate:
 * pause 200, multiplier 100, steps of 8 KiB. 0 when the library or the system lacks the way. */
int way_open(Way *way, int kind, size_t memory_size, size_t kept, int lua_pacing);
void way_close(Way *way);

/* Captures the VM as it is now; the oldest moment goes. */
void way_snap(Way *way);

/* Goes back to the n-th newest moment, 1 being the newest. Without snapshots: does nothing. */
void way_rollback(Way *way, size_t n);

/* After a snapshot: dies unless the copy that was made is the VM's memory, byte for byte. */
void way_check_copy(const Way *way);

/* Bytes of all copies, and how many of them lie in huge pages (-1: unknown). */
size_t way_copy_bytes(const Way *way);
long way_huge_bytes(const Way *way);

/* Facts about the VM. */
rlua_Info way_info(const Way *way);

void die(const char *format, ...);

#endif
