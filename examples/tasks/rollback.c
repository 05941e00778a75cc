/* rollback.c: a game whose far player's inputs arrive late, as docs/ADD-ROLLBACK.md builds it.
 * Method: the match is played with a delay and without; both VMs must end in the same state, and
 * the late one must have gone back on the way. */
#include "task.h"

static const char SCRIPT[] =
    "players = {{x = 10}, {x = 90}}\n"
    "sparks = {}\n"
    "function step(near, far)\n"
    "    players[1].x = players[1].x + near\n"
    "    players[2].x = players[2].x + far\n"
    "    sparks[#sparks + 1] = {x = math.random(100), age = 0}\n"
    "    for _, spark in ipairs(sparks) do spark.age = spark.age + 1 end\n"
    "    if #sparks > 50 then table.remove(sparks, 1) end\n"
    "end\n";

enum { WINDOW = 8, DELAY = 5, FRAMES = 300 };

static int near[FRAMES], far[FRAMES]; /* far: the truth, or a guess */
static int rollbacks;

static lua_State *open_game(void) {
    rlua_Config config = {.size = sizeof config};
    config.memory_size = 16 << 20;       /* a limit, not memory that is taken */
    config.max_snapshots = WINDOW + 1;   /* as far as you may have to go back, and the present */
    config.seed = 2026;                  /* the same on all machines */
    lua_State *L;
    check(NULL, rlua_open(&config, &L));
    check(L, rlua_openlibs(L, RLUA_LIB_DETERMINISTIC));
    check(L, rlua_dostring(L, SCRIPT));
    return L;
}

static void run_frame(lua_State *L, int64_t frame) {
    check(L, rlua_set_time(L, frame / 60, 0));   /* a clock that runs again, too */
    check(L, rlua_getglobal(L, "step"));
    check(L, rlua_pushinteger(L, near[frame]));
    check(L, rlua_pushinteger(L, far[frame]));
    check(L, rlua_call(L, 2, 0, RLUA_TRACEBACK));
}

static void advance(lua_State *L, int64_t frame) {
    check(L, rlua_snap_frame(L, frame));         /* the state before this frame */
    run_frame(L, frame);
}

/* The far player's input of `frame` is here. `now` is the frame that is run next. */
static void receive(lua_State *L, int64_t frame, int64_t now, int input) {
    if (far[frame] != input) {
        check(L, rlua_rollback_to(L, frame));
        for (int64_t again = frame; again < now; again++) {
            far[again] = input;                  /* the new guess for all that is to come */
            advance(L, again);
        }
        rollbacks++;
    }
    check(L, rlua_discard_before(L, frame + 1)); /* confirmed: nobody goes back behind it */
}

static int far_player(int64_t frame) { return (int)(frame / 7 % 3) - 1; }

int main(void) {
    lua_State *L = open_game(), *undelayed = open_game();
    for (int64_t frame = 0; frame < FRAMES; frame++) near[frame] = (int)(frame / 11 % 3) - 1;

    for (int64_t frame = 0; frame < FRAMES; frame++) {
        if (frame >= DELAY) receive(L, frame - DELAY, frame, far_player(frame - DELAY));
        far[frame] = frame == 0 ? 0 : far[frame - 1]; /* the guess: as before */
        advance(L, frame);
    }
    for (int64_t frame = FRAMES - DELAY; frame < FRAMES; frame++)
        receive(L, frame, FRAMES, far_player(frame));
    int went_back = rollbacks;

    for (int64_t frame = 0; frame < FRAMES; frame++) {
        far[frame] = far_player(frame);
        advance(undelayed, frame);
    }
    expect("wrong guesses were rolled back", went_back > 30);
    expect("the late match is the undelayed one", same_state(L, undelayed));
    lua_close(undelayed);
    lua_close(L);
    return end();
}
