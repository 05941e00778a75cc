/* panel.h: what the playground shows of a match: both machines, the line between them, rollbacks,
 * time. Not here: keys (playground.c), how a screen is shown (screen.h). */
#ifndef RLUA_PLAYGROUND_PANEL_H
#define RLUA_PLAYGROUND_PANEL_H

#include "match.h"
#include "screen.h"

enum { MOST_LATENCY_MS = 300 };

/* What the player has chosen. */
typedef struct Choices {
    bool paused;
    bool bot[PLAYERS];
    const char *next_mod; /* that the key would bring */
    const char *notice;   /* a sentence, or empty */
} Choices;

void panel_draw(Screen *screen, const Match *match, const Choices *choices);

#endif
