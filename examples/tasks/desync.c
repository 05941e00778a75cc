/* desync.c: finds what does not roll back, as docs/DESYNC.md tells.
 * Method: a game that reads a counter of the host's is caught by the sync test, in the frame and
 * with the value; without the counter it passes. Then a difference between two peers is found in
 * their images. */
#include "task.h"

static const char SCRIPT[] =
    "enemies = {{hp = 10}, {hp = 20}, {hp = 30}}\n"
    "function update(frame)\n"
    "    if frame == 41 then enemies[3].hp = enemies[3].hp - damage() end\n"
    "end\n";

typedef struct Game {
    int hits; /* outside of the VM: no rollback takes it back */
} Game;

static int damage(lua_State *L, void *ud) {
    Game *game = ud;
    check(L, rlua_pushinteger(L, ++game->hits));
    return 1;
}

static int fixed_damage(lua_State *L, void *ud) {
    (void)ud;
    check(L, rlua_pushinteger(L, 1));
    return 1;
}

static int run_frame(lua_State *L, void *game, unsigned int frame, int again) {
    (void)game, (void)again;                  /* `again` is for you: no sounds then */
    int status = rlua_getglobal(L, "update");
    if (status == RLUA_OK) status = rlua_pushinteger(L, frame);
    return status == RLUA_OK ? rlua_call(L, 1, 0, RLUA_TRACEBACK) : status;
}

static lua_State *open_game(Game *game, rlua_HostFunction damage_function) {
    lua_State *L = rlua_new_rollback(1 << 20, 20);
    check(NULL, L ? RLUA_OK : RLUA_NO_MEMORY);
    check(L, rlua_openlibs(L, RLUA_LIB_DETERMINISTIC));
    check(L, rlua_pushfunction(L, damage_function, game, "damage"));
    check(L, rlua_setglobal(L, "damage"));
    check(L, rlua_dostring(L, SCRIPT));
    return L;
}

static int print_difference(void *ud, const rlua_Difference *difference) {
    int *found = ud;
    *found += strcmp(difference->path, "_G.enemies[2].hp") == 0;
    printf("%s: %s -> %s\n", difference->path, difference->a, difference->b);
    return 0;                                 /* go on */
}

static void save(lua_State *L, Stream *image) { check(L, rlua_save(L, write_stream, image)); }

int main(void) {
    Game game = {0};
    lua_State *L = open_game(&game, damage);
    rlua_SyncReport report = {.size = sizeof report};
    int status = rlua_synctest(L, run_frame, &game, 8, 600, &report);
    if (status == RLUA_DESYNC) printf("%s\n", rlua_last_error(L));
    expect("the counter is found", status == RLUA_DESYNC && report.frame == 41 &&
           strcmp(report.path, "_G.enemies[3].hp") == 0);
    lua_close(L);

    L = open_game(&game, fixed_damage);
    expect("without it the game passes",
           rlua_synctest(L, run_frame, &game, 8, 600, NULL) == RLUA_OK);

    Stream mine = {0}, theirs = {0};
    save(L, &mine);
    check(L, rlua_dostring(L, "enemies[2].hp = 19"));
    save(L, &theirs);
    const rlua_Name names[] = {{"damage", NULL, fixed_damage, &game}, {NULL, NULL, NULL, NULL}};
    int found = 0;
    rlua_Config config = {.size = sizeof config, .names = names};
    check(NULL, rlua_diff(&config, mine.bytes, mine.length, theirs.bytes, theirs.length, 0,
                          print_difference, &found));
    expect("two images tell where they differ", found == 1);
    free(mine.bytes);
    free(theirs.bytes);
    lua_close(L);
    return end();
}
