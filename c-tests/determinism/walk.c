/* walk.c: everything that a script can see of a VM's state, in one order, into a sink.
 *
 *   table       its metatable, its length, its pairs in the order of `next`
 *   function    of Lua: where it stands in the source, its upvalues by name, and which are shared
 *               of C: which of the C functions met so far it is, its upvalues
 *   coroutine   its status, the lines at which it stands, its local variables and waiting values
 *   userdata    size, metatable, user values; the bytes of the program's own
 *
 * Every object is told with its offset in the VM, and by a number when it is met again; pointers
 * that lead out of the VM are known by these numbers alone.
 *
 * Not here: what the hash and the text look like (sink.c). */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 15000 };

/* -- objects that were met -------------------------------------------------------------------- */

typedef struct Met {
    const void *pointer;
    uint32_t number;
    uint32_t walk; /* the walk that met it: a new walk forgets without clearing */
} Met;

static struct {
    Met *slots;
    size_t capacity, count;
    uint32_t walk;
} met;

static const void *boxes; /* the metatable of userdata whose bytes are walked */

void walk_boxes_of(const void *metatable) {
    boxes = metatable;
}

static Met *met_slot(Met *slots, size_t capacity, const void *pointer) {
    size_t at = (size_t)(((uintptr_t)pointer >> 3) * 0x9E3779B97F4A7C15u >> 20) % capacity;
    while (slots[at].walk == met.walk && slots[at].pointer != pointer) at = (at + 1) % capacity;
    return &slots[at];
}

static void met_grow(void) {
    size_t capacity = met.capacity ? met.capacity * 2 : 4096, i;
    Met *slots = calloc(capacity, sizeof *slots);
    if (!slots) abort();
    for (i = 0; i < met.capacity; i++)
        if (met.slots[i].walk == met.walk)
            *met_slot(slots, capacity, met.slots[i].pointer) = met.slots[i];
    free(met.slots);
    met.slots = slots;
    met.capacity = capacity;
}

static void met_forget(void) {
    met.count = 0;
    met.walk++;
    if (!met.slots) met_grow();
}

/* Gives the pointer's number to the hash; 1 when it is met for the first time. */
static int meet(Sink *sink, const void *pointer, uint32_t *number) {
    Met *slot;
    int is_new;
    if (met.count * 2 >= met.capacity) met_grow();
    slot = met_slot(met.slots, met.capacity, pointer);
    is_new = slot->walk != met.walk;
    if (is_new) *slot = (Met){pointer, (uint32_t)++met.count, met.walk};
    sink_word(sink, slot->number);
    *number = slot->number;
    return is_new;
}

/* -- values ----------------------------------------------------------------------------------- */

static void walk_value(Sink *sink, lua_State *L, int index);

/* The value on top, which is dropped. */
static void walk_top(Sink *sink, lua_State *L) {
    walk_value(sink, L, lua_gettop(L));
    lua_pop(L, 1);
}

static void walk_metatable(Sink *sink, lua_State *L, int index) {
    if (lua_getmetatable(L, index)) {
        size_t before = sink_enter(sink, "<metatable>");
        walk_top(sink, L);
        sink_leave(sink, before);
    } else {
        sink_word(sink, 0);
    }
}

static void walk_table(Sink *sink, lua_State *L, int index) {
    lua_Unsigned place = 0;
    walk_metatable(sink, L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        int key = lua_gettop(L) - 1;
        size_t before = sink_enter_key(sink, L, key), whole;
        sink_word(sink, ++place);
        whole = sink_enter(sink, "<key>");
        walk_value(sink, L, key);
        sink_leave(sink, whole);
        walk_top(sink, L);
        sink_leave(sink, before);
    }
    sink_word(sink, 0);
}

static void walk_upvalues(Sink *sink, lua_State *L, int index) {
    const char *name;
    int i;
    for (i = 1; (name = lua_getupvalue(L, index, i)) != NULL; i++) {
        uint32_t number;
        size_t before = sink_enter(sink, "<upvalue %d %s>", i, name);
        sink_bytes(sink, name, strlen(name));
        if (meet(sink, lua_upvalueid(L, index, i), &number)) {
            walk_top(sink, L);
        } else {
            sink_line(sink, "variable %u again", number);
            lua_pop(L, 1);
        }
        sink_leave(sink, before);
    }
    sink_word(sink, 0);
}

static void walk_function(Sink *sink, lua_State *L, int index) {
    lua_Debug at;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">Su", &at);
    sink_bytes(sink, at.short_src, strlen(at.short_src));
    sink_word(sink, (uint64_t)at.linedefined);
    sink_word(sink, (uint64_t)at.lastlinedefined);
    sink_word(sink, at.nups);
    walk_upvalues(sink, L, index);
}

static void walk_bytes(Sink *sink, const unsigned char *bytes, size_t size) {
    size_t i;
    sink_bytes(sink, (const char *)bytes, size);
    for (i = 0; sink->text && i < size; i++) {
        size_t before = sink_enter(sink, "<byte %zu>", i + 1);
        sink_line(sink, "%d", bytes[i]);
        sink_leave(sink, before);
    }
}

static void walk_userdata(Sink *sink, lua_State *L, int index) {
    int i;
    size_t size = lua_rawlen(L, index);
    sink_word(sink, size);
    if (boxes && lua_getmetatable(L, index)) {
        if (lua_topointer(L, -1) == boxes) walk_bytes(sink, lua_touserdata(L, index), size);
        lua_pop(L, 1);
    }
    walk_metatable(sink, L, index);
    for (i = 1; lua_getiuservalue(L, index, i) != LUA_TNONE; i++) {
        size_t before = sink_enter(sink, "<user value %d>", i);
        walk_top(sink, L);
        sink_leave(sink, before);
    }
    lua_pop(L, 1); /* lua_getiuservalue pushes nil also where there is none */
}

