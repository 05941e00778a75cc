/* digest.c: runs a script frame by frame and prints a digest of what can be seen after each frame.
 *
 *   digest [options] SCRIPT      prints a line of 16 hex digits for each frame
 *
 * The script defines `frame(n, input)`, which the host calls with the frame's number and an integer
 * that depends on nothing else. With --chunk the whole script is a frame. A frame's digest holds
 * all that the walk sees (walk.h), all that the script gave to `emit`, and what
 * collectgarbage("count") tells. Two machines, or two runs, whose lines differ have desynced at the
 * first line that differs; `--dump N` then writes what was seen at frame N as text.
 *
 *   --frames N        instead of what the script's line `-- frames: N` says, or 1000
 *   --scale K         one K-th of that
 *   --chunk           the script is a frame: for scripts without one
 *   --rollback SEED   snapshots after each frame; at random points some frames are run again,
 *                     others are run with a wrong input and rolled back. A digest that is another
 *                     one in the second run is told on stderr, and printed
 *   --tracker NAME    auto, compare or uffd; status 77 when the system has it not
 *   --memory MIB      the limit of the VM
 *   --stock           the stock profile
 *   --junk SEED       memory and VMs of the host's before, so that addresses differ
 *   --chdir FOLDER    somewhere else
 *   --locale NAME     setlocale(LC_ALL, NAME); status 77 when there is none
 *   --wrong           opens the host functions of wrong/
 *   --dump N          writes frame N as text, instead of the digests
 *
 * Not here: what is compared with what (matrix.py). */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32 /* there windows/posix.h stands in for it */
#include <sys/mman.h>
#endif
#include <unistd.h>

#include "host.h"
#include "lauxlib.h"
#include "lualib.h"
#include "rlua.h"
#include "walk.h"

enum { DEFAULT_FRAMES = 1000, HISTORY = 12, CANNOT = 77, MIN_FRAMES = 3, SCRIPT_BYTES = 1 << 20 };

static struct {
    const char *script;
    long frames, scale, dump;
    int chunk, wrong, rolls_back;
    uint64_t rollback_seed;
    rlua_Config config;
} options;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "digest: %s: ", options.script ? options.script : "");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* -- the surroundings ------------------------------------------------------------------------- */

/* Blocks, mappings and VMs, some of which stay. */
static void make_junk(uint64_t seed) {
    int i, rounds = 20 + (int)(next_random(&seed) % 60);
    for (i = 0; i < rounds; i++) {
        size_t size = 1 + next_random(&seed) % 300000;
        char *block = malloc(size);
        void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (!block || map == MAP_FAILED) die("no memory");
        memset(block, i, size);
        if (next_random(&seed) % 2) free(block);
        if (next_random(&seed) % 2) munmap(map, size);
    }
    for (i = 0; i < (int)(seed % 4) + 1; i++) {
        lua_State *L = i % 2 ? luaL_newstate() : rlua_new_rollback(0, 2);
        if (!L) die("no VM: %s", rlua_last_error(NULL));
        luaL_openlibs(L);
        if (luaL_dostring(L, "t = {} for i = 1, 999 do t[i] = {i} end")) die("no junk");
        if (next_random(&seed) % 2) lua_close(L);
    }
}

static void set_locale(const char *name) {
    if (setlocale(LC_ALL, name)) return;
    fprintf(stderr, "digest: no locale %s\n", name);
    exit(CANNOT);
}

static int tracker_named(const char *name) {
    if (strcmp(name, "auto") == 0) return RLUA_TRACKER_AUTO;
    if (strcmp(name, "compare") == 0) return RLUA_TRACKER_COMPARE;
    if (strcmp(name, "uffd") == 0) return RLUA_TRACKER_UFFD;
    die("no tracker %s", name);
}

/* -- frames ----------------------------------------------------------------------------------- */

typedef struct Frames {
    lua_State *L;
    uint64_t *digests; /* [frame] of the last run that differed, or of the first */
    long known;        /* frames 1 to `known` have a digest */
    FILE *text;        /* of frame options.dump */
    int differed;
} Frames;

static lua_Integer input_of(long frame, int is_wrong) {
    uint64_t state = (uint64_t)frame * 2 + (uint64_t)is_wrong;
    return (lua_Integer)next_random(&state);
}

