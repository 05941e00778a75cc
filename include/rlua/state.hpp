// state.hpp: a VM: opened, asked by names, run, snapped and rolled back.
//
// Names are paths: "game.player.hp" is the field hp of the field player of the global game. A name
// with a dot in it is reached by operator[], which takes keys as they are.
//
// Images are bytes: save(), from_image(), deltas between snapshots, checksums. clone() makes a
// second VM. diff() tells where two states differ, synctest() which frame depends on something that
// does not roll back.
#ifndef RLUA_STATE_HPP
#define RLUA_STATE_HPP

#include "bindings.hpp"

#include <cstring>
#include <limits>
#include <vector>

namespace rlua {

// An image of a state, or a delta.
using bytes = std::vector<std::byte>;

// A VM that someone else owns: what a host function takes as its first parameter to ask the VM. It
// must not be kept after the call. All of it works in coroutines too.
class state_view {
public:
    // The VM of a Lua thread, in a C function of the host's: one that an rlua::state owns.
    explicit state_view(lua_State *L) noexcept : vm_(detail::core_of(L)) {}

    // The raw state, for lua.h and for other bindings; NULL when closed. Most of lua.h may raise.
    lua_State *raw() const noexcept { return vm_ ? vm_->current : nullptr; }

    // Runs a chunk of source text and drops what it returns. `name` is a chunk name as Lua takes
    // it: "=name", or "@file".
    result<void> run(std::string_view code, const char *name = "=run") const {
        return eval<void>(code, name);
    }
    result<void> run_file(const char *path) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        const int handler = in.push_handler();
        return detail::call<void>(in, handler, rlua_loadfile(in.state(), path, "t"));
    }

