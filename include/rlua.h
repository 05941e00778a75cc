#ifndef RLUA_H
#define RLUA_H

/* Generated from src/ffi and src/lua by tests/header.rs: do not edit. */

#include <stddef.h>
#include <stdint.h>

/* The version of this header; rlua_version() tells the library's. Programs and library agree in
 * the major number, which is in the library's SONAME. */
#define RLUA_VERSION "0.1.0"
#define RLUA_VERSION_MAJOR 0
#define RLUA_VERSION_MINOR 1
#define RLUA_VERSION_PATCH 0

/* librlua: Lua 5.4 whose whole state can go back in time.
 *
 * Link librlua in place of liblua5.4. lua.h, lauxlib.h and lualib.h of exactly this build lie
 * beside this file. Every function that can fail answers an rlua_Status as int, never raises a
 * Lua error, and after an error leaves everything as it was; rlua_last_error tells the sentence.
 *
 * Threads: a VM is used by one OS thread at a time; different VMs need no care. A second thread
 * that enters an rlua_* function of a VM in use gets RLUA_BUSY.
 *
 * Foreign unwinding: a C++ exception, pthread_exit or a forced unwinding may go through Lua's
 * frames and the library's protected calls, but ends nothing of what Lua was doing: it must not be
 * caught between two of its frames, and once it has left the last one the VM is busy until
 * rlua_recover. It must not leave a release function, a participant's function, or lua_close, which
 * end the process then.
 *
 * What a host keeps with the VM (rlua_alloc and below) follows its snapshots: memory in the VM,
 * references, resources, and host state elsewhere. docs/HOST.md tells when to use which. */

#ifdef __cplusplus
extern "C" {
#endif
#include "lua.h"
#ifdef __cplusplus
}
#endif

/* What a host function returns to raise the value on top of its stack. The raise is made after
 * the function has returned, so it jumps over none of the host's frames. */
#define RLUA_RAISE (-1)

/* What lua_pcall, lua_resume and lua_status answer for code that used up the VM's budget. The
 * functions of this library answer RLUA_BUDGET. */
#define RLUA_ERRBUDGET 7

/* Libraries, for rlua_openlibs and rlua_newenv: any sum of these. */
#define RLUA_LIB_BASE 0x1u
#define RLUA_LIB_COROUTINE 0x2u
#define RLUA_LIB_TABLE 0x4u
#define RLUA_LIB_STRING 0x8u
#define RLUA_LIB_UTF8 0x10u
#define RLUA_LIB_MATH 0x20u
#define RLUA_LIB_IO 0x40u
#define RLUA_LIB_OS 0x80u
#define RLUA_LIB_DEBUG 0x100u
#define RLUA_LIB_PACKAGE 0x200u

/* What is taken from base: no binary chunks, no files (`load` loads text, whatever its mode says;
 * no dofile, no loadfile). */
#define RLUA_LIB_TEXT_ONLY 0x10000u

/* What is taken from base and string: `__gc`, metatables of what is no table, the collector's
 * parameters, warn, string.dump. */
#define RLUA_LIB_LOCKED 0x20000u

/* All that luaL_openlibs opens. */
#define RLUA_LIB_ALL 0x3ffu

/* What computes the same on every machine. */
#define RLUA_LIB_DETERMINISTIC 0x1003fu

/* The same for code that nobody trusts: RLUA_LIB_LOCKED too. docs/SANDBOX.md tells how. */
#define RLUA_LIB_SANDBOX 0x3003fu

/* For rlua_set_budget: as much as scripts want. */
#define RLUA_NO_BUDGET 0xFFFFFFFFFFFFFFFFu

/* For rlua_call, in place of a message handler's index: a handler that appends a traceback. */
#define RLUA_TRACEBACK (-2147483647 - 1)

/**
 * A function of the host, called by Lua: arguments are on the stack from index 1.
 *
 * @param L   The thread that calls. Only protected calls are safe for a host that cannot survive
 *            a longjmp.
 * @param ud  What rlua_pushfunction was given.
 * @return    How many values on top of the stack are results, or RLUA_RAISE.
 */
typedef int (*rlua_HostFunction)(lua_State *L, void *ud);


/**
 * Bytes of the path in an rlua_SyncReport, the zero at its end included.
 */
#define RLUA_SYNC_PATH 512

/**
 * Bytes of a value in an rlua_SyncReport, the zero at its end included.
 */
#define RLUA_SYNC_VALUE 256

/**
 * Which way a VM finds what was written since the last snapshot. Lua and the library say which
 * lines of 64 bytes they write; the choice is about what hosts write at any time: userdata, blocks
 * of rlua_alloc and of lua_getallocf, extra spaces. It changes what a snapshot costs, never what
 * it keeps.
 */
typedef enum rlua_Tracker {
  /**
   * The environment variable RLUA_TRACKER (auto, compare, uffd, cards); where it is not set,
   * what hosts write to is compared, or watched by the kernel where it is much and that is
   * cheaper.
   */
  RLUA_TRACKER_AUTO = 0,
  /**
   * Compares every page of the VM with the newest snapshot, whoever wrote to it.
   */
  RLUA_TRACKER_COMPARE = 1,
  /**
   * What hosts write to is watched by the kernel, by whole pages (Linux userfaultfd, 6.7 and
   * later): a fault for each written page.
   */
  RLUA_TRACKER_UFFD = 2,
  /**
   * What hosts write to is compared. Works everywhere, and asks nothing of the system.
   */
  RLUA_TRACKER_CARDS = 3,
} rlua_Tracker;

/**
 * What a userdata means whose metatable has a C function as `__gc`: it belongs to a C module or a
 * binding, and stands for something outside. docs/HOST.md tells what each kind of userdata does.
 */
typedef enum rlua_Guard {
  /**
   * It is guarded: its `__gc` runs once, when neither the live state nor a held snapshot has the
   * object, and its block does not roll back. A metatable with `__rollback = true` is excepted.
   */
  RLUA_GUARD_ON = 0,
  /**
   * In a VM that keeps snapshots, setting such a metatable raises an error: for simulations that
   * must be the same on every machine.
   */
  RLUA_GUARD_REFUSE = 1,
  /**
   * Nothing: it rolls back as all userdata, and its `__gc` runs in each version of the state.
   */
  RLUA_GUARD_OFF = 2,
} rlua_Guard;

/**
 * Whose rules scripts find. The profile is the VM's: what luaL_openlibs and luaL_requiref open
 * obeys it too. docs/DETERMINISM.md tells what differs.
 */
typedef enum rlua_Profile {
  /**
   * The same script with the same inputs computes the same state on every machine.
   */
  RLUA_PROFILE_DETERMINISTIC = 0,
  /**
   * As lua.org's Lua behaves.
   */
  RLUA_PROFILE_STOCK = 1,
} rlua_Profile;

/**
 * Whose images rlua_load and rlua_apply_delta take. What is not verified in any of them is the
 * code of scripts, of which Lua has no verifier: an image of a stranger is a stranger's program.
 */
typedef enum rlua_Trust {
  /**
   * Of those who have the key (`image_key`): the hash cannot be made without it.
   */
  RLUA_TRUST_KEY = 0,
  /**
   * With or without a key. All but code is proved, which takes as long as rlua_check.
   */
  RLUA_TRUST_PROVED = 1,
  /**
   * With or without a key, those that this host saved itself, where nobody could change them:
   * damage is found by the hash, and by a look at each word.
   */
  RLUA_TRUST_OWN = 2,
} rlua_Trust;

/**
 * What kind of difference it is.
 */
typedef enum rlua_DiffKind {
  /**
   * A value: a number, a string, a boolean, a light userdata. 1 and 1.0 differ, 0.0 and -0.0 do.
   */
  RLUA_DIFF_KIND_VALUE = 1,
  /**
   * Values of different types.
   */
  RLUA_DIFF_KIND_TYPE = 2,
  /**
   * One side has nothing there; its text is "nil".
   */
  RLUA_DIFF_KIND_MISSING = 3,
  /**
   * One side has no metatable, or another one.
   */
  RLUA_DIFF_KIND_METATABLE = 4,
  /**
   * `pairs` gives the same keys in another order, or would when new ones come, since the parts
   * of the table have other sizes.
   */
  RLUA_DIFF_KIND_ORDER = 5,
  /**
   * The way leads to an object that lies elsewhere too, and in the other state elsewhere: the
   * texts tell where. So two fields have one object here, and two there.
   */
  RLUA_DIFF_KIND_IDENTITY = 6,
  /**
   * Another function, by its source and line or its name; or other code of the same name.
   */
  RLUA_DIFF_KIND_FUNCTION = 7,
  /**
   * A coroutine has another status, or stands at another place.
   */
  RLUA_DIFF_KIND_COROUTINE = 8,
  /**
   * The memory of a userdata or of a block of rlua_alloc: the first bytes that differ.
   */
  RLUA_DIFF_KIND_BYTES = 9,
  /**
   * As missing, in a weak table: a collection may have taken it.
   */
  RLUA_DIFF_KIND_WEAK = 10,
  /**
   * A generator of random numbers.
   */
  RLUA_DIFF_KIND_RANDOM = 11,
  /**
   * The clock of rlua_set_time.
   */
  RLUA_DIFF_KIND_CLOCK = 12,
  /**
   * The budget of rlua_set_budget.
   */
  RLUA_DIFF_KIND_BUDGET = 13,
} rlua_DiffKind;

/**
 * What a function of this library answers.
 *
 * The values are ABI: append only, never renumber, never reuse. Codes below 64 are this library's
 * own, and the call has changed nothing. Codes from 64 on are Lua's answer to a protected call;
 * the error value is then on the stack.
 */
