/* roundtrip.c: what is saved goes the same way in another process, step by step, to the last byte.
 * Method: programs of every kind that the project has run for some steps, are saved, and go on;
 * another process loads the image and goes on as long (trip.h). On some trips this end rolls back
 * on the way, on others the other one, or both. Checksums, what was emitted and how a frame ended
 * are compared after each step, and the images at the end, byte for byte.
 *   random      1,000 programs of programs.lua, a frame a step, or cut after some instructions
 *   graphs      the random graph of ../fuzz/graph.lua
 *   scripts     the scripts of ../determinism, frame by frame
 *   slices      programs of ../fuzz/slices.lua, ../../benches/scripts and, where ../official.sh
 *               has brought it, lua.org's suite: cut after some instructions
 * ROUNDTRIP_SEED=n runs the random program n alone. ROUNDTRIP_OTHER=command starts another build of
 * this program, which is the other end: of another platform, say (../cross). Or the two are started
 * with the standard files of the one at those of the other: with ROUNDTRIP_SERVES=1 and with
 * ROUNDTRIP_SERVED=1 RLUA_TEST_DIRECT=1, whose report goes to stderr then.
 * Not here: what cannot be saved, single words (../images.c); hostile images. */
#include "trip.h"

#include <dirent.h>

#define MEMORY (12 * MIB) /* some programs use all there is */

enum { PROGRAMS = 1000, PLACES_MAX = 80, NAME_MAX_BYTES = 200, SCRIPTS_MAX = 200 };

static char root[PATH_MAX]; /* of c-tests */

static const char *path_of(const char *folder, const char *name) {
    static char path[PATH_MAX + NAME_MAX_BYTES * 2];
    int up;
    if (!root[0]) {
        snprintf(root, sizeof root, "%s", program_path());
        for (up = 0; up < 4; up++) *strrchr(root, '/') = 0; /* build/release/roundtrip/roundtrip */
    }
    snprintf(path, sizeof path, "%s/%s%s%s", root, folder, name ? "/" : "", name ? name : "");
    return path;
}

/* What a test has done; the next one counts anew. */
static void say(const char *what, unsigned long programs) {
    CHECK(counts.trips > 4 * counts.unsavable);
    printf("     %s: %lu programs, %lu trips of %.1f MiB, %lu steps, %lu processes, %lu clones; "
           "%lu not savable\n",
           what, programs, counts.trips, (double)counts.image_bytes / (double)MIB, counts.steps,
           counts.processes, counts.clones, counts.unsavable);
    memset(&counts, 0, sizeof counts);
}

/* -- the ways of a VM -------------------------------------------------------------------------- */

/* How the VM is made, and what the collector does, by a number. */
static lua_State *open_by(uint64_t way, int may_be_stock, Job *job) {
    rlua_Config config = trip_config(MEMORY);
    lua_State *L = NULL;
    memset(job, 0, sizeof *job);
    job->frame = 1;
    job->collect = (int32_t)(way / 2 % WAYS_TO_COLLECT);
    config.seed = way * 77;
    if (way % 5 == 1) {
        config.gc_pause = 110;
        config.gc_step_size = 8;
    }
    if (way % 5 == 2) config.gc_step_multiplier = 100;
    if (way % 8 == 0 && may_be_stock) config.profile = RLUA_PROFILE_STOCK;
    config.compress = job->compress = way % 6 == 4;
    CHECK_OK(rlua_open(&config, &L));
    luaL_openlibs(L);
    if (way % 5 == 3) lua_gc(L, LUA_GCGEN, 0, 0);
    trip_open_host(L);
    return L;
}

/* The function on top becomes a coroutine in slot 1, which a hook ends after `cut` instructions. */
static void into_slices(lua_State *L, Job *job, int cut) {
    lua_State *co = lua_newthread(L);
    lua_insert(L, 1);
    lua_xmove(L, co, 1);
    lua_settop(L, 1);
    lua_sethook(co, slice_ends, LUA_MASKCOUNT, cut);
    job->kind = SLICES;
}