    // Runs a chunk and returns its result: a T, a std::tuple of them, or `values`.
    template <class T> result<T> eval(std::string_view code, const char *name = "=eval") const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        const int handler = in.push_handler();
        return detail::call<T>(in, handler, compile(in, code, name));
    }

    // A chunk as a function, not run yet. Text alone: binary chunks can crash the process.
    result<function> load(std::string_view code, const char *name = "=load") const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        return taken<function>(in, compile(in, code, name));
    }
    result<function> load_file(const char *path) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        return taken<function>(in, rlua_loadfile(in.state(), path, "t"));
    }

    // Reads a value, by copy, or as a handle. RLUA_BAD_ARG when it is not a T.
    template <class T> result<T> get(std::string_view path) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        if (const int status = look_up(in, path); status != RLUA_OK)
            return in.failed(status);
        return detail::take<T>(in.state(), -1, path);
    }

    // Writes a value. nullptr writes nil. The tables on the way have to be there.
    template <class T> result<void> set(std::string_view path, T &&value) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        int status = detail::push(in.state(), std::forward<T>(value));
        if (status == RLUA_OK)
            status = assign(in, path);
        return in.done(status);
    }

    // Calls a function. T as for eval(); void drops the results.
    template <class T = void, class... A>
    result<T> call(std::string_view path, A &&...arguments) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        const int handler = in.push_handler();
        return detail::call<T>(in, handler, look_up(in, path), std::forward<A>(arguments)...);
    }

    // A place in the globals: lua["game"]["player"]["hp"].
    template <class K> place<detail::kept_key<K>> operator[](const K &key) const {
        return {vm_, 0, std::tuple<detail::kept_key<K>>(key)};
    }
    result<table> globals() const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        lua_rawgeti(in.state(), LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        return taken<table>(in, RLUA_OK);
    }

    // A new table, with room for a sequence and for other fields.
    result<table> new_table(int sequence = 0, int fields = 0) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        return taken<table>(in, rlua_createtable(in.state(), sequence, fields));
    }

    // Any value as a handle: value(some_lambda), value(std::vector{1, 2}).
    template <class H = value, class T> result<H> make(T &&from) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        return taken<H>(in, detail::push(in.state(), std::forward<T>(from)));
    }

    // New globals for a script that nobody trusts: function::set_environment() gives them to a
    // loaded chunk. `libs` is RLUA_LIB_SANDBOX or part of it.
    result<table> environment(unsigned int libs = RLUA_LIB_SANDBOX) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        return taken<table>(in, rlua_newenv(in.state(), libs));
    }

    // Libraries more, and modules in C as `require` opens them.
    result<void> open_libs(unsigned int libs) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_openlibs(in.state(), libs)) : in.refused();
    }
    result<void> require(const char *name, lua_CFunction open, bool is_global = true) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_requiref(in.state(), name, open, is_global)) : in.refused();
    }

    // How much scripts may do from now on (rlua_set_budget); RLUA_NO_BUDGET for as much as they
    // want.
    result<void> set_budget(std::uint64_t units) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_set_budget(in.state(), units)) : in.refused();
    }
    result<std::uint64_t> budget_left() const {
        return asked<std::uint64_t>(rlua_budget_left);
    }

    // The clock of the deterministic profile: an input, the same on all peers.
    result<void> set_time(std::int64_t seconds, std::uint32_t nanoseconds = 0) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_set_time(in.state(), seconds, nanoseconds)) : in.refused();
    }

    // Runs a full collection; or what rlua_gc does with another `what`.
    result<void> collect(int what = LUA_GCCOLLECT, int data = 0) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_gc(in.state(), what, data)) : in.refused();
    }

    // The traceback of where Lua is.
    result<std::string> traceback() const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        return taken<std::string>(in, rlua_traceback(in.state(), in.state(), nullptr, 0));
    }

    // Memory in the VM, for plain data: `count` objects, zero-filled, which roll back with it. They
    // live until free_block(), or a rollback to before. Pointers in it should lead into the VM.
    template <class T> result<T *> new_block(std::size_t count = 1) const {
        return resize_block<T>(nullptr, count);
    }
    template <class T> result<T *> resize_block(T *block, std::size_t count) const {
        static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 16,
                      "what lies in the VM goes back as bytes");
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            return error{RLUA_NO_MEMORY, "a block of so many objects is larger than memory"};
        lua_State *L = in.state();
        void *made = block ? rlua_realloc(L, block, count * sizeof(T))
                           : rlua_alloc(L, count * sizeof(T));
        if (made == nullptr)
            return detail::sentence(L, RLUA_NO_MEMORY);
        return static_cast<T *>(made);
    }
    result<void> free_block(void *block) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_free(in.state(), block)) : in.refused();
    }
    // Announces a write, where rlua_Config.announces asks for that.
    result<void> touch(const void *start, std::size_t bytes) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_touch(in.state(), start, bytes)) : in.refused();
    }

    // Names for C functions and pointers of the host: docs/DETERMINISM.md.
    result<void> register_function(const char *name, lua_CFunction function) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_register(in.state(), name, function)) : in.refused();
    }
    result<void> register_pointer(const char *name, void *pointer) const {
        detail::visit in(vm_);
        return in ? in.done(rlua_register_pointer(in.state(), name, pointer)) : in.refused();
    }

    result<rlua_Info> info() const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        rlua_Info info{};
        info.size = sizeof info;
        if (const int status = rlua_info(in.state(), &info); status != RLUA_OK)
            return in.failed(status);
        return info;
    }
    result<std::uint64_t> config_digest() const { return asked<std::uint64_t>(rlua_config_digest); }

