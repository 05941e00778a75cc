/* loader.c: loads the images that it is sent, and uses what comes of them: for a build with
 * sanitizers, where tests/hostile_images.rs sends its mutants to it (RLUA_IMAGE_LOADER).
 * From its standard input: three words, the length, whether there is a key, and 0, and the image.
 * Of a delta, the third is the length of an image, which comes first and is good. To its standard
 * output: a byte, 1 for loaded. What is found unsound, or a sanitizer sees, ends it, and what a
 * delta that was refused has changed. */
#define HARNESS_NO_MAIN
#include "../harness.h"

/* -- what lies outside, as tests/hostile/vm.rs has it: blocks, so that a second end is seen ---- */

static void release(lua_State *L, void *object, void *ud) {
    (void)L, (void)ud;
    free(object);
}

static int width(lua_State *L, void *ud) {
    (void)L, (void)ud;
    return 0;
}

static int meter_gc(lua_State *L) {
    void **meter = lua_touserdata(L, 1); /* the registry may be another one */
    if (meter == NULL) return 0;
    free(meter[0]);
    meter[0] = NULL;
    return 0;
}

static int save_object(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    (void)object, (void)size, (void)ud;
    return writer(to, "seven", 5);
}

static int load_object(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    (void)ud;
    if (length != 5 || memcmp(bytes, "seven", 5) != 0 || size < sizeof(void *)) return 1;
    *(void **)object = malloc(7);
    return *(void **)object == NULL;
}

static const rlua_Method methods[] = {{"width", width}, {NULL, NULL}};
static const rlua_ResourceType resource = {sizeof resource, "Texture", release, NULL, methods};
static const rlua_ObjectType texture = {sizeof texture, "Texture", &resource, save_object,
                                        load_object, NULL};
static const rlua_ObjectType meter = {sizeof meter, "Meter", NULL, save_object, load_object, NULL};
static const rlua_ObjectType *const types[] = {&texture, &meter, NULL};

/* States name them; nothing of theirs is run. */
static int new_texture(lua_State *L) {
    return luaL_error(L, "no texture");
}

static int new_meter(lua_State *L) {
    return luaL_error(L, "no meter");
}

static const rlua_Name names[] = {{"meter_gc", meter_gc, NULL, NULL},
                                  {"new_meter", new_meter, NULL, NULL},
                                  {"new_texture", new_texture, NULL, NULL},
                                  {NULL, NULL, NULL, NULL}};

/* -- VMs --------------------------------------------------------------------------------------- */

static rlua_Config config_of(int keyed) {
    static unsigned char key[32];
    rlua_Config config;
    memset(key, 7, sizeof key);
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.max_snapshots = 2;
    config.trust = RLUA_TRUST_PROVED;
    config.image_key = keyed ? key : NULL;
    config.names = names;
    config.types = types;
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
