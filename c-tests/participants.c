/* participants.c: host state outside the VM follows its snapshots.
 * Method: counters outside the arena, whose tokens are counted objects on the heap; each call is
 * logged as a letter and the participant's number, so that the order is seen. */
#include "harness.h"

typedef struct Counter {
    int number, value, fail, tokens;
    lua_State *L; /* called back into, if set */
} Counter;

typedef struct Saved {
    int value;
    int64_t frame;
} Saved;

static char log_text[512];

static void note(char what, const Counter *counter, int64_t frame) {
    size_t length = strlen(log_text);
    snprintf(log_text + length, sizeof log_text - length, "%c%d@%d ", what, counter->number,
             (int)frame);
}

static void expect(const char *text) {
    CHECK_STR(log_text, text);
    log_text[0] = '\0';
}

static void call_back(lua_State *L) {
    static const rlua_Participant nobody = {sizeof nobody, NULL, NULL, NULL};
    CHECK_STATUS(rlua_snap(L), RLUA_BUSY);
    CHECK_STATUS(rlua_rollback(L, 1), RLUA_BUSY);
    CHECK_REFUSED(rlua_add_participant(L, &nobody, NULL), RLUA_NULL_ARG);
    CHECK_OK(rlua_dostring(L, "calls = (calls or 0) + 1"));
    lua_close(L);
}

static int capture(void *ud, int64_t frame, void **token) {
    Counter *counter = ud;
    Saved *saved;
    CHECK(*token == NULL);
    note('c', counter, frame);
    if (counter->L) call_back(counter->L);
    if (counter->fail) return counter->fail;
    saved = malloc(sizeof *saved);
    *saved = (Saved){counter->value, frame};
    *token = saved;
    counter->tokens++;
    return 0;
}

static void restore(void *ud, void *token) {
    Counter *counter = ud;
    note('r', counter, ((Saved *)token)->frame);
    if (counter->L) call_back(counter->L);
    counter->value = ((Saved *)token)->value;
}

static void discard(void *ud, void *token) {
    Counter *counter = ud;
    note('d', counter, ((Saved *)token)->frame);
    if (counter->L) call_back(counter->L);
    counter->tokens--;
    free(token);
}

static const rlua_Participant participant = {sizeof participant, capture, restore, discard};

static lua_State *open_fresh(size_t snapshots) {
    log_text[0] = '\0';
    return open_vm(1 * MIB, snapshots);
}

static int count_up(lua_State *L, void *ud) {
    CHECK_OK(rlua_pushinteger(L, ++((Counter *)ud)->value));
    return 1;
}

TEST(mutable_closure_counts_1_2_3_and_again_2_3) {
    lua_State *L = open_fresh(4);
    Counter counter = {1, 0, 0, 0, NULL};
    int round;
    CHECK_OK(rlua_add_participant(L, &participant, &counter));
    CHECK_OK(rlua_pushfunction(L, count_up, &counter, "count"));
    CHECK_OK(rlua_setglobal(L, "count"));
    CHECK_EVAL(L, "count()", "1");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        CHECK_EVAL(L, "count()", "2");
        CHECK_EVAL(L, "count()", "3");
        CHECK_OK(rlua_rollback(L, 1));
    }
    lua_close(L);
    CHECK_EQ(counter.tokens, 0);
}

TEST(calls_come_in_the_documented_order) {
    lua_State *L = open_fresh(3);
    Counter one = {1, 10, 0, 0, NULL}, two = {2, 20, 0, 0, NULL};
    CHECK_OK(rlua_add_participant(L, &participant, &one));
    CHECK_OK(rlua_add_participant(L, &participant, &two));
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_snap_frame(L, 3));
    expect("c1@1 c2@1 c1@2 c2@2 c1@3 c2@3 ");
    CHECK_OK(rlua_snap_frame(L, 4)); /* the history is full */
    expect("c1@4 c2@4 d1@1 d2@1 ");
    one.value = 11;
    CHECK_OK(rlua_rollback_to(L, 2));
    expect("r1@2 r2@2 d1@3 d2@3 d1@4 d2@4 ");
    CHECK_EQ(one.value, 10);
    CHECK_OK(rlua_rollback(L, 1));
    expect("r1@2 r2@2 ");
    CHECK_OK(rlua_snap_frame(L, 5));
    CHECK_OK(rlua_snap_frame(L, 6));
    log_text[0] = '\0';
    CHECK_OK(rlua_discard_before(L, 6));
    expect("d1@2 d2@2 d1@5 d2@5 ");
    CHECK_REFUSED(rlua_rollback(L, 9), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_snap_frame(L, 5), RLUA_BAD_FRAME);
    expect("");
    CHECK_OK(rlua_snap_frame(L, 6)); /* the newest is replaced */
    expect("c1@6 c2@6 d1@6 d2@6 ");
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    expect("d1@6 d2@6 ");
    CHECK_REFUSED(rlua_snap(L), RLUA_DISABLED);
    expect("");
    lua_close(L);
    CHECK(one.tokens == 0 && two.tokens == 0);
}

TEST(failing_capture_undoes_the_snap_whole) {
    lua_State *L = open_fresh(2);
    Counter one = {1, 1, 0, 0, NULL}, two = {2, 2, 0, 0, NULL}, three = {3, 3, 0, 0, NULL};
    rlua_Info before, after;
    CHECK_OK(rlua_add_participant(L, &participant, &one));
    CHECK_OK(rlua_add_participant(L, &participant, &two));
    CHECK_OK(rlua_add_participant(L, &participant, &three));
    run(L, "n = 1");
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
    run(L, "n = 2");
    log_text[0] = '\0';
    before = info_of(L);
    three.fail = 77;
    CHECK_REFUSED(rlua_snap(L), RLUA_PARTICIPANT);
    CHECK(strstr(rlua_last_error(L), "participant 3") && strstr(rlua_last_error(L), "77"));
    expect("c1@2 c2@2 c3@2 d1@2 d2@2 ");
    after = info_of(L);
    CHECK_EQ(memcmp(&before, &after, sizeof before), 0);
    three.fail = 0;
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(global_int(L, "n"), 1);
    CHECK(one.tokens == 1 && two.tokens == 1 && three.tokens == 1);
    CHECK_OK(rlua_check(L));
    lua_close(L);
    CHECK(one.tokens == 0 && two.tokens == 0 && three.tokens == 0);
}