typedef enum rlua_Status {
  /**
   * Done.
   */
  RLUA_OK = 0,
  /**
   * A pointer that must not be NULL is NULL.
   */
  RLUA_NULL_ARG = 1,
  /**
   * The state is not one of ours: foreign, closed, or no state at all.
   */
  RLUA_NOT_ROLLBACK = 2,
  /**
   * The VM is in use: Lua is running in it, a call of this library is, or another thread is.
   */
  RLUA_BUSY = 3,
  /**
   * An internal error was caught earlier; only lua_close is left.
   */
  RLUA_POISONED = 4,
  /**
   * The VM keeps no snapshots (max_snapshots is 0).
   */
  RLUA_DISABLED = 5,
  /**
   * The snapshot asked for is not held.
   */
  RLUA_NO_SNAPSHOT = 6,
  /**
   * The frame's label is below the newest one.
   */
  RLUA_BAD_FRAME = 7,
  /**
   * Memory or address space ran out.
   */
  RLUA_NO_MEMORY = 8,
  /**
   * The configuration asks for something impossible.
   */
  RLUA_BAD_CONFIG = 9,
  /**
   * This system cannot do what was asked for.
   */
  RLUA_UNSUPPORTED = 10,
  /**
   * A check found the state damaged.
   */
  RLUA_CORRUPT = 11,
  /**
   * An argument has no meaning here.
   */
  RLUA_BAD_ARG = 12,
  /**
   * What a reference or a handle names is gone.
   */
  RLUA_STALE = 13,
  /**
   * A participant could not capture its state.
   */
  RLUA_PARTICIPANT = 14,
  /**
   * The image is damaged, or none, or of another version; or its key is another.
   */
  RLUA_BAD_IMAGE = 15,
  /**
   * The state has something that an image cannot have, or that this process has no name for.
   */
  RLUA_UNSAVABLE = 16,
  /**
   * The writer of an image refused, or there is no room.
   */
  RLUA_STREAM = 17,
  /**
   * The image comes from somebody whom the config does not trust.
   */
  RLUA_UNTRUSTED = 18,
  /**
   * A frame that was run again came to another state.
   */
  RLUA_DESYNC = 19,
  /**
   * Lua: a runtime error.
   */
  RLUA_ERR_RUN = 64,
  /**
   * Lua: a syntax error.
   */
  RLUA_ERR_SYNTAX = 65,
  /**
   * Lua: the memory limit was reached.
   */
  RLUA_ERR_MEM = 66,
  /**
   * Lua: an error in the message handler.
   */
  RLUA_ERR_ERR = 67,
  /**
   * Lua: a file could not be read.
   */
  RLUA_ERR_FILE = 68,
  /**
   * Lua: the coroutine yielded. Not an error.
   */
  RLUA_YIELD = 69,
  /**
   * The budget of rlua_set_budget is used up.
   */
  RLUA_BUDGET = 70,
} rlua_Status;

/**
 * A name in images, and what it stands for in this process. One of three:
 * - `function`: a C function that the saving VM has by rlua_register;
 * - `host`, and `pointer`: a function of rlua_pushfunction, and its `ud`;
 * - `pointer` alone: an address that the saving VM has by rlua_register_pointer.
 */
typedef struct rlua_Name {
  /**
   * NULL in the last of a list.
   */
  const char *name;
  /**
   * A C function, or NULL.
   */
  lua_CFunction function;
  /**
   * A host function, or NULL.
   */
  rlua_HostFunction host;
  /**
   * An address, or what a host function gets as its `ud`.
   */
  void *pointer;
} rlua_Name;

/**
 * A method of a resource type; a list of them ends with a NULL name.
 */
typedef struct rlua_Method {
  /**
   * Its name. One that begins with two underscores is a metamethod; `__gc` is the library's.
   */
  const char *name;
  /**
   * Called as any host function, with the type's ud and the handle as first argument.
   */
  rlua_HostFunction function;
} rlua_Method;

/**
 * A kind of resource: texture, socket, sound. Fill with zeros, set `size`, then the rest.
 */
typedef struct rlua_ResourceType {
  /**
   * sizeof(rlua_ResourceType).
   */
  size_t size;
  /**
   * Names the type in this VM, and in error messages.
   */
  const char *name;
  /**
   * Called exactly once for each resource, when neither the live state nor any held snapshot
   * can reach it. `L` is a thread of the VM. Protected calls work in it; what needs an idle VM
   * (snap, rollback, close) answers BUSY. It must not raise.
   */
  void (*release)(lua_State *L, void *object, void *ud);
  /**
   * Handed to `release` and to the methods; the host's.
   */
  void *ud;
  /**
   * What scripts can call on a handle, as `texture:width()`; NULL for nothing.
   */
  const struct rlua_Method *methods;
} rlua_ResourceType;

/**
 * Takes `length` bytes of an image, which comes in a few parts, in order. It may not use the VM,
 * whose calls answer BUSY meanwhile, but for those that only read.
 *
 * @return  0 to go on; anything else ends the save with RLUA_STREAM.
 */
typedef int (*rlua_Writer)(void *ud, const void *bytes, size_t length);

/**
 * How objects outside the VM go with an image, a delta, or a clone: resources, or what the
 * userdata of a C module stand for. Fill with zeros, set `size`, then the rest.
 *
 * Neither function may use the VM, whose calls answer BUSY meanwhile, or raise.
 */
typedef struct rlua_ObjectType {
  /**
   * sizeof(rlua_ObjectType).
   */
  size_t size;
  /**
   * Of a resource type its name; of userdata what their metatable has as `__name`, which
   * luaL_newmetatable sets. Up to 255 bytes.
   */
  const char *name;
  /**
   * The type of resources as rlua_pushresource gets it, with the same name. NULL for userdata
   * with a finalizer in C.
   */
  const struct rlua_ResourceType *resource;
  /**
   * Writes what `load` needs, by calls of `writer` with `to`. `object` is a resource's object,
   * with a `size` of 0; or a userdata's block, of `size` bytes, as it is now, also where a held
   * snapshot is saved. 0 for success.
   */
  int (*save)(const void *object, size_t size, rlua_Writer writer, void *to, void *ud);
  /**
   * Makes an object from what `save` wrote, `length` bytes, which may be a stranger's, as `size`
   * may be: look at both. `object` is a userdata's block, of `size` zero bytes, to be filled; or
   * a `void *`, which receives the resource's object. 0 for success; after anything else nothing
   * is left of it.
   */
  int (*load)(const void *bytes, size_t length, void *object, size_t size, void *ud);
  /**
   * Handed to both; the host's.
   */
  void *ud;
} rlua_ObjectType;

/**
 * How a VM is made. Fill with zeros, set `size`, then what differs from the default.
 *
 * All structs that begin with their size follow one rule: a smaller size, of an older header, is
 * accepted, and what it lacks counts as zero or is not written; of a larger one, what the library
 * does not know must be zero, or is left alone.
 */
typedef struct rlua_Config {
  /**
   * sizeof(rlua_Config).
   */
  size_t size;
  /**
   * Bytes that the whole state can never exceed, rounded down to pages of 4096. A limit, not
   * memory: small VMs cost little. 0 asks for the maximum of 4 GiB.
   */
  size_t memory_size;
  /**
   * Snapshots kept, up to 1048576. 0 keeps none.
   */
  size_t max_snapshots;
  /**
   * Seed of string hashes, of table.sort's pivot, and in the deterministic profile of
   * math.random. Peers of one session use the same; a seed per session resists collisions that
   * were crafted offline.
   */
  uint64_t seed;
  /**
   * An rlua_Tracker.
   */
  int32_t tracker;
  /**
   * Collector: percent of the live bytes at which the next cycle starts, as LUA_GCINC's pause.
   * Up to 1000. 0 is 200.
   */
  int32_t gc_pause;
  /**
   * Collector: work per allocated byte in percent, as LUA_GCINC's step multiplier. Up to 1000.
   * 0 is 4, which spreads a cycle over many frames; Lua's own is 100.
   */
  int32_t gc_step_multiplier;
  /**
   * Collector: logarithm of the bytes allocated between two steps, as LUA_GCINC's step size.
   * Up to 60. 0 is 12; Lua's own is 13.
   */
  int32_t gc_step_size;
  /**
   * Collector: divides the work of a step while it sweeps, as far as sweeping stays faster than
   * the script makes garbage. Up to 1000. 0 is 8; Lua's own is 1.
   */
  int32_t gc_sweep_divisor;
  /**
   * Audit: how many pages of 4096 bytes that nobody announced writes to are compared in 16
   * captures and rollbacks; a difference poisons the VM with a sentence. It finds C modules that
   * write to Lua's own memory. 0 is 4, -1 none. No effect with RLUA_TRACKER_COMPARE.
   */
  int32_t audit;
  /**
   * An rlua_Guard. 0 guards.
   */
  int32_t guard;
  /**
   * An rlua_Profile. 0 is deterministic.
   */
  int32_t profile;
  /**
   * 1: the host announces every write to blocks of rlua_alloc by rlua_touch, so that those of
   * 512 bytes and more are neither compared nor watched for it. 0: it need not.
   */
  int32_t announces;
  /**
   * An rlua_Trust: whose images are loaded. 0: only those with the key.
   */
  int32_t trust;
  /**
   * 1: images are saved compressed (LZ4). 0: they are not.
   */
  int32_t compress;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * 32 bytes, a secret of those who exchange images, or NULL. Borrowed for the call. Images that
   * the VM saves carry a hash that only who has the key can make, and only such are loaded.
   */
  const uint8_t *image_key;
  /**
   * What the names in images stand for, or NULL: the last has a NULL name. Borrowed for the
   * call.
   */
  const struct rlua_Name *names;
  /**
   * How objects outside the VM are saved and loaded, or NULL: a list whose last is NULL. As if
   * each was told by rlua_register_type; the methods of resources have their names by it, too.
   * Borrowed for the call.
   */
  const struct rlua_ObjectType *const *types;
} rlua_Config;

