/* sink.h: where the walk (walk.c) and `emit` (host.c) put what they see: a hash, and a text.
 *
 * The hash is the same on every machine whose bytes are in the same order. The text is written only
 * where somebody reads it (`digest --dump`): a line a value, its path first, then a tab, then the
 * value, so that the first line that differs between two texts names the place.
 *
 * Not here: what is seen. */
#ifndef RLUA_DETERMINISM_SINK_H
#define RLUA_DETERMINISM_SINK_H

#include <stdint.h>
#include <stdio.h>

#include "lua.h"

#ifdef __MINGW_PRINTF_FORMAT /* C99's, as ../windows/posix.h asks for it */
#define SINK_PRINTF __MINGW_PRINTF_FORMAT
#else
#define SINK_PRINTF printf
#endif

enum { SINK_PATH_BYTES = 2000 };

typedef struct Sink {
    uint64_t hash;
    FILE *text; /* NULL: the hash alone */
    size_t path_length;
    char path[SINK_PATH_BYTES]; /* of the value that comes next; kept only with a text */
} Sink;

void sink_start(Sink *sink, FILE *text);

/* One number into the hash. */
void sink_word(Sink *sink, uint64_t word);

/* Bytes and their number into the hash. */
void sink_bytes(Sink *sink, const char *bytes, size_t length);

/* A float by its bits; every NaN is the same value. */
void sink_float(Sink *sink, double value);

/* Adds to the path, and returns what sink_leave wants back. */
#ifdef __GNUC__
__attribute__((format(SINK_PRINTF, 2, 3)))
#endif
size_t sink_enter(Sink *sink, const char *format, ...);
void sink_leave(Sink *sink, size_t length);

/* A line of the text: the path, a tab, and what the format says. Into the hash goes nothing. */
#ifdef __GNUC__
__attribute__((format(SINK_PRINTF, 2, 3)))
#endif
void sink_line(Sink *sink, const char *format, ...);

/* The values that have no parts: nil, booleans, numbers, strings. Hash and line; returns 0 for
 * values of other types, and has done nothing. Strings are told with their offset in the VM. */
int sink_plain(Sink *sink, lua_State *L, int index);

/* Adds a table's key to the path: `.name`, `[7]`, `["with space"]`, or `[table]`. */
size_t sink_enter_key(Sink *sink, lua_State *L, int index);

/* Where an object lies in its VM: the low half of its address, since a VM's region begins at a
 * boundary of 4 GiB. What it decides (names, the order of tables) has to agree as well. */
static inline uint32_t offset_of(const void *object) {
    return (uint32_t)(uintptr_t)object;
}

#endif