protected:
    explicit state_view(detail::core *vm) noexcept : vm_(vm) {}

    // A value that a function of the library writes.
    template <class T> result<T> asked(int (*function)(lua_State *, T *)) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        T value{};
        if (const int status = function(in.state(), &value); status != RLUA_OK)
            return in.failed(status);
        return value;
    }

    // What lies on top, if it was pushed.
    template <class T> static result<T> taken(const detail::visit &in, int status) {
        if (status != RLUA_OK)
            return in.failed(status);
        return detail::take<T>(in.state(), -1, "value");
    }

    // Pops a value, and assigns it to what the path names. `makes_tables`: also those on the way.
    static int assign(const detail::visit &in, std::string_view path, bool makes_tables = false) {
        lua_State *L = in.state();
        const std::size_t dot = path.rfind('.');
        const int value = lua_gettop(L);
        int status = RLUA_OK;
        if (dot == path.npos) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        } else {
            if (makes_tables)
                status = make_tables(in, path.substr(0, dot));
            if (status == RLUA_OK)
                status = look_up(in, path.substr(0, dot));
            if (status == RLUA_OK && lua_type(L, -1) == LUA_TNIL)
                return nothing_at(L, path, path.substr(0, dot));
        }
        if (status == RLUA_OK)
            status = with_key(L, path.substr(dot == path.npos ? 0 : dot + 1), [&](const char *key) {
                lua_pushvalue(L, value);
                return rlua_setfield(L, -2, key);
            });
        return status;
    }

    detail::core *vm_;

private:
    friend struct detail::slot<state_view>;

    static int compile(const detail::visit &in, std::string_view code, const char *name) {
        return rlua_loadbuffer(in.state(), code.data() ? code.data() : "", code.size(), name, "t");
    }

    static int nothing_at(lua_State *L, std::string_view path, std::string_view where) {
        std::string text(path);
        text += ": ";
        text += where;
        return detail::bad_value(L, text += " is nil");
    }

    static int make_tables(const detail::visit &in, std::string_view path) {
        lua_State *L = in.state();
        const int top = lua_gettop(L);
        for (std::size_t dot = 0; dot != path.npos; dot += dot != path.npos) {
            dot = path.find('.', dot);
            const std::string_view way = path.substr(0, dot);
            int status = look_up(in, way);
            if (status == RLUA_OK && lua_type(L, -1) == LUA_TNIL) {
                status = rlua_createtable(L, 0, 0);
                if (status == RLUA_OK)
                    status = assign(in, way);
            }
            if (status != RLUA_OK)
                return status;
            lua_settop(L, top);
        }
        return RLUA_OK;
    }

    // A part of a path as C wants it.
    template <class Body> static int with_key(lua_State *L, std::string_view key, Body body) {
        char few[64];
        if (key.find('\0') != key.npos)
            return detail::bad_value(L, "a path with a zero byte: use operator[]");
        if (key.size() >= sizeof few)
            return body(std::string(key).c_str());
        few[key.copy(few, key.size())] = 0;
        return body(few);
    }

    // Pushes what a path names; on failure a message.
    static int look_up(const detail::visit &in, std::string_view path) {
        lua_State *L = in.state();
        std::size_t start = 0;
        int status = RLUA_OK;
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        for (const int place = lua_gettop(L);; ++start) {
            const std::size_t dot = path.find('.', start);
            status = with_key(L, path.substr(start, dot - start), [&](const char *key) {
                return rlua_getfield(L, place, key);
            });
            if (status != RLUA_OK || dot == path.npos)
                return status;
            if (lua_type(L, -1) == LUA_TNIL)
                return nothing_at(L, path, path.substr(0, dot));
            lua_copy(L, -1, place);
            lua_settop(L, place);
            start = dot;
        }
    }
};

namespace detail {

template <> struct slot<state_view> {
    struct codec_type {
        static const char *name() { return "VM"; }
    };
    core *held = nullptr;
    bool read(lua_State *L, int) { return (held = core_of(L)) != nullptr; }
    state_view take() { return state_view(held); }
};

} // namespace detail

// What is held of the past.
struct history {
    std::size_t size;      // snapshots held
    std::size_t limit;     // snapshots held at most
    std::int64_t oldest;   // their labels; 0 when none is held
    std::int64_t newest;
    std::int64_t highest;  // the highest label ever; a frame up to it is run again
    std::size_t bytes;     // of memory that the snapshots hold
};

