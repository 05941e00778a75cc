/* objects.c: what lies outside a VM goes with its state, by functions of the host.
 * Method: a state that has some is saved, loaded, cloned, at each stage of their lives, with
 * functions that fail at each object in turn, and from images that are wrong in each place. */
#include "things.h"

/* -- where it works ---------------------------------------------------------------------------- */

TEST(a_state_goes_to_another_vm_with_what_lies_outside) {
    for (int compress = 0; compress < 2; compress++) {
        for (size_t snapshots = 0; snapshots < 4; snapshots += 3) {
            rlua_Config config = config_of(snapshots);
            begin();
            config.compress = compress;
            lua_State *a = open_world(&config), *b;
            run(a, "t, u, m, n = new_texture(3), new_texture(4), new_meter(5), new_meter(6) "
                   "debug.setuservalue(m, t) both = {m, n, t, u, t}");
            if (snapshots > 0) CHECK_OK(rlua_snap(a));
            CHECK_EVAL(a, "m()", "6"); /* the block is outside, so this does not go back */
            Bytes image = save(a);
            CHECK_EQ(living(), 4);
            b = load(image, &config);
            CHECK_EQ(living(), 8);
            same_sums(a, b);
            CHECK_EVAL(b, "t:width() .. u:width() .. m() .. n()", "3477");
            CHECK_EVAL(a, "t:width() .. u:width() .. m() .. n()", "3477");
            CHECK_EVAL(a, "tostring(debug.getuservalue(m) == t and both[5] == t)", "true");
            CHECK_EVAL(b, "tostring(debug.getuservalue(m) == t and both[5] == t)", "true");
            same_sums(a, b);
            Bytes of_a = save(a), of_b = save(b);
            CHECK(of_a.length == of_b.length &&
                  memcmp(of_a.start, of_b.start, of_a.length) == 0);
            free(of_a.start);
            free(of_b.start);
            lua_close(a);
            CHECK_EQ(living(), 4);
            run(b, "t, both, u = nil collectgarbage() collectgarbage()");
            CHECK_EQ(living(), 3); /* t is m's */
            lua_close(b);
            CHECK_EQ(living(), 0);
            free(image.start);
        }
    }
}

TEST(what_was_loaded_rolls_back_as_what_was_made) {
    rlua_Config config = config_of(3);
    begin();
    lua_State *a = open_world(&config);
    run(a, "t, m = new_texture(1), new_meter(2)");
    Bytes image = save(a);
    lua_close(a);
    CHECK_EQ(living(), 0);
    lua_State *b = load(image, &config);
    CHECK_OK(rlua_snap(b));
    run(b, "t, m = nil collectgarbage()");
    CHECK_EQ(living(), 2);
    CHECK_OK(rlua_rollback(b, 1));
    CHECK_EVAL(b, "t:width() .. m()", "13");
    run(b, "t, m = nil collectgarbage()");
    for (int i = 0; i < 4; i++) CHECK_OK(rlua_snap(b));
    CHECK_EQ(living(), 0);
    CHECK_OK(rlua_check(b));
    lua_close(b);
    free(image.start);
}

TEST(a_clone_has_objects_of_its_own) {
    rlua_Config config = config_of(2);
    begin();
    lua_State *a = open_world(&config), *b, *c;
    run(a, "t, m = new_texture(1), new_meter(2)");
    CHECK_OK(rlua_clone(a, &b));
    CHECK_EQ(living(), 4);
    same_sums(a, b);
    CHECK_OK(rlua_clone(b, &c)); /* it knows the types, too */
    lua_close(a);
    CHECK_EVAL(b, "t:width() .. m()", "13");
    lua_close(b);
    CHECK_EVAL(c, "t:width() .. m()", "13");
    CHECK_OK(rlua_check(c));
    lua_close(c);
    CHECK_EQ(living(), 0);
}

