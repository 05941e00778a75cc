/* way.h: a VM together with one way of going back in time: a backend of librlua, or a copy of
 * all used memory, which is what each backend is compared with.
 *
 * Not here: what the VM runs and what is measured (world.c).
 */
#ifndef rlua_bench_way_h
#define rlua_bench_way_h

#include <stddef.h>

#include "lua.h"
#include "rlua.h"

enum { WAY_NONE, WAY_COPY_FRESH, WAY_COPY_RING, WAY_COPY_REUSED, WAY_COMPARE, WAY_UFFD, WAY_AUTO,
       WAY_CARDS, WAY_COUNT };

/* What a copying way keeps of one moment. */
typedef struct Copy {
  void *bytes;
  size_t size, room;
} Copy;

typedef struct Way {
  int kind;
  lua_State *L;
  size_t kept;   /* how many moments are kept */
  Copy *copies;  /* a ring of `kept`; NULL for a backend of librlua */
  size_t newest; /* position of the newest moment in the ring */
  double dirty_pages; /* a measurement, kept by the benchmark */
} Way;

const char *way_name(int kind);

/* Makes a VM that keeps `kept` moments, its collector paced for rollback or as in lua_newstate:
 * pause 200, multiplier 100, steps of 8 KiB. 0 when this system lacks the backend. */
int way_open(Way *way, int kind, size_t memory_size, size_t kept, int lua_pacing);
void way_close(Way *way);

/* Captures the VM as it is now; the oldest moment goes. */
void way_snap(Way *way);

/* Goes back to the n-th newest moment, 1 being the newest. */
void way_rollback(Way *way, size_t n);

/* Facts about the VM. */
rlua_Info way_info(const Way *way);

void die(const char *format, ...);

#endif
