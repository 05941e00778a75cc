/* task.h: what the programs of the task pages share: an end with a sentence, a buffer for images,
 * a count of what held. */
#ifndef TASK_H
#define TASK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rlua.h"

static int passed, failed;

static inline void check(lua_State *L, int status) {
    if (status == RLUA_OK) return;
    fprintf(stderr, "%s: %s\n", rlua_strerror(status), rlua_last_error(L));
    exit(1);
}

static inline void expect(const char *what, int holds) {
    printf("%s %s\n", holds ? "ok  " : "FAIL", what);
    if (holds) passed++;
    else failed++;
}

static inline int same_state(lua_State *a, lua_State *b) {
    rlua_Checksum of_a, of_b;
    check(a, rlua_checksum(a, &of_a));
    check(b, rlua_checksum(b, &of_b));
    return memcmp(&of_a, &of_b, sizeof of_a) == 0;
}

/* Stands for a connection: what one side writes, the other reads. */
typedef struct Stream {
    unsigned char *bytes;
    size_t length, read, room;
} Stream;

static inline int write_stream(void *ud, const void *bytes, size_t length) {
    Stream *stream = ud;
    if (stream->length + length > stream->room) {
        stream->room = (stream->length + length) * 2;
        stream->bytes = realloc(stream->bytes, stream->room);
        if (stream->bytes == NULL) return 1;
    }
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
    return 0;
}

static inline size_t read_stream(void *ud, void *bytes, size_t length) {
    Stream *stream = ud;
    size_t left = stream->length - stream->read;
    if (length > left) length = left;
    memcpy(bytes, stream->bytes + stream->read, length);
    stream->read += length;
    return length;
}

static inline int end(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#endif
