/* libretro.c: a core of libretro whose game is in a VM of librlua: serialize_size, serialize,
 * unserialize. docs/NETCODE.md explains.
 *
 * A frontend keeps bytes, for as long as it likes, and may send them to another machine: they are
 * an image (rlua_save). Only for run-ahead in one instance, where the state is taken back at once,
 * it is the label of a snapshot.
 *
 * Usage: libretro duel.lua file-for-a-state          the tests
 *        libretro duel.lua file-of-a-state --resume  runs on from it, and tells the checksum */
#define _POSIX_C_SOURCE 200809L
#include "libretro_loop.h"

static const char MAGIC[8] = "duel 1";
enum { NAMES_BYTES = 64 << 10, RESUMED_FRAMES = 200 };

/* What is before the image. The frame's number and the checksum are the host's state, which has to
 * go back with the VM's. */
typedef struct Header {
    char magic[8];
    int64_t frame;
    uint64_t sum, image_bytes; /* 0: a label */
} Header;

static Duel duel;
static const char *script;
static retro_environment_t environ;
static retro_input_state_t input_state;
static int images, labels; /* made */

void retro_set_environment(retro_environment_t environment) { environ = environment; }
void retro_set_input_state(retro_input_state_t state) { input_state = state; }

/* Two snapshots: for run-ahead. Netplay and rewinding keep images. */
void retro_init(void) { duel_open(&duel, script, 2); }

void retro_deinit(void) { lua_close(duel.L); }

void retro_run(void) {
    static const unsigned ids[] = {RETRO_DEVICE_ID_JOYPAD_LEFT, RETRO_DEVICE_ID_JOYPAD_RIGHT,
                                   RETRO_DEVICE_ID_JOYPAD_UP, RETRO_DEVICE_ID_JOYPAD_DOWN,
                                   RETRO_DEVICE_ID_JOYPAD_B};
    unsigned char buttons[PLAYERS] = {0, 0};
    unsigned port, bit;
    for (port = 0; port < PLAYERS; port++) {
        for (bit = 0; bit < sizeof ids / sizeof *ids; bit++) {
            if (input_state(port, RETRO_DEVICE_JOYPAD, 0, ids[bit])) buttons[port] |= 1u << bit;
        }
    }
    duel_step(&duel, buttons);
}

/* May not grow while the core runs: what the VM can ever hold, and the header and names before it
 * (docs/FORMAT.md). */
size_t retro_serialize_size(void) { return sizeof(Header) + DUEL_BYTES + NAMES_BYTES; }

static bool taken_back_at_once(void) {
    int context = RETRO_SAVESTATE_CONTEXT_NORMAL;
    return environ(RETRO_ENVIRONMENT_GET_SAVESTATE_CONTEXT, &context) &&
           context == RETRO_SAVESTATE_CONTEXT_RUNAHEAD_SAME_INSTANCE;
}

bool retro_serialize(void *data, size_t size) {
    Header header = {{0}, duel.frame, duel.sum, 0};
    char *image = (char *)data + sizeof header;
    size_t length = 0;
    int status;
    if (size < retro_serialize_size()) return false;
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    if (taken_back_at_once()) {
        status = rlua_snap_frame(duel.L, duel.frame);
        labels++;
    } else {
        memset(image, 0, size - sizeof header); /* frontends compare, and pack */
        status = rlua_save_buffer(duel.L, image, size - sizeof header, &length);
        images++;
    }
    if (status != RLUA_OK) {
        fprintf(stderr, "%s\n", rlua_last_error(duel.L));
        return false;
    }
    header.image_bytes = length;
    memcpy(data, &header, sizeof header);
    return true;
}

bool retro_unserialize(const void *data, size_t size) {
    Header header;
    if (size < sizeof header) return false;
    memcpy(&header, data, sizeof header);
    if (memcmp(header.magic, MAGIC, sizeof MAGIC) != 0) return false;
    if (header.image_bytes > size - sizeof header) return false;
    if (header.frame < 0 || header.frame > FRAMES) return false;
    if (header.image_bytes == 0) {
        if (rlua_rollback_to(duel.L, header.frame) != RLUA_OK) return false;
    } else if (!duel_load(&duel, (const char *)data + sizeof header, header.image_bytes, 2)) {
        return false;
    }
    duel.frame = (int)header.frame;
    duel.sums[duel.frame] = duel.sum = header.sum;
    return true;
}

