/* frames.c: which snapshots are held, and under which labels.
 * Method: the ring's rules, one a test; each snapshot holds its number in the global `n`, so
 * what came back is always told by the state itself. */
#include "harness.h"

static void snap_n(lua_State *L, int n) {
    lua_pushinteger(L, n);
    lua_setglobal(L, "n");
    CHECK_OK(rlua_snap(L));
}

static void snap_frame_n(lua_State *L, int64_t frame, int n) {
    lua_pushinteger(L, n);
    lua_setglobal(L, "n");
    CHECK_OK(rlua_snap_frame(L, frame));
}

static void check_held(lua_State *L, size_t count, int64_t oldest, int64_t newest) {
    rlua_Info info = info_of(L);
    CHECK_EQ(snapshot_count(L), count);
    CHECK_EQ(info.snapshot_count, count);
    CHECK_EQ(info.oldest_frame, oldest);
    CHECK_EQ(info.newest_frame, newest);
    CHECK_OK(rlua_check(L));
}

TEST(plain_snaps_are_labelled_from_zero) {
    lua_State *L = rlua_new_rollback(1 * MIB, 4);
    snap_n(L, 0);
    check_held(L, 1, 0, 0);
    snap_n(L, 1);
    snap_n(L, 2);
    check_held(L, 3, 0, 2);
    lua_close(L);
}

TEST(a_full_history_drops_its_oldest) {
    lua_State *L = rlua_new_rollback(1 * MIB, 3);
    int n;
    for (n = 0; n < 10; n++) snap_n(L, n);
    check_held(L, 3, 7, 9);
    CHECK_REFUSED(rlua_rollback_to(L, 6), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback(L, 4), RLUA_NO_SNAPSHOT);
    CHECK_OK(rlua_rollback(L, 3));
    CHECK_EQ(global_int(L, "n"), 7);
    lua_close(L);
}

TEST(rollback_n_drops_the_newer_and_keeps_the_target) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    int n;
    for (n = 0; n < 8; n++) snap_n(L, n);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 7);
    check_held(L, 8, 0, 7);
    CHECK_OK(rlua_rollback(L, 3));
    CHECK_EQ(global_int(L, "n"), 5);
    check_held(L, 6, 0, 5);
    run(L, "n = 99");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 5);
    CHECK_OK(rlua_rollback(L, 6));
    CHECK_EQ(global_int(L, "n"), 0);
    check_held(L, 1, 0, 0);
    lua_close(L);
}

TEST(rollback_one_can_be_repeated) {
    lua_State *L = rlua_new_rollback(1 * MIB, 1);
    int i;
    snap_n(L, 5);
    for (i = 0; i < 100; i++) {
        run(L, "n = n + 1; t = {n}");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(global_int(L, "n"), 5);
    }
    check_held(L, 1, 0, 0);
    lua_close(L);
}

TEST(zero_and_too_many_are_no_snapshot) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    CHECK_REFUSED(rlua_rollback(L, 1), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback_to(L, 0), RLUA_NO_SNAPSHOT);
    snap_n(L, 0);
    snap_n(L, 1);
    run(L, "n = 50");
    CHECK_REFUSED(rlua_rollback(L, 0), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback(L, 3), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback(L, SIZE_MAX), RLUA_NO_SNAPSHOT);
    CHECK_EQ(global_int(L, "n"), 50);
    check_held(L, 2, 0, 1);
    lua_close(L);
}

TEST(frames_are_found_by_their_exact_label) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    snap_frame_n(L, 10, 10);
    snap_frame_n(L, 20, 20);
    snap_frame_n(L, 25, 25);
    check_held(L, 3, 10, 25);
    run(L, "n = 30");
    CHECK_REFUSED(rlua_rollback_to(L, 15), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback_to(L, 9), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback_to(L, 26), RLUA_NO_SNAPSHOT);
    CHECK_EQ(global_int(L, "n"), 30);
    check_held(L, 3, 10, 25);
    CHECK_OK(rlua_rollback_to(L, 20));
    CHECK_EQ(global_int(L, "n"), 20);
    check_held(L, 2, 10, 20);
    CHECK_REFUSED(rlua_rollback_to(L, 25), RLUA_NO_SNAPSHOT);
    lua_close(L);
}