TEST(added_late_is_left_alone_by_older_snapshots) {
    lua_State *L = open_fresh(4);
    Counter late = {1, 5, 0, 0, NULL};
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_add_participant(L, &participant, &late));
    CHECK_OK(rlua_snap_frame(L, 2));
    late.value = 6;
    CHECK_OK(rlua_rollback_to(L, 1));
    expect("c1@2 d1@2 ");
    CHECK_EQ(late.value, 6);
    CHECK_OK(rlua_snap_frame(L, 2));
    late.value = 7;
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(late.value, 6);
    lua_close(L);
    CHECK_EQ(late.tokens, 0);
}

TEST(removed_gets_its_tokens_back) {
    lua_State *L = open_fresh(4);
    Counter one = {1, 1, 0, 0, NULL}, two = {2, 2, 0, 0, NULL};
    CHECK_OK(rlua_add_participant(L, &participant, &one));
    CHECK_OK(rlua_add_participant(L, &participant, &two));
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_snap_frame(L, 2));
    log_text[0] = '\0';
    CHECK_OK(rlua_remove_participant(L, &participant, &one));
    expect("d1@1 d1@2 ");
    CHECK_REFUSED(rlua_remove_participant(L, &participant, &one), RLUA_BAD_ARG);
    CHECK_OK(rlua_rollback_to(L, 1));
    expect("r2@1 d2@2 ");
    CHECK_OK(rlua_snap(L));
    expect("c2@2 ");
    lua_close(L);
    expect("d2@1 d2@2 ");
    CHECK(one.tokens == 0 && two.tokens == 0);
}

TEST(participant_may_call_back) {
    lua_State *L = open_fresh(2);
    Counter one = {1, 1, 0, 0, NULL};
    one.L = L;
    CHECK_OK(rlua_add_participant(L, &participant, &one));
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(global_int(L, "calls"), 1);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "calls"), 2); /* 1 was captured, then restore called */
    CHECK_OK(rlua_check(L));
    lua_close(L);
    CHECK_EQ(one.tokens, 0);
}

static int add_inside(lua_State *L, void *ud) {
    CHECK_OK(rlua_add_participant(L, &participant, ud));
    return 0;
}

TEST(may_be_added_while_lua_is_running) {
    lua_State *L = open_fresh(2);
    Counter one = {1, 1, 0, 0, NULL};
    rlua_Participant bad = participant;
    CHECK_OK(rlua_pushfunction(L, add_inside, &one, "add"));
    CHECK_OK(rlua_call(L, 0, 0, 0));
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(one.tokens, 1);
    bad.size = 7;
    CHECK_REFUSED(rlua_add_participant(L, &bad, &one), RLUA_BAD_CONFIG);
    bad.size = 2 * sizeof(size_t); /* an older header's, without the others */
    CHECK_REFUSED(rlua_add_participant(L, &bad, &one), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_add_participant(L, NULL, &one), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_add_participant(NULL, &participant, &one), RLUA_NULL_ARG);
    bad = participant;
    bad.discard = NULL;
    CHECK_OK(rlua_add_participant(L, &bad, &one));
    one.tokens = 1;
    lua_close(L);
    CHECK_EQ(one.tokens, 0);
}

TEST(a_replaced_snapshot_restores_the_newer_token) {
    lua_State *L = open_fresh(4);
    Counter one = {1, 10, 0, 0, NULL};
    CHECK_OK(rlua_add_participant(L, &participant, &one));
    CHECK_OK(rlua_snap_frame(L, 1));
    one.value = 20;
    CHECK_OK(rlua_snap_frame(L, 2));
    one.value = 21;
    CHECK_OK(rlua_snap_frame(L, 2));
    expect("c1@1 c1@2 c1@2 d1@2 ");
    one.value = 22;
    one.fail = 5;
    CHECK_REFUSED(rlua_snap_frame(L, 2), RLUA_PARTICIPANT); /* the one before stays */
    one.fail = 0;
    CHECK_EQ(one.tokens, 2);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(one.value, 21);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(one.value, 10);
    lua_close(L);
    CHECK_EQ(one.tokens, 0);
}

/* Tokens and resources in one history: discards come before releases. */
static void note_release(lua_State *L, void *object, void *ud) {
    (void)L;
    (void)ud;
    note('x', object, 0);
}

TEST(discards_come_before_releases) {
    static const rlua_ResourceType type = {sizeof type, "Thing", note_release, NULL, NULL};
    lua_State *L = open_fresh(4);
    Counter one = {1, 1, 0, 0, NULL}, thing = {7, 0, 0, 0, NULL}, other = {8, 0, 0, 0, NULL};
    CHECK_OK(rlua_add_participant(L, &participant, &one));
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_pushresource(L, &thing, &type));
    CHECK_OK(rlua_snap_frame(L, 2));
    CHECK_OK(rlua_rollback_to(L, 1));
    expect("c1@1 c1@2 r1@1 d1@2 x7@0 ");
    CHECK_OK(rlua_pushresource(L, &other, &type));
    lua_close(L);
    expect("d1@1 x8@0 ");
}