/* Of each object's life: before it, in it, given up, ended. */
TEST(each_snapshot_is_saved_with_what_it_had) {
    rlua_Config config = config_of(4);
    begin();
    lua_State *a = open_world(&config), *b;
    static const char *const shown[] = {"nil nil", "1 3", "1 closed", "nil nil", "nil nil"};
    for (int frame = 0; frame < 5; frame++) {
        if (frame == 1) run(a, "t, m = new_texture(1), new_meter(2)");
        if (frame == 2) run(a, "debug.getmetatable(m).__gc(m) n = new_meter(9)");
        if (frame == 3) run(a, "t, m, n = nil collectgarbage()");
        CHECK_OK(rlua_snap_frame(a, frame));
        if (frame == 1) CHECK_EVAL(a, "m()", "3");
        for (int of = frame < 3 ? 0 : frame - 3; of <= frame; of++) {
            Bytes image = {NULL, 0};
            int before = living();
            CHECK_OK(rlua_save_snapshot(a, of, append, &image));
            b = load(image, &config);
            CHECK_OK(rlua_check(b));
            run(b, "shown = (t and t:width() or 'nil') .. ' ' .. "
                   "(m and tostring(select(2, pcall(m))):match('%w+$') or 'nil')");
            /* The block of a meter is outside, as it is now. */
            int is_later = of == 1 && frame > 1;
            CHECK_EVAL(b, "shown", is_later ? "1 closed" : of == 1 ? "1 4" : shown[of]);
            lua_close(b);
            CHECK_EQ(living(), before);
            free(image.start);
        }
        CHECK_OK(rlua_check(a));
    }
    lua_close(a);
    CHECK_EQ(living(), 0);
}

/* Only a snapshot has it: in a VM without that snapshot its finalizer is due. */
TEST(what_only_a_snapshot_has_ends_where_it_is_loaded) {
    rlua_Config config = config_of(3);
    begin();
    lua_State *a = open_world(&config), *b;
    run(a, "m = new_meter(2)");
    CHECK_OK(rlua_snap(a));
    run(a, "m = nil collectgarbage()");
    CHECK_EQ(living(), 1);
    Bytes image = save(a);
    b = load(image, &config);
    CHECK_EQ(made, 2);
    CHECK_EQ(living(), 1);
    run(b, "collectgarbage()");
    CHECK_OK(rlua_check(b));
    lua_close(b);
    CHECK_OK(rlua_rollback(a, 1));
    CHECK_EVAL(a, "m()", "3");
    lua_close(a);
    CHECK_EQ(living(), 0);
    free(image.start);
}

/* The snapshot was captured before the finalizer ran. What the state has after a rollback to it is
 * what it had: an object that has ended, also when that snapshot has gone. */
TEST(what_has_ended_is_in_images_after_a_rollback) {
    rlua_Config config = config_of(3);
    begin();
    lua_State *a = open_world(&config);
    run(a, "m = new_meter(2)");
    CHECK_OK(rlua_snap(a));
    run(a, "m = nil collectgarbage()");
    for (int i = 0; i < 3; i++) CHECK_OK(rlua_snap(a));
    CHECK_EQ(living(), 0);
    CHECK_OK(rlua_rollback(a, 1));
    for (int frame = 4; frame < 12; frame++) {
        CHECK_OK(rlua_snap_frame(a, frame));
        if (frame == 9) run(a, "collectgarbage() n = new_meter(1)");
        int before = living();
        for (int of = frame < 6 ? frame : frame - 2; of <= frame; of++) {
            Bytes image = {NULL, 0};
            CHECK_OK(rlua_save_snapshot(a, of, append, &image));
            lua_close(load(image, &config));
            free(image.start);
        }
        Bytes image = save(a);
        lua_close(load(image, &config));
        free(image.start);
        CHECK_EQ(living(), before);
        CHECK_OK(rlua_check(a));
    }
    lua_close(a);
    CHECK_EQ(living(), 0);
}

