/* things.h: what lies outside a VM, for the tests: textures are resources, meters userdata with a
 * finalizer in C. Each thing is counted: how often one is made, and that it ends once. */
#ifndef THINGS_H
#define THINGS_H

#include "harness.h"

enum { MOST = 8192 };

/* What lies outside. */
typedef struct Thing {
    int width, ended;
} Thing;

static Thing things[MOST];
static int made, saves, loads, fail_at = -1;

static Thing *new_thing(int width) {
    if (made == MOST) FAIL("there is no room for a thing");
    things[made] = (Thing){width, 0};
    return &things[made++];
}

static void begin(void) {
    made = saves = loads = 0;
    fail_at = -1;
}

static int living(void) {
    int count = 0;
    for (int i = 0; i < made; i++) {
        if (things[i].ended > 1) FAIL("thing %d has ended %d times", i, things[i].ended);
        count += things[i].ended == 0;
    }
    return count;
}

/* -- textures ---------------------------------------------------------------------------------- */

static void release(lua_State *L, void *object, void *count) {
    (void)L;
    ((Thing *)object)->ended++;
    ++*(int *)count;
}

static int width(lua_State *L, void *count);

static int releases;
static const rlua_Method methods[] = {{"width", width}, {NULL, NULL}};
static const rlua_ResourceType texture = {sizeof texture, "Texture", release, &releases, methods};

static int width(lua_State *L, void *count) {
    void *object;
    CHECK(count == &releases);
    if (rlua_toresource(L, 1, &texture, &object) != RLUA_OK) return luaL_error(L, "gone");
    lua_pushinteger(L, ((Thing *)object)->width);
    return 1;
}

static int new_texture(lua_State *L) {
    Thing *thing = new_thing((int)luaL_checkinteger(L, 1));
    CHECK_OK(rlua_pushresource(L, thing, &texture));
    return 1;
}

/* In two parts, as a stream may come. */
static int put(int value, rlua_Writer writer, void *to) {
    if (saves++ == fail_at) return 7;
    return writer(to, &value, 2) != 0 || writer(to, (char *)&value + 2, 2) != 0 ||
           writer(to, NULL, 0) != 0;
}

static int take(const void *bytes, size_t length, int *value) {
    if (loads++ == fail_at || length != sizeof *value) return 8;
    memcpy(value, bytes, length);
    return 0;
}

static int save_texture(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    const Thing *thing = object;
    CHECK(size == 0 && ud == &loads);
    return put(thing->width, writer, to);
}

static int load_texture(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    int value = 0, answer = take(bytes, length, &value);
    CHECK(size == sizeof(void *) && ud == &loads);
    if (answer == 0) *(Thing **)object = new_thing(value);
    return answer;
}

/* -- meters ------------------------------------------------------------------------------------ */

/* A C module that knows nothing of snapshots. */
static int meter_read(lua_State *L) {
    Thing *const *block = luaL_checkudata(L, 1, "Meter");
    if (*block == NULL) return luaL_error(L, "closed");
    lua_pushinteger(L, ++(*block)->width);
    return 1;
}

static int meter_gc(lua_State *L) {
    Thing **block = luaL_checkudata(L, 1, "Meter");
    if (*block != NULL) (*block)->ended++;
    *block = NULL;
    return 0;
}

/* Pushes a userdata that stands for a new thing, of the width that is the first argument. */
static void push_guarded(lua_State *L, const char *type, const luaL_Reg *functions) {
    Thing **block = lua_newuserdatauv(L, sizeof *block, 1);
    *block = NULL;
    if (luaL_newmetatable(L, type)) luaL_setfuncs(L, functions, 0);
    lua_setmetatable(L, -2);
    *block = new_thing((int)luaL_checkinteger(L, 1));
}

static int new_meter(lua_State *L) {
    static const luaL_Reg functions[] = {{"__gc", meter_gc}, {"__call", meter_read}, {NULL, NULL}};
    push_guarded(L, "Meter", functions);
    return 1;
}