// One place where two states differ: an rlua_DiffKind, the way, what each has there.
struct difference {
    int kind;
    std::string path, a, b;
};

// A VM with its whole state in one arena, owned. Move-only; closes at the end of its life.
class state : public state_view {
public:
    // Opens a VM. `memory_size` is the limit of its state in bytes, 0 for the largest there is;
    // `max_snapshots` is how many snapshots it keeps; `libs` are the libraries that scripts find.
    static result<state> open(std::size_t memory_size = 0, std::size_t max_snapshots = 0,
                              unsigned int libs = RLUA_LIB_ALL) {
        rlua_Config config{};
        config.size = sizeof config;
        config.memory_size = memory_size;
        config.max_snapshots = max_snapshots;
        return open(config, libs);
    }

    // The same with every option.
    static result<state> open(const rlua_Config &config, unsigned int libs = RLUA_LIB_ALL) {
        lua_State *L = nullptr;
        if (const int status = rlua_open(&config, &L); status != RLUA_OK)
            return detail::sentence(nullptr, status);
        state made(L);
        if (libs != 0)
            if (auto opened = made.open_libs(libs); !opened)
                return opened.error();
        return made;
    }

    // The same with functions and types of C++.
    static result<state> open(const rlua_Config &config, const bindings &given,
                              unsigned int libs = RLUA_LIB_ALL) {
        auto made = open(config, libs);
        if (made)
            if (auto bound = made->bind(given); !bound)
                return bound.error();
        return made;
    }

    // Takes a VM over that something else made, idle, by its main thread: it closes it.
    static result<state> adopt(lua_State *L) {
        std::size_t count = 0;
        if (const int status = rlua_snapshot_count(L, &count); status != RLUA_OK)
            return detail::sentence(nullptr, status);
        if (detail::core_of(L))
            return error{RLUA_BAD_ARG, "an rlua::state owns this VM already"};
        return state(L);
    }

    state(state &&other) noexcept : state_view(std::exchange(other.vm_, nullptr)) {}
    state &operator=(state &&other) noexcept {
        if (this != &other) {
            end();
            vm_ = std::exchange(other.vm_, nullptr);
        }
        return *this;
    }
    state(const state &) = delete;
    state &operator=(const state &) = delete;
    ~state() { end(); }

    // Closes the VM: finalizers run, snapshots go, objects outside are released, then the
    // functions. BUSY while Lua runs in it or another OS thread is inside, and nothing has changed;
    // see recover(). Closing twice is fine; everything else then answers RLUA_NOT_ROLLBACK.
    result<void> close() {
        detail::visit in(vm_);
        if (!in)
            return is_open() ? result<void>(in.refused()) : result<void>();
        if (is_busy(in))
            return error{RLUA_BUSY, "close: a call on this VM is under way"};
        shut(in);
        return {};
    }
    bool is_open() const noexcept { return vm_ && vm_->main; }

    // After a C++ exception that left a lua_CFunction and went through Lua's frames: makes the VM,
    // which is busy since, idle again. The caller promises that none of its frames is on any stack.
    // Functions of this header need no such help.
    result<void> recover() {
        if (!is_open())
            return detail::visit(vm_).refused();
        vm_->current = vm_->main;
        const int status = rlua_recover(vm_->main);
        if (status != RLUA_OK)
            return detail::sentence(vm_->main, status);
        return {};
    }

