/* p2p.c: two peers of different platforms play a match over UDP, with rollbacks, and stay the same.
 *
 *   p2p play COMMAND...    plays one side, and starts the command as the other one: this program,
 *                          built for another platform, say
 *   p2p cheat COMMAND...   the same, but the other side changes one number in a late frame, and
 *                          this side has to notice in just that frame
 *   p2p join PORT FRAMES CHEATED   what the command is given: the other side
 *
 * Each side delays its own inputs, predicts that the other player goes on as before, and snaps each
 * frame. An input that was predicted wrongly rolls back to before it, and the frames since run
 * again. Each packet repeats what the other side has not acknowledged. The receiver loses some, and
 * takes the others some ticks later, not always in order. The checksum of each confirmed frame is
 * compared by both sides, at the end the image as well.
 * RLUA_TEST_SCALE=n plays one n-th of the frames. Nothing is timed; a side that hears nothing new
 * for minutes gives up.
 * Not here: the world (world.h); netcode as a library (../../examples/ggrs). */
#include "world.h"

#include <time.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
typedef int SOCKET;
#endif

#include "../random.h"

enum {
    FRAMES = 5000,
    DELAY = 2,  /* frames from a player's input to its effect */
    WINDOW = 8, /* frames that a side plays ahead of the other one's inputs */
    HELD = 3,   /* frames for which a player holds an input */
    TICK_MS = 1,
    PATIENCE_SECONDS = 180,
    INPUTS_OF_A_PACKET = 32,
    SUMS_OF_A_PACKET = 16,
    LATE = DELAY + WINDOW, /* ticks until a packet is taken, at least: so the slower side has to
                            * predict, too */
    LINE = LATE + 6, /* fewer than these */
    LOST_PERCENT = 10,
    GOODBYE = -1 /* instead of a packet's number: the match is over */
};

/* The machines are little-endian, and the compilers lay this out alike. */
typedef struct Packet {
    int32_t number;
    int32_t heard, agreed;         /* what the sender has of the other side */
    int32_t acked_inputs, acked_sums; /* frames; what follows is of those behind */
    int32_t inputs, sums;
    uint8_t input[INPUTS_OF_A_PACKET];
    rlua_Checksum sum[SUMS_OF_A_PACKET];
} Packet;

/* What is known of a side. Frames count from 1; the sum behind the last frame is the image's. */
typedef struct Player {
    int inputs, sums; /* up to this frame */
    uint8_t input[FRAMES + 1];
    rlua_Checksum sum[FRAMES + 2];
} Player;

static struct {
    lua_State *L;
    int frames, now, cheated;
    int is_left;
    Player mine, theirs;
    int acked_inputs, acked_sums;    /* what they have of mine */
    uint8_t guessed[FRAMES + 1];     /* their input with which a frame was played */
    unsigned rollbacks, frames_again, waits;
    time_t moved; /* when something new came */
} match;

/* -- the line ---------------------------------------------------------------------------------- */

static struct {
    SOCKET socket;
    struct sockaddr_in other;
    int is_known; /* who the other side is: for the one that is joined, whoever sends first */
    Random random;
    int tick, newest;
    unsigned received, lost, reordered;
    int is_due[LINE];
    Packet due[LINE]; /* by the tick in which it comes, modulo LINE */
} line;

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    return address;
}

