/* screen.h: a picture of 80x24 cells, each with a character and an ink, and ways to show it: on a
 * terminal, as plain text, as an SVG. Not here: what is on it (panel.h). */
#ifndef RLUA_PLAYGROUND_SCREEN_H
#define RLUA_PLAYGROUND_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

enum { COLUMNS = 80, ROWS = 24 };

typedef enum Ink { PLAIN, DIM, BRIGHT, FIRST, SECOND, GOOD, BAD, WARM, INKS } Ink;

typedef struct Screen {
    char cell[ROWS][COLUMNS][5]; /* a character in UTF-8 */
    unsigned char ink[ROWS][COLUMNS];
} Screen;

void screen_clear(Screen *screen);

/* Puts text in UTF-8; what does not fit is cut off. Returns the column after it. */
int screen_put(Screen *screen, int row, int column, Ink ink, const char *text);

/* As screen_put, with a format. */
__attribute__((format(printf, 5, 6))) int screen_print(Screen *screen, int row, int column, Ink ink,
                                                       const char *format, ...);

/* What a terminal shows: each line from its first column. Without `colour` no escape but for the
 * cursor; without `utf8` only ASCII. `out` has room for SCREEN_BYTES. Returns the length. */
enum { SCREEN_BYTES = ROWS * COLUMNS * 16 };
size_t screen_terminal(const Screen *screen, bool colour, bool utf8, char *out);

/* Lines of text, without what is blank at their ends. */
void screen_text(const Screen *screen, bool utf8, FILE *file);

void screen_svg(const Screen *screen, FILE *file);

#endif
