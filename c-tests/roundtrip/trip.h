/* trip.h: a VM that is saved goes on here, and in another process that has loaded it.
 *
 * The other process is this program, started once more; it serves many trips. Both ends do the same
 * steps, on some trips with rollbacks on the way, each at moments of its own. What a step leaves
 * behind is told by the checksum of the VM, and by what the script gave to `emit`.
 *
 * Not here: the programs that run (roundtrip.c). */
#ifndef RLUA_ROUNDTRIP_TRIP_H
#define RLUA_ROUNDTRIP_TRIP_H

#include "../harness.h"

#include <limits.h>

#include "../determinism/host.h"
#include "../determinism/walk.h"
#include "../random.h"

/* What slot 1 of the main thread holds, and what a step does with it. */
enum {
    FRAMES, /* a function: called with the frame's number and an input */
    SLICES, /* a coroutine: resumed; a hook ends it after `cut` instructions */
    GRAPH   /* the operations of graph.lua, whose number is in slot 2: a dozen of them */
};

/* How the host drives the collector between steps. */
enum { BY_ITSELF, SMALL_STEPS, ONE_UNIT, MODES, WAYS_TO_COLLECT };

/* All that decides a step and is not in the VM. */
typedef struct Job {
    int32_t kind, collect;
    int32_t nested_slices; /* the hook ends coroutines inside the coroutine, too */
    int32_t tamper;        /* of the other end alone: 1 + the place in `tampers` of what it does */
    int32_t compress, reserved;
    int64_t frame;         /* the next one */
} Job;

enum { TRIP_STEPS = 24 };

typedef struct Step {
    rlua_Checksum sum;
    uint64_t emitted;
    int64_t status; /* of Lua; a coroutine that has ended does nothing more */
} Step;

typedef struct Bytes {
    char *start;
    size_t length;
} Bytes;

/* Where a trip's two ends first differ. */
typedef struct Verdict {
    int same;
    char what[600];
} Verdict;

/* Counted since the start. */
static struct {
    unsigned long trips, clones, unsavable, steps, processes;
    unsigned long long image_bytes;
} counts;

enum { TRIPS_OF_A_PROCESS = 40, OPERATIONS = 12, NAMES = 128, SNAPSHOTS = 4, SENTENCE = 400 };

/* What the other end may do wrong, to see that it is noticed; NULL behind the last. */
static const char *const tampers[] = {
    "", /* a whole collection */
    "math.random()",
    "x_ = 1 x_ = nil",
    "for _, c in pairs(C) do if coroutine.status(c) == 'suspended' then coroutine.close(c) end end",
    "n = n + 1",
    "local t = T[1] for i = 1, 6 do setmetatable(T[i], {}) end",
    "warn '@on'",
    "collectgarbage('incremental', 199)",
    "for k in pairs(W) do setmetatable(W[k], {__mode = k == 'k' and 'v' or 'k'}) end",
    "string.x = 1",
    NULL};

static uint64_t mix(uint64_t seed) {
    Random random = {seed};
    return random_u64(&random);
}

/* -- what scripts get -------------------------------------------------------------------------- */

static lua_State *program; /* the coroutine of SLICES */
static int in_nested;

static void slice_ends(lua_State *thread, lua_Debug *record) {
    (void)record;
    if ((in_nested || thread == program) && lua_isyieldable(thread)) lua_yield(thread, 0);
}

/* A userdata of some bytes and user values, for graph.lua. The bytes lead nowhere. */
static int new_userdata(lua_State *L) {
    size_t size = (size_t)luaL_checkinteger(L, 1);
    uint32_t seed = (uint32_t)luaL_checkinteger(L, 3), *words;
    size_t i;
    words = lua_newuserdatauv(L, size, (int)luaL_checkinteger(L, 2));
    memset(words, 0, size);
    for (i = 0; i < size / 4; i++)
        words[i] = i % 2 ? 0x55AA0000u + (seed >> 20) : seed + (uint32_t)i;
    return 1;
}

static int resumed(lua_State *L, int status, lua_KContext context) {
    lua_pushinteger(L, status + (lua_Integer)context);
    return lua_gettop(L);
}