/* -- what peers agree on ----------------------------------------------------------------------- */

/* As many modules leave a block behind their finalizer: closed, with the pointer that was there. */
typedef struct Folder {
    Thing *thing;
    int is_closed;
} Folder;

static int end_folder(lua_State *L) {
    Folder *folder = lua_touserdata(L, 1);
    if (!folder->is_closed) folder->thing->ended++;
    folder->is_closed = 1;
    return 0;
}

static int new_folder(lua_State *L) {
    Folder *folder = lua_newuserdatauv(L, (size_t)luaL_checkinteger(L, 1), 0);
    if (luaL_newmetatable(L, "Folder")) {
        lua_pushcfunction(L, end_folder);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    *folder = (Folder){new_thing(1), 0};
    return 1;
}

static lua_State *open_folders(const rlua_Config *config) {
    lua_State *L = open_world(config);
    CHECK_OK(rlua_register(L, "new_folder", new_folder));
    CHECK_OK(rlua_register(L, "end_folder", end_folder));
    lua_register(L, "new_folder", new_folder);
    return L;
}

static const rlua_Name folder_names[] = {
    {"new_folder", new_folder, NULL, NULL}, {"end_folder", end_folder, NULL, NULL},
    {"new_meter", new_meter, NULL, NULL},   {"new_texture", new_texture, NULL, NULL},
    {"meter_read", meter_read, NULL, NULL}, {"meter_gc", meter_gc, NULL, NULL},
    {NULL, NULL, NULL, NULL}};

/* Two folders are given up in frame 2, and end when the oldest snapshot goes. What a finalizer
 * leaves behind the top of the stack, and in the frames there, is in sums until the next call. */
static rlua_Checksum run_folders(lua_State *L, int64_t frame) {
    rlua_Checksum sum;
    run(L, "local function f(a, b, c) return a + b, b, c end n = f(n or 0, 1, 2)");
    CHECK_OK(rlua_checksum(L, &sum));
    if (frame == 0)
        run(L, "collectgarbage('stop') small, large = new_folder(16), new_folder(9000)");
    if (frame == 2) run(L, "small, large = nil collectgarbage()");
    CHECK_OK(rlua_snap_frame(L, frame));
    return sum;
}

/* The one peer rolls back each time, so its objects end earlier than the state that they are in,
 * and no two of them have the same pointers. */
TEST(peers_agree_whenever_an_object_has_ended) {
    rlua_Config config = config_of(3);
    begin();
    lua_State *a = open_folders(&config), *b = open_folders(&config);
    for (int64_t frame = 0; frame < 12; frame++) {
        rlua_Checksum of_a = run_folders(a, frame), of_b;
        int64_t again = frame < 5 ? frame : frame - 1; /* behind the first end */
        if (again < frame) CHECK_OK(rlua_rollback_to(b, again - 1));
        for (; again <= frame; again++) of_b = run_folders(b, again);
        if (memcmp(&of_a, &of_b, sizeof of_a) != 0) FAIL("they differ in frame %d", (int)frame);
        CHECK_OK(rlua_check(b));
    }
    Bytes image = save(b); /* it has the block of what has ended, and no function is asked */
    config.names = folder_names;
    lua_State *c = load(image, &config);
    same_sums(b, c);
    lua_close(a);
    lua_close(b);
    lua_close(c);
    free(image.start);
    CHECK_EQ(living(), 0);
}

TEST(a_difference_of_images_makes_nothing) {
    rlua_Config config = config_of(0);
    begin();
    lua_State *a = open_world(&config);
    run(a, "t, m, x = new_texture(1), new_meter(2), 1");
    Bytes first = save(a), second;
    run(a, "x = 2");
    second = save(a);
    config.types = NULL; /* nor do the types have to be known */
    loads = 0;
    static const rlua_Name more[] = {{"new_texture", new_texture, NULL, NULL},
                                     {"new_meter", new_meter, NULL, NULL},
                                     {"meter_read", meter_read, NULL, NULL},
                                     {"meter_gc", meter_gc, NULL, NULL},
                                     {"Texture.width", NULL, width, &releases},
                                     {NULL, NULL, NULL, NULL}};
    config.names = more;
    CHECK_OK(rlua_diff(&config, first.start, first.length, second.start, second.length, 0, NULL,
                       NULL));
    CHECK_EQ(loads, 0);
    CHECK_EQ(made, 2);
    lua_close(a);
    CHECK_EQ(living(), 0);
    free(first.start);
    free(second.start);
}

/* -- where it does not ------------------------------------------------------------------------- */

TEST(a_function_that_fails_ends_what_was_made) {
    rlua_Config config = config_of(2);
    begin();
    lua_State *a = open_world(&config), *b;
    run(a, "t, m, u, n = new_texture(1), new_meter(2), new_texture(3), new_meter(4)");
    Bytes image = save(a);
    for (fail_at = 0; fail_at < 4; fail_at++) {
        Bytes none = {NULL, 0};
        saves = loads = 0;
        CHECK_REFUSED(rlua_save(a, append, &none), RLUA_STREAM);
        CHECK(strstr(rlua_last_error(a), "save function answered 7") != NULL);
        free(none.start);
        saves = 0;
        CHECK_STATUS(rlua_clone(a, &b), RLUA_STREAM);
        saves = -1000; /* the clone's loads fail */
        loads = 0;
        CHECK_STATUS(rlua_clone(a, &b), RLUA_STREAM);
        CHECK(b == NULL);
        loads = 0;
        CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &b), RLUA_STREAM);
        CHECK(b == NULL && strstr(rlua_last_error(NULL), "load function answered 8") != NULL);
        CHECK_EQ(living(), 4);
    }
    fail_at = -1;
    CHECK_OK(rlua_check(a));
    lua_close(a);
    CHECK_EQ(living(), 0);
    free(image.start);
}

