/* synctest.c: frames that depend on something that does not roll back are found, with the frame and
 * the first value that differs; others pass.
 * Method: scripts with one such thing planted each, at a known frame, run under rlua_synctest; the
 * report must name the frame and the way. */
#include "harness.h"

#include <math.h>

static int outside; /* what no rollback reaches */

static int next_outside(lua_State *L) {
    lua_pushinteger(L, ++outside);
    return 1;
}

typedef struct Game {
    unsigned planted; /* the frame that does something wrong */
    const char *wrong;
    unsigned calls, fail_at;
    unsigned last_frame;
    int runs_again;
} Game;

static const char game[] =
    "n, units, log = 0, {}, {}\n"
    "for i = 1, 20 do units[i] = {hp = 100, x = i} end\n"
    "bullets = coroutine.wrap(function() while true do coroutine.yield(math.random(100)) end end)\n"
    "function frame(input)\n"
    "  n = n + 1\n"
    "  for i, u in ipairs(units) do u.x = u.x + input % i u.hp = u.hp - bullets() % 3 end\n"
    "  units[n % 20 + 1] = {hp = 100, x = n}\n"
    "  log[#log + 1] = ('frame %d'):format(n)\n"
    "  if #log > 10 then table.remove(log, 1) end\n"
    "end\n";

static int play(lua_State *L, void *ud, unsigned frame, int again) {
    Game *state = ud;
    int status;
    char chunk[128];
    state->calls++;
    state->runs_again += again;
    state->last_frame = frame;
    snprintf(chunk, sizeof chunk, "frame(%u)", frame * 7 % 16);
    status = rlua_dostring(L, chunk);
    if (status == RLUA_OK && state->wrong && frame == state->planted)
        status = rlua_dostring(L, state->wrong);
    if (state->fail_at && state->calls == state->fail_at) return rlua_dostring(L, "error 'enough'");
    return status;
}

static lua_State *game_of(size_t snapshots) {
    lua_State *L = open_vm(8 * MIB, snapshots);
    lua_register(L, "outside", next_outside);
    CHECK_OK(rlua_register(L, "game.outside", next_outside));
    run(L, game);
    outside = 0;
    return L;
}

static rlua_SyncReport empty_report(void) {
    rlua_SyncReport report;
    memset(&report, 0, sizeof report);
    report.size = sizeof report;
    return report;
}