TEST(labels_never_fall) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    snap_frame_n(L, 10, 10);
    run(L, "n = 11");
    CHECK_REFUSED(rlua_snap_frame(L, 9), RLUA_BAD_FRAME);
    CHECK_REFUSED(rlua_snap_frame(L, INT64_MIN), RLUA_BAD_FRAME);
    check_held(L, 1, 10, 10);
    CHECK_EQ(global_int(L, "n"), 11);
    CHECK_OK(rlua_snap_frame(L, 11));
    check_held(L, 2, 10, 11);
    lua_close(L);
}

TEST(plain_snap_follows_the_newest_label) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    snap_frame_n(L, 100, 0);
    snap_n(L, 1);
    check_held(L, 2, 100, 101);
    snap_frame_n(L, -5 + 200, 2);
    snap_n(L, 3);
    check_held(L, 4, 100, 196);
    CHECK_OK(rlua_rollback_to(L, 101));
    snap_n(L, 4);
    check_held(L, 3, 100, 102);
    lua_close(L);
}

TEST(after_a_rollback_the_same_labels_can_be_used_again) {
    lua_State *L = rlua_new_rollback(1 * MIB, 16);
    int round, n;
    snap_frame_n(L, 0, 0);
    for (round = 0; round < 5; round++) {
        for (n = 1; n <= 10; n++) snap_frame_n(L, n, n + 100 * round);
        check_held(L, 11, 0, 10);
        CHECK_OK(rlua_rollback_to(L, 7));
        CHECK_EQ(global_int(L, "n"), 7 + 100 * round);
        CHECK_OK(rlua_rollback_to(L, 0));
    }
    lua_close(L);
}

TEST(negative_labels) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    snap_frame_n(L, -3, -3);
    snap_n(L, -2);
    snap_frame_n(L, 4, 4);
    check_held(L, 3, -3, 4);
    CHECK_OK(rlua_rollback_to(L, -2));
    CHECK_EQ(global_int(L, "n"), -2);
    lua_close(L);
}

TEST(the_ends_of_the_range_of_labels) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    snap_frame_n(L, INT64_MIN, 1);
    snap_n(L, 2);
    check_held(L, 2, INT64_MIN, INT64_MIN + 1);
    snap_frame_n(L, INT64_MAX - 1, 3);
    snap_n(L, 4);
    check_held(L, 4, INT64_MIN, INT64_MAX);
    CHECK_REFUSED(rlua_snap(L), RLUA_BAD_FRAME);
    snap_frame_n(L, INT64_MAX, 4);
    check_held(L, 4, INT64_MIN, INT64_MAX);
    CHECK_OK(rlua_discard_before(L, INT64_MIN));
    check_held(L, 4, INT64_MIN, INT64_MAX);
    CHECK_OK(rlua_discard_before(L, INT64_MAX));
    check_held(L, 1, INT64_MAX, INT64_MAX);
    CHECK_OK(rlua_rollback_to(L, INT64_MAX));
    CHECK_EQ(global_int(L, "n"), 4);
    lua_close(L);
}

TEST(discard_before_drops_older_frames_only) {
    lua_State *L = rlua_new_rollback(1 * MIB, 16);
    int n;
    for (n = 0; n < 10; n++) snap_frame_n(L, 10 * n, n);
    run(L, "n = 77");
    CHECK_OK(rlua_discard_before(L, -1));
    check_held(L, 10, 0, 90);
    CHECK_OK(rlua_discard_before(L, 30));
    check_held(L, 7, 30, 90);
    CHECK_OK(rlua_discard_before(L, 45));
    check_held(L, 5, 50, 90);
    CHECK_EQ(global_int(L, "n"), 77);
    CHECK_REFUSED(rlua_rollback(L, 6), RLUA_NO_SNAPSHOT);
    CHECK_REFUSED(rlua_rollback_to(L, 40), RLUA_NO_SNAPSHOT);
    CHECK_OK(rlua_rollback(L, 5));
    CHECK_EQ(global_int(L, "n"), 5);
    lua_close(L);
}

TEST(discard_of_everything_leaves_a_vm_that_snaps) {
    lua_State *L = rlua_new_rollback(1 * MIB, 4);
    snap_n(L, 0);
    snap_n(L, 1);
    CHECK_OK(rlua_discard_before(L, 100));
    CHECK_EQ(snapshot_count(L), 0);
    CHECK_EQ(info_of(L).snapshot_bytes, 0);
    CHECK_REFUSED(rlua_rollback(L, 1), RLUA_NO_SNAPSHOT);
    CHECK_OK(rlua_discard_before(L, 100));
    snap_n(L, 2);
    run(L, "n = 3");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 2);
    lua_close(L);
}

