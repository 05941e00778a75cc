/* panel.c: see panel.h. */
#include "panel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LEFT = 2, BAR = 13, FIELD_ROW = 2, FIELD_COLUMNS = FIELD_WIDTH + 2 };

static const char *const BLOCKS[] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

static void rule(Screen *screen, int row, int column, Ink ink, const char *begin, const char *end) {
    int at;
    screen_put(screen, row, column, ink, begin);
    for (at = 1; at <= FIELD_WIDTH; at++) screen_put(screen, row, column + at, ink, "─");
    screen_put(screen, row, column + FIELD_WIDTH + 1, ink, end);
}

static void mark(Screen *screen, int row, int column, int x, char cell) {
    Ink side = x < FIELD_WIDTH / 2 ? FIRST : SECOND;
    switch (cell) {
    case 'o': screen_put(screen, row, column, BRIGHT, "●"); break;
    case '|': screen_put(screen, row, column, side, "█"); break;
    case '!': screen_put(screen, row, column, BRIGHT, "█"); break;
    case '*': screen_put(screen, row, column, WARM, "✦"); break;
    case '.': screen_put(screen, row, column, DIM, "·"); break;
    default: break;
    }
}

/* One machine: the game as its VM has it. */
static void field(Screen *screen, const Match *match, int player, const Choices *choices) {
    const Peer *peer = &match->peers[player];
    int column = player * FIELD_COLUMNS, x, y;
    int bottom = FIELD_ROW + FIELD_HEIGHT;
    Ink ink = player == 0 ? FIRST : SECOND;
    rule(screen, FIELD_ROW - 1, column, DIM, "┌", "┐");
    screen_print(screen, FIELD_ROW - 1, column + 2, ink, " player %d's machine (%s) ", player + 1,
                 choices->bot[player] ? "bot" : "you");
    for (y = 0; y < FIELD_HEIGHT; y++) {
        screen_put(screen, FIELD_ROW + y, column, DIM, "│");
        screen_put(screen, FIELD_ROW + y, column + FIELD_WIDTH + 1, DIM, "│");
        for (x = 0; x < FIELD_WIDTH && peer->picture[0]; x++) {
            mark(screen, FIELD_ROW + y, column + 1 + x, x, peer->picture[y * FIELD_WIDTH + x]);
        }
    }
    rule(screen, bottom, column, DIM, "└", "┘");
    screen_print(screen, bottom, column + FIELD_WIDTH / 2 - 3, BRIGHT, " %d : %d ", peer->score[0],
                 peer->score[1]);
    screen_print(screen, bottom, column + 2, DIM, " frame %" PRId64 " ", peer->at);
}

static void label(Screen *screen, int row, const char *text) {
    screen_put(screen, row, LEFT, DIM, text);
}

static void line(Screen *screen, int row, const Line *line) {
    enum { WIDTH = 24 };
    int knob = line->latency_ms * (WIDTH - 1) / MOST_LATENCY_MS, at;
    label(screen, row, "latency");
    for (at = 0; at < WIDTH; at++) {
        screen_put(screen, row, BAR + at, at == knob ? BRIGHT : DIM, at == knob ? "●" : "─");
    }
    screen_print(screen, row, BAR + WIDTH + 1, PLAIN,
                 "%3d ms one way   jitter %d ms   lost %d %%", line->latency_ms, line->jitter_ms,
                 line->loss_percent);
}

/* The rollbacks of the last ticks, a column each: how many frames ran again. */
static void rolled_back(Screen *screen, int row, const Match *match, int player) {
    const Peer *peer = &match->peers[player];
    int back;
    if (player == 0) label(screen, row, "run again");
    screen_print(screen, row, BAR - 1, player == 0 ? FIRST : SECOND, "%d", player + 1);
    for (back = 0; back < RECENT - 16; back++) {
        int64_t tick = match->tick - (RECENT - 16) + back;
        int frames = tick < 0 ? 0 : peer->recent[tick % RECENT].frames;
        int height = frames * 8 / WINDOW + (frames > 0 && frames * 8 < WINDOW);
        screen_put(screen, row, BAR + 1 + back, frames ? WARM : DIM,
                   BLOCKS[height > 8 ? 8 : height]);
    }
    screen_print(screen, row, BAR + RECENT - 14, PLAIN, "%" PRId64 " rollbacks", peer->rollbacks);
}

/* The longest of the last second, against the frame. */
static void took(Screen *screen, int row, const Match *match) {
    enum { WIDTH = 20 };
    Rollback worst = {0, 0, 0};
    int player, at, filled;
    for (player = 0; player < PLAYERS; player++) {
        for (at = 0; at < RECENT; at++) {
            const Rollback *one = &match->peers[player].recent[at];
            if (one->load_us + one->run_us > worst.load_us + worst.run_us) worst = *one;
        }
    }
    filled = (int)((worst.load_us + worst.run_us) * WIDTH / FRAME_US + 0.999);
    label(screen, row, "took");
    for (at = 0; at < WIDTH; at++) {
        screen_put(screen, row, BAR + at, at < filled ? GOOD : DIM, at < filled ? "█" : "░");
    }
    at = screen_print(screen, row, BAR + WIDTH + 1, PLAIN, "%.0f us of %.1f ms",
                      worst.load_us + worst.run_us, FRAME_US / 1000.0);
    screen_print(screen, row, at, DIM, ": back %.0f, %d frames %.0f", worst.load_us, worst.frames,
                 worst.run_us);
}

