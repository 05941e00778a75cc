/* match.c: one machine plays, another one follows it and plays the same: they agree in all bytes.
 *
 *   match play  >file    an image, and for each frame a delta, the checksum; at the end an image
 *   match cheat >file    the same, but one number is another in a late frame
 *   match follow <file   loads the image twice; one VM applies the deltas, one runs the frames; the
 *                        checksums of both are compared in each frame, and the images at the end
 *
 * Not here: what the frames compute (world.h); a match of two over a line (p2p.c); states of every
 * kind (../roundtrip). */
#include "world.h"

enum { FRAMES = 300 };

/* A part of the file: its length, and its bytes. */
typedef struct Part {
    char *start;
    uint64_t length, at;
} Part;

static int add(void *ud, const void *start, size_t length) {
    Part *part = ud;
    CHECK((part->start = realloc(part->start, part->length + length)) != NULL);
    memcpy(part->start + part->length, start, length);
    part->length += length;
    return 0;
}

static size_t give(void *ud, void *to, size_t length) {
    Part *part = ud;
    if (length > part->length - part->at) length = part->length - part->at;
    memcpy(to, part->start + part->at, length);
    part->at += length;
    return length;
}

static void write_part(Part part) {
    CHECK_EQ(fwrite(&part.length, sizeof part.length, 1, stdout), 1);
    CHECK_EQ(fwrite(part.start, 1, part.length, stdout), part.length);
    free(part.start);
}

static Part read_part(void) {
    Part part = {NULL, 0, 0};
    CHECK_EQ(fread(&part.length, sizeof part.length, 1, stdin), 1);
    CHECK((part.start = malloc(part.length)) != NULL);
    CHECK_EQ(fread(part.start, 1, part.length, stdin), part.length);
    return part;
}

static Part image_of(lua_State *L) {
    Part image = {NULL, 0, 0};
    CHECK_OK(rlua_save(L, add, &image));
    return image;
}

static void play(int cheats) {
    lua_State *L = open_world();
    int frame;
    write_part(image_of(L));
    CHECK_OK(rlua_snap_frame(L, 0));
    for (frame = 1; frame <= FRAMES; frame++) {
        Part delta = {NULL, 0, 0}, sum = {NULL, 0, 0};
        rlua_Checksum bytes;
        if (frame % 3 == 0) { /* a wrong prediction */
            play_frame(L, frame, frame % 5, 12);
            CHECK_OK(rlua_rollback(L, 1));
        }
        play_frame(L, frame, frame % 5, frame % 11);
        if (cheats && frame == FRAMES - 9) cheat(L);
        CHECK_OK(rlua_snap_frame(L, frame));
        CHECK_OK(rlua_save_delta(L, frame - 1, frame, add, &delta));
        CHECK_OK(rlua_checksum(L, &bytes));
        add(&sum, &bytes, sizeof bytes);
        write_part(delta);
        write_part(sum);
    }
    write_part(image_of(L));
    lua_close(L);
}

static lua_State *load(Part image) {
    rlua_Config usual = world_config();
    lua_State *L = NULL;
    CHECK_OK(rlua_load_buffer(&usual, image.start, image.length, &L));
    CHECK_OK(rlua_check(L));
    return L;
}

static void expect(lua_State *L, Part sum, int frame, const char *who) {
    rlua_Checksum found;
    CHECK_OK(rlua_checksum(L, &found));
    CHECK_EQ(sum.length, sizeof found);
    if (memcmp(&found, sum.start, sizeof found) != 0)
        FAIL("frame %d: another checksum where %s", frame, who);
}

static void expect_image(lua_State *L, Part image) {
    Part found = image_of(L);
    CHECK_EQ(found.length, image.length);
    CHECK(memcmp(found.start, image.start, image.length) == 0);
    free(found.start);
}

static void follow(void) {
    Part image = read_part();
    lua_State *follower = load(image), *player = load(image);
    int frame;
    free(image.start);
    for (frame = 1; frame <= FRAMES; frame++) {
        Part delta = read_part(), sum = read_part();
        CHECK_OK(rlua_apply_delta(follower, NULL, give, &delta));
        play_frame(player, frame, frame % 5, frame % 11);
        expect(follower, sum, frame, "deltas were applied");
        expect(player, sum, frame, "the frame was played");
        free(delta.start);
        free(sum.start);
    }
    image = read_part();
    expect_image(follower, image);
    expect_image(player, image);
    free(image.start);
    CHECK_OK(rlua_check(follower));
    lua_close(follower);
    lua_close(player);
    harness.passed = 1;
    harness_closing_line();
}

int main(int argc, char **argv) {
    harness.current = argc == 2 ? argv[1] : "?";
    if (strcmp(harness.current, "play") == 0) play(0);
    else if (strcmp(harness.current, "cheat") == 0) play(1);
    else if (strcmp(harness.current, "follow") == 0) follow();
    else FAIL("usage: match play | cheat | follow");
    return 0;
}