TEST(fewer_snapshots_drop_the_oldest) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    int n;
    for (n = 0; n < 8; n++) snap_n(L, n);
    CHECK_OK(rlua_set_max_snapshots(L, 3));
    check_held(L, 3, 5, 7);
    CHECK_EQ(info_of(L).max_snapshots, 3);
    snap_n(L, 8);
    check_held(L, 3, 6, 8);
    CHECK_OK(rlua_set_max_snapshots(L, 5));
    check_held(L, 3, 6, 8);
    snap_n(L, 9);
    snap_n(L, 10);
    snap_n(L, 11);
    check_held(L, 5, 7, 11);
    CHECK_OK(rlua_rollback(L, 5));
    CHECK_EQ(global_int(L, "n"), 7);
    lua_close(L);
}

TEST(no_snapshots_disable_snap_and_free_them) {
    lua_State *L = rlua_new_rollback(1 * MIB, 4);
    snap_n(L, 0);
    snap_n(L, 1);
    CHECK(info_of(L).snapshot_bytes > 0);
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    CHECK_EQ(snapshot_count(L), 0);
    CHECK_EQ(info_of(L).snapshot_bytes, 0);
    CHECK_REFUSED(rlua_snap(L), RLUA_DISABLED);
    CHECK_REFUSED(rlua_snap_frame(L, 50), RLUA_DISABLED);
    CHECK_REFUSED(rlua_rollback(L, 1), RLUA_NO_SNAPSHOT);
    CHECK_EQ(global_int(L, "n"), 1);
    CHECK_OK(rlua_set_max_snapshots(L, 1));
    snap_n(L, 2);
    run(L, "n = 3");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 2);
    lua_close(L);
}

TEST(a_huge_number_of_snapshots_is_only_a_limit) {
    lua_State *L = rlua_new_rollback(1 * MIB, SIZE_MAX);
    if (L) {
        int n;
        for (n = 0; n < 20; n++) snap_n(L, n);
        check_held(L, 20, 0, 19);
        CHECK_OK(rlua_rollback(L, 20));
        CHECK_EQ(global_int(L, "n"), 0);
        lua_close(L);
    } else {
        CHECK(strlen(rlua_last_error(NULL)) > 8);
    }
}

TEST(any_thread_of_the_vm_names_it) {
    lua_State *L = rlua_new_rollback(1 * MIB, 4), *thread = lua_newthread(L);
    size_t count = 0;
    CHECK_OK(rlua_snap(thread));
    CHECK_OK(rlua_snap_frame(thread, 7));
    CHECK_OK(rlua_snapshot_count(thread, &count));
    CHECK_EQ(count, 2);
    check_held(L, 2, 0, 7);
    lua_pushinteger(thread, 1);
    CHECK_OK(rlua_rollback_to(thread, 0));
    CHECK_EQ(lua_gettop(thread), 0);
    check_held(thread, 1, 0, 0);
    lua_close(L);
}

