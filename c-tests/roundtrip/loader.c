/* loader.c: loads the images that it is sent, and uses what comes of them: for a build with
 * sanitizers, where tests/hostile_images.rs sends its mutants to it (RLUA_IMAGE_LOADER).
 * From its standard input: three words, the length, whether there is a key, and 0, and the image.
 * Of a delta, the third is the length of an image, which comes first and is good. To its standard
 * output: a byte, 1 for loaded. What is found unsound, or a sanitizer sees, ends it, and what a
 * delta that was refused has changed. */
#define HARNESS_NO_MAIN
#include "../harness.h"

/* As tests/hostile/vm.rs has it. */
static rlua_Config config_of(int keyed) {
    static unsigned char key[32];
    rlua_Config config;
    memset(key, 7, sizeof key);
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = 2;
    config.trust = RLUA_TRUST_PROVED;
    config.image_key = keyed ? key : NULL;
    return config;
}

static void use(lua_State *L) {
    rlua_Checksum sum;
    size_t length;
    int i;
    CHECK_OK(rlua_check(L));
    CHECK_OK(rlua_checksum(L, &sum));
    rlua_save_buffer(L, NULL, 0, &length);
    for (i = 0; i < 50; i++) lua_gc(L, LUA_GCSTEP, 1);
    CHECK_OK(rlua_check(L));
    lua_gc(L, LUA_GCCOLLECT);
    CHECK_OK(rlua_check(L));
    lua_close(L);
}

typedef struct Bytes {
    char *start; /* so long, that reading beyond it is seen */
    size_t length, at;
} Bytes;

static Bytes take_in(size_t length) {
    Bytes bytes = {malloc(length + !length), length, 0};
    CHECK(bytes.start != NULL && fread(bytes.start, 1, length, stdin) == length);
    return bytes;
}

static size_t give(void *ud, void *into, size_t length) {
    Bytes *bytes = ud;
    size_t left = bytes->length - bytes->at;
    if (length > left) length = left;
    memcpy(into, bytes->start + bytes->at, length);
    bytes->at += length;
    return length;
}

static Bytes save(lua_State *L) {
    Bytes image = {NULL, 0, 0};
    rlua_save_buffer(L, NULL, 0, &image.length);
    CHECK((image.start = malloc(image.length)) != NULL);
    CHECK_OK(rlua_save_buffer(L, image.start, image.length, &image.length));
    return image;
}

/* The VM is closed, where it is refused. */
static int apply(lua_State **L, Bytes *delta) {
    Bytes before = save(*L), behind;
    int status = rlua_apply_delta(*L, NULL, give, delta);
    if (status != RLUA_OK) {
        behind = save(*L);
        CHECK(before.length == behind.length);
        CHECK(memcmp(before.start, behind.start, before.length) == 0);
        free(behind.start);
        CHECK_OK(rlua_check(*L));
        lua_close(*L);
        *L = NULL;
    }
    free(before.start);
    return status;
}

int main(void) {
    uint64_t head[3];
    harness.current = "loader";
    while (fread(head, sizeof head, 1, stdin) == 1) {
        rlua_Config config = config_of((int)head[1]);
        Bytes before = take_in(head[2]), mutant = take_in(head[0]);
        lua_State *L = NULL;
        int status;
        if (head[2]) {
            CHECK_OK(rlua_load_buffer(&config, before.start, before.length, &L));
            status = apply(&L, &mutant);
        } else {
            status = rlua_load_buffer(&config, mutant.start, mutant.length, &L);
        }
        free(before.start);
        free(mutant.start);
        if (L) use(L);
        CHECK(putchar(status == RLUA_OK) != EOF && fflush(stdout) == 0);
    }
    return 0;
}