/**
 * What a VM holds. Set `size` before the call; the call fills the rest, as far as that reaches.
 */
typedef struct rlua_Info {
  /**
   * sizeof(rlua_Info).
   */
  size_t size;
  /**
   * Bytes of the arena that hold state: what a snapshot keeps.
   */
  size_t used_bytes;
  /**
   * Bytes that the system was asked for.
   */
  size_t committed_bytes;
  /**
   * The most that `used_bytes` has been; a rollback does not lower it.
   */
  size_t peak_bytes;
  /**
   * What `used_bytes` can never exceed.
   */
  size_t limit_bytes;
  /**
   * Snapshots held.
   */
  size_t snapshot_count;
  /**
   * Snapshots held at most.
   */
  size_t max_snapshots;
  /**
   * Bytes of memory that the snapshots hold.
   */
  size_t snapshot_bytes;
  /**
   * Label of the oldest snapshot; 0 when none is held.
   */
  int64_t oldest_frame;
  /**
   * Label of the newest snapshot; 0 when none is held.
   */
  int64_t newest_frame;
  /**
   * Pages of 4096 bytes that the last capture found changed or new.
   */
  size_t dirty_pages;
  /**
   * The rlua_Tracker in use.
   */
  int32_t tracker;
  /**
   * 0.
   */
  int32_t reserved;
  /**
   * The highest label that was ever captured; a rollback does not lower it. A frame up to it is
   * re-simulated: ask before the frame's own snap. INT64_MIN before the first.
   */
  int64_t highest_frame;
  /**
   * Guarded userdata: those that are alive, and those that only a snapshot has.
   */
  size_t guarded_count;
} rlua_Info;

/**
 * A reference to a Lua value: a number that knows when it is stale. 0 is none.
 */
typedef uint64_t rlua_Ref;

/**
 * State of the host outside the VM that follows its snapshots. Fill with zeros, set `size`, then
 * the rest.
 *
 * All three are called with the VM between two states: protected calls on it work, what needs an
 * idle VM answers BUSY, and so do rlua_add_participant and rlua_remove_participant.
 */
typedef struct rlua_Participant {
  /**
   * sizeof(rlua_Participant).
   */
  size_t size;
  /**
   * Called by each snap, before the VM is copied. Keeps the state as it is now and writes
   * something to find it by to `token` (which is NULL before). Answers 0; anything else fails
   * the snap with PARTICIPANT, and nothing has changed.
   */
  int (*capture)(void *ud, int64_t frame, void **token);
  /**
   * Called by a rollback, when the VM's own state is back, once, with the target's token. The
   * target may be restored again, so the token must stay good.
   */
  void (*restore)(void *ud, void *token);
  /**
   * Called exactly once for each token, when its snapshot is gone. May be NULL.
   */
  void (*discard)(void *ud, void *token);
} rlua_Participant;

/**
 * Fills `bytes` with the next `length` bytes of an image. As for rlua_Writer.
 *
 * @return  How many there are: fewer than `length` at the end alone.
 */
typedef size_t (*rlua_Reader)(void *ud, void *bytes, size_t length);

/**
 * 128 bits that stand for the state of a VM: see rlua_checksum.
 */
typedef struct rlua_Checksum {
  /**
   * In the same order on every machine.
   */
  uint8_t bytes[16];
} rlua_Checksum;

/**
 * One place where two states differ. The texts are UTF-8 without control characters, and live
 * until the function that gets them returns.
 */
typedef struct rlua_Difference {
  /**
   * An rlua_DiffKind.
   */
  int kind;
  /**
   * 0.
   */
  int reserved;
  /**
   * The way to it, as Lua would write it: `_G.enemies[3].hp`. docs/DESYNC.md lists what else
   * there is. At most 480 bytes; a longer one has "..." behind its first step.
   */
  const char *path;
  /**
   * What the first state has there: short, strings quoted and cut, floats with 17 digits.
   */
  const char *a;
  /**
   * What the second one has.
   */
  const char *b;
} rlua_Difference;

/**
 * Gets a difference. The VMs are in no call meanwhile, so anything may be done with them.
 *
 * @return  0 to go on; anything else ends it.
 */
typedef int (*rlua_DiffFn)(void *ud, const struct rlua_Difference *difference);

/**
 * Runs one frame: sets its inputs and calls the script. The same `frame` has to have the same
 * inputs each time.
 *
 * @param frame  From 0 on.
 * @param again  1 when the frame was run before, and is run again after a rollback.
 * @return       RLUA_OK, or a status that ends the test.
 */
typedef int (*rlua_FrameFn)(lua_State *L, void *ud, unsigned int frame, int again);

/**
 * What a sync test found. Set `size` before the call; the call fills the rest.
 */
typedef struct rlua_SyncReport {
  /**
   * sizeof(rlua_SyncReport).
   */
  size_t size;
  /**
   * Frames that were run for the first time.
   */
  unsigned int frames;
  /**
   * Runs again, of all frames together.
   */
  unsigned int reruns;
  /**
   * 1 where a state differs.
   */
  int differs;
  /**
   * The first frame after which it does.
   */
  unsigned int frame;
  /**
   * 1 when the state before `frame` was another one at once after the rollback: something runs
   * in the VM when it is rolled back, as a participant does.
   */
  int rolled_back;
  /**
   * The rlua_DiffKind of the first difference. 0 when there is none that a script could see
   * (then the collector, the allocator or the count of instructions differs), or none could be
   * looked for, since the state cannot be cloned (see rlua_clone).
   */
  int kind;
  /**
   * Of the state after the first run.
   */
  struct rlua_Checksum first;
  /**
   * Of the state after the run that differs.
   */
  struct rlua_Checksum second;
  /**
   * Where the first difference is, as rlua_Difference has it; empty where `kind` is 0.
   */
  char path[RLUA_SYNC_PATH];
  /**
   * What the first run left there.
   */
  char a[RLUA_SYNC_VALUE];
  /**
   * What the other run left there.
   */
  char b[RLUA_SYNC_VALUE];
} rlua_SyncReport;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of this library, as "MAJOR.MINOR.PATCH (Lua 5.4.9)". Static.
 */
const char *rlua_version(void);

/**
 * The general sentence for a status; also for a number that is none. Static.
 *
 * @param status  What a function of this library answered.
 */
const char *rlua_strerror(int status);

/**
 * The sentence that goes with the last failure on this VM: what was tried, what was found, what
 * to do. Empty before the first failure; a success leaves it as it is.
 *
 * @param L  A thread of the VM. NULL, a state that is not one of ours, or a VM that another OS
 *           thread is inside: the last failure of any call made by the calling thread (use this
 *           where no VM could be made).
 * @return   Never NULL. The library's; valid until the next failure on this VM or, for NULL, on
 *           this thread.
 */
const char *rlua_last_error(lua_State *L);

/**
 * Makes a VM whose whole state can be rolled back. No libraries are open yet, as after
 * luaL_newstate; the panic function and the warning function are set as there.
 *
 * Cost: three system calls and what the bare state takes, about 20 KiB.
 *
 * @param memory_size    Bytes that the state can never exceed: a limit, not memory. At the limit
 *                       Lua collects garbage, then raises LUA_ERRMEM. 0 asks for 4 GiB.
 * @param max_snapshots  Snapshots kept; the oldest goes when one more is taken. 0 keeps none.
 * @return               The main thread, to be closed with lua_close. NULL when it cannot be
 *                       made; rlua_last_error(NULL) says why.
 */
lua_State *rlua_new_rollback(size_t memory_size, size_t max_snapshots);

/**
 * Makes a VM as rlua_new_rollback does, with every option.
 *
 * @param config  Borrowed for the call. `size` is sizeof(rlua_Config) of the host's header, which
 *                may be older than the library.
 * @param out     Receives the main thread, or NULL after an error.
 * @return        RLUA_OK, or NULL_ARG, BAD_CONFIG, UNSUPPORTED (the tracker), NO_MEMORY.
 *                rlua_last_error(NULL) gives the sentence.
 */
int rlua_open(const struct rlua_Config *config, lua_State **out);

/**
 * Tells what a VM holds. May be called while Lua is running.
 *
 * Cost: a few loads.
 *
 * @param L     A thread of the VM.
 * @param info  The caller's; `size` is its sizeof(rlua_Info), which may be another version's.
 * @return      RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), BAD_CONFIG (`size`).
 */
int rlua_info(lua_State *L, struct rlua_Info *info);

/**
 * Walks the whole arena and the snapshots, and verifies that they are consistent: for tests, and
 * for a host that suspects its own code of writing where it should not.
 *
 * Cost: O(used bytes), with temporary memory.
 *
 * @param L  A thread of the VM.
 * @return   RLUA_OK, or CORRUPT with a sentence that names the broken invariant, or NULL_ARG,
 *           NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY (nothing is known then).
 */
int rlua_check(lua_State *L);