static void check(int status, const char *what) {
    if (status != RLUA_OK) die("%s: %s", what, rlua_last_error(NULL));
}

/* The time is an input: 60 frames a second, from some day on. */
static void set_time(lua_State *L, long frame) {
    const int64_t start = 1700000000;
    if (options.config.profile == RLUA_PROFILE_DETERMINISTIC)
        check(rlua_set_time(L, start + frame / 60, (uint32_t)(frame % 60) * 16666667), "set_time");
}

static void call_frame(lua_State *L, long frame, lua_Integer input) {
    int arguments = 0;
    if (options.chunk) {
        lua_pushvalue(L, 1);
    } else {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, frame);
        lua_pushinteger(L, input);
        arguments = 2;
    }
    if (lua_pcall(L, arguments, 0, 0) != LUA_OK)
        die("frame %ld: %s", frame, lua_tostring(L, -1) ? lua_tostring(L, -1) : "an error");
}

/* Runs a frame and digests it, into `text` as well if that is not NULL. */
static uint64_t digest_frame(lua_State *L, long frame, FILE *text) {
    Sink sink;
    sink_start(&sink, text);
    host_emit_to(&sink);
    set_time(L, frame);
    call_frame(L, frame, input_of(frame, 0));
    walk_state(&sink, L);
    sink_word(&sink, (uint64_t)lua_gc(L, LUA_GCCOUNT));
    sink_word(&sink, (uint64_t)lua_gc(L, LUA_GCCOUNTB));
    sink_enter(&sink, "collectgarbage(\"count\")");
    sink_line(&sink, "%d KiB and %d bytes", lua_gc(L, LUA_GCCOUNT), lua_gc(L, LUA_GCCOUNTB));
    return sink.hash;
}

static void write_text(FILE *text) {
    int c;
    rewind(text);
    while ((c = getc(text)) != EOF) putchar(c);
    fclose(text);
}

static void run_frame(Frames *frames, long frame) {
    FILE *text = NULL;
    uint64_t digest;
    if (frame == options.dump && !(text = tmpfile())) die("no file for the text");
    digest = digest_frame(frames->L, frame, text);
    if (frame > frames->known || digest != frames->digests[frame]) {
        if (frame <= frames->known && !frames->differed) {
            fprintf(stderr, "digest: %s: frame %ld is another one when it is run again\n",
                    options.script, frame);
            frames->differed = 1;
        }
        frames->digests[frame] = digest;
        if (frame > frames->known) frames->known = frame;
        if (text && frames->text) fclose(frames->text);
        if (text) frames->text = text;
    } else if (text) {
        fclose(text);
    }
}

/* What a predicting game does: frames with a wrong input, whose results nobody wants. */
static void run_wrong_frames(Frames *frames, long frame, long count) {
    Sink nobody;
    long i;
    sink_start(&nobody, NULL);
    host_emit_to(&nobody);
    for (i = 1; i <= count; i++) call_frame(frames->L, frame + i, input_of(frame + i, 1));
    check(rlua_rollback_to(frames->L, frame), "rollback");
}

static void run_frames(Frames *frames, long last) {
    uint64_t random = options.rollback_seed;
    long frame;
    for (frame = 1; frame <= last; frame++) {
        run_frame(frames, frame);
        if (!options.rolls_back) continue;
        check(rlua_snap_frame(frames->L, frame), "snap");
        if (next_random(&random) % 8 == 0)
            run_wrong_frames(frames, frame, 1 + (long)(next_random(&random) % 3));
        if (next_random(&random) % 8 == 0) {
            long back = 1 + (long)(next_random(&random) % (HISTORY - 2));
            if (back < frame) {
                check(rlua_rollback_to(frames->L, frame - back), "rollback");
                for (back = frame - back + 1; back <= frame; back++) {
                    run_frame(frames, back);
                    check(rlua_snap_frame(frames->L, back), "snap");
                }
            }
        }
    }
}

/* -- the script ------------------------------------------------------------------------------- */

