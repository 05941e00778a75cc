/* opaque.c: what a snapshot adds where the world lies in a block of the host (rlua_alloc).
 *
 *   opaque [ROUNDS]
 *
 * Each frame writes a word to some of the block's lines, others each time, and is captured; 8
 * snapshots are held. A line is the medians, in microseconds, of the frame's writes and capture for
 * each way to find what was written, all ways in turns; the baseline copies the block into the
 * oldest of 8 copies. `none` takes no snapshot: the writes alone.
 * Not here: worlds in Lua (world.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rlua.h"

#define PROGRAM "opaque"
#include "measure.h"

enum { SNAPSHOTS = 8, LINE = 64, WARM = 30 };
enum { NONE, RING, CARDS, UFFD, AUTO, TOUCH, WAYS };
static const char *const names[WAYS] = {"none", "ring", "compared", "watched", "auto", "announced"};

typedef struct World {
  lua_State *L;
  unsigned char *block, *copies[SNAPSHOTS];
  size_t bytes, frame;
  uint64_t random;
} World;

static int open_world(World *world, int way, size_t bytes) {
  rlua_Config config = {.size = sizeof config, .max_snapshots = SNAPSHOTS};
  memset(world, 0, sizeof *world);
  config.tracker = way == CARDS ? RLUA_TRACKER_CARDS : way == UFFD ? RLUA_TRACKER_UFFD
    : RLUA_TRACKER_AUTO;
  config.announces = way == TOUCH;
  if (rlua_open(&config, &world->L) != RLUA_OK) return 0;
  world->bytes = bytes;
  world->random = 1;
  if ((world->block = rlua_alloc(world->L, bytes)) == NULL) fail("rlua_alloc");
  memset(world->block, 1, bytes);
  OK(rlua_touch(world->L, world->block, bytes));
  for (int i = 0; way == RING && i < SNAPSHOTS; i++)
    memset(world->copies[i] = malloc(bytes), 1, bytes);
  return 1;
}

static double frame(World *world, int way, size_t lines) {
  double start = now_ns();
  for (size_t i = 0; i < lines; i++) {
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    unsigned char *at = world->block + (world->random >> 33) % (world->bytes / LINE) * LINE;
    memcpy(at, &world->random, sizeof world->random);
    if (way == TOUCH) OK(rlua_touch(world->L, at, sizeof world->random));
  }
  if (way == RING) memcpy(world->copies[world->frame++ % SNAPSHOTS], world->block, world->bytes);
  else if (way != NONE) OK(rlua_snap(world->L));
  return (now_ns() - start) / 1000;
}

static void measure(size_t bytes, double part, int rounds) {
  static double times[WAYS][MAX_ROUNDS];
  static World worlds[WAYS];
  size_t lines = (size_t)((double)(bytes / LINE) * part / 100);
  int open[WAYS];
  for (int way = 0; way < WAYS; way++) {
    open[way] = open_world(&worlds[way], way, bytes);
    for (int i = 0; open[way] && i < WARM; i++) frame(&worlds[way], way, lines);
  }
  for (int i = 0; i < rounds; i++)
    for (int way = 0; way < WAYS; way++)
      if (open[way]) times[way][i] = frame(&worlds[way], way, lines);
  printf("%3zu MiB, %4.1f %% of the lines", bytes >> 20, part);
  for (int way = 0; way < WAYS; way++) {
    if (open[way]) printf("  %s %9.1f", names[way], median(times[way], rounds));
    else printf("  %s unavailable", names[way]);
    if (open[way]) lua_close(worlds[way].L);
    for (int i = 0; i < SNAPSHOTS; i++) free(worlds[way].copies[i]);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  static const double parts[] = {0, 0.1, 1, 10};
  int rounds = rounds_of(argc, argv);
  for (size_t mib = 1; mib <= 16; mib *= 4)
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) measure(mib << 20, parts[i], rounds);
  return 0;
}