static void load_file(lua_State *L, const char *path) {
    if (luaL_loadfile(L, path) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
}

/* `trips` from places that are up to `apart` steps apart. */
static void travel(lua_State *L, Job *job, const char *name, int trips, int apart) {
    Random random = {(uint64_t)job->frame + (uint64_t)strlen(name) * 977 + (uint64_t)name[0]};
    Step steps[TRIP_STEPS];
    int i;
    for (i = 0; i < trips && !has_ended(L, job); i++) {
        int before, count = 1 + below(&random, TRIP_STEPS < apart ? TRIP_STEPS : apart);
        uint64_t here = one_in(&random, 2) ? random_u64(&random) : 0;
        uint64_t there = one_in(&random, 2) ? random_u64(&random) : 0;
        Verdict verdict;
        for (before = below(&random, apart); before > 0; before -= TRIP_STEPS)
            trip_advance(L, job, before < TRIP_STEPS ? before : TRIP_STEPS, 0, steps);
        verdict = trip(L, job, count, here, there);
        if (!verdict.same)
            FAIL("%s, trip %d, %d steps, rollbacks %d here, %d there: %s", name, i, count,
                 here != 0, there != 0, verdict.what);
    }
}

/* -- random programs --------------------------------------------------------------------------- */

static struct {
    char name[64];
    unsigned long count;
} places[PLACES_MAX];
static size_t place_count;

static void see_place(const char *name, unsigned long seen) {
    size_t i;
    for (i = 0; i < place_count && strcmp(places[i].name, name); i++) continue;
    if (i == place_count && seen) return; /* a value of the program's, not a place */
    CHECK(i < PLACES_MAX);
    if (i == place_count) snprintf(places[place_count++].name, sizeof places[0].name, "%s", name);
    places[i].count += seen;
}

/* In which places the coroutines are that are saved now. */
static void see_places(lua_State *L) {
    int i;
    if (lua_getglobal(L, "tags") == LUA_TTABLE)
        for (i = 1; i <= 6; i++) {
            if (lua_rawgeti(L, -1, i) == LUA_TSTRING) see_place(lua_tostring(L, -1), 1);
            lua_pop(L, 1);
        }
    lua_pop(L, 1);
}

/* Leaves the source of a program, in a VM of its own. */
static const char *write_program(lua_State *writer, uint64_t seed, int stock) {
    int i;
    lua_settop(writer, 0);
    load_file(writer, path_of("roundtrip", "programs.lua"));
    lua_pushinteger(writer, (lua_Integer)seed);
    lua_pushboolean(writer, stock);
    if (lua_pcall(writer, 2, 2, 0) != LUA_OK) FAIL("%s", lua_tostring(writer, -1));
    for (i = 1; place_count < PLACES_MAX && lua_rawgeti(writer, 2, i) == LUA_TSTRING; i++) {
        see_place(lua_tostring(writer, -1), 0);
        lua_pop(writer, 1);
    }
    lua_settop(writer, 1);
    return lua_tostring(writer, 1);
}

/* In the stock profile scripts see the processor: the sign of 0/0 is in its text. */
static int is_stock(uint64_t seed) { return seed % 8 == 0 && !is_another_build(); }

static lua_State *open_random(lua_State *writer, uint64_t seed, Job *job) {
    static const char driver[] = "for i = 1, 1 << 60 do pcall(frame, i, i * 7919 % 65536) end";
    int cut = (int)(seed % 4 == 3 ? 1 + mix(seed) % 400 : 0);
    lua_State *L = open_by(seed, is_stock(seed), job);
    const char *source = write_program(writer, seed, is_stock(seed));
    if (luaL_loadbuffer(L, source, strlen(source), "=program") != LUA_OK ||
        lua_pcall(L, 0, 0, 0) != LUA_OK)
        FAIL("program %llu: %s", (unsigned long long)seed, lua_tostring(L, -1));
    if (cut && luaL_loadstring(L, driver) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
    if (cut) into_slices(L, job, cut);
    else lua_getglobal(L, "frame");
    job->nested_slices = seed % 16 == 15;
    if (seed % 7 == 5) CHECK_OK(rlua_set_budget(L, 20000 + mix(seed) % 400000));
    return L;
}

static void run_random(lua_State *writer, uint64_t seed) {
    Random random = {seed};
    Step steps[TRIP_STEPS];
    char name[64];
    Job job;
    int i;
    lua_State *L = open_random(writer, seed, &job);
    snprintf(name, sizeof name, "random program %llu", (unsigned long long)seed);
    for (i = 0; i < 2; i++) {
        trip_advance(L, &job, below(&random, TRIP_STEPS), 0, steps);
        see_places(L);
        travel(L, &job, name, 1, 1 + below(&random, 10));
    }
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(random_programs) {
    const char *one = getenv("ROUNDTRIP_SEED");
    uint64_t seed, count = (uint64_t)(PROGRAMS / test_scale()) + 1;
    lua_State *writer = luaL_newstate();
    size_t i;
    luaL_openlibs(writer);
    if (one) {
        run_random(writer, strtoull(one, NULL, 10));
        return;
    }
    for (seed = 1; seed <= count; seed++) run_random(writer, seed);
    CHECK_EQ(counts.unsavable, 0);
    say("random", count);
    printf("     coroutines were in:");
    for (i = 0; i < place_count; i++) printf(" %s %lu,", places[i].name, places[i].count);
    printf("\n");
    for (i = 0; i < place_count && test_scale() == 1; i++)
        if (places[i].count == 0) FAIL("no coroutine was saved in: %s", places[i].name);
    lua_close(writer);
}

/* The comparison can fail: the other end does something small, and that is seen. */
TEST(a_difference_is_seen) {
    lua_State *writer = luaL_newstate();
    unsigned seen = 0, tried = 0, which;
    luaL_openlibs(writer);
    for (which = 0; which == 0 || tampers[which - 1]; which++) { /* 0: nothing is done */
        uint64_t seed;
        unsigned before = seen;
        for (seed = 1; seed <= 3; seed++) {
            Step steps[TRIP_STEPS];
            Job job;
            lua_State *L = open_random(writer, seed, &job);
            trip_advance(L, &job, 10, 0, steps);
            job.tamper = (int32_t)which;
            tried += which > 0;
            seen += !trip(L, &job, 2, 0, 0).same;
            lua_close(L);
        }
        if (which == 0) CHECK_EQ(seen, 0);
        else if (seen == before) FAIL("nobody noticed: %s", tampers[which - 1]);
    }
    printf("     %u of %u changes were noticed\n", seen, tried);
    CHECK_EQ(end_the_other(), 0);
    lua_close(writer);
}

/* -- what the project has ---------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The Lua files of a folder, sorted. */
static size_t files_of(const char *folder, char **files) {
    DIR *listing = opendir(folder);
    struct dirent *entry;
    size_t count = 0;
    if (!listing) return 0;
    while ((entry = readdir(listing))) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 4, ".lua") != 0) continue;
        CHECK(count < SCRIPTS_MAX);
        files[count++] = strdup(entry->d_name);
    }
    closedir(listing);
    qsort(files, count, sizeof *files, by_name);
    return count;
}