static int makes_none(const void *bytes, size_t length, void *object, size_t size, void *ud) {
    (void)bytes, (void)length, (void)object, (void)size, (void)ud;
    return 0;
}

TEST(types_that_are_wrong_are_refused) {
    rlua_Config config = config_of(0);
    rlua_ObjectType type = textures;
    rlua_ResourceType other = texture;
    const rlua_ObjectType *list[] = {&meters, &type, NULL};
    char name[300];
    begin();
    lua_State *L = open_world(&config), *b;
    CHECK_OK(rlua_register_type(L, &textures));
    CHECK_REFUSED(rlua_register_type(L, NULL), RLUA_NULL_ARG);
    CHECK_STATUS(rlua_register_type(NULL, &textures), RLUA_NULL_ARG);
    type.ud = NULL;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_BAD_ARG);
    type = textures, type.load = NULL;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_NULL_ARG);
    type = textures, type.save = NULL;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_NULL_ARG);
    type = textures, type.name = NULL;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_NULL_ARG);
    type = textures, type.size = 8;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_NULL_ARG);
    type = textures, type.size = 0;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_BAD_CONFIG);
    memset(name, 'n', sizeof name);
    name[256] = 0;
    type = meters, type.name = name;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_BAD_ARG);
    name[255] = 0;
    CHECK_OK(rlua_register_type(L, &type));
    type.name = "";
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_BAD_ARG);
    type = textures, other.release = NULL, type.resource = &other;
    CHECK_REFUSED(rlua_register_type(L, &type), RLUA_NULL_ARG);
    type = meters, type.name = "Texture"; /* a type of userdata may have the name, too */
    CHECK_OK(rlua_register_type(L, &type));
    run(L, "t = new_texture(1)");
    Bytes image = save(L);
    config.types = NULL;
    CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &b), RLUA_UNSAVABLE);
    type = textures, config.types = list, type.load = makes_none;
    CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &b), RLUA_STREAM);
    type.save = NULL;
    CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &b), RLUA_NULL_ARG);
    CHECK_STATUS(rlua_open(&config, &b), RLUA_NULL_ARG);
    type = meters; /* twice in a list */
    config.types = list;
    CHECK_STATUS(rlua_load_buffer(&config, image.start, image.length, &b), RLUA_UNSAVABLE);
    lua_close(L);
    CHECK_EQ(living(), 0);
    free(image.start);
}