    // Makes a callable the function of that name: a lambda, mutable or not, a function pointer,
    // std::function; a generic one with its signature, set_function<int(int)>("f", [](auto n) ...).
    // Parameters and results are what has a codec. A first parameter `state_view` gives it the VM,
    // a last one `rlua::arguments` all further arguments. It returns void, one value, a std::tuple
    // or `values` for several, or a result, whose error is raised. A thrown exception is raised as
    // well, with the script's position in front. What a mutable lambda captured by value rolls
    // back: in the VM's memory where it is trivially copyable, else by a copy for each snapshot;
    // outside(lambda) leaves it alone. It lives until the VM closes. Give names before the first
    // snapshot: a name that is rolled back away has to be given again.
    template <class Signature = void, class F>
    result<void> set_function(std::string_view path, F &&function) {
        if constexpr (!std::is_void_v<Signature>) {
            return set_function(path, typed<Signature>(std::forward<F>(function)));
        } else {
            detail::visit in(vm_);
            if (!in)
                return in.refused();
            using held = detail::named_function<std::decay_t<F>>;
            auto made = std::make_shared<held>(std::forward<F>(function));
            auto &all = vm_->functions;
            if (all.size() == all.capacity())
                all.reserve(2 * all.size() + 8); // nothing throws when others have the pointer
            int status = made->attach(vm_, in.state());
            if (status != RLUA_OK)
                return in.failed(status);
            status = rlua_pushfunction(in.state(), detail::trampoline,
                                       static_cast<detail::host_function *>(made.get()),
                                       std::string(path).c_str());
            if (status != RLUA_OK) {
                const auto refused = in.failed(status);
                made->detach(in.state());
                return refused;
            }
            all.push_back(std::move(made));
            return in.done(assign(in, path)); // on failure a __newindex may have kept it
        }
    }

    // Gives the VM functions and types: before its first snapshot, as set_function(). What a failed
    // call had given by then stays.
    result<void> bind(const bindings &given) {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        keep(given);
        for (const auto &each : given.all_) {
            int status = each->enter(in.state());
            if (status == RLUA_OK && lua_gettop(in.state()) > in.top())
                status = assign(in, each->name(), true);
            if (status != RLUA_OK)
                return in.failed(status);
            lua_settop(in.state(), in.top());
        }
        return {};
    }

    // Makes an object outside the VM follow its snapshots: each snap copies it, a rollback assigns
    // the copy back. It must outlive the state, or be unfollowed. A copy that throws in a snap
    // fails the snap; the assignment must not throw. add_participant() is the same by hand.
    template <class T> result<void> follow(T &object) {
        static_assert(std::is_copy_constructible_v<T> && std::is_copy_assignable_v<T>,
                      "follow() needs an object that can be copied and assigned");
        return add_participant(detail::copies<T, followed<T>>::participant(), &object);
    }
    template <class T> result<void> unfollow(T &object) {
        return remove_participant(detail::copies<T, followed<T>>::participant(), &object);
    }
    result<void> add_participant(const rlua_Participant &participant, void *ud) {
        detail::visit in(vm_);
        return in ? done(in, rlua_add_participant(in.state(), &participant, ud)) : in.refused();
    }
    result<void> remove_participant(const rlua_Participant &participant, void *ud) {
        detail::visit in(vm_);
        return in ? done(in, rlua_remove_participant(in.state(), &participant, ud)) : in.refused();
    }

    // Captures the whole state, in front of a frame: `snap()` labels it one above the newest,
    // `snap(frame)` as told; the newest label again replaces that snapshot. Returns the label.
    result<std::int64_t> snap() {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        std::int64_t frame = 0;
        int status = rlua_snap(in.state());
        if (status == RLUA_OK)
            status = rlua_newest_frame(in.state(), &frame);
        if (status != RLUA_OK)
            return detail::sentence(in.state(), status);
        return frame;
    }
    result<std::int64_t> snap(std::int64_t frame) {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        if (const int status = rlua_snap_frame(in.state(), frame); status != RLUA_OK)
            return detail::sentence(in.state(), status);
        return frame;
    }

    // Goes back: to the n-th newest snapshot, or to the one with that label. The target stays;
    // newer ones are dropped.
    result<void> rollback(std::size_t n = 1) { return back(rlua_rollback, n); }
    result<void> rollback_to(std::int64_t frame) { return back(rlua_rollback_to, frame); }

