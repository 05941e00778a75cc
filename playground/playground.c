/* playground.c: a game for two on one terminal, each with a VM of librlua of its own, and a
 * simulated line between them. README.md beside this tells what there is to see.
 *
 * Usage: playground [OPTION...]                a terminal of 80x24; keys are on the screen
 *        playground --headless [OPTION...]     no terminal, no clock; for tests
 *
 *   --folder DIR     game.lua and mods/ (the current folder)
 *   --seed N         of the match; --latency MS, --jitter MS, --loss PERCENT: of the line
 *   --frames N       of a headless run
 *   --players WHO    headless: bots, or random: inputs that depend on seed and frame alone
 *   --keys LIST      headless: keys by tick, as 120:m,300:p,310:left,400:p
 *   --state F        headless: print the checksum of the state F
 *   --text FILE, --svg FILE   headless: the last screen
 *
 * A headless run exits with 0 if both VMs agreed on every confirmed state and every frame that was
 * run again by scrubbing gave what it gave before. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lauxlib.h"
#include "match.h"
#include "panel.h"
#include "screen.h"
#include "terminal.h"

enum { UP = 1, DOWN = 2, SMASH = 4, MOST_FILES = 32, MOD_BYTES = 64 * 1024 };

typedef struct Play {
    Match match;
    Choices choices;
    const char *folder;
    char game[512];
    unsigned char held[PLAYERS];
    int smash[PLAYERS]; /* ticks that it goes on */
    bool random_players, quit;
    char *files[MOST_FILES]; /* of mods/, in order */
    int file_count, mod;     /* the chosen one; -1: none */
    time_t changed;          /* its file, when it was read */
    char notice[160];
} Play;

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_mods(Play *play) {
    char folder[512];
    struct dirent *entry;
    DIR *directory;
    snprintf(folder, sizeof folder, "%s/mods", play->folder);
    directory = opendir(folder);
    while (directory && (entry = readdir(directory)) && play->file_count < MOST_FILES) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 4, ".lua") != 0) continue;
        play->files[play->file_count++] = strdup(entry->d_name);
    }
    if (directory) closedir(directory);
    qsort(play->files, (size_t)play->file_count, sizeof *play->files, by_name);
    play->mod = -1;
}

static const char *mod_path(const Play *play, char *path, size_t size) {
    snprintf(path, size, "%s/mods/%s", play->folder, play->files[play->mod]);
    return path;
}

/* Only text that compiles is sent; tried in a VM of its own, since even a failed attempt would
 * leave something in the state. */
static bool compiles(Play *play, const char *text, size_t length, const char *name) {
    lua_State *L = luaL_newstate();
    bool good = L && luaL_loadbufferx(L, text, length, name, "t") == LUA_OK;
    if (!good && L) {
        snprintf(play->notice, sizeof play->notice, "not sent: %s", lua_tostring(L, -1));
    }
    if (L) lua_close(L);
    return good;
}

/* Reads the chosen mod and has both peers swap it in. */
static void send_mod(Play *play) {
    static char text[MOD_BYTES];
    char path[512], name[72];
    struct stat status;
    size_t length;
    FILE *file;
    if (play->mod < 0) {
        match_order(&play->match, "none", "", 0);
        return;
    }
    file = fopen(mod_path(play, path, sizeof path), "rb");
    if (!file || fstat(fileno(file), &status) != 0) {
        snprintf(play->notice, sizeof play->notice, "%.100s: %s", path, strerror(errno));
        if (file) fclose(file);
        return;
    }
    play->changed = status.st_mtime;
    length = fread(text, 1, sizeof text, file);
    fclose(file);
    snprintf(name, sizeof name, "@%.60s", play->files[play->mod]);
    if (length > 0 && compiles(play, text, length, name)) {
        play->notice[0] = 0;
        match_order(&play->match, name + 1, text, length);
    }
}

static void watch_mod(Play *play) {
    struct stat status;
    char path[512];
    if (play->mod < 0 || stat(mod_path(play, path, sizeof path), &status) != 0) return;
    if (status.st_mtime != play->changed) send_mod(play);
}