/* -- coroutines ------------------------------------------------------------------------------- */

/* The value on top of the coroutine's stack, which is dropped. */
static void walk_theirs(Sink *sink, lua_State *L, lua_State *co) {
    lua_xmove(co, L, 1);
    walk_top(sink, L);
}

/* Named variables, and what came for `...`; not the dead values between. */
static void walk_locals(Sink *sink, lua_State *L, lua_State *co, lua_Debug *at, int step) {
    const char *name;
    int i;
    for (i = step; (name = lua_getlocal(co, at, i)) != NULL; i += step) {
        if (name[0] != '(' || step < 0) {
            size_t before = sink_enter(sink, "<local %d %s>", i, name);
            sink_bytes(sink, name, strlen(name));
            walk_theirs(sink, L, co);
            sink_leave(sink, before);
        } else {
            lua_pop(co, 1);
        }
    }
    sink_word(sink, 0);
}

static void walk_frame(Sink *sink, lua_State *L, lua_State *co, lua_Debug *at) {
    lua_getinfo(co, "Slf", at);
    sink_word(sink, (uint64_t)at->currentline);
    sink_line(sink, "at %s:%d", at->short_src, at->currentline);
    walk_theirs(sink, L, co);
    walk_locals(sink, L, co, at, 1);
    walk_locals(sink, L, co, at, -1);
}

static void walk_coroutine(Sink *sink, lua_State *L, lua_State *co) {
    lua_Debug at;
    int level, i, top = lua_gettop(co);
    if (co == L) return; /* its stack is the walk's own */
    sink_word(sink, (uint64_t)lua_status(co));
    sink_word(sink, (uint64_t)top);
    sink_line(sink, "status %d, %d values", lua_status(co), top);
    if (!lua_checkstack(co, 4)) return;
    for (level = 0; lua_getstack(co, level, &at); level++) {
        size_t before = sink_enter(sink, "<level %d>", level);
        walk_frame(sink, L, co, &at);
        sink_leave(sink, before);
    }
    for (i = 1; i <= top; i++) {
        size_t before = sink_enter(sink, "<value %d>", i);
        lua_pushvalue(co, i);
        walk_theirs(sink, L, co);
        sink_leave(sink, before);
    }
}

/* -- all of it -------------------------------------------------------------------------------- */

/* Pointers out of the VM have no offset. */
static int is_outward(lua_State *L, int index) {
    if (lua_islightuserdata(L, index)) return 1;
    if (!lua_iscfunction(L, index)) return 0;
    if (lua_getupvalue(L, index, 1) == NULL) return 1;
    lua_pop(L, 1);
    return 0;
}

static void object_line(Sink *sink, lua_State *L, int index, uint32_t number, int is_new) {
    const char *type = lua_typename(L, lua_type(L, index)), *state = is_new ? "" : " again";
    if (!sink->text) return;
    if (is_outward(L, index)) sink_line(sink, "%s %u%s", type, number, state);
    else sink_line(sink, "%s %u%s @%x", type, number, state, offset_of(lua_topointer(L, index)));
}

static void walk_parts(Sink *sink, lua_State *L, int index) {
    switch (lua_type(L, index)) {
        case LUA_TTABLE: walk_table(sink, L, index); break;
        case LUA_TFUNCTION: walk_function(sink, L, index); break;
        case LUA_TUSERDATA: walk_userdata(sink, L, index); break;
        case LUA_TTHREAD: walk_coroutine(sink, L, lua_tothread(L, index)); break;
        default: break;
    }
}

/* `index` is absolute. What lies deeper than the C stack reaches is not seen. */
static void walk_value(Sink *sink, lua_State *L, int index) {
    static int depth;
    uint32_t number;
    int is_new;
    if (sink_plain(sink, L, index)) return;
    sink_word(sink, (uint64_t)lua_type(L, index) * 2);
    is_new = meet(sink, lua_topointer(L, index), &number);
    object_line(sink, L, index, number, is_new);
    if (!is_outward(L, index)) sink_word(sink, offset_of(lua_topointer(L, index)));
    if (is_new && depth < MAX_DEPTH && lua_checkstack(L, 8)) {
        depth++;
        walk_parts(sink, L, index);
        depth--;
    }
}

void walk_shallow(Sink *sink, lua_State *L, int index) {
    if (sink_plain(sink, L, index)) return;
    sink_word(sink, (uint64_t)lua_type(L, index) * 2);
    if (is_outward(L, index)) {
        sink_line(sink, "%s", lua_typename(L, lua_type(L, index)));
        return;
    }
    sink_word(sink, offset_of(lua_topointer(L, index)));
    sink_line(sink, "%s @%x", lua_typename(L, lua_type(L, index)),
              offset_of(lua_topointer(L, index)));
}

/* Some string that is there already, since making one may start the collector: a global's name. */
static int push_a_string(lua_State *L) {
    lua_pushglobaltable(L);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING) return 1;
    }
    return 0;
}

void walk_state(Sink *sink, lua_State *L) {
    int top = lua_gettop(L);
    size_t before = sink_enter(sink, "_G");
    met_forget();
    lua_pushglobaltable(L);
    walk_top(sink, L);
    sink_leave(sink, before);
    before = sink_enter(sink, "<a string>");
    if (push_a_string(L)) walk_metatable(sink, L, lua_gettop(L));
    lua_settop(L, top);
    sink_leave(sink, before);
}