static void held(Screen *screen, int row, const Match *match) {
    rlua_Info info;
    info.size = sizeof info;
    if (rlua_info(match->peers[0].L, &info) != RLUA_OK) return;
    label(screen, row, "snapshots");
    screen_print(screen, row, BAR, PLAIN, "%zu in %zu KiB beside a VM of %zu KiB, each a whole VM",
                 info.snapshot_count, info.snapshot_bytes / 1024, info.used_bytes / 1024);
}

static void state(Screen *screen, int row, const Match *match) {
    int64_t last = match->compared - 1;
    label(screen, row, "checksums");
    if (match->desync >= 0) {
        screen_print(screen, row, BAR, BAD, "DESYNC at frame %" PRId64 ": the VMs are not the same",
                     match->desync);
    } else if (last >= 0) {
        screen_print(screen, row, BAR, GOOD, "the same in both VMs up to frame %" PRId64, last);
        screen_print(screen, row, BAR + 46, DIM, "game %016" PRIx64,
                     match->peers[0].sums[last & (RING - 1)]);
    }
}

static void mod(Screen *screen, int row, const Match *match, const Choices *choices) {
    const Mod *first = match_mod(match, &match->peers[0]);
    const Mod *second = match_mod(match, &match->peers[1]);
    const Mod *last = match->mod_count ? &match->mods[match->mod_count - 1] : NULL;
    int column = BAR;
    label(screen, row, "mod");
    if (last && last->at >= match->peers[0].at) {
        column = screen_print(screen, row, column, WARM, "%s from frame %" PRId64 " on", last->name,
                              last->at);
    } else if (first == second) {
        column = screen_put(screen, row, column, PLAIN, first ? first->name : "none");
        if (first) {
            column = screen_print(screen, row, column, DIM, " in both VMs since frame %" PRId64,
                                  first->at);
        }
    } else {
        column = screen_print(screen, row, column, WARM, "%s, %s", first ? first->name : "none",
                              second ? second->name : "none");
    }
    screen_print(screen, row, column + 3, DIM, "m: %s", choices->next_mod);
}

static void timeline(Screen *screen, int row, const Match *match, const Choices *choices) {
    enum { WIDTH = 48 };
    int64_t oldest = match_oldest(match), newest = match_newest(match), at = match->peers[0].at;
    int64_t span = newest > oldest ? newest - oldest : 1;
    int knob = (int)((at - oldest) * (WIDTH - 1) / span), column;
    label(screen, row, "time");
    for (column = 0; column < WIDTH; column++) {
        screen_put(screen, row, BAR + column, column == knob ? BRIGHT : DIM,
                   column == knob ? "◆" : column < knob ? "━" : "─");
    }
    screen_print(screen, row, BAR + WIDTH + 1, choices->paused ? WARM : DIM, "%s %+.2f s",
                 choices->paused ? "paused" : "live", (double)(at - newest) / FRAMES_PER_SECOND);
}

static void help(Screen *screen, int row, const Choices *choices) {
    if (choices->paused) {
        screen_put(screen, row, LEFT, PLAIN,
                   "←/→ a frame back or forth   [/] ten   home/end   p back to the present");
        screen_put(screen, row + 1, LEFT, PLAIN,
                   "enter play on from here     q quit");
        return;
    }
    screen_put(screen, row, LEFT, PLAIN,
               "↑/↓/space move, stop  f smash  ←/→ latency  j jitter  l loss  p pause, scrub");
    screen_put(screen, row + 1, LEFT, PLAIN,
               "m next mod (or edit it)  1/2 bot (2: i/k/, u)  d desync  r restart  q quit");
}

void panel_draw(Screen *screen, const Match *match, const Choices *choices) {
    int row = FIELD_ROW + FIELD_HEIGHT + 1;
    screen_clear(screen);
    screen_put(screen, 0, LEFT, BRIGHT, "librlua playground");
    screen_put(screen, 0, LEFT + 20, DIM, "two players, a VM each, and a bad line between them");
    field(screen, match, 0, choices);
    field(screen, match, 1, choices);
    line(screen, row++, &match->line);
    rolled_back(screen, row++, match, 0);
    rolled_back(screen, row++, match, 1);
    took(screen, row++, match);
    held(screen, row++, match);
    state(screen, row++, match);
    mod(screen, row++, match, choices);
    timeline(screen, row++, match, choices);
    if (match->message[0] || choices->notice[0]) {
        screen_put(screen, row, LEFT, WARM, match->message[0] ? match->message : choices->notice);
    } else {
        help(screen, row, choices);
    }
}