static void choose_mod(Play *play) {
    play->mod = play->mod + 1 < play->file_count ? play->mod + 1 : -1;
    send_mod(play);
}

static int cycle(int value, int step, int most) { return value >= most ? 0 : value + step; }

static void press_paused(Play *play, int key) {
    Match *match = &play->match;
    int64_t at = match->peers[0].at;
    switch (key) {
    case KEY_LEFT: match_seek(match, at - 1); break;
    case KEY_RIGHT: match_seek(match, at + 1); break;
    case '[': match_seek(match, at - 10); break;
    case ']': match_seek(match, at + 10); break;
    case KEY_HOME: match_seek(match, match_oldest(match)); break;
    case KEY_END: match_seek(match, match_newest(match)); break;
    case 'p':
        match_seek(match, match_newest(match));
        play->choices.paused = false;
        break;
    case KEY_ENTER:
        play->choices.paused = !match_fork(match);
        if (play->choices.paused) {
            snprintf(play->notice, sizeof play->notice,
                     "not from here: the inputs so far are not confirmed; go further back");
        }
        break;
    default: break;
    }
}

/* Terminals tell no release: a direction goes on until another key. */
static void move(Play *play, int player, int direction) {
    play->held[player] = play->held[player] == direction ? 0 : (unsigned char)direction;
    play->choices.bot[player] = false;
}

static void press_live(Play *play, int key) {
    Line *line = &play->match.line;
    switch (key) {
    case KEY_UP: case 'w': move(play, 0, UP); break;
    case KEY_DOWN: case 's': move(play, 0, DOWN); break;
    case ' ': play->held[0] = 0; break;
    case 'f': play->smash[0] = 6; break;
    case 'i': move(play, 1, UP); break;
    case 'k': move(play, 1, DOWN); break;
    case ',': play->held[1] = 0; break;
    case 'u': play->smash[1] = 6; break;
    case KEY_LEFT: line->latency_ms -= line->latency_ms >= 10 ? 10 : line->latency_ms; break;
    case KEY_RIGHT: line->latency_ms += line->latency_ms < MOST_LATENCY_MS ? 10 : 0; break;
    case 'j': line->jitter_ms = cycle(line->jitter_ms, 20, 100); break;
    case 'l': line->loss_percent = cycle(line->loss_percent, 10, 40); break;
    case '1': case '2': play->choices.bot[key - '1'] ^= 1; break;
    case 'm': choose_mod(play); break;
    case 'd': match_cheat(&play->match); break;
    case 'p': play->choices.paused = true; break;
    default: break;
    }
}

static void press(Play *play, int key) {
    if (key == KEY_NONE) return;
    play->notice[0] = play->match.message[0] = 0;
    if (key == 'q') play->quit = true;
    else if (key == 'r') {
        match_restart(&play->match, play->game);
        play->choices.paused = false;
        play->mod = -1;
    } else if (play->choices.paused) press_paused(play, key);
    else press_live(play, key);
}

/* What a player of a test presses: something else every few frames. */
static unsigned char random_input(const Play *play, int player) {
    uint64_t word = play->match.seed + (uint64_t)play->match.peers[player].frame / 7;
    word = (word * 2 + (uint64_t)player) * 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 29) * 0xbf58476d1ce4e5b9u;
    return word >> 61;
}

static void tick(Play *play) {
    unsigned char inputs[PLAYERS];
    int player;
    if (play->choices.paused) return;
    for (player = 0; player < PLAYERS; player++) {
        inputs[player] = play->choices.bot[player] ? play->match.peers[player].wish[player]
                                                   : play->held[player];
        if (play->smash[player] > 0) play->smash[player]--, inputs[player] |= SMASH;
        if (play->random_players) inputs[player] = random_input(play, player);
    }
    match_tick(&play->match, inputs);
}

static void draw(Play *play, Screen *screen) {
    int next = play->mod + 1;
    play->choices.next_mod = next < play->file_count ? play->files[next] : "none";
    play->choices.notice = play->notice;
    panel_draw(screen, &play->match, &play->choices);
}

