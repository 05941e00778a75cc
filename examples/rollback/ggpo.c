/* ggpo.c: the callbacks of GGPO over a VM of librlua. docs/NETCODE.md explains.
 *
 * The VM keeps the states, so a buffer of GGPO is a few words: the label of a snapshot, its
 * checksum and, for the sync test's log, the game in words. It holds no pointer, since the sync
 * test copies it byte by byte and shows it when its snapshot is long replaced.
 *
 * Usage: ggpo duel.lua folder-for-logs */
#include "ggpo_loop.h"

typedef struct Saved {
    int64_t label;
    uint64_t sum;
    char text[160];
} Saved;

static Duel duel; /* GGPO's callbacks have no ud */
static GGPOSession *ggpo;
static bool logging; /* words are made at each save, for the sync test only */
static int buffers;  /* that GGPO holds */

static bool begin_game(const char *game) { return game != NULL; }

static bool save_game_state(unsigned char **buffer, int *len, int *checksum, int frame) {
    Saved *saved = calloc(1, sizeof *saved);
    if (!saved || rlua_snap_frame(duel.L, frame) != RLUA_OK) {
        fprintf(stderr, "%s\n", rlua_last_error(duel.L)); /* GGPO does not ask */
        free(saved);
        return false;
    }
    saved->label = frame;
    saved->sum = duel.sum;
    if (logging) duel_describe(&duel, frame, saved->text, sizeof saved->text);
    *buffer = (unsigned char *)saved;
    *len = sizeof *saved;
    *checksum = (int)duel_fold(duel.sum);
    buffers++;
    return true;
}

static bool load_game_state(unsigned char *buffer, int len) {
    Saved saved;
    CHECK(len == sizeof saved);
    memcpy(&saved, buffer, sizeof saved);
    must(duel.L, rlua_rollback_to(duel.L, saved.label));
    duel.frame = (int)saved.label;
    duel.sum = saved.sum;
    return true;
}

/* Nothing of the VM's: a buffer that is freed in a rollback belongs to a frame that the rollback
 * has dropped. The VM drops its oldest snapshot by itself when GGPO's ring comes round. */
static void free_buffer(void *buffer) {
    if (buffer) buffers--;
    free(buffer);
}

static bool log_game_state(char *filename, unsigned char *buffer, int len) {
    Saved saved;
    FILE *file = fopen(filename, "w");
    CHECK(file && len == sizeof saved);
    memcpy(&saved, buffer, sizeof saved);
    fprintf(file, "frame %lld\n%s\n", (long long)saved.label, saved.text);
    return fclose(file) == 0;
}

/* A frame, in the game loop and in a rollback. GGPO tells nobody what is confirmed; but what is a
 * prediction window back is. */
static bool advance_frame(int flags) {
    unsigned char inputs[PLAYERS];
    int disconnect_flags;
    (void)flags;
    ggpo_synchronize_input(ggpo, inputs, sizeof inputs, &disconnect_flags);
    duel_step(&duel, inputs);
    duel_confirm(&duel, duel.frame - GGPO_MAX_PREDICTION_FRAMES);
    ggpo_advance_frame(ggpo);
    return true;
}

static bool on_event(GGPOEvent *info) {
    (void)info;
    return true;
}

static GGPOSessionCallbacks callbacks = {begin_game,  save_game_state, load_game_state,
                                         log_game_state, free_buffer,  advance_frame, on_event};

/* The game loop. The near player is 0; in a sync test both are. */
static void play(int frames, int near_players) {
    while (duel.frame < frames) {
        GGPOErrorCode result = GGPO_ERRORCODE_SUCCESS;
        int player;
        ggpo_idle(ggpo, 0);
        for (player = 0; player < near_players && GGPO_SUCCEEDED(result); player++) {
            unsigned char buttons = duel_input(player, duel.frame);
            result = ggpo_add_local_input(ggpo, player, &buttons, sizeof buttons);
        }
        if (GGPO_SUCCEEDED(result)) advance_frame(0);
    }
}

/* Inputs come late; every state and every sound are in the end as if they had not. */
static void late_inputs_give_the_same_match(const char *script) {
    static Duel right;
    duel_undelayed(&right, script);
    duel_open(&duel, script, GGPO_RING);
    ggpo_start_session(&ggpo, &callbacks, "duel", PLAYERS, 1, 0);
    play(FRAMES, 1);
    while (ggpo->received < FRAMES) ggpo_idle(ggpo, 0);
    duel_confirm(&duel, FRAMES);
    CHECK(memcmp(duel.sums, right.sums, (FRAMES + 1) * sizeof *right.sums) == 0);
    CHECK(duel.sounds == right.sounds && right.sounds > 100);
    CHECK(ggpo->rollbacks > FRAMES / 20);
    must(duel.L, rlua_check(duel.L));
    printf("late inputs: %d rollbacks, %d frames again\n", ggpo->rollbacks,
           duel.simulated - FRAMES);
    ggpo_close_session(ggpo);
    lua_close(duel.L);
    CHECK(buffers == 0);
}

static int sync_test(const char *script, const char *logs, const char *change) {
    int mismatches;
    char name[] = "duel";
    logging = true;
    duel_open(&duel, script, GGPO_RING);
    must(duel.L, rlua_dostring(duel.L, change));
    ggpo_start_synctest(&ggpo, &callbacks, name, PLAYERS, 1, 7);
    ggpo->logs = logs;
    play(300, PLAYERS);
    CHECK(ggpo->rollbacks > 40);
    mismatches = ggpo->mismatches;
    ggpo_close_session(ggpo);
    lua_close(duel.L);
    logging = false;
    CHECK(buffers == 0);
    return mismatches;
}

static void read_log(const char *logs, const char *which, char *text, size_t size) {
    char name[256];
    FILE *file;
    size_t length;
    snprintf(name, sizeof name, "%s-0001-%s.log", logs, which);
    file = fopen(name, "r");
    CHECK(file);
    length = fread(text, 1, size - 1, file);
    text[length] = 0;
    fclose(file);
    remove(name);
}

/* A frame that reads what does not roll back is found, and the two logs show where. */
static void the_sync_test_finds_and_logs(const char *script, const char *logs) {
    char original[512], replay[512];
    CHECK(sync_test(script, logs, "") == 0);
    CHECK(sync_test(script, logs,
                    "local f = advance\n"
                    "function advance(...)\n"
                    "  if counter() % 2 == 0 then cheat() end\n"
                    "  return f(...)\n"
                    "end") > 0);
    read_log(logs, "original", original, sizeof original);
    read_log(logs, "replay", replay, sizeof replay);
    CHECK(strstr(original, "frame 1\nplayer 1: ") && strstr(replay, "frame 1\nplayer 1: "));
    CHECK(strcmp(original, replay) != 0);
    printf("sync test:\n%s%s", original, replay);
}

int main(int argc, char **argv) {
    static char logs[200];
    CHECK(argc == 3);
    snprintf(logs, sizeof logs, "%s/ggpo", argv[2]);
    late_inputs_give_the_same_match(argv[1]);
    the_sync_test_finds_and_logs(argv[1], logs);
    puts("2 passed, 0 failed");
    return 0;
}