/**
 * Captures the VM's whole state, labelled one above the newest snapshot (0 when none is held);
 * rlua_newest_frame tells the label. The oldest snapshot goes when the history is full.
 *
 * Cost: the tracker's search, a comparison of each page that may have been written since the last
 * capture or restore, and a copy of the 64-byte lines that differ.
 *
 * @param L  Any thread of a VM of ours.
 * @return   RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, DISABLED, NO_MEMORY, BAD_FRAME
 *           (the newest label is the highest there is), PARTICIPANT. After an error nothing has
 *           changed.
 */
int rlua_snap(lua_State *L);

/**
 * Captures the VM's whole state under the label `frame`, as rlua_snap does otherwise. The newest
 * snapshot's label again replaces that snapshot: what was held under it is gone.
 *
 * @param L      Any thread of a VM of ours.
 * @param frame  Label, not below the newest snapshot's.
 * @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, DISABLED, BAD_FRAME,
 *               NO_MEMORY, PARTICIPANT. After an error nothing has changed.
 */
int rlua_snap_frame(lua_State *L, int64_t frame);

/**
 * Puts the VM's whole state back to the n-th newest snapshot. Newer snapshots are dropped, the
 * target stays, so that rlua_rollback(L, 1) can be repeated.
 *
 * Pointers into the VM that the host took after the snapshot (coroutines, userdata, strings) are
 * dangling afterwards; those taken before it are valid again, at the same addresses. The stack of
 * the main thread is part of the state: lua_gettop is what it was.
 *
 * Cost: the tracker's search, and a copy of the 64-byte lines that differ, of each snapshot on the
 * way. Needs no memory.
 *
 * @param L  Any thread of a VM of ours that exists in the target.
 * @param n  1 for the newest snapshot.
 * @return   RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_SNAPSHOT (n is 0 or above the
 *           count), NO_MEMORY. After an error nothing has changed.
 */
int rlua_rollback(lua_State *L, size_t n);

/**
 * Puts the VM's whole state back to the snapshot labelled `frame`, as rlua_rollback does.
 *
 * @param L      Any thread of a VM of ours that exists in the target.
 * @param frame  The label given to rlua_snap_frame, or by rlua_snap.
 * @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_SNAPSHOT (no snapshot has
 *               that label), NO_MEMORY. After an error nothing has changed.
 */
int rlua_rollback_to(lua_State *L, int64_t frame);

/**
 * Drops the snapshots older than a confirmed frame: those whose label is below `frame`.
 *
 * @param L      Any thread of a VM of ours.
 * @param frame  The oldest label to keep; it need not be held.
 * @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED.
 */
int rlua_discard_before(lua_State *L, int64_t frame);

/**
 * Changes how many snapshots are kept. Where more are held, the oldest go; 0 turns them off.
 *
 * @param L              Any thread of a VM of ours.
 * @param max_snapshots  Up to 1048576.
 * @return               RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, BAD_CONFIG, NO_MEMORY,
 *                       BAD_ARG (with RLUA_GUARD_REFUSE: there is userdata that it refuses, made
 *                       while the VM kept no snapshots).
 */
int rlua_set_max_snapshots(lua_State *L, size_t max_snapshots);

/**
 * Tells how many snapshots are held. May be called while Lua is running.
 *
 * @param L      Any thread of a VM of ours.
 * @param count  Receives the count.
 * @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread).
 */
int rlua_snapshot_count(lua_State *L, size_t *count);

/**
 * Tells the newest snapshot's label: what a snap has just given, and where a rollback has just
 * gone. May be called while Lua is running.
 *
 * @param L      Any thread of a VM of ours.
 * @param frame  Receives the label.
 * @return       RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), NO_SNAPSHOT (none is
 *               held).
 */
int rlua_newest_frame(lua_State *L, int64_t *frame);

/* Protected calls never raise, for hosts that cannot survive a longjmp: a VM with a limit runs out
 * of memory in the middle of any push. They may be called from host functions, while Lua is
 * running, and for any thread L of a VM of ours, on which nothing else runs. Pointers are borrowed
 * for the call, and what is read through them is copied, unless a function says otherwise.
 *
 * Below RLUA_ERR_RUN a status says that nothing was popped or pushed, and rlua_last_error names the
 * function, the argument and what is wrong with it:
 *
 *   NULL_ARG, NOT_ROLLBACK, POISONED
 *   BUSY       another OS thread is in the VM
 *   BAD_ARG    an index, a count, a type or a thread's state has no meaning in this call
 *   NO_MEMORY  there is no room on the Lua stack
 *
 * From RLUA_ERR_RUN on it is Lua's own answer: ERR_RUN, ERR_MEM, ERR_ERR, BUDGET. What it takes off
 * the stack is gone, and the error value is on top. With a NULL that is allowed nothing is written.
 *
 * An index is one that lua.h calls acceptable: a position of the stack, a free one up to the room
 * that the frame has (it reads as nil), the registry, or an upvalue of the running C function.
 *
 * Each costs a table look-up, an atomic exchange and, where Lua can raise, a setjmp above the plain
 * call. */

/**
 * Opens standard libraries in the globals, as luaL_openlibs does all of them.
 *
 * @param L     A thread of a VM of ours.
 * @param libs  RLUA_LIB_ALL, RLUA_LIB_DETERMINISTIC, RLUA_LIB_SANDBOX, or a sum of bits.
 * @return      RLUA_OK, or as every protected call. BAD_ARG for bits that name nothing.
 */
int rlua_openlibs(lua_State *L, unsigned int libs);

/**
 * Pushes a new environment: a table with functions and library tables of its own, in which a script
 * can change what it likes without another environment's noticing. `_G` is the table itself, and
 * `load` gives it to chunks that are given no other. Several mods can so live in one VM, each in an
 * environment; a chunk gets one by lua_setupvalue(L, index, 1) after it was loaded.
 *
 * Functions of the host are put into it as into any table. With RLUA_LIB_LOCKED the methods of
 * strings (`s:rep(2)`) are from then on those of the library in every environment and in the
 * globals, whatever scripts add to their tables `string`.
 *
 * @param L     A thread of a VM of ours.
 * @param libs  RLUA_LIB_SANDBOX or part of it: no io, os, debug, package, which are the VM's.
 * @return      RLUA_OK, or as every protected call. Cost: about 8 KiB of the VM's memory.
 */
int rlua_newenv(lua_State *L, unsigned int libs);

/**
 * Loads a chunk without running it, and pushes it as a function.
 *
 * @param L       A thread of a VM of ours.
 * @param chunk   `length` bytes of source or of a binary chunk.
 * @param length  In bytes.
 * @param name    The chunk's name in messages.
 * @param mode    "t" (text), "b" (binary) or NULL for both. A binary chunk that somebody tampered
 *                with can crash the process: give "t" for what is not yours.
 * @return        RLUA_OK, ERR_SYNTAX, or as every protected call.
 */
int rlua_loadbuffer(lua_State *L, const char *chunk, size_t length, const char *name,
                    const char *mode);

/**
 * Loads a file without running it, and pushes it as a function.
 *
 * @param L         A thread of a VM of ours.
 * @param filename  The file's path.
 * @param mode      As for rlua_loadbuffer.
 * @return          RLUA_OK, ERR_FILE, ERR_SYNTAX, or as every protected call.
 */
int rlua_loadfile(lua_State *L, const char *filename, const char *mode);

/**
 * Loads and runs a string, as luaL_dostring does. All results stay on the stack.
 *
 * @param L      A thread of a VM of ours, neither suspended nor dead.
 * @param chunk  Source text, ended by a zero.
 * @return       RLUA_OK, ERR_SYNTAX, or as every protected call.
 */
int rlua_dostring(lua_State *L, const char *chunk);

/**
 * Loads and runs a file, as luaL_dofile does. All results stay on the stack.
 *
 * @param L         A thread of a VM of ours, neither suspended nor dead.
 * @param filename  The file's path.
 * @return          RLUA_OK, ERR_FILE, ERR_SYNTAX, or as every protected call.
 */
int rlua_dofile(lua_State *L, const char *filename);

/**
 * Calls a function, as lua_pcall does: pops the function and `nargs` arguments, pushes results.
 *
 * @param L         A thread of a VM of ours, neither suspended nor dead.
 * @param nargs     Arguments on the stack above the function.
 * @param nresults  Results wanted, or LUA_MULTRET.
 * @param msgh      Stack index of a message handler below the function: what it returns is the
 *                  error value. 0 for none. RLUA_TRACEBACK appends a traceback to a message, and
 *                  leaves any other error value as it is, as debug.traceback does.
 * @return          RLUA_OK, or as every protected call.
 */
int rlua_call(lua_State *L, int nargs, int nresults, int msgh);

/**
 * Starts or continues a coroutine, as lua_resume does.
 *
 * @param L         The coroutine: a new or suspended thread of a VM of ours, not its main thread.
 * @param from      The thread that resumes, of the same VM, or NULL.
 * @param nargs     Arguments on L's stack: above the function at the start, alone later.
 * @param nresults  Receives how many values were returned or yielded; they are on L's stack.
 * @return          RLUA_OK (finished), RLUA_YIELD, or as every protected call. The error value is
 *                  on L's stack. BAD_ARG for a thread that runs or is dead.
 */
int rlua_resume(lua_State *L, lua_State *from, int nargs, int *nresults);

