/* files.c: a file that a script writes in a game that rolls back.
 *
 * plain   f:write in the script. The handle rolls back, position and content do not: lines of
 *         frames that run again are there twice, and those of wrong guesses too.
 * seek    the script keeps the position as a number in its state, and seeks before it writes. A
 *         frame that runs again overwrites; the end is cut off by the host at the confirmation, or
 *         by the last flush. Good for a file of fixed records.
 * host    the script hands the line to the host, which writes when the frame is confirmed. Good
 *         for journals that are read while the game runs.
 */
#define _POSIX_C_SOURCE 200809L
#include "match.h"

#include <unistd.h>

typedef struct Journal {
    char lines[FRAMES + 1][40]; /* of the newest simulation of each frame */
    FILE *file;
    char text[FRAMES * 40];
} Journal;

static const char script[] =
    "hp, position = 100, 0\n"
    "function frame(number, fire)\n"
    "  if fire then hp = (hp * 7 + number) % 1000 end\n"
    "  local line = fire and ('%06d hp %03d\\n'):format(number, hp) or ''\n"
    "  if way == 'plain' then file:write(line)\n"
    "  elseif way == 'seek' then\n"
    "    file:seek('set', position) file:write(line) position = position + #line\n"
    "  else journal(line) end\n"
    "end\n";

static int journal(lua_State *L) {
    Match *match = match_of(L);
    Journal *of = match->host;
    snprintf(of->lines[match->frame], sizeof of->lines[0], "%s", luaL_checkstring(L, 1));
    return 0;
}

static void write_confirmed(Match *match, int64_t frame) {
    Journal *of = match->host;
    if (of->file) fputs(of->lines[frame], of->file);
}

static Journal *play_with(const char *way, int lateness, long *bytes) {
    static const luaL_Reg functions[] = {{"journal", journal}, {NULL, NULL}};
    Journal *of = calloc(1, sizeof *of);
    char path[] = "/tmp/rlua-files-XXXXXX", chunk[128];
    int descriptor = mkstemp(path);
    Match *match = open_match(lateness, script, functions, of);
    FILE *file;
    CHECK(descriptor >= 0);
    snprintf(chunk, sizeof chunk, "way = '%s' if way ~= 'host' then file = io.open('%s', 'w') end",
             way, path);
    CHECK(luaL_dostring(match->L, chunk) == LUA_OK);
    if (strcmp(way, "host") == 0) of->file = fdopen(descriptor, "w");
    play(match, write_confirmed);
    if (strcmp(way, "seek") == 0) { /* what lies behind the last position is of wrong guesses */
        lua_getglobal(match->L, "position");
        CHECK(luaL_dostring(match->L, "file:flush()") == LUA_OK);
        CHECK(ftruncate(descriptor, (off_t)lua_tointeger(match->L, 1)) == 0);
        lua_settop(match->L, 0);
    }
    close_match(match); /* flushes and closes what the script left open */
    if (of->file) fclose(of->file);
    else close(descriptor);
    file = fopen(path, "r");
    CHECK(file != NULL);
    *bytes = (long)fread(of->text, 1, sizeof of->text - 1, file);
    fclose(file);
    unlink(path);
    return of;
}

int main(void) {
    long right_bytes, plain_bytes, seek_bytes, host_bytes;
    Journal *right = play_with("plain", 0, &right_bytes);
    Journal *plain = play_with("plain", LATENESS, &plain_bytes);
    Journal *seek = play_with("seek", LATENESS, &seek_bytes);
    Journal *host = play_with("host", LATENESS, &host_bytes);
    printf("right: %ld bytes; plain: %ld; with seek: %ld; by the host: %ld\n", right_bytes,
           plain_bytes, seek_bytes, host_bytes);
    CHECK(plain_bytes > right_bytes);
    CHECK(strcmp(seek->text, right->text) == 0);
    CHECK(strcmp(host->text, right->text) == 0);
    free(right), free(plain), free(seek), free(host);
    printf("3 passed, 0 failed\n");
    return 0;
}
