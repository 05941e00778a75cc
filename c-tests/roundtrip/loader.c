/* loader.c: loads the images that it is sent, and uses what comes of them: for a build with
 * sanitizers, where tests/hostile_images.rs sends its mutants to it (RLUA_IMAGE_LOADER).
 * From its standard input: two words, the length and whether there is a key, and the bytes. To its
 * standard output: a byte, 1 for loaded. What is found unsound, or a sanitizer sees, ends it. */
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

int main(void) {
    uint64_t head[2];
    harness.current = "loader";
    while (fread(head, sizeof head, 1, stdin) == 1) {
        rlua_Config config = config_of((int)head[1]);
        char *image = malloc(head[0] + !head[0]); /* so long, that reading beyond it is seen */
        lua_State *L = NULL;
        int status;
        CHECK(image != NULL && fread(image, 1, head[0], stdin) == head[0]);
        status = rlua_load_buffer(&config, image, head[0], &L);
        free(image);
        if (L) use(L);
        CHECK(putchar(status == RLUA_OK) != EOF && fflush(stdout) == 0);
    }
    return 0;
}
