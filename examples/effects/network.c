/* network.c: messages to the world outside (a score server, a chat) of a game that rolls back.
 *
 * What was sent cannot be taken back, so it is sent when its frame is confirmed, and once. The
 * script puts messages into a table of its state, where wrong guesses vanish by themselves. The
 * host reads those of confirmed frames. How far it has sent is the one thing that must not go
 * back: it lies in the host.
 */
#include "match.h"

typedef struct Server {
    char received[FRAMES * 2][32];
    int count;
    int64_t sent; /* messages up to this frame are out */
} Server;

static const char script[] =
    "outbox, score = {}, 0\n"
    "local function send(number, text)\n"
    "  outbox[number] = outbox[number] or {}\n"
    "  table.insert(outbox[number], text)\n"
    "end\n"
    "function frame(number, fire)\n"
    "  if fire then score = score + number % 7 end\n"
    "  if fire and score % 3 == 0 then send(number, ('score %d'):format(score)) end\n"
    "  if number % 50 == 0 then send(number, ('round %d'):format(number // 50)) end\n"
    "  if direct and fire and score % 3 == 0 then direct(('score %d'):format(score)) end\n"
    "  if direct and number % 50 == 0 then direct(('round %d'):format(number // 50)) end\n"
    "  outbox[number - 20] = nil -- long since out\n"
    "end\n";

static void transmit(Server *server, const char *text) {
    CHECK(server->count < FRAMES * 2);
    snprintf(server->received[server->count++], sizeof server->received[0], "%s", text);
}

static int direct(lua_State *L) {
    transmit(match_of(L)->host, luaL_checkstring(L, 1));
    return 0;
}

static void send_confirmed(Match *match, int64_t frame) {
    lua_State *L = match->L;
    Server *server = match->host;
    lua_Integer i, count;
    if (frame <= server->sent) return;
    lua_getglobal(L, "outbox");
    if (lua_rawgeti(L, -1, frame) == LUA_TTABLE) {
        count = luaL_len(L, -1);
        for (i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, i);
            transmit(server, lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    }
    lua_settop(L, 0);
    server->sent = frame;
}

static Server *play_with(int sends_directly, int lateness) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {{"direct", direct}, {NULL, NULL}};
    Server *server = calloc(1, sizeof *server);
    Match *match = open_match(lateness, script, sends_directly ? functions : none, server);
    play(match, sends_directly ? NULL : send_confirmed);
    close_match(match);
    return server;
}

int main(void) {
    Server *right = play_with(1, 0), *plain = play_with(1, LATENESS);
    Server *deferred = play_with(0, LATENESS);
    int i;
    printf("right: %d messages; sent at once: %d; sent when confirmed: %d\n", right->count,
           plain->count, deferred->count);
    CHECK(plain->count > right->count);
    CHECK(deferred->count == right->count);
    for (i = 0; i < right->count; i++)
        CHECK(strcmp(deferred->received[i], right->received[i]) == 0);
    free(right), free(plain), free(deferred);
    printf("2 passed, 0 failed\n");
    return 0;
}