    // Drops what is older than a confirmed frame.
    result<void> discard_before(std::int64_t frame) { return back(rlua_discard_before, frame); }
    result<void> set_max_snapshots(std::size_t count) {
        return back(rlua_set_max_snapshots, count);
    }
    result<rlua::history> history() const {
        auto held = info();
        if (!held)
            return held.error();
        return rlua::history{held->snapshot_count, held->max_snapshots, held->oldest_frame,
                             held->newest_frame, held->highest_frame, held->snapshot_bytes};
    }

    // The whole state as bytes, that of a held snapshot, or what leads from one to another. Refused
    // with UNSAVABLE and its way is what an image cannot have: an object outside the VM whose type
    // has no functions for it (bindings::set_type), a callable that was not named by
    // set_function() or bindings::set_callable().
    result<bytes> save() {
        return bytes_by(
            [](lua_State *L, rlua_Writer writer, void *ud) { return rlua_save(L, writer, ud); },
            expected_bytes());
    }
    result<bytes> save(std::int64_t frame) {
        return bytes_by(
            [frame](lua_State *L, rlua_Writer writer, void *ud) {
                return rlua_save_snapshot(L, frame, writer, ud);
            },
            expected_bytes());
    }
    // How many bytes save() would give now, for who needs a size ahead.
    result<std::size_t> save_bound() const { return asked<std::size_t>(rlua_save_bound); }
    result<bytes> save_delta(std::int64_t from, std::int64_t to) {
        return bytes_by([from, to](lua_State *L, rlua_Writer writer, void *ud) {
            return rlua_save_delta(L, from, to, writer, ud);
        });
    }

    // A VM that goes on with a saved state. Of the config its limit, the snapshots, `trust`,
    // `image_key`, `names` and `types` (of C) count; `given` is what the saving VM had of C++.
    static result<state> from_image(const bytes &image, rlua_Config config,
                                    const bindings &given = {}) {
        const bindings::lists lists(given, config);
        const detail::complaint said;
        lua_State *L = nullptr;
        const int status = rlua_load_buffer(&config, start(image), image.size(), &L);
        if (status != RLUA_OK)
            return said.explain(detail::sentence(nullptr, status));
        state made(L);
        made.keep(given);
        return made;
    }

    // A second VM with the same state, for another thread or to look ahead, with objects outside of
    // its own, as a save and a load make them, and the same functions. UNSAVABLE where one of them
    // is a mutable lambda. Snapshots and what follows them are not copied.
    result<state> clone() {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        for (const auto &each : vm_->functions)
            if (each->owner)
                return error{RLUA_UNSAVABLE, "clone: set_function() was given a mutable lambda, "
                                             "whose captured state has one owner"};
        const detail::complaint said;
        lua_State *L = nullptr;
        if (const int status = rlua_clone(in.state(), &L); status != RLUA_OK)
            return said.explain(detail::sentence(in.state(), status));
        state made(L);
        made.vm_->functions = vm_->functions;
        made.vm_->bindings = vm_->bindings;
        made.vm_->names = vm_->names;
        return made;
    }

    // Where this state and another VM's differ, at most `most` places (0: 1000), by the shortest
    // way to each; the other is `b`. Nothing changes in either.
    result<std::vector<difference>> diff(state &other, std::size_t most = 0) {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        detail::visit in_other(other.vm_);
        if (!in_other)
            return in_other.refused();
        found_differences found;
        return found.after(in.state(), rlua_diff_vms(in.state(), in_other.state(), most,
                                                     found_differences::add, &found));
    }
    // The same of two images. Nothing of them is run; of the config what from_image() wants.
    static result<std::vector<difference>> diff(const bytes &a, const bytes &b,
                                                rlua_Config config, std::size_t most = 0,
                                                const bindings &given = {}) {
        const bindings::lists lists(given, config);
        found_differences found;
        return found.after(nullptr, rlua_diff(&config, start(a), a.size(), start(b), b.size(), most,
                                              found_differences::add, &found));
    }