TEST(clean_frames_pass) {
    unsigned distance;
    for (distance = 1; distance <= 8; distance += 7) {
        lua_State *L = game_of(distance + 1);
        rlua_SyncReport report = empty_report();
        Game state = {0, NULL, 0, 0, 0, 0};
        CHECK_OK(rlua_synctest(L, play, &state, distance, 40, &report));
        CHECK_EQ(report.frames, 40);
        CHECK_EQ(report.differs, 0);
        CHECK_EQ(global_int(L, "n"), 40);
        CHECK_EQ(report.reruns, distance == 1 ? 40 : 40 * 8 - 28);
        CHECK_EQ(state.calls, report.frames + report.reruns);
        CHECK_EQ(state.runs_again, report.reruns);
        CHECK_EQ(snapshot_count(L), distance + 1);
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
}

TEST(a_frame_that_depends_on_what_does_not_roll_back_is_named) {
    static const struct {
        const char *wrong, *path, *a, *b;
        int kind;
    } plants[] = {
        {"units[3].hp = outside()", "_G.units[3].hp", "1", "2", RLUA_DIFF_KIND_VALUE},
        {"units[3].hp = os.clock_of_host and 0 or outside() * 0.5", "_G.units[3].hp", "0.5", "1.0",
         RLUA_DIFF_KIND_VALUE},
        {"if outside() == 2 then units.late = true end", "_G.units.late", "nil", "true",
         RLUA_DIFF_KIND_MISSING},
        {"for i = 1, outside() do math.random() end", NULL, NULL, NULL, RLUA_DIFF_KIND_RANDOM},
        {"if outside() == 1 then bullets() end", NULL, NULL, NULL, RLUA_DIFF_KIND_RANDOM},
        {"if outside() == 1 then setmetatable(units, {}) end", "_G.units<metatable>", "table",
         "nil", RLUA_DIFF_KIND_METATABLE},
        {"local o = outside() for i = 1, o do local _ = {} end", NULL, NULL, NULL, 0},
    };
    size_t i;
    for (i = 0; i < COUNT_OF(plants); i++) {
        lua_State *L = game_of(9);
        rlua_SyncReport report = empty_report();
        Game state = {5, plants[i].wrong, 0, 0, 0, 0};
        CHECK_STATUS(rlua_synctest(L, play, &state, 4, 40, &report), RLUA_DESYNC);
        CHECK_EQ(report.differs, 1);
        CHECK_EQ(report.frame, 5);
        CHECK_EQ(report.rolled_back, 0);
        CHECK_EQ(report.frames, 6);
        CHECK_EQ(report.kind, plants[i].kind);
        CHECK(memcmp(&report.first, &report.second, sizeof report.first) != 0);
        CHECK(strstr(rlua_last_error(L), "frame 5, run again, came to another state: ") != NULL);
        if (plants[i].path) {
            CHECK_STR(report.path, plants[i].path);
            CHECK_STR(report.a, plants[i].a);
            CHECK_STR(report.b, plants[i].b);
            CHECK(strstr(rlua_last_error(L), plants[i].path) != NULL);
        }
        CHECK_EQ(global_int(L, "n"), 6); /* the state of the run that differs */
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
        lua_close(L);
    }
}

static int by_frame_only(lua_State *L, void *ud, unsigned frame, int again) {
    (void)ud;
    if (frame == 7 && again) return rlua_dostring(L, "n = n + 1");
    return rlua_dostring(L, "frame(1)");
}

TEST(a_frame_that_is_other_when_run_again_is_named) {
    lua_State *L = game_of(3);
    rlua_SyncReport report = empty_report();
    CHECK_STATUS(rlua_synctest(L, by_frame_only, NULL, 2, 20, &report), RLUA_DESYNC);
    CHECK_EQ(report.frame, 7);
    lua_close(L);
}

/* A participant that changes the VM when it is restored. */
static lua_State *restored;
static int capture(void *ud, int64_t frame, void **token) {
    (void)ud, (void)frame, (void)token;
    return 0;
}
static void restore(void *ud, void *token) {
    (void)ud, (void)token;
    lua_pushinteger(restored, 1);
    lua_setglobal(restored, "restored");
}

TEST(a_state_that_a_rollback_changes_is_named) {
    static const rlua_Participant participant = {sizeof participant, capture, restore, NULL};
    lua_State *L = game_of(3);
    rlua_SyncReport report = empty_report();
    Game state = {0, NULL, 0, 0, 0, 0};
    restored = L;
    CHECK_OK(rlua_add_participant(L, &participant, NULL));
    CHECK_STATUS(rlua_synctest(L, play, &state, 2, 20, &report), RLUA_DESYNC);
    CHECK_EQ(report.rolled_back, 1);
    CHECK_STR(report.path, "_G.restored");
    CHECK(strstr(rlua_last_error(L), "the state before frame 0 was not what it was") != NULL);
    lua_close(L);
}

static void no_release(lua_State *L, void *object, void *ud) { (void)L, (void)object, (void)ud; }

/* A state that cannot be cloned is tested by its checksums alone. */
TEST(a_state_that_cannot_be_cloned_is_tested_too) {
    static const rlua_ResourceType type = {sizeof type, "t", no_release, NULL, NULL};
    lua_State *L = game_of(5);
    rlua_SyncReport report = empty_report();
    Game clean = {0, NULL, 0, 0, 0, 0}, wrong = {5, "units[3].hp = outside()", 0, 0, 0, 0};
    CHECK_OK(rlua_pushresource(L, &outside, &type));
    lua_setglobal(L, "texture");
    CHECK_OK(rlua_synctest(L, play, &clean, 4, 10, &report));
    CHECK_EQ(report.frames, 10);
    CHECK_STATUS(rlua_synctest(L, play, &wrong, 4, 10, &report), RLUA_DESYNC);
    CHECK_EQ(report.frame, 5);
    CHECK_STR(report.path, "");
    CHECK(strstr(rlua_last_error(L), "cannot be cloned") != NULL);
    lua_close(L);
}

static int never_saves(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    (void)object, (void)size, (void)writer, (void)to, (void)ud;
    FAIL("a sync test saves an object");
}

static int never_loads(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    (void)bytes, (void)length, (void)object, (void)size, (void)ud;
    FAIL("a sync test makes an object");
}

static void count_release(lua_State *L, void *object, void *count) {
    (void)L, (void)object;
    ++*(int *)count;
}

static int count_gc(lua_State *L) {
    outside += *(int *)lua_touserdata(L, 1);
    return 0;
}

/* What lies outside is not made a second time for that. */
TEST(what_lies_outside_stays_alone) {
    static int released;
    static const rlua_ResourceType type = {sizeof type, "t", count_release, &released, NULL};
    const rlua_ObjectType ways[] = {
        {sizeof *ways, "t", &type, never_saves, never_loads, NULL},
        {sizeof *ways, "Meter", NULL, never_saves, never_loads, NULL}};
    lua_State *L = game_of(5);
    rlua_SyncReport report = empty_report();
    Game clean = {0, NULL, 0, 0, 0, 0}, wrong = {5, "units[3].hp = outside()", 0, 0, 0, 0};
    for (size_t i = 0; i < COUNT_OF(ways); i++) CHECK_OK(rlua_register_type(L, &ways[i]));
    CHECK_OK(rlua_pushresource(L, &outside, &type));
    lua_setglobal(L, "texture");
    *(int *)lua_newuserdatauv(L, sizeof(int), 0) = 100;
    luaL_newmetatable(L, "Meter");
    lua_pushcfunction(L, count_gc);
    CHECK_OK(rlua_register(L, "meter.gc", count_gc));
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "meter");
    CHECK_OK(rlua_synctest(L, play, &clean, 4, 10, &report));
    CHECK_EQ(report.frames, 10);
    CHECK_STATUS(rlua_synctest(L, play, &wrong, 4, 10, &report), RLUA_DESYNC);
    CHECK_EQ(report.frame, 5);
    CHECK_STR(report.path, "_G.units[3].hp");
    CHECK(released == 0 && outside < 100);
    CHECK_OK(rlua_check(L));
    lua_close(L);
    CHECK(released == 1 && outside > 100);
}