/**
 * Pushes the global variable `name`. May run metamethods.
 *
 * @param L     A thread of a VM of ours.
 * @param name  Ended by a zero.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_getglobal(lua_State *L, const char *name);

/**
 * Pops a value and assigns it to the global variable `name`. May run metamethods.
 *
 * @param L     A thread of a VM of ours.
 * @param name  Ended by a zero.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_setglobal(lua_State *L, const char *name);

/**
 * Pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param key    Ended by a zero.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_getfield(lua_State *L, int index, const char *key);

/**
 * Pops a value and does `t[key] = value`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value, as it is before the pop.
 * @param key    Ended by a zero.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_setfield(lua_State *L, int index, const char *key);

/**
 * Pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param key    An integer.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_geti(lua_State *L, int index, lua_Integer key);

/**
 * Pops a value and does `t[key] = value`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value, as it is before the pop.
 * @param key    An integer.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_seti(lua_State *L, int index, lua_Integer key);

/**
 * Pops a key and pushes `t[key]`, where `t` is the value at `index`. May run metamethods.
 *
 * @param L      A thread of a VM of ours, with the key on top.
 * @param index  Of any value, as it is before the pop.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_gettable(lua_State *L, int index);

/**
 * Pops a value and the key below it, and does `t[key] = value`, where `t` is the value at `index`.
 * May run metamethods.
 *
 * @param L      A thread of a VM of ours, with key and value on top.
 * @param index  Of any value, as it is before the pop.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_settable(lua_State *L, int index);

/**
 * Pops a key and pushes the next key and value of a table, as lua_next does; pushes nothing at
 * the end.
 *
 * @param L      A thread of a VM of ours, with the key on top.
 * @param index  Of a table, as it is before the pop.
 * @param more   Receives 1 when a pair was pushed, 0 at the end.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_next(lua_State *L, int index, int *more);

/**
 * Pushes a new table.
 *
 * @param L     A thread of a VM of ours.
 * @param narr  Room for so many elements in sequence.
 * @param nrec  Room for so many others.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_createtable(lua_State *L, int narr, int nrec);

/**
 * Reads the value at `index` as a string. A number is changed into a string in place, as
 * lua_tolstring does.
 *
 * @param L       A thread of a VM of ours.
 * @param index   Of any value.
 * @param text    Receives the bytes, ended by a zero, or NULL when the value is neither string nor
 *                number. Lua's: valid while the value is on the stack and nothing is rolled back.
 * @param length  Receives the length in bytes; may be NULL.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_tolstring(lua_State *L, int index, const char **text, size_t *length);

/**
 * Pushes a copy of `length` bytes as a string; they may contain zeros.
 *
 * @param L       A thread of a VM of ours.
 * @param text    May be NULL where `length` is 0.
 * @param length  In bytes.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_pushlstring(lua_State *L, const char *text, size_t length);

/**
 * Pushes an integer.
 *
 * @param L      A thread of a VM of ours.
 * @param value  Any.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushinteger(lua_State *L, lua_Integer value);

/**
 * Pushes a float.
 *
 * @param L      A thread of a VM of ours.
 * @param value  Any.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushnumber(lua_State *L, lua_Number value);

/**
 * Pushes a boolean.
 *
 * @param L      A thread of a VM of ours.
 * @param value  0 for false.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushboolean(lua_State *L, int value);

/**
 * Pushes nil.
 *
 * @param L  A thread of a VM of ours.
 * @return   RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushnil(lua_State *L);

/**
 * Pushes a copy of the value at `index`.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_pushvalue(lua_State *L, int index);

/**
 * Controls the collector, as lua_gc does with the same `what`. Finalizers may run. In a finalizer
 * the collector is stopped by itself, and nothing is done.
 *
 * @param L     A thread of a VM of ours.
 * @param what  LUA_GCCOLLECT, LUA_GCSTOP, LUA_GCRESTART, LUA_GCSTEP, LUA_GCINC, LUA_GCGEN,
 *              LUA_GCSETPAUSE, LUA_GCSETSTEPMUL; what lua_gc answers to the others is lost here.
 * @param data  Its first argument, 0 for those that have none: KiB for LUA_GCSTEP, percent up to
 *              1000 for a pause or a multiplier, up to 200 for LUA_GCGEN. Further arguments are 0.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_gc(lua_State *L, int what, int data);

/**
 * Pushes a function of the host.
 *
 * State that the function keeps behind `ud` is outside the VM and does not roll back; state in
 * Lua values does. Scripts cannot reach the function's pointers, not with the library `debug`
 * either.
 *
 * @param L         A thread of a VM of ours.
 * @param function  Called by Lua; must stay callable as long as the VM lives.
 * @param ud        Handed to each call; the host's.
 * @param name      Names the function in error messages, and in images, which can have a name once:
 *                  push it with one `ud`. A second function of the name, also as garbage, makes the
 *                  state one that cannot be saved (UNSAVABLE).
 * @return          RLUA_OK, or as every protected call.
 */
int rlua_pushfunction(lua_State *L, rlua_HostFunction function, void *ud, const char *name);

/**
 * Pushes an error message for a host function to raise, with the position of the script that called
 * it in front, as luaL_error does: `return rlua_error(L, "no such unit");` gives
 * "ai.lua:3: no such unit".
 *
 * @param L        The thread that called the host function.
 * @param message  Ended by a zero.
 * @return         RLUA_RAISE, always. Where there is no memory for the message, the error value on
 *                 top is Lua's own for that; where the call is refused (rlua_last_error tells why),
 *                 nothing was pushed.
 */
int rlua_error(lua_State *L, const char *message);

/**
 * Pushes an error message about an argument for a host function to raise, as luaL_argerror does:
 * `return rlua_argerror(L, 1, "no such unit");` gives
 * "ai.lua:3: bad argument #1 to 'show' (no such unit)". The name is the one that the script called
 * the function by, else the one that rlua_pushfunction was given. In a method call the first
 * argument is the object, and is not counted.
 *
 * @param L        The thread that called the host function.
 * @param arg      The argument's index: 1 for the first.
 * @param message  Ended by a zero.
 * @return         RLUA_RAISE, always; as rlua_error.
 */
int rlua_argerror(lua_State *L, int arg, const char *message);

/**
 * Gives scripts a budget: so much they may do from now on, whoever calls them, until the budget is
 * set again. When it is used up an error is raised that no script can catch: pcall, xpcall,
 * coroutine.resume, wrap and close, load and `__close` in Lua are left at once, a coroutine that
 * was running is dead, and the host's call returns RLUA_BUDGET, with a message on the stack that
 * says where the script was. So does each later call that runs anything, until the budget is set
 * again or a snapshot is restored.
 *
 * A unit is about a jump back or a call, or sixteen instructions in a row, or what takes a library
 * function as long. What is charged depends on the state and the script alone, and what is left is
 * part of the state: it is the same on every machine, and rolls back. The collector's ordinary work
 * is not charged; collections that a script asks for are, with one unit for 16 bytes of the heap.
 *
 * A host function is called as long as the budget lasts, and is not interrupted: one that calls Lua
 * gets RLUA_BUDGET from that call, and when it returns, the error goes on. lua_pcall and lua_resume
 * of a host or of a C module return RLUA_ERRBUDGET. A finalizer (`__gc`) or `__close` in Lua that
 * finds the budget used up does not run, with a warning for the former; one in C does.
 *
 * @param L      A thread of a VM of ours. Lua may be running: a host function may set a budget.
 * @param units  Up to INT64_MAX. 0: nothing more may run. RLUA_NO_BUDGET, as at first: no limit.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_set_budget(lua_State *L, uint64_t units);

/**
 * Tells what is left of the budget.
 *
 * @param L      A thread of a VM of ours.
 * @param units  Receives it: 0 when it is used up, RLUA_NO_BUDGET when none is set.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_budget_left(lua_State *L, uint64_t *units);

/**
 * Makes a VM idle that foreign unwinding left busy: a C++ exception, pthread_exit or a forced
 * unwinding that went through Lua's frames. What of it was still to come, Lua cannot know, so the
 * host promises: no frame of this VM is on any stack any more, and no other OS thread uses it.
 *
 * The main thread is as after a failed lua_pcall of its outermost call: that function and its
 * arguments are popped, variables to be closed are closed (`__close` may run), nothing is pushed. A
 * coroutine that was running is dead, with a message on its stack. What the interrupted functions
 * had changed stays changed; roll back to undo it. Memory that a loader or a dump held is freed
 * with the VM. After a panic function that jumped (lua_atpanic), the main thread, which Lua marks
 * as dead then, takes calls again. A VM that is idle otherwise stays as it is.
 *
 * Cost: a walk over all objects.
 *
 * @param L  A thread of a VM of ours.
 * @return   RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (a snap, a rollback, a discard or a close is
 *           at work), POISONED.
 */
int rlua_recover(lua_State *L);

/**
 * Pushes a new full userdata.
 *
 * It rolls back with the VM, contents and user values too, unless its metatable gets a C function
 * as `__gc`: then it is guarded (rlua_Guard). A `__gc` in Lua that ran after the snapshot runs
 * again after a rollback. For what lies outside the VM use rlua_pushresource.
 *
 * @param L        A thread of a VM of ours.
 * @param size     Bytes of its block.
 * @param nuvalue  User values, below 32767.
 * @param block    Receives the block: aligned to 16, not zeroed, Lua's; may be NULL.
 * @return         RLUA_OK, or as every protected call.
 */
int rlua_newuserdata(lua_State *L, size_t size, int nuvalue, void **block);

/**
 * Pushes a new coroutine.
 *
 * @param L       A thread of a VM of ours.
 * @param thread  Receives it; Lua's, valid while the value can be reached.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_newthread(lua_State *L, lua_State **thread);

/**
 * Pops `upvalues` values and pushes a C function that has them.
 *
 * @param L         A thread of a VM of ours.
 * @param function  It may raise, if its host can; see rlua_pushfunction for others.
 * @param upvalues  0 to 255.
 * @return          RLUA_OK, or as every protected call.
 */