/* Inputs come late; every state is in the end as if they had not. */
static void netplay_gives_the_same_match(const Duel *right) {
    frontend_open(RETRO_SAVESTATE_CONTEXT_ROLLBACK_NETPLAY, true);
    while (frontend.frame < FRAMES) frontend_netplay();
    /* The last inputs have not arrived: what is before them is final. */
    CHECK(frontend.received > FRAMES - FRONTEND_WINDOW);
    CHECK(memcmp(duel.sums, right->sums, (size_t)frontend.received * sizeof *right->sums) == 0);
    CHECK(memcmp(duel.noted, right->noted, (size_t)frontend.received * sizeof *right->noted) == 0);
    CHECK(frontend.rollbacks > FRAMES / 20 && labels == 0 && images > FRAMES);
    must(duel.L, rlua_check(duel.L));
    printf("netplay: %d rollbacks, %d images of at most %zu KiB\n", frontend.rollbacks, images,
           frontend.size >> 10);
    frontend_close();
}

static void run_ahead_needs_no_image(const Duel *right) {
    images = labels = 0;
    frontend_open(RETRO_SAVESTATE_CONTEXT_RUNAHEAD_SAME_INSTANCE, false);
    while (frontend.frame < FRAMES) frontend_runahead(2);
    CHECK(memcmp(duel.sums, right->sums, (FRAMES + 1) * sizeof *right->sums) == 0);
    CHECK(images == 0 && labels == FRAMES);
    frontend_close();
}

/* What is no state, or one that is gone, is refused, and the game goes on as it was. */
static void a_damaged_state_is_refused(const Duel *right) {
    unsigned char *state;
    size_t at;
    frontend_open(RETRO_SAVESTATE_CONTEXT_NORMAL, false);
    while (frontend.frame < 100) frontend_run();
    state = frontend.states[0];
    CHECK(retro_serialize(state, frontend.size));
    for (at = 0; at < 20000; at += 997) { /* the header, the names, the body */
        state[at] ^= 1;
        if (at < 8 || at >= sizeof(Header)) CHECK(!retro_unserialize(state, frontend.size));
        state[at] ^= 1;
    }
    CHECK(!retro_unserialize(state, 1000));
    frontend.context = RETRO_SAVESTATE_CONTEXT_RUNAHEAD_SAME_INSTANCE;
    CHECK(retro_serialize(frontend.states[1], frontend.size));
    CHECK(retro_unserialize(state, frontend.size)); /* another VM: it has no such snapshot */
    CHECK(!retro_unserialize(frontend.states[1], frontend.size));
    while (frontend.frame < 300) frontend_run();
    CHECK(duel.sums[300] == right->sums[300]);
    frontend_close();
}

static void another_process_goes_on(const char *program, const char *path, const Duel *right) {
    char command[1024], told[64] = "", wanted[64];
    FILE *file = fopen(path, "wb");
    frontend_open(RETRO_SAVESTATE_CONTEXT_NORMAL, false);
    while (frontend.frame < 500) frontend_run();
    CHECK(file && retro_serialize(frontend.states[0], frontend.size));
    CHECK(fwrite(frontend.states[0], 1, frontend.size, file) == frontend.size);
    CHECK(fclose(file) == 0);
    frontend_close();
    snprintf(command, sizeof command, "'%s' '%s' '%s' --resume", program, script, path);
    file = popen(command, "r");
    CHECK(file && fgets(told, sizeof told, file) && pclose(file) == 0);
    snprintf(wanted, sizeof wanted, "%d %016llx\n", 500 + RESUMED_FRAMES,
             (unsigned long long)right->sums[500 + RESUMED_FRAMES]);
    CHECK(strcmp(told, wanted) == 0);
    remove(path);
}

static int resume(const char *path) {
    FILE *file = fopen(path, "rb");
    int end;
    frontend_open(RETRO_SAVESTATE_CONTEXT_NORMAL, false);
    CHECK(file && fread(frontend.states[0], 1, frontend.size, file) == frontend.size);
    fclose(file);
    CHECK(retro_unserialize(frontend.states[0], frontend.size));
    frontend.frame = duel.frame;
    for (end = duel.frame + RESUMED_FRAMES; frontend.frame < end;) frontend_run();
    printf("%d %016llx\n", duel.frame, (unsigned long long)duel.sum);
    frontend_close();
    return 0;
}

int main(int argc, char **argv) {
    static Duel right;
    CHECK(argc >= 3);
    script = argv[1];
    if (argc == 4 && strcmp(argv[3], "--resume") == 0) return resume(argv[2]);
    duel_undelayed(&right, script);
    netplay_gives_the_same_match(&right);
    run_ahead_needs_no_image(&right);
    a_damaged_state_is_refused(&right);
    another_process_goes_on(argv[0], argv[2], &right);
    puts("4 passed, 0 failed");
    return 0;
}