static bool speaks_utf8(void) {
    const char *name = getenv("LC_ALL");
    if (!name || !*name) name = getenv("LC_CTYPE");
    if (!name || !*name) name = getenv("LANG");
    return name && (strstr(name, "UTF-8") || strstr(name, "utf8") || strstr(name, "UTF8"));
}

static void show(Play *play, bool colour, bool utf8) {
    static char out[SCREEN_BYTES];
    Screen screen;
    int columns = COLUMNS, rows = ROWS;
    terminal_size(&columns, &rows);
    if (columns < COLUMNS || rows < ROWS) {
        int length = snprintf(out, sizeof out, "\033[2J\033[Hneeds 80x24; this is %dx%d. q quits.",
                              columns, rows);
        terminal_write(out, (size_t)length);
        return;
    }
    draw(play, &screen);
    terminal_write(out, screen_terminal(&screen, colour, utf8, out));
}

static int interactive(Play *play) {
    const char *no_colour = getenv("NO_COLOR");
    bool colour = !(no_colour && *no_colour), utf8 = speaks_utf8();
    struct timespec next;
    int64_t turn;
    if (!terminal_open()) {
        fputs("playground: no terminal here; try --headless, or run it in one\n", stderr);
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (turn = 0; !play->quit; turn++) {
        struct timespec now;
        int key;
        while ((key = terminal_key()) != KEY_NONE) press(play, key);
        if (turn % 20 == 0) watch_mod(play);
        tick(play);
        if (turn % 2 == 0) show(play, colour, utf8);
        next.tv_nsec += FRAME_US * 1000;
        if (next.tv_nsec >= 1000000000) next.tv_nsec -= 1000000000, next.tv_sec++;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > next.tv_sec + 1) next = now; /* after a stop */
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    terminal_close();
    return 0;
}

/* The key of a name; *text is moved behind it. */
static int key_named(const char **text) {
    static const struct {
        const char *name;
        int key;
    } keys[] = {{"up", KEY_UP},     {"down", KEY_DOWN}, {"left", KEY_LEFT},   {"right", KEY_RIGHT},
                {"home", KEY_HOME}, {"end", KEY_END},   {"enter", KEY_ENTER}};
    size_t at, length = strcspn(*text, ",");
    const char *name = *text;
    *text += length;
    for (at = 0; at < sizeof keys / sizeof *keys; at++) {
        if (strlen(keys[at].name) == length && strncmp(keys[at].name, name, length) == 0) {
            return keys[at].key;
        }
    }
    return length == 1 ? *name : KEY_NONE;
}

static void press_due(Play *play, const char **keys, int64_t turn) {
    while (*keys && **keys) {
        char *end;
        int64_t at = strtoll(*keys, &end, 10);
        int key;
        if (*end != ':') {
            fprintf(stderr, "playground: --keys: TICK:KEY expected at '%s'\n", *keys);
            exit(2);
        }
        if (at > turn) return;
        *keys = end + 1;
        key = key_named(keys);
        if (key == KEY_NONE) {
            fprintf(stderr, "playground: --keys: no such key at '%s'\n", end + 1);
            exit(2);
        }
        press(play, key);
        if (**keys == ',') ++*keys;
    }
}

static void report(const Play *play, uint64_t sum, int64_t state) {
    const Match *match = &play->match;
    int player;
    for (player = 0; player < PLAYERS; player++) {
        const Peer *peer = &match->peers[player];
        const Mod *mod = match_mod(match, peer);
        printf("player %d: frame %" PRId64 ", %" PRId64 " rollbacks, %" PRId64
               " frames again, %" PRId64 " ticks waited, score %d:%d, mod %s",
               player + 1, peer->at, peer->rollbacks, peer->again, peer->waited, peer->score[0],
               peer->score[1], mod ? mod->name : "none");
        if (mod) printf(" since frame %" PRId64, mod->at);
        putchar('\n');
    }
    if (match->message[0]) printf("%s\n", match->message);
    if (play->notice[0]) printf("%s\n", play->notice);
    if (state >= 0) printf("state %" PRId64 ": %016" PRIx64 "\n", state, sum);
    if (match->desync >= 0) printf("DESYNC at frame %" PRId64 "\n", match->desync);
    else printf("the same in both VMs up to frame %" PRId64 "\n", match->compared - 1);
    printf("%" PRId64 " frames differed when they ran again by scrubbing\n", match->differing);
}

static bool written(const char *path, void (*write)(const Screen *, FILE *), const Screen *screen) {
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!path) return true;
    if (!file) {
        fprintf(stderr, "playground: %s: %s\n", path, strerror(errno));
        return false;
    }
    write(screen, file);
    return fclose(file) == 0;
}