int rlua_pushcclosure(lua_State *L, lua_CFunction function, int upvalues);

/**
 * Opens one module as `require` does, and pushes it, as luaL_requiref does.
 *
 * @param L       A thread of a VM of ours, neither suspended nor dead.
 * @param name    The module's name.
 * @param open    Its luaopen_ function.
 * @param global  1 to store it in a global variable too.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_requiref(lua_State *L, const char *name, lua_CFunction open, int global);

/**
 * Pushes the length of the value at `index`. May run the metamethod `__len`.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_len(lua_State *L, int index);

/**
 * Pops `count` values and pushes their concatenation. May run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param count  0 pushes the empty string.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_concat(lua_State *L, int count);

/**
 * Compares two values. May run metamethods.
 *
 * @param L       A thread of a VM of ours.
 * @param first   Index of the left operand.
 * @param second  Index of the right operand.
 * @param op      LUA_OPEQ, LUA_OPLT or LUA_OPLE.
 * @param result  Receives 1 or 0.
 * @return        RLUA_OK, or as every protected call.
 */
int rlua_compare(lua_State *L, int first, int second, int op, int *result);

/**
 * Pops two operands (one for LUA_OPUNM and LUA_OPBNOT) and pushes the result. May run metamethods.
 *
 * @param L   A thread of a VM of ours, with the operands on top.
 * @param op  LUA_OPADD to LUA_OPBNOT.
 * @return    RLUA_OK, or as every protected call.
 */
int rlua_arith(lua_State *L, int op);

/**
 * Pushes what `tostring` makes of the value at `index`, as luaL_tolstring does. May run the
 * metamethod `__tostring`.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a value; a free position is BAD_ARG.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_pushtostring(lua_State *L, int index);

/**
 * Pushes a traceback, as luaL_traceback does.
 *
 * @param L        A thread of a VM of ours; receives the string.
 * @param of       The thread that is described, of the same VM.
 * @param message  Goes before it; may be NULL.
 * @param level    0 for the running function, 1 for its caller, ...; levels that are not there
 *                 give an empty traceback.
 * @return         RLUA_OK, or as every protected call.
 */
int rlua_traceback(lua_State *L, lua_State *of, const char *message, int level);

/**
 * Pops a key and pushes `t[key]` of the table at `index`, without metamethods.
 *
 * @param L      A thread of a VM of ours, with the key on top.
 * @param index  Of a table, as it is before the pop.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_rawget(lua_State *L, int index);

/**
 * Pushes `t[key]` of the table at `index`, without metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a table.
 * @param key    An integer.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_rawgeti(lua_State *L, int index, lua_Integer key);

/**
 * Pops a value and the key below it, and does `t[key] = value` in the table at `index`, without
 * metamethods.
 *
 * @param L      A thread of a VM of ours, with key and value on top.
 * @param index  Of a table, as it is before the pop.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_rawset(lua_State *L, int index);

/**
 * Pops a value and does `t[key] = value` in the table at `index`, without metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a table, as it is before the pop.
 * @param key    An integer.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_rawseti(lua_State *L, int index, lua_Integer key);

/**
 * Pushes the table `t[name]`, where `t` is the value at `index`, making it if there is none. May
 * run metamethods.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param name   Ended by a zero.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_getsubtable(lua_State *L, int index, const char *name);

/**
 * Pushes the metatable that the registry keeps under `name`, making it if there is none.
 *
 * @param L     A thread of a VM of ours.
 * @param name  As for luaL_newmetatable.
 * @param made  Receives 1 when it was made, 0 when it was there; may be NULL.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_newmetatable(lua_State *L, const char *name, int *made);

/**
 * Pushes the metatable that the registry keeps under `name`, or nil.
 *
 * @param L     A thread of a VM of ours.
 * @param name  As for luaL_newmetatable.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_getmetatable(lua_State *L, const char *name);

/**
 * Gives the value on top the metatable that the registry keeps under `name`.
 *
 * @param L     A thread of a VM of ours, with a value on top.
 * @param name  As for luaL_newmetatable. BAD_ARG when the registry keeps none.
 * @return      RLUA_OK, or as every protected call.
 */
int rlua_setmetatable(lua_State *L, const char *name);

/**
 * Looks at a userdata of a named metatable, as luaL_testudata does.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of any value.
 * @param name   As given to rlua_newmetatable.
 * @param block  Receives its block, or NULL when the value is no userdata of that metatable.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_testudata(lua_State *L, int index, const char *name, void **block);

/**
 * Makes `index` the top, as lua_settop does. Slots that it drops may be variables to be closed, so
 * it may run `__close` metamethods; after their error the error value lies above the new top.
 *
 * @param L      A thread of a VM of ours.
 * @param index  0 or above, or from the top down: -1 changes nothing.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_settop(lua_State *L, int index);

/**
 * Marks a slot as a variable to be closed, as lua_toclose does.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Of a slot above those that were marked before.
 * @return       RLUA_OK, or as every protected call: ERR_RUN for a value that has no `__close`.
 */
int rlua_toclose(lua_State *L, int index);

/**
 * Closes the newest variable to be closed, as lua_closeslot does.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Where it is.
 * @return       RLUA_OK, or as every protected call.
 */
int rlua_closeslot(lua_State *L, int index);

/**
 * Moves `count` values from the top of one thread's stack to another's, as lua_xmove does.
 *
 * @param L      The thread that gives.
 * @param to     The thread that receives, of the same VM.
 * @param count  How many.
 * @return       RLUA_OK, or a status below RLUA_ERR_RUN as every protected call.
 */
int rlua_xmove(lua_State *L, lua_State *to, int count);

/**
 * Allocates memory of the host inside the VM. It rolls back with the VM: contents come back, a
 * block that was freed after the snapshot is there again, one that was made after it is gone.
 * Any pointer in it should lead into the same VM, or not be followed after a rollback.
 *
 * The bytes count against the VM's limit and drive its collector, as Lua's own do; where they do
 * not fit, garbage is collected first. They are freed by rlua_free, or with the VM.
 *
 * @param L     A thread of a VM of ours.
 * @param size  In bytes; 0 gives a block of no bytes.
 * @return      Memory aligned to 16 and filled with zeros. NULL after NULL_ARG, NOT_ROLLBACK,
 *              BUSY (another OS thread), POISONED or NO_MEMORY; rlua_last_error says which.
 */
void *rlua_alloc(lua_State *L, size_t size);

/**
 * Gives a block another size, in place where it can; else it moves. What it had is kept up to the
 * smaller size, what is new is zero. A shrink never fails.
 *
 * @param L      A thread of a VM of ours.
 * @param block  From rlua_alloc or rlua_realloc in this VM. NULL allocates.
 * @param size   In bytes; 0 does not free.
 * @return       As rlua_alloc, and NULL after BAD_ARG (no live block). After NULL the old block is
 *               as it was.
 */
void *rlua_realloc(lua_State *L, void *block, size_t size);

/**
 * Frees a block.
 *
 * @param L      A thread of a VM of ours.
 * @param block  From rlua_alloc or rlua_realloc in this VM, or NULL, which is nothing to do.
 * @return       RLUA_OK, or NULL_ARG (L), NOT_ROLLBACK, BUSY (another OS thread), POISONED,
 *               BAD_ARG: no live block of this VM, as far as its header tells.
 */
int rlua_free(lua_State *L, void *block);

/**
 * Announces a write to memory of the VM. Needed where rlua_Config.announces is set, for blocks of
 * rlua_alloc, before or after each write and before the next snap or rollback; what is not
 * announced does not roll back, or poisons the VM when an audit finds it. Harmless anywhere else.
 *
 * Cost: a byte for each 64 bytes.
 *
 * @param L        A thread of a VM of ours.
 * @param pointer  Into the VM's memory.
 * @param bytes    How many are written from there on; 0 is nothing to do.
 * @return         RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED, BAD_ARG:
 *                 some of it is not the VM's.
 */
int rlua_touch(lua_State *L, const void *pointer, size_t bytes);

/**
 * Pops the value on top and keeps it, until rlua_unref or a rollback to before this call.
 *
 * References roll back with the VM: one that was released after the snapshot is there again after
 * the rollback; one that was made after it is stale, also when its place was given to another.
 * (A serial of 32 bits tells them apart: of 4,294,967,295 references made, two may look alike.)
 *
 * Cost: constant, but for a table that doubles.
 *
 * @param L  A thread of a VM of ours, with a value on top; nil too.
 * @return   The reference, or 0 after NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
 *           BAD_ARG (no value) or NO_MEMORY, with the value still on the stack; rlua_last_error
 *           says which.
 */
rlua_Ref rlua_ref(lua_State *L);

/**
 * Pushes the value that a reference keeps.
 *
 * Cost: constant; it allocates nothing. The only function that does not hold the VM: it answers
 * BUSY to a second OS thread, but does not keep one out that enters meanwhile.
 *
 * @param L          A thread of a VM of ours.
 * @param reference  From rlua_ref in this VM.
 * @return           RLUA_OK, or STALE (nothing is pushed), NULL_ARG, NOT_ROLLBACK, BUSY (another
 *                   OS thread), POISONED, NO_MEMORY (no room on the Lua stack).
 */
int rlua_getref(lua_State *L, rlua_Ref reference);