TEST(an_error_of_a_frame_ends_the_test_with_its_status) {
    lua_State *L = game_of(5);
    rlua_SyncReport report = empty_report();
    Game state = {0, NULL, 0, 12, 0, 0};
    CHECK_STATUS(rlua_synctest(L, play, &state, 4, 40, &report), RLUA_ERR_RUN);
    CHECK(strstr(rlua_last_error(L), "enough") != NULL);
    CHECK_EQ(report.differs, 0);
    CHECK_EQ(report.frames + report.reruns, 11);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

static int tries_again(lua_State *L, void *ud, unsigned frame, int again) {
    (void)ud, (void)frame, (void)again;
    return rlua_dostring(L, "busy()");
}

static int busy(lua_State *L) {
    rlua_SyncReport report = empty_report();
    lua_pushinteger(L, rlua_synctest(L, play, NULL, 1, 1, &report));
    lua_setglobal(L, "answer");
    return 0;
}

static int does_the_test_s_work(lua_State *L, void *ud, unsigned frame, int again) {
    (void)again;
    if (frame < 3) return RLUA_OK;
    switch (*(char *)ud) {
        case 's': return rlua_snap(L);
        case 'r': return rlua_rollback(L, 2);
        case 'd': return rlua_set_max_snapshots(L, 0);
        default: lua_close(L); return RLUA_OK;
    }
}

TEST(a_frame_that_snaps_rolls_back_or_closes_ends_the_test) {
    static const int expected[] = {RLUA_BAD_ARG, RLUA_BAD_ARG, RLUA_NO_SNAPSHOT};
    char what[] = "srd";
    for (int i = 0; what[i] != 0; i++) {
        lua_State *L = game_of(3);
        CHECK_EQ(rlua_synctest(L, does_the_test_s_work, what + i, 2, 9, NULL), expected[i]);
        if (i < 2) CHECK(strstr(rlua_last_error(L), "a frame took snapshots") != NULL);
        CHECK_OK(rlua_check(L));
        lua_close(L);
    }
    what[0] = 'c';
    lua_State *L = game_of(3);
    CHECK_EQ(rlua_synctest(L, does_the_test_s_work, what, 2, 9, NULL), RLUA_NOT_ROLLBACK);
}

TEST(wrong_arguments_are_refused) {
    lua_State *L = game_of(3);
    rlua_SyncReport report = empty_report();
    Game state = {0, NULL, 0, 0, 0, 0};
    CHECK_REFUSED(rlua_synctest(NULL, play, &state, 1, 1, &report), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_synctest(L, NULL, &state, 1, 1, &report), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_synctest(L, play, &state, 0, 1, &report), RLUA_BAD_ARG);
    CHECK_REFUSED(rlua_synctest(L, play, &state, 3, 1, &report), RLUA_BAD_ARG);
    CHECK(strstr(rlua_last_error(L), "needs 4 snapshots") != NULL);
    CHECK_REFUSED(rlua_synctest(L, play, &state, UINT32_MAX, 1, &report), RLUA_BAD_ARG);
    report.size = 3;
    CHECK_REFUSED(rlua_synctest(L, play, &state, 1, 1, &report), RLUA_BAD_CONFIG);
    CHECK_EQ(state.calls, 0);
    CHECK_OK(rlua_synctest(L, play, &state, 1, 1, NULL));
    CHECK_OK(rlua_synctest(L, play, &state, 2, 0, NULL));
    lua_register(L, "busy", busy);
    CHECK_OK(rlua_register(L, "game.busy", busy));
    CHECK_OK(rlua_synctest(L, tries_again, NULL, 1, 2, NULL));
    CHECK_EQ(global_int(L, "answer"), RLUA_BUSY);
    lua_close(L);
}