    // Runs frames, and after each rolls back `check_distance` frames and runs them again. A frame
    // that comes to another state ends it: RLUA_DESYNC, with a sentence that names the frame and
    // the first value that differs. `frame(number, again)` returns a result<void>, and may do
    // anything with the VM but snap and roll back. `report` may be NULL; set its size.
    template <class F>
    result<void> synctest(F &&frame, unsigned int check_distance, unsigned int frames,
                          rlua_SyncReport *report = nullptr) {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        frame_runner<std::remove_reference_t<F>> runner{frame, {}};
        const int status = rlua_synctest(in.state(), runner.run, &runner, check_distance, frames,
                                         report);
        if (status == RLUA_OK)
            return {};
        if (runner.failed.status != RLUA_OK)
            return runner.failed;
        return detail::sentence(in.state(), status);
    }

    // Makes the state what a delta leads to; BAD_IMAGE, and nothing has changed, where it leads
    // from another state. `names` are those of C that are new; what was bound is known.
    result<void> apply_delta(const bytes &delta, const rlua_Name *names = nullptr) {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        std::vector<rlua_Name> all;
        if (names) {
            for (; names->name; ++names)
                all.push_back(*names);
            all.insert(all.end(), vm_->names.begin(), vm_->names.end());
        }
        names = names ? all.data() : vm_->names.data();
        const detail::complaint said;
        part rest{delta.data(), delta.size()};
        const int status = rlua_apply_delta(in.state(), names, part::give, &rest);
        if (status != RLUA_OK)
            return said.explain(detail::sentence(in.state(), status));
        return {};
    }

    // 128 bits that are equal where states are, on any machine.
    result<rlua_Checksum> checksum() {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        rlua_Checksum sum{};
        if (const int status = rlua_checksum(in.state(), &sum); status != RLUA_OK)
            return detail::sentence(in.state(), status);
        return sum;
    }

    // Walks the arena and the snapshots; CORRUPT if one is broken. For tests: it is slow.
    result<void> check() const {
        detail::visit in(vm_);
        return in ? done(in, rlua_check(in.state())) : in.refused();
    }

private:
    // Collects differences; what cannot be kept for want of memory is told as that.
    struct found_differences {
        std::vector<difference> all;
        bool full = false;
        static int add(void *ud, const rlua_Difference *one) noexcept {
            auto &found = *static_cast<found_differences *>(ud);
#if RLUA_HAS_EXCEPTIONS
            try {
                found.all.push_back({one->kind, one->path, one->a, one->b});
            } catch (...) {
                found.full = true;
            }
#else
            found.all.push_back({one->kind, one->path, one->a, one->b});
#endif
            return found.full;
        }
        result<std::vector<difference>> after(lua_State *L, int status) {
            if (status != RLUA_OK)
                return detail::sentence(L, status);
            if (full)
                return error{RLUA_NO_MEMORY, "diff: there is no memory for what differs"};
            return std::move(all);
        }
    };

    // No exception crosses the library: what a frame threw is kept as an error.
    template <class F> struct frame_runner {
        F &frame;
        error failed;
        static int run(lua_State *, void *ud, unsigned int number, int again) noexcept {
            auto &runner = *static_cast<frame_runner *>(ud);
#if RLUA_HAS_EXCEPTIONS
            try {
                return runner.step(number, again);
            } catch (const std::exception &e) {
                runner.failed = error{RLUA_ERR_RUN, e.what()};
            } catch (...) {
                runner.failed = error{RLUA_ERR_RUN, "a C++ exception"};
            }
            return RLUA_ERR_RUN;
#else
            return runner.step(number, again);
#endif
        }
        int step(unsigned int number, int again) {
            const result<void> done = frame(number, again != 0);
            if (!done)
                failed = done.error();
            return done ? RLUA_OK : failed.status;
        }
    };