/**
 * Releases a reference.
 *
 * @param L          A thread of a VM of ours.
 * @param reference  From rlua_ref in this VM.
 * @return           RLUA_OK, or STALE (nothing has changed), NULL_ARG, NOT_ROLLBACK, BUSY (another
 *                   OS thread), POISONED.
 */
int rlua_unref(lua_State *L, rlua_Ref reference);

/**
 * Pushes a handle to an object that lies outside the VM, and owns the object from then on.
 *
 * The handle is a userdata: it rolls back with the VM. Collected and rolled back to, it is alive
 * again, and the object has not been released; made and rolled back away, the object is released.
 * A handle also ends where a script marks it `<close>`, and by rlua_closeresource.
 *
 * Releases run when the call that caused them is done (snap, rollback, discard, collection), in
 * the order of creation; at lua_close after the finalizers.
 *
 * Cost: constant; a snap or a rollback costs what was made, ended, or dropped since, nothing for
 * resources that just live.
 *
 * @param L       A thread of a VM of ours.
 * @param object  Not NULL; the host's until this answers RLUA_OK.
 * @param type    Borrowed for the call. The name, the release function and the ud are noted at the
 *                first push of a type; the same name with others is BAD_ARG. The metatable is made
 *                from `methods` where the VM has none of that name.
 * @return        RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
 *                BAD_CONFIG (`size`), BAD_ARG, NO_MEMORY, ERR_MEM (the message is on the stack).
 */
int rlua_pushresource(lua_State *L, void *object, const struct rlua_ResourceType *type);

/**
 * Reads the object behind a handle.
 *
 * @param L       A thread of a VM of ours.
 * @param index   Position of any value.
 * @param type    The type it has to have.
 * @param object  Receives the object, or NULL after an error. Still the VM's: it is valid until
 *                the resource is released.
 * @return        RLUA_OK, or BAD_ARG (no resource of that type), STALE (closed or collected),
 *                NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED, BAD_CONFIG (`size`).
 */
int rlua_toresource(lua_State *L, int index, const struct rlua_ResourceType *type, void **object);

/**
 * Ends a resource before its handle is collected. The object is released at once, or, where a held
 * snapshot can reach it, when that is dropped; after a rollback to such a snapshot it is alive.
 *
 * @param L      A thread of a VM of ours.
 * @param index  Position of a handle.
 * @param type   The type it has to have.
 * @return       As rlua_toresource.
 */
int rlua_closeresource(lua_State *L, int index, const struct rlua_ResourceType *type);

/**
 * Makes host state take part in every snapshot from the next on. Snapshots that are already held
 * have no token of it: a rollback to one of them leaves its state as it is.
 *
 * Captures and restores are made in the order in which participants were added. Tokens of dropped
 * snapshots are discarded the oldest snapshot first, after a restore; at lua_close after the
 * finalizers and before the resources are released.
 *
 * @param L            A thread of a VM of ours.
 * @param participant  Copied.
 * @param ud           Handed to each call; must stay valid until lua_close or removal.
 * @return             RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (in one of these functions, in a
 *                     release, or another OS thread), POISONED, BAD_CONFIG (`size`), NO_MEMORY.
 */
int rlua_add_participant(lua_State *L, const struct rlua_Participant *participant, void *ud);

/**
 * Ends a participation; its tokens are discarded, the oldest first.
 *
 * @param L            A thread of a VM of ours.
 * @param participant  As given to rlua_add_participant.
 * @param ud           As given to rlua_add_participant.
 * @return             As rlua_add_participant, and BAD_ARG when there is no such participant.
 */
int rlua_remove_participant(lua_State *L, const struct rlua_Participant *participant, void *ud);

/**
 * Names a C function of the host: what tostring tells of it (`function: builtin: ` and the name),
 * what decides its place as a key of a table, and what stands for it where the state leaves the
 * process. Peers give one function one name, in any order. The standard libraries' functions have
 * names already.
 *
 * The name is part of the state, so it rolls back: give names before the first snapshot. A
 * function that has none works all the same; docs/DETERMINISM.md tells what it means then.
 *
 * Cost: a comparison with each name there is.
 *
 * @param L         A thread of a VM of ours.
 * @param name      Borrowed. 1 to 64 bytes, none of them a blank or a control character.
 * @param function  Of the host. A C closure made of it (lua_pushcclosure with upvalues) is an
 *                  object of the VM, and has the VM's own name.
 * @return          RLUA_OK, also when it has that name already, or NULL_ARG, NOT_ROLLBACK, BUSY
 *                  (another OS thread), POISONED, NO_MEMORY, BAD_ARG: no such name can be, another
 *                  has it, or the function has another. Nothing has changed then.
 */
int rlua_register(lua_State *L, const char *name, lua_CFunction function);

/**
 * Names a pointer that scripts or C modules hold as light userdata, or use as a key: the same as
 * rlua_register for what is no function.
 *
 * @param L        A thread of a VM of ours.
 * @param name     As for rlua_register; functions and pointers share the names.
 * @param pointer  Outside the VM, and no small number (below 65536), which needs no name.
 * @return         As rlua_register; BAD_ARG for a pointer that needs no name too.
 */
int rlua_register_pointer(lua_State *L, const char *name, void *pointer);

/**
 * Sets the clock that os.time, os.date and os.clock read in the deterministic profile: an input,
 * like a player's keys, so set it from what all peers agree on (the frame's number times its
 * length). It is part of the state, rolls back, and begins at 0. os.clock tells all of it in
 * seconds. May be called while Lua is running, and may go back. (To os.time -1 is what it is to
 * C's mktime, no time at all, and raises.)
 *
 * Cost: two writes.
 *
 * @param L            A thread of a VM of ours.
 * @param seconds      Since 1970-01-01 00:00 UTC, or since whatever the host likes.
 * @param nanoseconds  Of the second, 0 to 999999999.
 * @return             RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
 *                     BAD_ARG (`nanoseconds`), UNSUPPORTED: in the stock profile scripts read the
 *                     system's clock.
 */
int rlua_set_time(lua_State *L, int64_t seconds, uint32_t nanoseconds);

/**
 * A digest of what peers must have in common before the first frame: compare it when they meet.
 * It covers the library's version, that of its mathematics, and of the config: memory_size (as
 * rounded), seed, profile, guard, announces, and the collector's fields. Not the tracker, and not
 * max_snapshots, which change nothing that a script sees; but with RLUA_GUARD_REFUSE, which
 * works in VMs that keep snapshots alone, whether any are kept. Nor what the host does: which
 * libraries it opens, which scripts it loads, lua_gc.
 *
 * Cost: a few loads. May be called while Lua is running.
 *
 * @param L       A thread of a VM of ours.
 * @param digest  Receives it. The same on every platform.
 * @return        RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), UNSUPPORTED: the VM
 *                is of luaL_newstate, whose seed is random.
 */
int rlua_config_digest(lua_State *L, uint64_t *digest);

/**
 * Saves the whole state of an idle VM: globals, closures, coroutines in the middle of a call,
 * userdata, what the collector is about to do. Nothing changes, neither the state nor a snapshot.
 * A VM that is loaded from it, in any process, does from then on what this one does: the same
 * values, the same order of `pairs`, the same collection at the same instruction.
 *
 * What lies outside has to have a name: functions of the libraries do, others by rlua_register,
 * rlua_register_pointer and the name of rlua_pushfunction. Resources and guarded userdata go along
 * where rlua_register_type says how, and are refused else; so are open files, and userdata and
 * rlua_alloc blocks with pointers into the VM. Participants and what they keep are not part of an
 * image. docs/FORMAT.md describes the bytes.
 *
 * Cost: a pass over the used bytes, at some GB/s; 64 KiB of memory during the call.
 *
 * @param L       A thread of the VM.
 * @param writer  Called for each 64 KiB. What it got before an error is no image.
 * @param ud      The writer's.
 * @return        RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY, UNSAVABLE with a
 *                sentence that says what and where, STREAM (the writer, or a type's save function,
 *                ended it).
 */
int rlua_save(lua_State *L, rlua_Writer writer, void *ud);

/**
 * Saves into a buffer, as rlua_save does.
 *
 * @param buffer  Room for `size` bytes; NULL, with a size of 0, to ask for the length alone.
 * @param length  Receives the image's length, also where there is no room.
 * @return        As rlua_save; STREAM, and nothing is written, where the buffer is too small.
 */
int rlua_save_buffer(lua_State *L, void *buffer, size_t size, size_t *length);

/**
 * Saves a snapshot that is held, as rlua_save does for the live state, which stays as it is.
 *
 * Cost: as rlua_save, and a copy of the used pages.
 *
 * @param frame  Its label.
 * @return       As rlua_save; NO_SNAPSHOT where no snapshot has the label.
 */
int rlua_save_snapshot(lua_State *L, int64_t frame, rlua_Writer writer, void *ud);

/**
 * How many bytes rlua_save would write now: for hosts that need a size ahead. A state that is run
 * on may need more; compressed, another state of the same size may.
 *
 * Cost: as rlua_save.
 *
 * @param length  Receives the number.
 * @return        As rlua_save.
 */
int rlua_save_bound(lua_State *L, size_t *length);

