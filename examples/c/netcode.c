/* netcode.c: two players hit a ball; the far player's inputs arrive DELAY frames late.
 *
 * The game does not wait for them. It predicts that the far player goes on as before, and
 * snaps before each frame. When an input arrives that is not what was predicted, the VM is
 * rolled back to that frame and the frames since are run again. In the end the game must be
 * where a game with no delay would be. The whole game is the Lua below; nothing in it knows of
 * all this: a coroutine flies the ball, and math.random picks its speed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rlua.h"

#include "lauxlib.h"
#include "lualib.h"

static const char GAME[] =
    "math.randomseed(7)\n"
    "local WIDTH = 36\n"
    "local near, far, ball, speed, hits = 4, 33, 16, 3, 0\n"
    "local fly = coroutine.wrap(function()\n"
    "  while true do\n"
    "    repeat ball = math.min(ball + speed, far - 1) coroutine.yield() until ball >= far - 1\n"
    "    hits, speed = hits + 1, math.random(2, 5)\n"
    "    repeat ball = math.max(ball - speed, near + 1) coroutine.yield() until ball <= near + 1\n"
    "    hits, speed = hits + 1, math.random(2, 5)\n"
    "  end\n"
    "end)\n"
    "local move = {['<'] = -2, ['.'] = 0, ['>'] = 2}\n"
    "function step(near_input, far_input)\n"
    "  near = math.min(math.max(near + move[near_input], 1), 14)\n"
    "  far = math.min(math.max(far + move[far_input], 20), WIDTH)\n"
    "  fly()\n"
    "end\n"
    "function draw()\n"
    "  local line = {}\n"
    "  for x = 1, WIDTH do line[x] = x == ball and 'o' or ' ' end\n"
    "  line[near], line[far] = ']', '['\n"
    "  return string.format('|%s| hits %d', table.concat(line), hits)\n"
    "end\n";

enum { FRAMES = 14, DELAY = 3 };

static const char NEAR_INPUTS[] = " >>..<<..>>....";
static const char FAR_INPUTS[] = " ...<<<<...>>>>"; /* index 0 is no frame */

static void check(lua_State *L, int status) {
    if (status == RLUA_OK) return;
    fprintf(stderr, "error %d: %s\n", status, rlua_last_error(L));
    exit(1);
}

static lua_State *open_game(void) {
    lua_State *L = rlua_new_rollback(1024 * 1024, DELAY + 1);
    if (!L) {
        fprintf(stderr, "%s\n", rlua_last_error(NULL));
        exit(1);
    }
    luaL_openlibs(L);
    check(L, rlua_dostring(L, GAME));
    return L;
}

static void step(lua_State *L, int frame, char far_input) {
    lua_getglobal(L, "step");
    lua_pushlstring(L, &NEAR_INPUTS[frame], 1);
    lua_pushlstring(L, &far_input, 1);
    check(L, rlua_call(L, 2, 0, 0));
}

static const char *draw(lua_State *L, char *picture, size_t size) {
    lua_getglobal(L, "draw");
    check(L, rlua_call(L, 0, 1, 0));
    snprintf(picture, size, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return picture;
}

static void show(lua_State *L, int frame, char far_input, const char *remark) {
    char picture[80];
    printf("%5d    %c    %c  %s  %s\n", frame, NEAR_INPUTS[frame], far_input,
           draw(L, picture, sizeof picture), remark);
}

/* The far player's input of `frame` has arrived, before frame `now` is run. If the game guessed
 * another one, it goes back to the snapshot before that frame, and forward again. */
static void receive(lua_State *L, char *used, int frame, int now) {
    char input = FAR_INPUTS[frame];
    int again;
    if (used[frame] == input) {
        check(L, rlua_discard_before(L, frame + 1)); /* confirmed */
        return;
    }
    printf("       input of frame %d arrives: '%c', the guess was '%c'; roll back, run again\n",
           frame, input, used[frame]);
    check(L, rlua_rollback_to(L, frame));
    for (again = frame; again < now; again++) {
        if (again > frame) check(L, rlua_snap_frame(L, again));
        used[again] = input;
        step(L, again, input);
        show(L, again, input, again == frame ? "corrected" : "predicted anew");
    }
    check(L, rlua_discard_before(L, frame + 1));
}

int main(void) {
    char used[FRAMES + 1] = {'.'}, late[80], undelayed[80];
    lua_State *L = open_game(), *reference = open_game();
    int now, frame, same;
    printf("frame  near far  the game; what is known of the far player\n");
    for (now = 1; now <= FRAMES + DELAY; now++) {
        if (now > DELAY) receive(L, used, now - DELAY, now <= FRAMES ? now : FRAMES + 1);
        if (now > FRAMES) continue; /* only the last inputs are still on their way */
        used[now] = used[now - 1]; /* the guess: as before */
        check(L, rlua_snap_frame(L, now));
        step(L, now, used[now]);
        show(L, now, used[now], "predicted");
    }
    for (frame = 1; frame <= FRAMES; frame++) step(reference, frame, FAR_INPUTS[frame]);
    draw(L, late, sizeof late);
    draw(reference, undelayed, sizeof undelayed);
    same = strcmp(late, undelayed) == 0;
    printf("\nwith delay     %s\nwithout delay  %s\n%s\n", late, undelayed,
           same ? "the same game" : "NOT THE SAME");
    lua_close(reference);
    lua_close(L);
    return same ? 0 : 1;
}
