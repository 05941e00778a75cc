/* sounds.c: three ways to play the sounds of a game that rolls back, and the plain way.
 *
 * plain     the host function plays: frames that run again play again, wrong guesses are heard.
 * deferred  the host function notes; the host plays when the frame is confirmed. Exact, late.
 * keyed     plays at once, each (frame, id) once; at the confirmation, what was played and did not
 *           happen is faded out. In time, and each right sound is heard.
 * first     plays only in frames that run for the first time. Simple: nothing twice, but what only
 *           the corrected run knows is not heard. For footsteps and sparks.
 */
#include "match.h"

enum { IDS = 4 };
typedef struct Sounds {
    enum { PLAIN, DEFERRED, KEYED, FIRST } way;
    int played, faded;
    unsigned char noted[FRAMES + 1][IDS];  /* asked for by the newest simulation of the frame */
    unsigned char heard[FRAMES + 1][IDS];  /* begun, and not faded */
} Sounds;

static const char script[] =
    "shots, cooldown = 0, 0\n"
    "function frame(number, fire)\n"
    "  cooldown = math.max(cooldown - 1, 0)\n"
    "  if fire and cooldown == 0 then shots, cooldown = shots + 1, 3 sound(1) end\n"
    "  if shots % 5 == 4 and fire then sound(2) end\n"
    "  if number % 20 == 0 then sound(3) end\n"
    "end\n";

static void begin(Sounds *sounds, int64_t frame, int id) {
    sounds->played++;
    sounds->heard[frame][id] = 1;
}

static int sound(lua_State *L) {
    Match *match = match_of(L);
    Sounds *sounds = match->host;
    int id = (int)luaL_checkinteger(L, 1);
    luaL_argcheck(L, id > 0 && id < IDS, 1, "no such sound");
    sounds->noted[match->frame][id] = 1;
    if (sounds->way == PLAIN) begin(sounds, match->frame, id);
    if (sounds->way == FIRST && !match->again) begin(sounds, match->frame, id);
    if (sounds->way == KEYED && !sounds->heard[match->frame][id]) begin(sounds, match->frame, id);
    return 0;
}

/* What an earlier simulation of this frame asked for does not count: called by each frame. */
static int forget(lua_State *L) {
    Match *match = match_of(L);
    Sounds *sounds = match->host;
    memset(sounds->noted[match->frame], 0, IDS);
    return 0;
}

static void confirm(Match *match, int64_t frame) {
    Sounds *sounds = match->host;
    int id;
    for (id = 0; id < IDS; id++) {
        if (sounds->way == DEFERRED && sounds->noted[frame][id]) begin(sounds, frame, id);
        if (sounds->way == KEYED && sounds->heard[frame][id] && !sounds->noted[frame][id]) {
            sounds->faded++;
            sounds->heard[frame][id] = 0;
        }
    }
}

static Sounds *play_with(int way, int lateness) {
    static const luaL_Reg functions[] = {{"sound", sound}, {"forget", forget}, {NULL, NULL}};
    static char text[sizeof script + 128];
    Sounds *sounds = calloc(1, sizeof *sounds);
    Match *match;
    snprintf(text, sizeof text, "%s local f = frame function frame(...) forget() f(...) end",
             script);
    sounds->way = way;
    match = open_match(lateness, text, functions, sounds);
    play(match, confirm);
    CHECK(lateness == 0 || match->rollbacks > 10);
    close_match(match);
    return sounds;
}

int main(void) {
    Sounds *right = play_with(PLAIN, 0), *plain = play_with(PLAIN, LATENESS);
    Sounds *deferred = play_with(DEFERRED, LATENESS), *keyed = play_with(KEYED, LATENESS);
    Sounds *first = play_with(FIRST, LATENESS);
    printf("right: %d sounds\n", right->played);
    printf("plain: %d\n", plain->played);
    printf("deferred: %d\n", deferred->played);
    printf("keyed: %d, of which %d were faded out\n", keyed->played, keyed->faded);
    printf("first: %d\n", first->played);
    CHECK(plain->played > right->played);
    CHECK(deferred->played == right->played);
    CHECK(memcmp(deferred->heard, right->heard, sizeof right->heard) == 0);
    CHECK(keyed->played - keyed->faded == right->played);
    CHECK(memcmp(keyed->heard, right->heard, sizeof right->heard) == 0);
    CHECK(first->played <= plain->played);
    free(right), free(plain), free(deferred), free(keyed), free(first);
    printf("4 passed, 0 failed\n");
    return 0;
}