/* A type that nobody told is refused with the way to the object; a delta has no objects. */
TEST(what_no_function_saves_is_refused_with_its_way) {
    rlua_Config config = config_of(2);
    size_t length;
    begin();
    config.types = NULL;
    lua_State *L = open_world(&config);
    run(L, "world = {sky = new_texture(1)}");
    CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(L), "_G.world.sky") != NULL);
    CHECK_OK(rlua_register_type(L, &textures));
    CHECK_OK(rlua_save_bound(L, &length));
    run(L, "world.gauge = new_meter(1)");
    CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(L), "_G.world.gauge") != NULL);
    CHECK(strstr(rlua_last_error(L), "rlua_register_type") != NULL);
    CHECK_OK(rlua_register_type(L, &meters));
    CHECK_OK(rlua_save_bound(L, &length));
    lua_close(L);
    CHECK_EQ(living(), 0);
}

/* Nothing would end the second one. */
TEST(a_userdata_without_its_finalizer_is_refused) {
    rlua_Config config = config_of(0);
    size_t length;
    begin();
    lua_State *L = open_world(&config);
    run(L, "m = new_meter(1) gc, debug.getmetatable(m).__gc = debug.getmetatable(m).__gc, nil");
    CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_UNSAVABLE);
    CHECK(strstr(rlua_last_error(L), "lost its finalizer") != NULL);
    run(L, "debug.getmetatable(m).__gc = gc");
    CHECK_OK(rlua_save_bound(L, &length));
    lua_close(L);
    CHECK_EQ(living(), 0);
}

/* A function that comes back to the VM is told that it is busy. */
static lua_State *busy_vm;
static int calls_back(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    size_t length;
    (void)object, (void)size, (void)ud;
    CHECK_STATUS(rlua_snap(busy_vm), RLUA_BUSY);
    CHECK_STATUS(rlua_save_bound(busy_vm, &length), RLUA_BUSY);
    CHECK_STATUS(rlua_dostring(busy_vm, "m = nil"), RLUA_BUSY);
    CHECK_STATUS(rlua_pushresource(busy_vm, &length, &texture), RLUA_BUSY);
    return writer(to, "", 1);
}

TEST(a_save_function_finds_the_vm_busy) {
    rlua_Config config = config_of(2);
    rlua_ObjectType type = meters;
    size_t length;
    begin();
    config.types = NULL;
    busy_vm = open_world(&config);
    type.save = calls_back;
    CHECK_OK(rlua_register_type(busy_vm, &type));
    run(busy_vm, "m = new_meter(1)");
    CHECK_OK(rlua_save_bound(busy_vm, &length));
    CHECK_OK(rlua_snap(busy_vm));
    lua_close(busy_vm);
    CHECK_EQ(living(), 0);
}

/* It must not use the VM. Where it does all the same, nothing is saved that has ended by then. */
static int drops_the_others(const void *object, size_t size, rlua_Writer writer, void *to,
                            void *ud) {
    CHECK_EQ(((const Thing *)object)->ended, 0);
    run(busy_vm, "list = nil collectgarbage()");
    return save_texture(object, size, writer, to, ud);
}