static long frames_of(const char *script) {
    char line[200];
    long frames = DEFAULT_FRAMES;
    FILE *file = fopen(script, "r");
    int i;
    if (!file) die("cannot be read");
    for (i = 0; i < 10 && fgets(line, sizeof line, file); i++)
        if (sscanf(line, "-- frames: %ld", &frames) == 1) break;
    fclose(file);
    if (options.frames) frames = options.frames;
    if (options.scale > 1 && frames > MIN_FRAMES) {
        frames /= options.scale;
        if (frames < MIN_FRAMES) frames = MIN_FRAMES;
    }
    return frames;
}

/* Leaves the function to call as the only value of the stack. */
static void load_script(lua_State *L, const char *script) {
    static char source[SCRIPT_BYTES];
    FILE *file = fopen(script, "rb");
    const char *name = strrchr(script, '/');
    size_t length = file ? fread(source, 1, sizeof source, file) : 0;
    char chunk[100];
    if (length == 0 || length == sizeof source) die("cannot be read");
    fclose(file);
    snprintf(chunk, sizeof chunk, "@%s", name ? name + 1 : script);
    if (luaL_loadbufferx(L, source, length, chunk, "t") != LUA_OK)
        die("%s", lua_tostring(L, -1));
    if (options.chunk) return;
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) die("%s", lua_tostring(L, -1));
    if (lua_getglobal(L, "frame") != LUA_TFUNCTION) die("defines no function `frame`");
}

static void parse(int argc, char **argv) {
    static const struct option names[] = {
        {"frames", 1, NULL, 'f'},   {"scale", 1, NULL, 's'},  {"chunk", 0, NULL, 'c'},
        {"rollback", 1, NULL, 'r'}, {"tracker", 1, NULL, 't'}, {"stock", 0, NULL, 'S'},
        {"junk", 1, NULL, 'j'},     {"chdir", 1, NULL, 'C'},   {"locale", 1, NULL, 'l'},
        {"wrong", 0, NULL, 'w'},    {"dump", 1, NULL, 'd'},
        {"memory", 1, NULL, 'm'},   {NULL, 0, NULL, 0}};
    int option;
    options.config.size = sizeof options.config;
    options.config.seed = 0x5EED;
    options.dump = -1;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
            case 'f': options.frames = atol(optarg); break;
            case 's': options.scale = atol(optarg); break;
            case 'c': options.chunk = 1; break;
            case 'r':
                options.rolls_back = 1;
                options.rollback_seed = strtoull(optarg, NULL, 0);
                options.config.max_snapshots = HISTORY;
                break;
            case 't': options.config.tracker = tracker_named(optarg); break;
            case 'S': options.config.profile = RLUA_PROFILE_STOCK; break;
            case 'j': make_junk(strtoull(optarg, NULL, 0)); break;
            case 'C': if (chdir(optarg) != 0) die("cannot go to %s", optarg); break;
            case 'l': set_locale(optarg); break;
            case 'w': options.wrong = 1; break;
            case 'm': options.config.memory_size = (size_t)atol(optarg) << 20; break;
            case 'd': options.dump = atol(optarg); break;
            default: exit(2);
        }
    }
    if (optind + 1 != argc) die("one script is wanted; see digest.c");
    options.script = argv[optind];
}

static void open_vm(lua_State **L) {
    int status = rlua_open(&options.config, L);
    if (status == RLUA_UNSUPPORTED) {
        fprintf(stderr, "digest: %s\n", rlua_last_error(NULL));
        exit(CANNOT);
    }
    check(status, "rlua_open");
}

int main(int argc, char **argv) {
    Frames frames = {0};
    long last, i;
    parse(argc, argv);
    last = frames_of(options.script);
    if (options.dump > last) die("there are only %ld frames", last);
    open_vm(&frames.L);
    luaL_openlibs(frames.L);
    host_open(frames.L);
    if (options.wrong) host_open_wrong(frames.L);
    load_script(frames.L, options.script);
    if (!(frames.digests = calloc((size_t)last + 1, sizeof *frames.digests))) die("no memory");
    run_frames(&frames, options.dump > 0 && !options.rolls_back ? options.dump : last);
    if (frames.text) {
        write_text(frames.text);
    } else {
        for (i = 1; i <= last; i++) printf("%016llx\n", (unsigned long long)frames.digests[i]);
    }
    check(rlua_check(frames.L), "rlua_check");
    lua_close(frames.L);
    free(frames.digests);
    if (fflush(stdout) != 0) die("the digests cannot be written: %s", strerror(errno));
    return 0;
}
