/* spectator.c: somebody joins in the middle of a match, as docs/SPECTATOR.md tells.
 * Method: one spectator loads an image and runs the frames since by their inputs, another follows
 * by deltas and runs nothing; both must have the host's state. A stranger's image is refused. */
#include "task.h"

static const char SCRIPT[] =
    "score, trail = 0, {}\n"
    "function step(input)\n"
    "    score = score + input * math.random(10)\n"
    "    trail[#trail % 100 + 1] = {score = score}\n"
    "    if score > 100 then cheer() end\n"
    "end\n";

static const uint8_t KEY[32] = {7, 1, 4}; /* of the session: from your matchmaking */

static int cheer(lua_State *L, void *ud) {
    (void)L;
    ++*(int *)ud;
    return 0;
}

static int cheers;
static const rlua_Name NAMES[] = {
    {"game.cheer", NULL, cheer, &cheers},
    {NULL, NULL, NULL, NULL}};

static rlua_Config session(void) {
    rlua_Config config = {.size = sizeof config, .memory_size = 16 << 20, .max_snapshots = 9};
    config.image_key = KEY;   /* only images of this session are loaded */
    config.names = NAMES;     /* what the functions in them are here */
    config.compress = 1;
    return config;
}

static void step(lua_State *L, int64_t frame) {
    check(L, rlua_getglobal(L, "step"));
    check(L, rlua_pushinteger(L, frame % 3));
    check(L, rlua_call(L, 1, 0, RLUA_TRACEBACK));
}

/* The host: the whole state as it was at a confirmed frame, while the game goes on. */
static void send_image(lua_State *L, int64_t confirmed, Stream *to) {
    check(L, rlua_save_snapshot(L, confirmed, write_stream, to));
}

/* The spectator, once. */
static lua_State *join(Stream *from) {
    rlua_Config config = session();
    lua_State *L;
    int status = rlua_load(&config, read_stream, from, &L);
    if (status != RLUA_OK) fprintf(stderr, "%s\n", rlua_last_error(NULL));
    return L;                 /* NULL where the image is refused */
}

/* The host, for each confirmed frame, and the spectator who has the frame before. */
static void send_delta(lua_State *L, int64_t confirmed, Stream *to) {
    check(L, rlua_save_delta(L, confirmed - 1, confirmed, write_stream, to));
}

static void follow(lua_State *L, Stream *from) {
    check(L, rlua_apply_delta(L, NAMES, read_stream, from));
}

int main(void) {
    rlua_Config config = session();
    lua_State *L;
    check(NULL, rlua_open(&config, &L));
    check(L, rlua_openlibs(L, RLUA_LIB_DETERMINISTIC));
    check(L, rlua_pushfunction(L, cheer, &cheers, "game.cheer"));
    check(L, rlua_setglobal(L, "cheer"));
    check(L, rlua_dostring(L, SCRIPT));
    for (int64_t frame = 0; frame < 100; frame++) {
        check(L, rlua_snap_frame(L, frame));
        step(L, frame);
    }

    Stream image = {0}, delta = {0};
    send_image(L, 95, &image);
    lua_State *by_inputs = join(&image);
    image.read = 0;
    lua_State *by_deltas = join(&image);
    expect("both have joined", by_inputs != NULL && by_deltas != NULL);
    if (failed) return end();

    for (int64_t frame = 95; frame < 100; frame++) step(by_inputs, frame);
    expect("frames by their inputs lead to the host's state", same_state(L, by_inputs));

    for (int64_t frame = 96; frame < 100; frame++) {
        delta.length = delta.read = 0;
        send_delta(L, frame, &delta);
        follow(by_deltas, &delta);
    }
    check(L, rlua_rollback_to(L, 99));
    expect("deltas lead to the host's state", same_state(L, by_deltas));
    expect("a delta is smaller than an image", delta.length < image.length);

    image.read = 0;
    image.bytes[image.length / 2] ^= 1;
    expect("an image that somebody changed is refused", join(&image) == NULL);
    free(image.bytes);
    free(delta.bytes);
    lua_close(by_deltas);
    lua_close(by_inputs);
    lua_close(L);
    return end();
}