static int call_with_continuation(lua_State *L) {
    return resumed(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 30, resumed), 30);
}

static int nothing(lua_State *L) {
    (void)L;
    return 0;
}

#define AS_FUNCTION(f) ((lua_CFunction)(void (*)(void))(f))

static rlua_Name names[NAMES];
static char name_texts[NAMES][32];
static int name_count;

static void add_name(const char *name, lua_CFunction function, void *pointer) {
    CHECK(name_count + 1 < NAMES);
    snprintf(name_texts[name_count], sizeof name_texts[0], "%s", name);
    names[name_count] = (rlua_Name){name_texts[name_count], function, NULL, pointer};
    name_count++;
}

static void add_functions_of(lua_State *L, const char *code, const char *name) {
    char text[32];
    int i, count = lua_gettop(L);
    if (luaL_dostring(L, code) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
    for (i = count + 1; i <= lua_gettop(L); i++) {
        snprintf(text, sizeof text, "%s.%d", name, i - count);
        add_name(text, lua_tocfunction(L, i), lua_touserdata(L, i));
    }
    lua_settop(L, count);
}

/* What determinism/host.c gives is found by asking it. */
static void make_names(void) {
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    luaL_openlibs(L);
    host_open(L);
    add_functions_of(L, "return emit, box, light, host_functions", "host");
    add_functions_of(L, "return host_functions()", "host.function");
    add_functions_of(L, "local b = box(1) return b.get, b.set, b.user", "host.box");
    add_functions_of(L, "local t = {} for i = 1, 64 do t[i] = light(i) end return table.unpack(t)",
                     "host.light");
    add_name("trip.new_userdata", new_userdata, NULL);
    add_name("trip.call", call_with_continuation, NULL);
    add_name("trip.resumed", AS_FUNCTION(resumed), NULL);
    add_name("trip.nothing", nothing, NULL);
    add_name("trip.slice_ends", AS_FUNCTION(slice_ends), NULL);
    lua_close(L);
}

/* The config of both ends, with the names of what this program gives to scripts. */
static rlua_Config trip_config(size_t memory_size) {
    rlua_Config config;
    if (name_count == 0) make_names();
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = memory_size;
    config.max_snapshots = SNAPSHOTS;
    config.names = names;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

/* What the host keeps in the VM: a block that only the extra space of the main thread leads to, and
 * a reference, whose number the block has. */
typedef struct HostBlock {
    uint64_t steps, reference;
} HostBlock;

static HostBlock *host_block(lua_State *L) { return *(HostBlock **)lua_getextraspace(L); }

static void make_host_block(lua_State *L) {
    HostBlock *block = rlua_alloc(L, sizeof *block);
    CHECK(block != NULL);
    *(HostBlock **)lua_getextraspace(L) = block;
}

/* Opens the functions for scripts, and registers their names. */
static void trip_open_host(lua_State *L) {
    int i;
    for (i = 0; i < name_count; i++)
        if (names[i].function) CHECK_OK(rlua_register(L, names[i].name, names[i].function));
        else CHECK_OK(rlua_register_pointer(L, names[i].name, names[i].pointer));
    host_open(L);
    lua_register(L, "new_userdata", new_userdata);
    lua_register(L, "call_with_continuation", call_with_continuation);
    lua_register(L, "nothing", nothing);
    make_host_block(L);
}

/* -- steps ------------------------------------------------------------------------------------- */

static void drive_collector(lua_State *L, const Job *job) {
    switch (job->collect) {
        case SMALL_STEPS:
            if (job->frame % 2) lua_gc(L, LUA_GCSTEP, 0);
            break;
        case ONE_UNIT:
            lua_gc(L, LUA_GCSTOP);
            lua_gc(L, LUA_GCSTEP, 1);
            break;
        case MODES:
            if (job->frame % 11 == 4) lua_gc(L, LUA_GCGEN, 0, 0);
            if (job->frame % 11 == 9) lua_gc(L, LUA_GCINC, 0, 0, 0);
            break;
    }
}

static int call_frame(lua_State *L, const Job *job, int is_wrong) {
    int status;
    lua_pushvalue(L, 1);
    lua_pushinteger(L, job->frame);
    lua_pushinteger(L, (lua_Integer)(mix((uint64_t)job->frame * 2 + (uint64_t)is_wrong) >> 1));
    status = lua_pcall(L, 2, 0, 0);
    if (status != LUA_OK) lua_settop(L, 1);
    return status;
}

static int resume_slice(lua_State *L, const Job *job) {
    int results = 0, status;
    program = lua_tothread(L, 1);
    in_nested = job->nested_slices;
    status = lua_resume(program, L, 0, &results);
    if (status == LUA_YIELD) lua_pop(program, results);
    else if (status == LUA_OK) lua_settop(program, 0);
    return status;
}

static int run_operations(lua_State *L, const Job *job, int is_wrong) {
    Random random = {(uint64_t)job->frame * 2 + (uint64_t)is_wrong};
    int i, status = LUA_OK;
    for (i = 0; i < OPERATIONS; i++) {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, 1 + below(&random, (int)lua_tointeger(L, 2)));
        lua_pushinteger(L, (lua_Integer)(random_u64(&random) >> 8));
        status |= lua_pcall(L, 2, 0, 0);
        lua_settop(L, 2);
    }
    return status;
}

/* The number of a reference never goes back, so what is rolled back makes none. */
static void be_a_host(lua_State *L, Sink *sink, int is_wrong) {
    HostBlock *block = host_block(L);
    sink_word(sink, ++block->steps);
    if (block->steps % 3 != 1 || is_wrong) return;
    if (block->reference) {
        int status = rlua_getref(L, (rlua_Ref)block->reference);
        sink_word(sink, (uint64_t)status);
        if (status == RLUA_OK) lua_pop(L, 1);
        if (block->steps % 2) rlua_unref(L, (rlua_Ref)block->reference);
    }
    lua_getglobal(L, "T");
    block->reference = rlua_ref(L);
    sink_word(sink, block->reference);
}

static int step(lua_State *L, const Job *job, int is_wrong, Sink *sink) {
    if (job->frame % 2) /* refused in the stock profile */
        rlua_set_time(L, 1700000000 + job->frame, (uint32_t)(job->frame % 97) * 10000000);
    drive_collector(L, job);
    be_a_host(L, sink, is_wrong);
    if (job->kind == SLICES) return resume_slice(L, job);
    return job->kind == GRAPH ? run_operations(L, job, is_wrong) : call_frame(L, job, is_wrong);
}

static int has_ended(lua_State *L, const Job *job) {
    lua_State *co = job->kind == SLICES ? lua_tothread(L, 1) : NULL;
    return co && lua_status(co) != LUA_YIELD && (lua_status(co) != LUA_OK || lua_gettop(co) == 0);
}

/* Some steps with another input that nobody wants. */
static void there_and_back(lua_State *L, const Job *job, int count) {
    Job wrong = *job;
    Sink nobody;
    sink_start(&nobody, NULL);
    host_emit_to(&nobody);
    CHECK_OK(rlua_snap(L));
    for (; count > 0 && !has_ended(L, job); count--, wrong.frame++) step(L, &wrong, 1, &nobody);
    CHECK_OK(rlua_rollback(L, 1));
}

/* The image, or no bytes where the VM cannot be saved. */
static Bytes trip_save(lua_State *L) {
    Bytes image = {NULL, 0};
    int status = rlua_save_buffer(L, NULL, 0, &image.length);
    if (status == RLUA_UNSAVABLE) {
        if (getenv("ROUNDTRIP_WHY")) fprintf(stderr, "     %s\n", rlua_last_error(L));
        image.length = 0;
        return image;
    }
    CHECK_EQ(status, RLUA_STREAM);
    CHECK((image.start = malloc(image.length)) != NULL);
    CHECK_OK(rlua_save_buffer(L, image.start, image.length, &image.length));
    return image;
}

/* ROUNDTRIP_KEEP=path: the images of the last trip, path.here.0, path.there.0 behind the load, then
 * those behind each step. */
static void keep_image(lua_State *L, int step) {
    const char *kept = getenv("ROUNDTRIP_KEEP");
    char path[300];
    Bytes image;
    FILE *file;
    if (!kept) return;
    image = trip_save(L);
    snprintf(path, sizeof path, "%s.%s.%d", kept, harness.in_child ? "there" : "here", step);
    CHECK((file = fopen(path, "wb")) != NULL);
    CHECK(fwrite(image.start, 1, image.length, file) == image.length && fclose(file) == 0);
    free(image.start);
}

/* Runs `count` steps; `rollbacks` is the seed of the moments at which to go there and back, 0 for
 * none. Answers how many were run: fewer when a coroutine has ended. */
static int trip_advance(lua_State *L, Job *job, int count, uint64_t rollbacks, Step *steps) {
    Random random = {rollbacks};
    int i;
    keep_image(L, 0);
    luaL_getmetatable(L, "digest.box");
    walk_boxes_of(lua_topointer(L, -1));
    lua_pop(L, 1);
    for (i = 0; i < count && !has_ended(L, job); i++) {
        Sink sink;
        if (rollbacks && one_in(&random, 3)) there_and_back(L, job, 1 + below(&random, 3));
        if (rollbacks && one_in(&random, 5)) CHECK_OK(rlua_snap(L));
        sink_start(&sink, NULL);
        host_emit_to(&sink);
        memset(&steps[i], 0, sizeof steps[i]);
        steps[i].status = step(L, job, 0, &sink);
        steps[i].emitted = sink.hash;
        CHECK_OK(rlua_checksum(L, &steps[i].sum));
        keep_image(L, i + 1);
        job->frame++;
    }
    return i;
}

/* -- the other process ------------------------------------------------------------------------- */

/* Behind a request: the image. Behind a reply: the steps, and the last image. */
typedef struct Request {
    Job job;
    uint64_t rollbacks, length;
    int64_t count;
} Request;

typedef struct Reply {
    int64_t status, count;
    uint64_t length;
    char sentence[SENTENCE];
} Reply;

static int read_all(int fd, void *to, size_t length) {
    char *at = to;
    while (length > 0) {
        ssize_t came = read(fd, at, length);
        if (came <= 0) return 0;
        at += came;
        length -= (size_t)came;
    }
    return 1;
}

static int write_all(int fd, const void *from, size_t length) {
    const char *at = from;
    while (length > 0) {
        ssize_t went = write(fd, at, length);
        if (went <= 0) return 0;
        at += went;
        length -= (size_t)went;
    }
    return 1;
}

static void tamper(lua_State *L, int which) {
    int top = lua_gettop(L);
    if (which == 0) return;
    if (tampers[which - 1][0] == 0) lua_gc(L, LUA_GCCOLLECT);
    else if (luaL_dostring(L, tampers[which - 1]) != LUA_OK) lua_settop(L, top);
}

/* The image comes through a pipe here, and in pieces through a reader where it can. */
typedef struct Pieces {
    const char *at;
    size_t left, turn;
} Pieces;

static size_t next_piece(void *ud, void *to, size_t length) {
    Pieces *pieces = ud;
    size_t size = pieces->turn++ % 3 == 0 ? 1 + pieces->turn * 7919 % 5000 : length;
    if (size > length) size = length;
    if (size > pieces->left) size = pieces->left;
    memcpy(to, pieces->at, size);
    pieces->at += size;
    pieces->left -= size;
    return size;
}

static lua_State *load(Bytes image, const Job *job, Reply *reply) {
    rlua_Config config = trip_config(0);
    Pieces pieces = {image.start, image.length, 0};
    lua_State *L = NULL;
    config.compress = job->compress;
    if (job->frame % 3 == 0) config.trust = RLUA_TRUST_OWN;
    if (image.length % 2) reply->status = rlua_load_buffer(&config, image.start, image.length, &L);
    else reply->status = rlua_load(&config, next_piece, &pieces, &L);
    if (reply->status == RLUA_OK) reply->status = rlua_check(L);
    if (reply->status != RLUA_OK)
        snprintf(reply->sentence, SENTENCE, "%s", rlua_last_error(NULL));
    return reply->status == RLUA_OK ? L : NULL;
}

static int serve(int in, int out) {
    Request request;
    Reply reply = {0, 0, 0, ""};
    Bytes image;
    Step steps[TRIP_STEPS];
    lua_State *L;
    if (!read_all(in, &request, sizeof request)) return 0;
    image.length = request.length;
    image.start = malloc(image.length);
    if (!image.start || !read_all(in, image.start, image.length)) return 0;
    L = load(image, &request.job, &reply);
    free(image.start);
    image = (Bytes){NULL, 0};
    if (L) {
        tamper(L, request.job.tamper);
        reply.count = trip_advance(L, &request.job, (int)request.count, request.rollbacks, steps);
        image = trip_save(L);
        lua_close(L);
    }
    reply.length = image.length;
    write_all(out, &reply, sizeof reply);
    write_all(out, steps, sizeof *steps * (size_t)reply.count);
    write_all(out, image.start, image.length);
    free(image.start);
    return 1;
}

static struct {
    pid_t child;
    int to, from, trips;
} other = {0, -1, -1, 0};

/* The other process serves at its standard files. Where it was started already, it is behind those
 * of this process, and what this one has to say goes to stderr. */
__attribute__((constructor)) static void find_the_other(void) {
    if (getenv("ROUNDTRIP_SERVES")) {
        unsetenv("ROUNDTRIP_SERVES");
        harness.in_child = 1;
        harness.current = "the other process";
        while (serve(0, 1)) continue;
        exit(0);
    }
    if (getenv("ROUNDTRIP_SERVED")) {
        other.from = dup(0);
        other.to = dup(1);
        CHECK(other.from >= 0 && other.to >= 0 && dup2(2, 1) >= 0);
    }
}

/* Another build, which may be of another platform. */
static int is_another_build(void) {
    return getenv("ROUNDTRIP_OTHER") || getenv("ROUNDTRIP_SERVED");
}

static int end_the_other(void) {
    int status = 0;
    if (other.child <= 0) return 0;
    close(other.to);
    close(other.from);
    while (waitpid(other.child, &status, 0) < 0) CHECK_EQ(errno, EINTR);
    other.child = 0;
    return status;
}

/* Of this program: under a checker /proc/self/exe is the checker's, but for readlink. */
static const char *program_path(void) {
    static char path[PATH_MAX];
    if (!path[0]) CHECK(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    return path;
}

#ifdef _WIN32
static void start_the_other(void) {
    if (other.to < 0) FAIL("there is no fork: start the other process, and say ROUNDTRIP_SERVED");
}
#else
static void run_the_other(void) {
    const char *other_build = getenv("ROUNDTRIP_OTHER");
    char *nothing_more[] = {NULL}, path[PATH_MAX], *again[] = {path, NULL};
    snprintf(path, sizeof path, "%s", program_path());
    if (other_build) harness_exec(other_build, nothing_more);
    else run_again(again);
}

static void start_the_other(void) {
    int to[2], from[2];
    if (getenv("ROUNDTRIP_SERVED")) return;
    if (other.child > 0 && other.trips++ < TRIPS_OF_A_PROCESS) return;
    CHECK_EQ(end_the_other(), 0);
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    fflush(stdout);
    other.child = fork();
    CHECK(other.child >= 0);
    if (other.child == 0) {
        setenv("ROUNDTRIP_SERVES", "1", 1);
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[0]);
        close(to[1]);
        close(from[0]);
        close(from[1]);
        run_the_other();
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    signal(SIGPIPE, SIG_IGN);
    other.to = to[1];
    other.from = from[0];
    other.trips = 1;
    counts.processes++;
}
#endif

/* -- both ends --------------------------------------------------------------------------------- */

__attribute__((format(PRINTF, 1, 2))) static Verdict differ(const char *format, ...) {
    Verdict verdict = {0, ""};
    va_list args;
    va_start(args, format);
    vsnprintf(verdict.what, sizeof verdict.what, format, args);
    va_end(args);
    return verdict;
}

static Verdict compare_images(Bytes a, Bytes b) {
    char text[400] = "";
    size_t i, at = 0, shown = 0;
    if (a.length == b.length && memcmp(a.start, b.start, a.length) == 0)
        return (Verdict){1, ""};
    for (i = 0; i < a.length && i < b.length && shown < 8; i++)
        if (a.start[i] != b.start[i] && i + 32 < a.length && ++shown)
            at += (size_t)snprintf(text + at, sizeof text - at, " %#zx: %02x, %02x;", i,
                                   a.start[i] & 255, b.start[i] & 255);
    return differ("the last images, of %zu and %zu bytes, differ at%s", a.length, b.length, text);
}

/* What two VMs did from the same state on, and their last images. */
static Verdict compare(const Step *here, int count, Bytes image, const Step *there, int their_count,
                       Bytes theirs, int64_t frame) {
    Verdict images = compare_images(image, theirs);
    int i;
    for (i = 0; i < count && i < their_count; i++) {
        const char *what = NULL;
        if (memcmp(&here[i].sum, &there[i].sum, sizeof here[i].sum)) what = "the checksum";
        if (here[i].emitted != there[i].emitted) what = "what it emitted";
        if (here[i].status != there[i].status) what = "how it ended";
        if (what)
            return differ("frame %lld, step %d of %d: %s; %s", (long long)frame + i, i + 1, count,
                          what, images.what);
    }
    if (count != their_count) return differ("%d steps here, %d there", count, their_count);
    return images;
}

static Verdict compare_with_the_other(const Step *here, int count, Bytes image, int64_t frame) {
    Reply reply;
    Step there[TRIP_STEPS];
    Bytes theirs;
    Verdict verdict;
    if (!read_all(other.from, &reply, sizeof reply))
        return differ("the other process ended with status %d", end_the_other());
    if (reply.status != RLUA_OK)
        return differ("it was not loaded: %d, %s", (int)reply.status, reply.sentence);
    CHECK(reply.count <= TRIP_STEPS);
    CHECK(read_all(other.from, there, sizeof *there * (size_t)reply.count));
    theirs.length = reply.length;
    CHECK((theirs.start = malloc(theirs.length + 1)) != NULL);
    CHECK(read_all(other.from, theirs.start, theirs.length));
    verdict = compare(here, count, image, there, (int)reply.count, theirs, frame);
    free(theirs.start);
    return verdict;
}

/* The same for a clone, which is made before L goes on, and is closed. */
static Verdict compare_with_a_clone(const Step *here, int count, Bytes image, lua_State *clone,
                                    Job job, uint64_t rollbacks) {
    Step there[TRIP_STEPS];
    int64_t frame = job.frame;
    int their_count = trip_advance(clone, &job, count, rollbacks, there);
    Bytes theirs = trip_save(clone);
    Verdict verdict = compare(here, count, image, there, their_count, theirs, frame);
    free(theirs.start);
    lua_close(clone);
    return verdict;
}

/* Saves, goes on for `count` steps at both ends, and compares each step and the last image.
 * `*job` goes on with L. Does nothing where the VM cannot be saved. */
static Verdict trip(lua_State *L, Job *job, int count, uint64_t here, uint64_t there) {
    Step steps[TRIP_STEPS];
    Request request = {*job, there, 0, count};
    Bytes image = trip_save(L), last;
    lua_State *clone = NULL;
    Verdict verdict;
    CHECK(count <= TRIP_STEPS);
    if (!image.start) {
        counts.unsavable++;
        return (Verdict){1, ""};
    }
    start_the_other();
    request.length = image.length;
    if (!write_all(other.to, &request, sizeof request) ||
        !write_all(other.to, image.start, image.length))
        return differ("the other process ended with status %d", end_the_other());
    counts.trips++;
    counts.image_bytes += image.length;
    if (!job->tamper && counts.trips % 4 == 0) CHECK_OK(rlua_clone(L, &clone));
    job->tamper = 0;
    count = trip_advance(L, job, count, here, steps);
    counts.steps += (unsigned long)count;
    last = trip_save(L);
    verdict = compare_with_the_other(steps, count, last, request.job.frame);
    if (clone && verdict.same) {
        counts.clones++;
        verdict = compare_with_a_clone(steps, count, last, clone, request.job, there);
        if (!verdict.same) return differ("a clone: %s", verdict.what);
    } else if (clone) {
        lua_close(clone);
    }
    free(image.start);
    free(last.start);
    return verdict;
}

#endif