TEST(scripts_of_the_determinism_tests) {
    char *files[SCRIPTS_MAX];
    size_t i, count = files_of(path_of("determinism/scripts", NULL), files);
    int round, rounds = test_scale() == 1 ? 2 : 1;
    CHECK(count > 50);
    for (i = 0; i < count; i++) {
        if (test_scale() > 4 && i % 4 != 0) continue;
        for (round = 0; round < rounds; round++) {
            Job job;
            lua_State *L = open_by(i * 3 + (uint64_t)round, 0, &job);
            load_file(L, path_of("determinism/scripts", files[i]));
            if (lua_pcall(L, 0, 0, 0) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
            lua_settop(L, 0);
            lua_getglobal(L, "frame");
            travel(L, &job, files[i], 2, 8);
            lua_close(L);
        }
        free(files[i]);
    }
    say("scripts", count);
}

/* A file as a whole, cut after some instructions. */
static void cut_file(const char *folder, const char *name, uint64_t way, int cut, int trips,
                     int apart) {
    Job job;
    lua_State *L = open_by(way, 0, &job);
    run(L, "print = emit _soft, _port, _nomsg = true, true, true Message = function() end");
    lua_settop(L, 0);
    load_file(L, path_of(folder, name));
    into_slices(L, &job, cut);
    travel(L, &job, name, trips, apart);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

TEST(scripts_of_the_benchmarks) {
    char *files[SCRIPTS_MAX];
    size_t i, count = files_of(path_of("../benches/scripts", NULL), files);
    CHECK(count > 10);
    for (i = 0; i < count; i++) {
        cut_file("../benches/scripts", files[i], i, 5000 + (int)i * 997, 4, 12);
        free(files[i]);
    }
    say("benchmarks", count);
}

/* Everything of the suite that runs in a coroutine: as in ../official/slices.c. */
TEST(files_of_the_official_suite) {
    static const char *const files[] = {
        "bitwise", "bwcoercion", "calls", "closure", "constructs", "events", "goto", "literals",
        "locals", "math", "nextvar", "pm", "sort", "strings", "tpack", "utf8", "vararg", "gengc"};
    char name[40];
    size_t i;
    if (access(path_of("../target/official/testes", "calls.lua"), R_OK) != 0)
        NOT_RUN("the suite is not there; official.sh brings it");
    for (i = 0; i < COUNT_OF(files); i++) {
        snprintf(name, sizeof name, "%s.lua", files[i]);
        cut_file("../target/official/testes", name, i, 40 + 150 * (int)i, 6, 24);
    }
    say("suite", COUNT_OF(files));
}

TEST(programs_of_the_fuzzer_of_slices) {
    lua_State *L = NULL;
    unsigned long count = 0;
    int round, i, last = 1;
    for (round = 0; round < 2; round++)
        for (i = 1; i <= last; i++) {
            Job job;
            L = open_by((uint64_t)(round * 40 + i), 0, &job);
            load_file(L, path_of("fuzz", "slices.lua"));
            if (lua_pcall(L, 0, 2, 0) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
            last = (int)lua_rawlen(L, 1);
            CHECK_EQ(lua_rawgeti(L, 1, i), LUA_TSTRING);
            if (strcmp(lua_tostring(L, -1), "wide_constants") != 0) { /* it takes too much */
                char text[64];
                snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
                lua_pushvalue(L, 2); /* run(name), as a function without arguments */
                lua_setglobal(L, "run__");
                lua_pushvalue(L, -1);
                lua_setglobal(L, "name__");
                lua_settop(L, 0);
                CHECK_EQ(luaL_loadstring(L, "emit(run__(name__))"), LUA_OK);
                into_slices(L, &job, 20 + 150 * round);
                travel(L, &job, text, 6, 20);
                count++;
            }
            lua_close(L);
        }
    say("slices", count);
}

TEST(random_graphs) {
    uint64_t seed, count = 10 / (uint64_t)test_scale() + 2;
    for (seed = 1; seed <= count; seed++) {
        char name[32];
        Job job;
        lua_State *L = open_by(seed, 0, &job);
        snprintf(name, sizeof name, "graph %llu", (unsigned long long)seed);
        load_file(L, path_of("fuzz", "graph.lua"));
        lua_getglobal(L, "new_userdata");
        lua_getglobal(L, "call_with_continuation");
        lua_getglobal(L, "nothing");
        if (lua_pcall(L, 3, 2, 0) != LUA_OK) FAIL("%s", lua_tostring(L, -1));
        job.kind = GRAPH;
        job.frame = (int64_t)(seed << 20);
        travel(L, &job, name, 4, 6);
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
    say("graphs", count);
}