TEST(a_save_function_that_ends_what_is_saved_has_it_refused) {
    rlua_Config config = config_of(2);
    rlua_ObjectType type = textures;
    const rlua_ObjectType *const list[] = {&type, NULL};
    lua_State *clone;
    size_t length;
    begin();
    type.save = drops_the_others;
    config.types = list;
    for (int clones = 0; clones < 2; clones++) {
        busy_vm = open_world(&config);
        run(busy_vm, "list = {} for i = 1, 9 do list[i] = new_texture(i) end");
        if (clones) CHECK_REFUSED(rlua_clone(busy_vm, &clone), RLUA_STALE);
        else CHECK_REFUSED(rlua_save_bound(busy_vm, &length), RLUA_STALE);
        CHECK_OK(rlua_check(busy_vm));
        CHECK_EQ(living(), 0);
        lua_close(busy_vm);
        CHECK_EQ(living(), 0);
    }
}

/* What is loaded has a bound, so what is saved has it, too. */
static int saves_much(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    static char much[64 * KIB];
    (void)object, (void)size;
    for (int i = 0; i < *(int *)ud; i++)
        if (writer(to, much, sizeof much) != 0) return 1;
    return 0;
}

static int saves_so_much(const void *object, size_t size, rlua_Writer writer, void *to, void *ud) {
    static char much[MIB];
    (void)object, (void)size;
    return writer(to, much, *(size_t *)ud);
}

/* docs/FORMAT.md has the 80. */
TEST(an_object_counts_for_80_bytes_more) {
    rlua_Config config = config_of(0);
    rlua_ObjectType type = textures;
    const rlua_ObjectType *const list[] = {&type, NULL};
    size_t much = MIB - 80, length;
    begin();
    type.save = saves_so_much, type.ud = &much;
    config.memory_size = MIB;
    config.types = list;
    lua_State *L = open_world(&config);
    run(L, "t = new_texture(1)");
    CHECK_OK(rlua_save_bound(L, &length));
    much++;
    CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_NO_MEMORY);
    lua_close(L);
    CHECK_EQ(living(), 0);
}

TEST(objects_are_no_larger_than_the_limit_of_their_vm) {
    rlua_Config config = config_of(0);
    int parts = 15;
    rlua_ObjectType type = textures;
    const rlua_ObjectType *const list[] = {&type, NULL};
    size_t length;
    begin();
    type.save = saves_much, type.ud = &parts;
    config.memory_size = 1 * MIB;
    config.types = list;
    lua_State *L = open_world(&config);
    run(L, "t = new_texture(1)");
    CHECK_OK(rlua_save_bound(L, &length));
    CHECK(length > 15 * 64 * KIB);
    parts = 17;
    CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_NO_MEMORY);
    parts = 1;
    run(L, "u = {} for i = 1, 20 do u[i] = new_texture(i) end");
    CHECK_REFUSED(rlua_save_bound(L, &length), RLUA_NO_MEMORY);
    lua_close(L);
    CHECK_EQ(living(), 0);
}

/* A writer that would make the list of types grow, while names of it are written. */
static int tells_types(void *ud, const void *bytes, size_t length) {
    rlua_ObjectType type = meters;
    type.name = "another";
    CHECK_STATUS(rlua_register_type(busy_vm, &type), RLUA_BUSY);
    CHECK_STATUS(rlua_dostring(busy_vm, "t = nil"), RLUA_BUSY);
    CHECK(strstr(rlua_last_error(busy_vm), "being saved") != NULL);
    return append(ud, bytes, length);
}

TEST(a_writer_finds_the_vm_sealed) {
    rlua_Config config = config_of(0);
    Bytes image = {NULL, 0};
    begin();
    busy_vm = open_world(&config);
    run(busy_vm, "t, u, m = new_texture(1), new_texture(2), new_meter(3)");
    CHECK_OK(rlua_save(busy_vm, tells_types, &image));
    lua_State *b = load(image, &config);
    CHECK_EVAL(b, "t:width() .. u:width() .. m()", "124");
    CHECK_OK(rlua_dostring(busy_vm, "t = nil"));
    lua_close(busy_vm);
    lua_close(b);
    CHECK_EQ(living(), 0);
    free(image.start);
}
