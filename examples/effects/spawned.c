/* spawned.c: an engine object (a particle effect) that a script spawns, under rollback.
 *
 * The handle that the script holds is a resource (rlua_pushresource), so an effect that was spawned
 * in a frame that is rolled back is released with its handle. That alone is right, but the frame
 * runs again, and its effect begins anew: it flickers. So the engine keys its objects by frame and
 * id, and keeps one without a handle until its frame is confirmed: the frame that runs again finds
 * the object of the first run and goes on with it.
 */
#include "match.h"

enum { IDS = 4, POOL = 4096 };
typedef struct Effect {
    int64_t frame;
    int id;
    int handles; /* how many the VM and its snapshots have */
    int alive;   /* a player sees it */
} Effect;

typedef struct Engine {
    int keyed;
    Effect pool[POOL];
    int made, living;
    int64_t confirmed;
} Engine;

static const char script[] =
    "effects, hits = {}, 0\n"
    "function frame(number, fire)\n"
    "  if fire then hits = hits + 1 effects[#effects + 1] = spawn(number, hits % 3) end\n"
    "  if #effects > 6 then table.remove(effects, 1) end\n"
    "  if number % 10 == 0 then collectgarbage() end\n"
    "end\n";

static void end_without_handle(Engine *engine, Effect *effect) {
    if (effect->handles > 0 || !effect->alive) return;
    effect->alive = 0;
    engine->living--;
}

static void release(lua_State *L, void *object, void *ud) {
    Engine *engine = ud;
    Effect *effect = object;
    (void)L;
    effect->handles--;
    if (!engine->keyed || effect->frame <= engine->confirmed) end_without_handle(engine, effect);
}

static Effect *find(Engine *engine, int64_t frame, int id) {
    int i;
    for (i = 0; i < engine->made; i++) {
        Effect *effect = &engine->pool[i];
        if (effect->alive && effect->frame == frame && effect->id == id) return effect;
    }
    return NULL;
}

static int spawn(lua_State *L) {
    Match *match = match_of(L);
    Engine *engine = match->host;
    rlua_ResourceType type;
    int64_t frame = luaL_checkinteger(L, 1);
    int id = (int)luaL_checkinteger(L, 2);
    Effect *effect = engine->keyed ? find(engine, frame, id) : NULL;
    if (!effect) {
        CHECK(engine->made < POOL);
        effect = &engine->pool[engine->made++];
        effect->frame = frame;
        effect->id = id;
        effect->alive = 1;
        engine->living++;
    }
    effect->handles++;
    memset(&type, 0, sizeof type);
    type.size = sizeof type;
    type.name = "Effect";
    type.release = release;
    type.ud = engine;
    must(L, rlua_pushresource(L, effect, &type));
    return 1;
}

static void confirm(Match *match, int64_t frame) {
    Engine *engine = match->host;
    int i;
    engine->confirmed = frame;
    for (i = 0; i < engine->made; i++)
        if (engine->pool[i].frame == frame) end_without_handle(engine, &engine->pool[i]);
}

/* Plays; gives how many objects the engine made. */
static int play_with(int keyed, int lateness, int64_t *last_living) {
    static const luaL_Reg functions[] = {{"spawn", spawn}, {NULL, NULL}};
    Engine *engine = calloc(1, sizeof *engine);
    Match *match;
    int made;
    CHECK(engine != NULL);
    engine->keyed = keyed;
    match = open_match(lateness, script, functions, engine);
    play(match, confirm);
    must(match->L, rlua_set_max_snapshots(match->L, 1));
    lua_gc(match->L, LUA_GCCOLLECT);
    must(match->L, rlua_snap_frame(match->L, FRAMES + 1));
    *last_living = engine->living;
    made = engine->made;
    close_match(match);
    CHECK(engine->living == 0); /* each handle was released once */
    free(engine);
    return made;
}

int main(void) {
    int64_t right_living, plain_living, keyed_living;
    int right = play_with(0, 0, &right_living);
    int plain = play_with(0, LATENESS, &plain_living);
    int keyed = play_with(1, LATENESS, &keyed_living);
    printf("right: %d effects; begun anew: %d; keyed: %d\n", right, plain - right, keyed);
    CHECK(plain_living == right_living);
    CHECK(keyed_living == right_living);
    CHECK(plain > right);
    CHECK(keyed < plain);
    printf("3 passed, 0 failed\n");
    return 0;
}