TEST(many_frames_of_a_running_game) {
    enum { WINDOW = 8 };
    lua_State *L = rlua_new_rollback(4 * MIB, WINDOW);
    int frame, frames = 2000 / (int)test_scale();
    run(L, "n = 0; seen = {}");
    for (frame = 0; frame < frames; frame++) {
        CHECK_OK(rlua_snap_frame(L, frame));
        if (frame % 7 == 6) {
            CHECK_OK(rlua_rollback_to(L, frame - 5));
            CHECK_EQ(global_int(L, "n"), frame - 5);
            frame -= 5;
            if (frame % 3 == 0) CHECK_OK(rlua_discard_before(L, frame));
            CHECK_EQ(info_of(L).newest_frame, frame);
            run(L, "n = n + 1; seen[n] = {n}");
            CHECK_OK(rlua_snap_frame(L, ++frame));
            while (frame % 7 != 6) {
                run(L, "n = n + 1; seen[n] = {n}");
                CHECK_OK(rlua_snap_frame(L, ++frame));
            }
        }
        run(L, "n = n + 1; seen[n] = {n}");
    }
    CHECK_EVAL(L, "#seen == n", "true");
    CHECK_EQ(global_int(L, "n"), frame);
    CHECK(snapshot_count(L) >= 1 && snapshot_count(L) <= WINDOW);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

/* The newest label again replaces that snapshot, and nothing else. */
TEST(the_newest_label_again_replaces_its_snapshot) {
    lua_State *L = rlua_new_rollback(1 * MIB, 8);
    snap_frame_n(L, 4, 4);
    snap_frame_n(L, 7, 70);
    snap_frame_n(L, 7, 71);
    snap_frame_n(L, 7, 72);
    check_held(L, 2, 4, 7);
    run(L, "n = 0");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(global_int(L, "n"), 72);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_EQ(global_int(L, "n"), 4);
    check_held(L, 1, 4, 4);
    lua_close(L);
}

TEST(the_only_snapshot_is_replaced) {
    lua_State *L = rlua_new_rollback(1 * MIB, 1);
    int i;
    for (i = 0; i < 5; i++) {
        snap_frame_n(L, 0, i);
        check_held(L, 1, 0, 0);
        run(L, "n = 99");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(global_int(L, "n"), i);
    }
    lua_close(L);
}

/* Replacing keeps what an older snapshot needs, also where the state grew and shrank between. */
TEST(replacing_a_larger_and_a_smaller_state) {
    lua_State *L = open_vm(16 * MIB, 8);
    static const char *const states[] = {"t = nil collectgarbage() n = 1",
                                         "t = string.rep('x', 300000) n = 2",
                                         "t = string.rep('y', 1500000) n = 3"};
    size_t a, b, c;
    for (a = 0; a < 3; a++)
        for (b = 0; b < 3; b++)
            for (c = 0; c < 3; c++) {
                run(L, states[a]);
                CHECK_OK(rlua_snap_frame(L, 1));
                run(L, states[b]);
                CHECK_OK(rlua_snap_frame(L, 2));
                run(L, states[c]);
                CHECK_OK(rlua_snap_frame(L, 2));
                run(L, "t = nil collectgarbage() n = 9");
                CHECK_OK(rlua_check(L));
                CHECK_OK(rlua_rollback_to(L, 2));
                CHECK_EQ(global_int(L, "n"), (int)c + 1);
                CHECK_OK(rlua_check(L));
                CHECK_OK(rlua_rollback_to(L, 1));
                CHECK_EQ(global_int(L, "n"), (int)a + 1);
                CHECK_OK(rlua_check(L));
                CHECK_OK(rlua_set_max_snapshots(L, 0));
                CHECK_OK(rlua_set_max_snapshots(L, 8));
            }
    lua_close(L);
}

/* GGRS asks to save frame 0 twice, and the frame again that a rollback of no length went to. */
TEST(saves_as_ggrs_asks_for_them) {
    lua_State *L = rlua_new_rollback(1 * MIB, 9);
    int64_t frame, newest = -1;
    run(L, "n = 0");
    CHECK_OK(rlua_snap_frame(L, 0));
    CHECK_OK(rlua_snap_frame(L, 0));
    for (frame = 1; frame < 200; frame++) {
        run(L, "n = n + 1");
        CHECK_OK(rlua_snap_frame(L, frame));
        if (frame % 3 != 0) continue;
        CHECK_OK(rlua_rollback_to(L, frame));
        CHECK_OK(rlua_snap_frame(L, frame));
        CHECK_OK(rlua_newest_frame(L, &newest));
        CHECK_EQ(newest, frame);
        CHECK_EQ(global_int(L, "n"), (int)frame);
    }
    check_held(L, 9, 191, 199);
    lua_close(L);
}

TEST(the_newest_and_the_highest_label_are_told) {
    lua_State *L = rlua_new_rollback(1 * MIB, 4);
    int64_t frame = 77;
    CHECK_REFUSED(rlua_newest_frame(L, &frame), RLUA_NO_SNAPSHOT);
    CHECK_EQ(frame, 77);
    CHECK(info_of(L).highest_frame == INT64_MIN);
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_snap(L));
    CHECK_OK(rlua_newest_frame(L, &frame));
    CHECK_EQ(frame, 1);
    snap_frame_n(L, 30, 30);
    CHECK_OK(rlua_rollback(L, 2));
    CHECK_OK(rlua_newest_frame(L, &frame));
    CHECK_EQ(frame, 1);
    CHECK_EQ(info_of(L).highest_frame, 30);
    CHECK_OK(rlua_snap(L));
    CHECK_EQ(info_of(L).highest_frame, 30);
    CHECK_OK(rlua_set_max_snapshots(L, 0));
    CHECK_EQ(info_of(L).highest_frame, 30);
    CHECK_REFUSED(rlua_newest_frame(L, NULL), RLUA_NULL_ARG);
    CHECK_REFUSED(rlua_newest_frame(NULL, &frame), RLUA_NULL_ARG);
    lua_close(L);
}
