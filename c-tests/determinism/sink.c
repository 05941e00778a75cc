/* sink.c: a hash and a text of values. See sink.h. */
#include "sink.h"

#include <stdarg.h>
#include <string.h>

enum { SHOWN_BYTES = 160 };

/* Two rounds of a 64-bit mixer: every bit of the word reaches every bit of the hash. */
void sink_word(Sink *sink, uint64_t word) {
    uint64_t x = sink->hash + word * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
    x = (x ^ (x >> 29)) * 0xBF58476D1CE4E5B9u;
    sink->hash = x ^ (x >> 32);
}

void sink_start(Sink *sink, FILE *text) {
    sink->hash = 0x0123456789ABCDEFu;
    sink->text = text;
    sink->path_length = 0;
    sink->path[0] = '\0';
}

void sink_bytes(Sink *sink, const char *bytes, size_t length) {
    uint64_t word;
    sink_word(sink, length);
    for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        sink_word(sink, word);
    }
    if (length > 0) {
        word = 0;
        memcpy(&word, bytes, length);
        sink_word(sink, word);
    }
}

void sink_float(Sink *sink, double value) {
    uint64_t bits = 0x7FF8000000000000u;
    if (value == value) memcpy(&bits, &value, sizeof bits);
    sink_word(sink, bits);
}

size_t sink_enter(Sink *sink, const char *format, ...) {
    size_t before = sink->path_length, room = sizeof sink->path - before;
    va_list args;
    int length;
    if (!sink->text) return before;
    va_start(args, format);
    length = vsnprintf(sink->path + before, room, format, args);
    va_end(args);
    if (length > 0) sink->path_length += (size_t)length < room ? (size_t)length : room - 1;
    return before;
}

void sink_leave(Sink *sink, size_t length) {
    sink->path_length = length;
    sink->path[length] = '\0';
}

void sink_line(Sink *sink, const char *format, ...) {
    va_list args;
    if (!sink->text) return;
    fprintf(sink->text, "%s\t", sink->path);
    va_start(args, format);
    vfprintf(sink->text, format, args);
    va_end(args);
    fputc('\n', sink->text);
}

/* As a Lua literal; of a long string the beginning. */
static void quote(char *target, const char *bytes, size_t length) {
    size_t i, shown = length < SHOWN_BYTES ? length : SHOWN_BYTES;
    *target++ = '"';
    for (i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\') target += sprintf(target, "\\%03d", c);
        else *target++ = (char)c;
    }
    strcpy(target, "\"");
}

static void plain_string(Sink *sink, lua_State *L, int index) {
    size_t length;
    const char *bytes = lua_tolstring(L, index, &length);
    uint32_t offset = offset_of(lua_topointer(L, index));
    sink_bytes(sink, bytes, length);
    sink_word(sink, offset);
    if (sink->text) {
        char literal[4 * SHOWN_BYTES + 8];
        Sink alone;
        quote(literal, bytes, length);
        sink_start(&alone, NULL);
        sink_bytes(&alone, bytes, length);
        sink_line(sink, "%s #%zu %08llx @%x", literal, length,
                  (unsigned long long)(alone.hash & 0xFFFFFFFFu), offset);
    }
}

/* The host's locale must not reach the text. */
static const char *float_text(char *text, size_t room, double value) {
    char *comma;
    snprintf(text, room, "%.17g", value);
    comma = strchr(text, ',');
    if (comma) *comma = '.';
    return value == value ? text : "nan";
}

static void plain_number(Sink *sink, lua_State *L, int index) {
    if (lua_isinteger(L, index)) {
        lua_Integer value = lua_tointeger(L, index);
        sink_word(sink, 'i');
        sink_word(sink, (uint64_t)value);
        sink_line(sink, "%lld", (long long)value);
    } else {
        double value = lua_tonumber(L, index);
        char text[40];
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        sink_word(sink, 'f');
        sink_float(sink, value);
        if (value != value) sink_line(sink, "nan");
        else sink_line(sink, "float %016llx (%s)", (unsigned long long)bits,
                       float_text(text, sizeof text, value));
    }
}

int sink_plain(Sink *sink, lua_State *L, int index) {
    int type = lua_type(L, index);
    switch (type) {
        case LUA_TNIL:
        case LUA_TBOOLEAN:
            sink_word(sink, (uint64_t)type * 2 + (uint64_t)lua_toboolean(L, index));
            sink_line(sink, type == LUA_TNIL ? "nil" : lua_toboolean(L, index) ? "true" : "false");
            return 1;
        case LUA_TNUMBER:
            sink_word(sink, LUA_TNUMBER * 2);
            plain_number(sink, L, index);
            return 1;
        case LUA_TSTRING:
            sink_word(sink, LUA_TSTRING * 2);
            plain_string(sink, L, index);
            return 1;
        default: return 0;
    }
}

static int is_name(const char *text, size_t length) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return length > 0 && length < 60 && text[0] > '9' && strspn(text, letters) == length;
}

size_t sink_enter_key(Sink *sink, lua_State *L, int index) {
    char number[40];
    if (!sink->text) return sink->path_length;
    if (lua_type(L, index) == LUA_TSTRING) {
        size_t length;
        const char *bytes = lua_tolstring(L, index, &length);
        char literal[4 * SHOWN_BYTES + 8];
        if (is_name(bytes, length)) return sink_enter(sink, ".%s", bytes);
        quote(literal, bytes, length);
        return sink_enter(sink, "[%s]", literal);
    }
    if (lua_isinteger(L, index))
        return sink_enter(sink, "[%lld]", (long long)lua_tointeger(L, index));
    if (lua_type(L, index) == LUA_TNUMBER)
        return sink_enter(sink, "[%s]",
                          float_text(number, sizeof number, lua_tonumber(L, index)));
    return sink_enter(sink, "[%s]", lua_typename(L, lua_type(L, index)));
}
