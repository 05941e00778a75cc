/* match.h: two peers with a VM each, and a bad line between them: prediction, rollback, mods that
 * are swapped while the match runs, and time that can be scrubbed. In one process, on a clock that
 * is counted, so that a match is the same each time: nothing here knows of terminals or of now.
 *
 * Frame f is simulated from the state labelled f; `sums[f]` is the game's checksum of that state,
 * `whole` that of the whole VM, every WHOLE_FRAMES frames. A frame is confirmed when the far input
 * is here. */
#ifndef RLUA_PLAYGROUND_MATCH_H
#define RLUA_PLAYGROUND_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rlua.h"

enum {
    PLAYERS = 2,
    FIELD_WIDTH = 38,
    FIELD_HEIGHT = 11,
    FRAMES_PER_SECOND = 60,
    FRAME_US = 1000000 / FRAMES_PER_SECOND,
    WINDOW = 15,   /* frames that a peer predicts at most */
    HISTORY = 600, /* snapshots: ten seconds to scrub in */
    RING = 1024,   /* frames of which inputs and checksums are kept; a power of two */
    RECENT = 64,   /* ticks of which rollbacks are shown */
    PACKETS = 256,
    MAX_MODS = 256,
    WHOLE_FRAMES = 30, /* between two checksums of the whole VM, which cost as much as its size */
    RESENT = 2 * WINDOW + 2 /* inputs in a packet: a lost one is made up for by the next */
};

typedef struct Line {
    int latency_ms, jitter_ms, loss_percent;
} Line;

/* A rollback, as a peer had it in a tick; zeros where there was none. */
typedef struct Rollback {
    int frames;          /* that ran again */
    double load_us, run_us; /* real time: going back; running them */
} Rollback;

typedef struct Peer {
    lua_State *L;
    int64_t frame;    /* simulated next */
    int64_t at;       /* the state that the VM has: `frame`, unless time is scrubbed */
    int64_t received; /* far inputs below it are here */
    int mods_known;
    unsigned char own[RING], far[RING], used[RING][PLAYERS];
    uint64_t sums[RING];
    rlua_Checksum whole[RING / WHOLE_FRAMES + 1];
    Rollback recent[RECENT]; /* by tick */
    int64_t rollbacks, again, waited;
    /* What was last seen of the state: */
    char picture[FIELD_WIDTH * FIELD_HEIGHT + 1];
    int score[PLAYERS];
    unsigned char wish[PLAYERS]; /* what the bot would press */
} Peer;

typedef struct Packet {
    bool used;
    int to;
    int64_t due_us, newest; /* its newest input's frame */
    unsigned char inputs[RESENT];
    int mods;
} Packet;

/* A mod, or a return to the game's own rules (an empty text), from frame `at` on. */
typedef struct Mod {
    int64_t at;
    char name[64];
    char *text;
    size_t length;
} Mod;

typedef struct Match {
    Peer peers[PLAYERS];
    Line line;
    uint64_t seed, random;
    int64_t tick;
    Packet packets[PACKETS];
    Mod mods[MAX_MODS];
    int mod_count;
    int64_t compared;  /* states below it are confirmed on both sides, and were compared */
    int64_t desync;    /* the first that differed; -1: none */
    int64_t cheat;     /* the frame in which player 2's VM counts wrongly; -1: none */
    int64_t differing; /* states that a re-run did not meet again */
    char message[160]; /* the last error of a mod */
} Match;

/* Reads the game from a file. Ends the process with a sentence where it cannot. */
void match_open(Match *match, const char *game, uint64_t seed);
void match_close(Match *match);

/* The same match from its beginning. */
void match_restart(Match *match, const char *game);

/* A sixtieth of a second: packets arrive, wrong guesses are corrected, each peer that need not wait
 * runs a frame with its player's input. The present must be shown (match_seek). */
void match_tick(Match *match, const unsigned char inputs[PLAYERS]);

/* Swaps a mod in, for both peers at the same frame, which neither can have run before it knows of
 * the mod. The text is copied. */
void match_order(Match *match, const char *name, const char *text, size_t length);

/* The mod that a peer's state has; NULL for none. */
const Mod *match_mod(const Match *match, const Peer *peer);

/* Player 2's VM counts wrongly from its next frame on. */
void match_cheat(Match *match);

/* The frames that can be shown: from the oldest snapshot that both hold to the newest frame. */
int64_t match_oldest(const Match *match);
int64_t match_newest(const Match *match);

/* Shows the state labelled `frame`: back by a rollback, forth by running the frames again, with the
 * inputs that they had. */
void match_seek(Match *match, int64_t frame);

/* Takes what is shown for the present, and forgets what came after. Only for confirmed states:
 * false and nothing is done for others. */
bool match_fork(Match *match);

#endif
