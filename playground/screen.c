/* screen.c: see screen.h. */
#include "screen.h"

#include <stdarg.h>
#include <string.h>

/* Select Graphic Rendition of each ink, and its colour in an SVG, on a dark ground. */
static const char *const SGR[INKS] = {"0", "0;90", "0;1", "0;96", "0;93", "0;92", "0;1;91", "0;33"};
static const char *const FILL[INKS] = {"#c9d1d9", "#6e7681", "#ffffff", "#56d4dd",
                                       "#e3b341", "#56d364", "#ff7b72", "#d29922"};

/* For terminals that know ASCII alone. */
static const struct {
    const char *utf8, ascii;
} PLAINER[] = {{"│", '|'}, {"─", '-'}, {"┌", '+'}, {"┐", '+'}, {"└", '+'}, {"┘", '+'}, {"█", '#'},
               {"●", 'o'}, {"·", '.'}, {"▁", '1'}, {"▂", '2'}, {"▃", '3'}, {"▄", '4'}, {"▅", '5'},
               {"▆", '6'}, {"▇", '7'}, {"◆", '#'}, {"━", '='}, {"░", '.'}, {"▐", '|'}, {"▌", '|'},
               {"←", '<'}, {"→", '>'}, {"↑", '^'}, {"↓", 'v'}, {"✦", '*'}};

static int bytes_of(const char *text) {
    unsigned char first = (unsigned char)*text;
    int wanted = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, have = 1;
    while (have < wanted && ((unsigned char)text[have] & 0xc0) == 0x80) have++;
    return have;
}

void screen_clear(Screen *screen) {
    int row, column;
    memset(screen, 0, sizeof *screen);
    for (row = 0; row < ROWS; row++) {
        for (column = 0; column < COLUMNS; column++) screen->cell[row][column][0] = ' ';
    }
}

int screen_put(Screen *screen, int row, int column, Ink ink, const char *text) {
    while (*text && column < COLUMNS) {
        int bytes = bytes_of(text);
        char *cell = screen->cell[row][column];
        memcpy(cell, text, (size_t)bytes);
        cell[bytes] = 0;
        if ((unsigned char)*cell < ' ') strcpy(cell, " ");
        screen->ink[row][column++] = (unsigned char)ink;
        text += bytes;
    }
    return column;
}

int screen_print(Screen *screen, int row, int column, Ink ink, const char *format, ...) {
    char text[4 * COLUMNS + 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return screen_put(screen, row, column, ink, text);
}

static const char *shown(const char *cell, bool utf8) {
    static char one[2];
    size_t at;
    if (utf8 || (unsigned char)*cell < 0x80) return cell;
    one[0] = '?';
    for (at = 0; at < sizeof PLAINER / sizeof *PLAINER; at++) {
        if (strcmp(PLAINER[at].utf8, cell) == 0) one[0] = PLAINER[at].ascii;
    }
    return one;
}

size_t screen_terminal(const Screen *screen, bool colour, bool utf8, char *out) {
    char *begin = out;
    int row, column, ink = -1;
    for (row = 0; row < ROWS; row++) {
        out += sprintf(out, "\033[%d;1H", row + 1);
        for (column = 0; column < COLUMNS; column++) {
            if (colour && screen->ink[row][column] != ink) {
                ink = screen->ink[row][column];
                out += sprintf(out, "\033[%sm", SGR[ink]);
            }
            out += sprintf(out, "%s", shown(screen->cell[row][column], utf8));
        }
    }
    if (colour) out += sprintf(out, "\033[0m");
    return (size_t)(out - begin);
}

static int end_of(const Screen *screen, int row) {
    int end = COLUMNS;
    while (end > 0 && strcmp(screen->cell[row][end - 1], " ") == 0) end--;
    return end;
}

void screen_text(const Screen *screen, bool utf8, FILE *file) {
    int row, column;
    for (row = 0; row < ROWS; row++) {
        for (column = 0; column < end_of(screen, row); column++) {
            fputs(shown(screen->cell[row][column], utf8), file);
        }
        fputc('\n', file);
    }
}

static void svg_cell(const char *cell, FILE *file) {
    if (strcmp(cell, "<") == 0) fputs("&lt;", file);
    else if (strcmp(cell, ">") == 0) fputs("&gt;", file);
    else if (strcmp(cell, "&") == 0) fputs("&amp;", file);
    else fputs(cell, file);
}

/* A run of one ink is one element, in which each character has its place: whatever font the reader
 * has, cells are cells. */
void screen_svg(const Screen *screen, FILE *file) {
    enum { WIDTH = 9, HEIGHT = 18, MARGIN = 12 };
    int row, column;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-size=\"15\" "
            "font-family=\"ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace\">\n"
            "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"#0d1117\"/>\n",
            COLUMNS * WIDTH + 2 * MARGIN, ROWS * HEIGHT + 2 * MARGIN);
    for (row = 0; row < ROWS; row++) {
        for (column = 0; column < COLUMNS;) {
            int first = column, ink = screen->ink[row][first], at;
            while (column < COLUMNS && screen->ink[row][column] == ink &&
                   strcmp(screen->cell[row][column], " ") != 0) {
                column++;
            }
            if (column == first) {
                column++;
                continue;
            }
            fprintf(file, "<text y=\"%d\" fill=\"%s\" x=\"", MARGIN + row * HEIGHT + 14, FILL[ink]);
            for (at = first; at < column; at++) {
                fprintf(file, at > first ? " %d" : "%d", MARGIN + at * WIDTH);
            }
            fputs("\">", file);
            for (at = first; at < column; at++) svg_cell(screen->cell[row][at], file);
            fputs("</text>\n", file);
        }
    }
    fputs("</svg>\n", file);
}