/**
 * Makes a VM from an image. Whatever the bytes are, the answer is a VM or a sentence that says
 * what is wrong and where; memory is bounded by `memory_size`. What is not verified is the code of
 * scripts: Lua has no verifier of it, so an image of strangers is as dangerous as a binary chunk.
 * So by default only images are loaded that somebody saved who has the `image_key`; `trust` says
 * which others are. Without a key damage is found, not malice.
 *
 * Cost: a copy of the image, its hash, a look at each word; with RLUA_TRUST_PROVED the proof of
 * the heap, too, which is what rlua_check does.
 *
 * @param config  `memory_size` bounds the image's own limit; `max_snapshots`, `tracker`, `audit`,
 *                `trust`, `image_key`, `compress`, `names` and `types` count, the rest is the
 *                image's. NULL for the defaults. Borrowed for the call.
 * @param reader  Called until the image is whole, not beyond it.
 * @param ud      The reader's.
 * @param out     Receives the main thread, to be closed with lua_close, or NULL after an error.
 * @return        RLUA_OK, or NULL_ARG, BAD_CONFIG (also a limit that is too small for the image),
 *                BAD_IMAGE, UNTRUSTED (no key, and `trust` is RLUA_TRUST_KEY), UNSAVABLE (a name
 *                or a type that this process does not have), STREAM (a type's load function
 *                failed), UNSUPPORTED, NO_MEMORY. rlua_last_error(NULL)
 *                gives the sentence.
 */
int rlua_load(const struct rlua_Config *config, rlua_Reader reader, void *ud, lua_State **out);

/**
 * Makes a VM from an image in memory, as rlua_load does.
 *
 * @param image   `length` bytes, or more: what comes behind the image is not looked at.
 */
int rlua_load_buffer(const struct rlua_Config *config,
                     const void *image,
                     size_t length,
                     lua_State **out);

/**
 * The checksum of an idle VM's state: the same for the same state on every machine, in every
 * process, whatever was rolled back before; another for any difference that a script could ever
 * see, but by chance (XXH3 of 128 bits). Not covered is what lies outside: blocks of guarded
 * userdata, the ids of resources, open files, pointers without a name, which all count as the
 * same.
 *
 * Cost: as rlua_save.
 *
 * @param L    A thread of the VM.
 * @param out  Receives the checksum.
 * @return     RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY.
 */
int rlua_checksum(lua_State *L, struct rlua_Checksum *out);

/**
 * Makes a second VM with the same state, for another thread, a look-ahead, a spectator: what
 * rlua_save and rlua_load give, in one pass. Refused is what rlua_save refuses; objects outside
 * are saved and loaded. Its history is empty and keeps as many snapshots; participants are not
 * copied.
 *
 * Cost: a pass over the used bytes, and a new VM.
 *
 * @param L    A thread of the VM.
 * @param out  Receives the clone's main thread, to be closed with lua_close, or NULL.
 * @return     RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY, UNSAVABLE, STREAM (a
 *             type's function failed).
 */
int rlua_clone(lua_State *L, lua_State **out);

/**
 * Saves what leads from one held snapshot to another, as rlua_save saves a whole state: a
 * spectator who has the first follows for the bytes that changed, a replay seeks. Usually the
 * second is the newer one; the other way round works too. A resource or a guarded userdata that
 * the second alone has goes along by rlua_register_type, one that both have stays the spectator's
 * own.
 *
 * Cost: the first time a pass over the used bytes. From then on what changed between the
 * snapshots, and a look at each resource and guarded userdata, as long as the one that the last
 * delta led to is held: so long the VM keeps its bytes twice more.
 *
 * @param from_frame  The label of the first.
 * @param to_frame    The label of the second.
 * @return            As rlua_save_snapshot.
 */
int rlua_save_delta(lua_State *L,
                    int64_t from_frame,
                    int64_t to_frame,
                    rlua_Writer writer,
                    void *ud);

/**
 * Makes an idle VM's state what a delta leads to; it has to have the state that the delta leads
 * from: the same image loaded, the deltas before applied. Its main thread, its snapshots and its
 * participants stay; references and pointers of the host's into the state are good where they are
 * good in the VM that saved. Resources and guarded userdata that are new are made by their types
 * (rlua_register_type, rlua_Config.types), those that are gone end as if they had been collected.
 * A guarded userdata that a snapshot of the VM has must not be gone: discard the snapshot first.
 *
 * The delta is verified as rlua_load verifies an image, by the VM's own `image_key` and `trust`.
 * After an error nothing has changed.
 *
 * Cost: what was written since the last one was applied, and what this one changes; the first
 * time, a pass over the used bytes; with RLUA_TRUST_PROVED, the proof each time. The VM keeps its
 * state once more from then on. Where guarded userdata are new or gone, a pass over the used
 * bytes.
 *
 * @param names   What names stand for that the state did not have yet since the first delta, or
 *                NULL: as rlua_Config.names.
 * @param reader  Called until the delta is whole.
 * @return        As rlua_load, and NOT_ROLLBACK, BUSY, POISONED; BAD_IMAGE also where the delta
 *                leads from another state, or is of a VM with another limit, guard or announces;
 *                UNSUPPORTED (a snapshot has a guarded userdata that ends).
 */
int rlua_apply_delta(lua_State *L, const struct rlua_Name *names, rlua_Reader reader, void *ud);

/**
 * Tells a VM how objects of a type are saved and loaded, so that a state that has such can leave
 * the VM: rlua_save, rlua_save_snapshot, rlua_clone, rlua_save_delta. A VM that is loaded needs
 * the same types in its config (rlua_Config.types), which tells a new one the same.
 *
 * An image has of each object what `save` wrote, and no more. The one that is loaded is another
 * object: it is released, or its finalizer runs, when its own VM has no use for it.
 *
 * Where loading fails, objects that were loaded end as they do in any VM: a resource is released,
 * the finalizer of a userdata runs.
 *
 * @param L     A thread of a VM of ours.
 * @param type  Borrowed for the call; the name is copied. The same type again changes nothing.
 * @return      RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED, BAD_CONFIG
 *              (`size`), BAD_ARG (the name is none, or is taken by a type with other functions),
 *              NO_MEMORY.
 */
int rlua_register_type(lua_State *L, const struct rlua_ObjectType *type);

/**
 * Where the states of two VMs differ, in everything that a script can ever see: values, the order
 * of tables, which objects are the same, functions and their upvalues, coroutines and their
 * locals, userdata and blocks, random numbers, the clock, the budget. What only the collector or
 * the allocator knows is not compared, nor what lies outside: blocks of guarded userdata, ids of
 * resources, pointers without a name. Nothing changes in either VM.
 *
 * Both states should come from one: peers, a clone, an image. Objects are compared that the same
 * way leads to, so each is named by the shortest way. The order of what is found is the same
 * whenever the states are.
 *
 * Cost: a few lookups for each object and field; some 100 bytes for each object during the call.
 *
 * @param a     A thread of the first VM.
 * @param b     A thread of the second VM.
 * @param most  Differences after which it ends; 0 for 1000.
 * @param fn    Called for each difference, after both VMs have been compared. May be NULL.
 * @param ud    The function's.
 * @return      RLUA_OK, also where they differ, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED,
 *              NO_MEMORY, BAD_ARG (both are one VM).
 */
int rlua_diff_vms(lua_State *a, lua_State *b, size_t most, rlua_DiffFn fn, void *ud);

/**
 * Where the states of two images differ, as rlua_diff_vms tells it of VMs. No code of an image is
 * run, no finalizer either.
 *
 * Cost: as two loads, and rlua_diff_vms.
 *
 * @param config    As for rlua_load, for both; images without a key are compared also where
 *                  `trust` is 0.
 * @param a         The first image.
 * @param a_length  Its bytes.
 * @param b         The second image.
 * @param b_length  Its bytes.
 * @param most      Differences after which it ends; 0 for 1000.
 * @param fn        Called for each difference. May be NULL.
 * @param ud        The function's.
 * @return          As rlua_load and rlua_diff_vms. rlua_last_error(NULL) gives the sentence.
 */
int rlua_diff(const struct rlua_Config *config,
              const void *a,
              size_t a_length,
              const void *b,
              size_t b_length,
              size_t most,
              rlua_DiffFn fn,
              void *ud);

/**
 * Runs frames, and after each one rolls back `check_distance` frames and runs them again, as
 * GGPO's sync test and GGRS's SyncTestSession do. A frame that comes to another state than in its
 * first run ends the test: it depends on something that does not roll back. The report tells the
 * frame and, by rlua_diff_vms, the first value that differs.
 *
 * The VM's snapshots are used, by rlua_snap: labels go on from the newest one, and older snapshots
 * go as the history is full. Afterwards the VM is where the frames have led to; after a difference
 * it is in the state of the run that differs; after an error as the frame's function left it.
 *
 * Cost: for each frame `check_distance` + 1 runs, captures and checksums, and a clone, for which
 * no object outside is made; `check_distance` + 1 clones are kept at a time.
 *
 * @param L               A thread of an idle VM that keeps more than `check_distance` snapshots;
 *                        `frame` gets the main one.
 * @param frame           Called for each run of a frame; any call on the VM may be made there, but
 *                        rollbacks and captures.
 * @param ud              The function's.
 * @param check_distance  Frames that are run again each time, 1 or more: as many as the game's
 *                        prediction window.
 * @param frames          Frames to run.
 * @param report          The caller's, or NULL.
 * @return                RLUA_OK, or DESYNC with a sentence that says what differs, or NULL_ARG,
 *                        NOT_ROLLBACK, BUSY, POISONED, BAD_ARG (too few snapshots, or `frame`
 *                        took or dropped some), BAD_CONFIG (`report->size`), NO_MEMORY, or what
 *                        `frame` returned.
 */
int rlua_synctest(lua_State *L,
                  rlua_FrameFn frame,
                  void *ud,
                  unsigned int check_distance,
                  unsigned int frames,
                  struct rlua_SyncReport *report);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RLUA_H */