    // Never NULL, which a vector without bytes may have.
    static const void *start(const bytes &image) noexcept {
        return image.empty() ? static_cast<const void *>("") : image.data();
    }

    // Some bytes that are read, from the first on.
    struct part {
        const std::byte *at;
        std::size_t left;
        static std::size_t give(void *ud, void *to, std::size_t length) noexcept {
            part &rest = *static_cast<part *>(ud);
            if (length > rest.left)
                length = rest.left;
            std::memcpy(to, rest.at, length);
            rest.at += length;
            rest.left -= length;
            return length;
        }
    };
    // Those that a writer gathers.
    static int gather(void *ud, const void *from, std::size_t length) noexcept {
        return detail::complaint::guard([=] {
            const auto *first = static_cast<const std::byte *>(from);
            auto &all = *static_cast<bytes *>(ud);
            all.insert(all.end(), first, first + length);
            return 0;
        });
    }
    template <class F> result<bytes> bytes_by(F save, std::size_t expected = 0) {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        const detail::complaint said;
        bytes gathered;
        gathered.reserve(expected);
        if (const int status = save(in.state(), gather, &gathered); status != RLUA_OK)
            return said.explain(detail::sentence(in.state(), status));
        return gathered;
    }
    // About as many as an image has.
    std::size_t expected_bytes() const {
        const auto now = info();
        return now ? now->used_bytes + 16 * 1024 : 0;
    }
    // For copies<T>: the object itself is the participant's ud.
    template <class T> struct followed {
        static const T *captured(void *ud) noexcept { return static_cast<const T *>(ud); }
        static void restored(void *ud, const T &then) noexcept { *static_cast<T *>(ud) = then; }
    };

    explicit state(lua_State *L) : state_view(new detail::core(L)) {
        detail::directory::get().add(vm_);
    }

    // Keeps what was given for as long as the VM has it, once.
    void keep(const bindings &given) {
        auto all = vm_->bindings;
        for (const auto &each : given.all_) {
            bool is_kept = false;
            for (const auto &other : vm_->bindings)
                is_kept = is_kept || other == each;
            if (!is_kept)
                all.push_back(each);
        }
        std::vector<rlua_Name> names;
        for (const auto &each : all)
            each->add_names(names);
        names.push_back({nullptr, nullptr, nullptr, nullptr});
        vm_->bindings = std::move(all);
        vm_->names = std::move(names);
    }

    // A status of a call that leaves no error value.
    static result<void> done(const detail::visit &in, int status) {
        if (status == RLUA_OK)
            return {};
        return detail::sentence(in.state(), status);
    }
    template <class N> result<void> back(int (*function)(lua_State *, N), N argument) {
        detail::visit in(vm_);
        return in ? done(in, function(in.state(), argument)) : in.refused();
    }

    // Dropping what is older than the oldest possible frame drops nothing, but asks. A frame of
    // synctest() runs while the VM is idle.
    static bool is_busy(const detail::visit &in) noexcept {
        const auto least = std::numeric_limits<std::int64_t>::min();
        return !in.is_outermost() || rlua_discard_before(in.state(), least) == RLUA_BUSY;
    }

    // A busy VM cannot be closed; it and its functions are left as they are rather than pulled from
    // under it.
    void end() noexcept {
        if (is_open()) {
            detail::visit in(vm_);
            if (!in || is_busy(in)) {
                vm_ = nullptr;
                return;
            }
            shut(in);
        }
        detail::core_ref::drop(std::exchange(vm_, nullptr));
    }

    void shut(detail::visit &in) noexcept {
        detail::directory::get().remove(vm_);
        lua_close(vm_->main);
        in.forget();
        vm_->main = vm_->current = nullptr;
        vm_->functions.clear();
        vm_->bindings.clear();
    }
};

} // namespace rlua

#endif // RLUA_STATE_HPP