static void write_text(const Screen *screen, FILE *file) { screen_text(screen, true, file); }

typedef struct Options {
    bool headless;
    int64_t frames, state;
    const char *keys, *text, *svg;
} Options;

static int headless(Play *play, const Options *options) {
    const Match *match = &play->match;
    const char *keys = options->keys;
    uint64_t sum = 0;
    bool known = false;
    Screen screen;
    int64_t turn;
    for (turn = 0; turn < options->frames && !play->quit; turn++) {
        press_due(play, &keys, turn);
        tick(play);
        if (!known && options->state >= 0 && match->compared > options->state) {
            sum = match->peers[0].sums[options->state & (RING - 1)];
            known = true;
        }
    }
    report(play, sum, known ? options->state : -1);
    draw(play, &screen);
    if (!written(options->text, write_text, &screen)) return 2;
    if (!written(options->svg, screen_svg, &screen)) return 2;
    return match->desync < 0 && match->differing == 0 && match->compared > 0 ? 0 : 1;
}

static int64_t number(const char *option, const char *text, int64_t most) {
    char *end;
    int64_t value = strtoll(text, &end, 10);
    if (!*text || *end || value < 0 || value > most) {
        fprintf(stderr, "playground: %s: a number up to %" PRId64 " is needed\n", option, most);
        exit(2);
    }
    return value;
}

/* Options that take a value. */
static bool take_option(Play *play, Options *options, uint64_t *seed, const char *name,
                        const char *value) {
    Line *line = &play->match.line;
    if (strcmp(name, "--folder") == 0) play->folder = value;
    else if (strcmp(name, "--seed") == 0) *seed = (uint64_t)number(name, value, INT32_MAX);
    else if (strcmp(name, "--latency") == 0) line->latency_ms = (int)number(name, value, 300);
    else if (strcmp(name, "--jitter") == 0) line->jitter_ms = (int)number(name, value, 300);
    else if (strcmp(name, "--loss") == 0) line->loss_percent = (int)number(name, value, 99);
    else if (strcmp(name, "--frames") == 0) options->frames = number(name, value, 10000000);
    else if (strcmp(name, "--state") == 0) options->state = number(name, value, 10000000);
    else if (strcmp(name, "--players") == 0) play->random_players = strcmp(value, "random") == 0;
    else if (strcmp(name, "--keys") == 0) options->keys = value;
    else if (strcmp(name, "--text") == 0) options->text = value;
    else if (strcmp(name, "--svg") == 0) options->svg = value;
    else return false;
    return true;
}

int main(int argc, char **argv) {
    static Play play;
    Options options = {false, 600, -1, "", NULL, NULL};
    Line line;
    uint64_t seed = 1;
    int at, result;
    play.folder = ".";
    play.match.line = (Line){100, 20, 5};
    for (at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--headless") == 0) options.headless = true;
        else if (at + 1 < argc && take_option(&play, &options, &seed, argv[at], argv[at + 1])) at++;
        else {
            fprintf(stderr, "playground: unknown, or without its value: %s\n", argv[at]);
            return 2;
        }
    }
    line = play.match.line;
    snprintf(play.game, sizeof play.game, "%s/game.lua", play.folder);
    find_mods(&play);
    match_open(&play.match, play.game, seed);
    play.match.line = line;
    play.choices.bot[0] = options.headless;
    play.choices.bot[1] = true;
    result = options.headless ? headless(&play, &options) : interactive(&play);
    match_close(&play.match);
    for (at = 0; at < play.file_count; at++) free(play.files[at]);
    return result;
}