static int save_meter(const void *block, size_t size, rlua_Writer writer, void *to, void *ud) {
    const Thing *thing = *(Thing *const *)block;
    CHECK(size == sizeof thing && ud == NULL);
    return put(thing == NULL ? -1 : thing->width, writer, to);
}

static int load_meter(const void *bytes, size_t length, void *block, size_t size, void *ud) {
    int value = 0, answer = take(bytes, length, &value);
    CHECK(size == sizeof(Thing *) && ud == NULL && *(Thing **)block == NULL);
    if (answer == 0 && value != -1) *(Thing **)block = new_thing(value);
    return answer;
}

/* -- VMs --------------------------------------------------------------------------------------- */

static const rlua_ObjectType textures = {sizeof textures, "Texture", &texture, save_texture,
                                         load_texture, &loads};
static const rlua_ObjectType meters = {sizeof meters, "Meter", NULL, save_meter, load_meter, NULL};
static const rlua_ObjectType *const types[] = {&textures, &meters, NULL};
static const rlua_Name names[] = {{"new_texture", new_texture, NULL, NULL},
                                  {"new_meter", new_meter, NULL, NULL},
                                  {"meter_read", meter_read, NULL, NULL},
                                  {"meter_gc", meter_gc, NULL, NULL},
                                  {NULL, NULL, NULL, NULL}};

static rlua_Config config_of(size_t max_snapshots) {
    rlua_Config config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.memory_size = 4 * MIB;
    config.max_snapshots = max_snapshots;
    config.names = names;
    config.types = types;
    config.trust = RLUA_TRUST_PROVED;
    return config;
}

static lua_State *open_world(const rlua_Config *config) {
    lua_State *L;
    CHECK_OK(rlua_open(config, &L));
    luaL_openlibs(L);
    for (const rlua_Name *name = names; name->name != NULL; name++) {
        CHECK_OK(rlua_register(L, name->name, name->function));
        if (strncmp(name->name, "new_", 4) == 0) lua_register(L, name->name, name->function);
    }
    return L;
}

typedef struct Bytes {
    unsigned char *start;
    size_t length;
} Bytes;

static int append(void *ud, const void *bytes, size_t length) {
    Bytes *image = ud;
    unsigned char *grown = realloc(image->start, image->length + length + 1);
    CHECK(grown != NULL);
    memcpy(grown + image->length, bytes, length);
    image->start = grown;
    image->length += length;
    return 0;
}

static Bytes save(lua_State *L) {
    Bytes image = {NULL, 0};
    CHECK_OK(rlua_save(L, append, &image));
    return image;
}

static lua_State *load(Bytes image, const rlua_Config *config) {
    lua_State *L;
    CHECK_OK(rlua_load_buffer(config, image.start, image.length, &L));
    CHECK_OK(rlua_check(L));
    return L;
}

static void same_sums(lua_State *a, lua_State *b) {
    rlua_Checksum of_a, of_b;
    CHECK_OK(rlua_checksum(a, &of_a));
    CHECK_OK(rlua_checksum(b, &of_b));
    CHECK(memcmp(&of_a, &of_b, sizeof of_a) == 0);
}

typedef struct Part {
    const unsigned char *at;
    size_t left;
} Part;

static size_t read_part(void *ud, void *bytes, size_t length) {
    Part *part = ud;
    if (length > part->left) length = part->left;
    memcpy(bytes, part->at, length);
    part->at += length;
    part->left -= length;
    return length;
}

static inline Bytes delta_of(lua_State *L, int64_t from, int64_t to) {
    Bytes delta = {NULL, 0};
    CHECK_OK(rlua_save_delta(L, from, to, append, &delta));
    return delta;
}

static inline int apply(lua_State *L, Bytes delta) {
    Part part = {delta.start, delta.length};
    return rlua_apply_delta(L, names, read_part, &part);
}

#endif