/* Answers the port. */
static int open_line(uint64_t seed) {
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
#ifdef _WIN32
    WSADATA data;
    CHECK_EQ(WSAStartup(MAKEWORD(2, 2), &data), 0);
#endif
    line.random.state = seed;
    line.socket = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(line.socket != (SOCKET)-1);
    CHECK_EQ(bind(line.socket, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(getsockname(line.socket, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin_port);
}

static int is_readable(int milliseconds) {
    struct timeval wait = {0, milliseconds * 1000};
    fd_set sockets;
    FD_ZERO(&sockets);
    FD_SET(line.socket, &sockets);
    return select((int)line.socket + 1, &sockets, NULL, NULL, &wait) > 0;
}

static void send_packet(const Packet *packet) {
    if (line.is_known)
        sendto(line.socket, (const char *)packet, sizeof *packet, 0,
               (struct sockaddr *)&line.other, sizeof line.other);
}

/* Lays what has come on the rest of its way, or loses it. */
static void receive(void) {
    Packet packet;
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    int slot;
    if (recvfrom(line.socket, (char *)&packet, sizeof packet, 0, (struct sockaddr *)&from,
                 &length) != (int)sizeof packet)
        return; /* also what the system says of a port that has closed */
    if (!line.is_known) line.other = from;
    line.is_known = 1;
    if (from.sin_port != line.other.sin_port) return;
    if (packet.number == GOODBYE) exit(0);
    line.received++;
    slot = (line.tick + LATE + below(&line.random, LINE - LATE)) % LINE;
    if (below(&line.random, 100) < LOST_PERCENT) {
        line.lost++;
        return;
    }
    line.lost += (unsigned)line.is_due[slot]; /* there is no room for two */
    line.is_due[slot] = 1;
    line.due[slot] = packet;
}

/* What comes in this tick, or NULL. */
static const Packet *due_packet(void) {
    int slot = line.tick++ % LINE;
    if (!line.is_due[slot]) return NULL;
    line.is_due[slot] = 0;
    if (line.due[slot].number < line.newest) line.reordered++;
    else line.newest = line.due[slot].number;
    return &line.due[slot];
}

/* -- frames ------------------------------------------------------------------------------------ */

static int least(int a, int b) { return a < b ? a : b; }

/* What this side's player does. */
static uint8_t input_of(int frame) {
    Random random = {(uint64_t)(frame / HELD * 2 + match.is_left)};
    return (uint8_t)below(&random, INPUTS);
}

static uint8_t guess(int frame) {
    return match.theirs.input[least(frame, match.theirs.inputs)];
}

static void run_frame(int frame) {
    int mine = match.mine.input[frame], theirs = match.guessed[frame] = guess(frame);
    play_frame(match.L, frame, match.is_left ? mine : theirs, match.is_left ? theirs : mine);
    if (frame == match.cheated) cheat(match.L);
    CHECK_OK(rlua_snap_frame(match.L, frame));
    CHECK_OK(rlua_checksum(match.L, &match.mine.sum[frame]));
}

static int hash(void *ud, const void *start, size_t length) {
    uint64_t *sums = ud;
    const uint8_t *bytes = start;
    size_t i;
    for (i = 0; i < length; i++) sums[1] = (sums[1] ^ bytes[i]) * 0x100000001B3u;
    sums[0] += length;
    return 0;
}

/* Frames up to here were played with the inputs of both. */
static int confirmed(void) { return least(match.now, match.theirs.inputs); }

/* Goes back to before the first frame that was played with another input than theirs, and forward
 * again. */
static void correct(int from) {
    int frame = from;
    while (frame <= match.now && match.guessed[frame] == guess(frame)) frame++;
    if (frame <= confirmed()) {
        CHECK_OK(rlua_rollback_to(match.L, frame - 1));
        match.rollbacks++;
        for (; frame <= match.now; frame++, match.frames_again++) run_frame(frame);
    }
    match.mine.sums = confirmed();
    if (match.mine.sums == match.frames) {
        uint64_t sums[2] = {0, 0};
        CHECK_OK(rlua_save(match.L, hash, sums));
        memcpy(&match.mine.sum[++match.mine.sums], sums, sizeof sums);
    }
}

static void advance(void) {
    int frame;
    if (match.now == match.frames) return;
    if (match.now >= match.theirs.inputs + WINDOW) {
        match.waits++;
        return;
    }
    frame = ++match.now;
    while (match.mine.inputs < least(frame + DELAY, match.frames)) {
        match.mine.inputs++;
        match.mine.input[match.mine.inputs] = input_of(match.mine.inputs);
    }
    run_frame(frame);
    correct(frame);
}

/* -- packets ----------------------------------------------------------------------------------- */

static Packet packet_of_now(void) {
    Packet packet;
    memset(&packet, 0, sizeof packet);
    packet.number = line.tick;
    packet.heard = match.theirs.inputs;
    packet.agreed = match.theirs.sums;
    packet.acked_inputs = match.acked_inputs;
    packet.acked_sums = match.acked_sums;
    packet.inputs = least(match.mine.inputs - match.acked_inputs, INPUTS_OF_A_PACKET);
    packet.sums = least(match.mine.sums - match.acked_sums, SUMS_OF_A_PACKET);
    memcpy(packet.input, &match.mine.input[match.acked_inputs + 1], (size_t)packet.inputs);
    memcpy(packet.sum, &match.mine.sum[match.acked_sums + 1],
           (size_t)packet.sums * sizeof *packet.sum);
    return packet;
}

/* Compares their sums as far as this side has its own. Answers a frame that differs, or 0. */
static int compare(const Packet *packet) {
    int i, frame;
    for (i = 0; i < packet->sums; i++) {
        frame = packet->acked_sums + 1 + i;
        if (frame != match.theirs.sums + 1 || frame > match.mine.sums) continue;
        if (memcmp(&packet->sum[i], &match.mine.sum[frame], sizeof packet->sum[i]) != 0)
            return frame;
        match.theirs.sums = frame;
    }
    return 0;
}

/* What was taken so far; it never falls. */
static int taken(void) {
    return match.theirs.inputs + match.theirs.sums + match.acked_inputs + match.acked_sums;
}

/* Answers a frame in which they have another state, or 0. */
static int take(const Packet *packet) {
    int i, other, before = match.theirs.inputs, had = taken();
    CHECK(packet->inputs >= 0 && packet->inputs <= INPUTS_OF_A_PACKET);
    CHECK(packet->sums >= 0 && packet->sums <= SUMS_OF_A_PACKET);
    for (i = 0; i < packet->inputs; i++) {
        int frame = packet->acked_inputs + 1 + i;
        if (frame != match.theirs.inputs + 1) continue;
        CHECK(frame <= match.frames);
        match.theirs.input[frame] = packet->input[i];
        match.theirs.inputs = frame;
    }
    if (packet->heard > match.acked_inputs) match.acked_inputs = packet->heard;
    if (packet->agreed > match.acked_sums) match.acked_sums = packet->agreed;
    if (match.theirs.inputs > before) correct(before + 1);
    other = compare(packet);
    if (taken() > had) match.moved = time(NULL);
    return other;
}

/* One frame, and what has come meanwhile. Answers a frame that differs, or 0. */
static int tick(void) {
    Packet packet;
    const Packet *come;
    int wait, other = 0;
    advance();
    packet = packet_of_now();
    send_packet(&packet);
    for (wait = TICK_MS; is_readable(wait); wait = 0) receive();
    if ((come = due_packet())) other = take(come);
    if (time(NULL) - match.moved > PATIENCE_SECONDS)
        FAIL("frame %d: nothing new came from the other side for %d seconds", match.now,
             PATIENCE_SECONDS);
    return other;
}

/* Both have compared everything, as far as this side knows. */
static int is_over(void) {
    return match.theirs.sums == match.frames + 1 && match.acked_sums == match.frames + 1;
}

static void open_match(int frames, int is_left) {
    match.frames = frames;
    match.is_left = is_left;
    match.moved = time(NULL);
    match.L = open_world();
    CHECK_OK(rlua_snap_frame(match.L, 0));
}

/* That there was something to be seen. */
static void close_match(void) {
    printf("     %s: %d frames, %u rollbacks, %u frames run again, %u ticks waited; "
           "%u packets came, %u of them lost, %u out of order\n",
           harness.current, match.now, match.rollbacks, match.frames_again, match.waits,
           line.received, line.lost, line.reordered);
    fflush(stdout);
    CHECK(match.rollbacks > 0 && match.frames_again > match.rollbacks);
    CHECK(line.lost > 0 && line.reordered > 0);
    CHECK_OK(rlua_check(match.L));
    lua_close(match.L);
}

static int join(int port, int frames, int cheated) {
    int other;
    open_line(2);
    line.other = loopback(port);
    line.is_known = 1;
    open_match(frames, 0);
    match.cheated = cheated;
    while (!is_over()) {
        other = tick();
        if (other && !cheated) FAIL("frame %d: another checksum than the other side's", other);
    }
    close_match();
    return 0;
}

#ifdef _WIN32
static int play(char **command, int cheats) {
    (void)command, (void)cheats;
    FAIL("only p2p join is for Windows: this side starts the other one as POSIX does");
}
#else
static pid_t start(char **command, int port, int cheated) {
    char numbers[3][16], *argv[40];
    int count = 0, i;
    pid_t child;
    CHECK(command[0] != NULL);
    while (command[count] && count < 32) argv[count] = command[count], count++;
    argv[count++] = "join";
    for (i = 0; i < 3; i++) argv[count++] = numbers[i];
    argv[count] = NULL;
    snprintf(numbers[0], sizeof numbers[0], "%d", port);
    snprintf(numbers[1], sizeof numbers[1], "%d", match.frames);
    snprintf(numbers[2], sizeof numbers[2], "%d", cheated);
    child = fork();
    CHECK(child >= 0);
    if (child > 0) return child;
    execvp(argv[0], argv);
    fprintf(stderr, "cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void end_the_match(pid_t child) {
    Packet goodbye = {.number = GOODBYE};
    alarm(PATIENCE_SECONDS);
    while (waitpid(child, NULL, WNOHANG) == 0) {
        send_packet(&goodbye);
        is_readable(TICK_MS);
    }
    alarm(0);
}

/* Serves the other side until it has ended, which it does when it knows that this one has compared
 * everything, too. Its last acknowledgement may be lost. */
static int play(char **command, int cheats) {
    int port = open_line(1), status, other = 0, cheated;
    pid_t child;
    open_match((int)(FRAMES / test_scale()), 1);
    cheated = cheats ? match.frames - match.frames / 4 : 0;
    child = start(command, port, cheated);
    while (other == 0 && waitpid(child, &status, WNOHANG) == 0) other = tick();
    if (other) end_the_match(child);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL("frame %d: the other side ended with status %#x", match.now, (unsigned)status);
    if (other != cheated)
        FAIL("another checksum than the other side's in frame %d, expected in %d (0: none)", other,
             cheated);
    CHECK(cheats || match.theirs.sums == match.frames + 1);
    if (cheats) printf("     noticed: another checksum in frame %d\n", other);
    close_match();
    harness.passed = 1;
    harness_closing_line();
    return 0;
}
#endif

int main(int argc, char **argv) {
    const char *what = argc > 2 ? argv[1] : "?";
    harness.current = what;
    if (strcmp(what, "play") == 0) return play(argv + 2, 0);
    if (strcmp(what, "cheat") == 0) return play(argv + 2, 1);
    if (strcmp(what, "join") == 0 && argc == 5)
        return join(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    FAIL("usage: p2p play COMMAND... | cheat COMMAND... | join PORT FRAMES CHEATED");
}
