/* terminal.h: the terminal while the playground has it: raw keys, no echo, a screen of its own. It
 * is given back on every way out: return, exit, a signal that ends the process, a stop (Ctrl-Z). */
#ifndef RLUA_PLAYGROUND_TERMINAL_H
#define RLUA_PLAYGROUND_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* A character, or one of these. */
enum { KEY_NONE = 0, KEY_UP = 256, KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_HOME, KEY_END, KEY_ENTER };

/* False where input or output is no terminal. */
bool terminal_open(void);
void terminal_close(void);

/* The next key that was pressed, or KEY_NONE. Does not wait. */
int terminal_key(void);

/* Of the window, as far as the terminal says. */
void terminal_size(int *columns, int *rows);

void terminal_write(const char *text, size_t length);

#endif
