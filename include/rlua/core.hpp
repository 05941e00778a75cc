// core.hpp: what a VM's owner, its views and its handles share, and how a call of theirs enters.
//
// Invariants:
// - C1 *one thread*: a core has a holder, the OS thread that is inside. Another one is refused with
//   RLUA_BUSY before it touches Lua's stack.
// - C2 *closed is known*: a core outlives its VM as long as a handle has it; `main` is NULL then.
// - C3 *current*: while Lua runs, `current` is the thread of Lua that called the innermost host
//   function, so that handles work inside of coroutines too; else it is the main thread.
// - C4 *balanced*: a call leaves the Lua stack as it found it.
//
// Not here: what is pushed and read (values.hpp), who owns the VM (state.hpp).
#ifndef RLUA_CORE_HPP
#define RLUA_CORE_HPP

#include "result.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rlua {
namespace detail {

struct core;

// A function of the host that cores own until their VMs close. One with a state that rolls back has
// an owner: attach() puts that state where it follows the snapshots, and answers an rlua_Status;
// detach() undoes that. Any other may be in several VMs.
struct host_function {
    core *owner = nullptr;
    virtual ~host_function() = default;
    virtual int invoke(core *c, lua_State *L) = 0;
    virtual int attach(core *, lua_State *) { return RLUA_OK; }
    virtual void detach(lua_State *) noexcept {}
};

// One thing that bindings give to VMs: each core owns it until its VM closes.
struct binding {
    virtual ~binding() = default;
    // What it is called, among those of its kind.
    virtual const char *name() const noexcept = 0;
    virtual int kind() const noexcept = 0;
    // Adds what it is called in images.
    virtual void add_names(std::vector<rlua_Name> &) const {}
    // How objects of it are saved and loaded, or NULL.
    virtual const rlua_ObjectType *object_type() const noexcept { return nullptr; }
    // Tells a VM of it; pushes what scripts shall find under the name, if they shall.
    virtual int enter(lua_State *L) const = 0;
};

// Lua's text of a value: itself, or what its __tostring says.
inline std::string text_at(lua_State *L, int index) {
    const char *text = nullptr;
    std::size_t length = 0;
    if (!lua_checkstack(L, 4) || rlua_pushtostring(L, index) != RLUA_OK ||
        rlua_tolstring(L, -1, &text, &length) != RLUA_OK || text == nullptr)
        return std::string("(error object is a ") + lua_typename(L, lua_type(L, index)) + " value)";
    return std::string(text, length);
}

// The state that outlives its VM. `passing` is the script's error that a host function passes on:
// it keeps the traceback of where it was raised. `traceback` is what the last error left.
struct core {
    lua_State *main = nullptr;
    lua_State *current = nullptr;
    std::atomic<const void *> holder{nullptr};
    std::atomic<std::size_t> users{1};
    error passing;
    std::string traceback;
    std::vector<std::shared_ptr<host_function>> functions;
    std::vector<std::shared_ptr<const binding>> bindings;
    std::vector<rlua_Name> names; // of these bindings, and an end

    explicit core(lua_State *L) : main(L), current(L), names(1) {}
    core(const core &) = delete;
    core &operator=(const core &) = delete;
};

// A counted pointer to a core.
class core_ref {
public:
    core_ref() = default;
    explicit core_ref(core *c) noexcept : core_(c) {
        if (core_)
            core_->users.fetch_add(1, std::memory_order_relaxed);
    }
    core_ref(core_ref &&other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    core_ref &operator=(core_ref &&other) noexcept {
        core_ref moved(std::move(other));
        std::swap(core_, moved.core_);
        return *this;
    }
    ~core_ref() { drop(core_); }
    core *get() const noexcept { return core_; }

    static void drop(core *c) noexcept {
        if (c && c->users.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete c;
    }

private:
    core *core_ = nullptr;
};

// The address of `mark` stands for this OS thread; `active` is the core whose call is innermost on
// it.
inline thread_local char mark = 0;
inline thread_local core *active = nullptr;

// Cores by their main threads, for a view that is made of a lua_State alone.
struct directory {
    std::mutex mutex;
    std::unordered_map<lua_State *, core *> cores;

    static directory &get() {
        static directory all;
        return all;
    }
    void add(core *c) {
        const std::lock_guard<std::mutex> lock(mutex);
        cores[c->main] = c;
    }
    void remove(core *c) noexcept {
        const std::lock_guard<std::mutex> lock(mutex);
        cores.erase(c->main);
    }
    core *find(lua_State *main) noexcept {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto found = cores.find(main);
        return found == cores.end() ? nullptr : found->second;
    }
};

// The core of a Lua thread: the innermost call's, where the thread is of its VM. Nothing remembers
// which thread has asked: what this leaves above the top is state, and has to be the same when a
// frame runs again.
inline core *core_of(lua_State *L) noexcept {
    if (L == nullptr)
        return nullptr;
    if (active && active->current == L)
        return active;
    if (!lua_checkstack(L, 1))
        return nullptr;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_settop(L, -2);
    return active && active->main == main ? active : directory::get().find(main);
}

// The library's sentence for a status.
inline error sentence(lua_State *L, int status) {
    if (status == RLUA_ERR_MEM)
        return {RLUA_ERR_MEM, "not enough memory"};
    const char *text = rlua_last_error(L);
    return {static_cast<rlua_Status>(status), text && *text ? text : rlua_strerror(status)};
}

// The error of a failed call: its Lua value, if it has one, lies above `top`.
inline error take_error(lua_State *L, int status, int top) {
    const bool has_value = status >= RLUA_ERR_RUN || status == RLUA_BAD_ARG;
    if (status != RLUA_ERR_MEM && has_value && lua_gettop(L) > top)
        return {static_cast<rlua_Status>(status), text_at(L, -1)};
    return sentence(L, status);
}

// The same for a call of a script, whose traceback the handler has kept.
inline error take_raised(core *c, lua_State *L, int status, int top) {
    error e = take_error(L, status, top);
    const bool is_passed = !c->passing.traceback.empty() && c->passing.message == e.message;
    e.traceback = std::move(is_passed ? c->passing.traceback : c->traceback);
    c->traceback.clear();
    c->passing = {};
    return e;
}

// The message handler of a call: keeps the traceback beside the error value, which stays as it is.
inline void keep_traceback(lua_State *L) noexcept {
    const char *text = nullptr;
    std::size_t length = 0;
    if (!active || rlua_traceback(L, L, nullptr, 1) != RLUA_OK ||
        rlua_tolstring(L, -1, &text, &length) != RLUA_OK || text == nullptr)
        return;
#if RLUA_HAS_EXCEPTIONS
    try {
        active->traceback.assign(text, length);
    } catch (const std::bad_alloc &) {
        active->traceback.clear();
    }
#else
    active->traceback.assign(text, length);
#endif
}
inline int handle_error(lua_State *L) {
    keep_traceback(L);
    lua_settop(L, 1);
    return 1;
}

inline error mismatch(lua_State *L, int index, std::string_view what, const char *wanted) {
    std::string text(what);
    text += ": expected ";
    text += wanted;
    text += ", found ";
    text += lua_typename(L, lua_type(L, index));
    return {RLUA_BAD_ARG, std::move(text)};
}

// A codec's failure: the message is pushed.
inline int bad_value(lua_State *L, std::string_view message) noexcept {
    lua_checkstack(L, 1);
    rlua_pushlstring(L, message.data(), message.size()); // or the memory error, on top as well
    return RLUA_BAD_ARG;
}

// Room for what one step pushes.
inline int reserve(lua_State *L, int slots = 8) noexcept {
    return lua_checkstack(L, slots) ? RLUA_OK : RLUA_NO_MEMORY;
}

// One call into a VM: takes it for this OS thread (C1), finds the thread to work on (C3), and puts
// the stack back (C4).
class visit {
public:
    enum { SLOTS = 28 };

    explicit visit(core *c) noexcept {
        if (c == nullptr)
            return;
        const void *self = &mark, *holder = c->holder.load(std::memory_order_relaxed);
        if (holder != self) {
            holder = nullptr;
            if (!c->holder.compare_exchange_strong(holder, self, std::memory_order_acquire,
                                                   std::memory_order_relaxed)) {
                status_ = RLUA_BUSY;
                return;
            }
            locked_ = true;
        }
        core_ = c;
        if (c->main == nullptr)
            return;
        L_ = c->current;
        outer_ = std::exchange(active, c);
        top_ = lua_gettop(L_);
        status_ = reserve(L_, SLOTS);
    }
    ~visit() {
        if (L_) {
            if (!calling_) // else an exception goes through Lua's frames
                lua_settop(L_, top_);
            active = outer_;
        }
        if (locked_)
            core_->holder.store(nullptr, std::memory_order_release);
    }
    visit(const visit &) = delete;
    visit &operator=(const visit &) = delete;

    explicit operator bool() const noexcept { return status_ == RLUA_OK; }
    lua_State *state() const noexcept { return L_; }
    core *vm() const noexcept { return core_; }
    int top() const noexcept { return top_; }
    // Whether no other visit of this thread is under way, in which a callable is running.
    bool is_outermost() const noexcept { return locked_; }

    // The VM ends in this visit: there is no stack to put back.
    void forget() noexcept {
        active = outer_;
        L_ = nullptr;
    }

    // Why there is no visit.
    rlua::error refused() const {
        if (status_ == RLUA_BUSY)
            return {RLUA_BUSY, "another OS thread is inside this VM: one at a time"};
        if (L_)
            return {RLUA_NO_MEMORY, "there is no room on the Lua stack"};
        if (core_)
            return {RLUA_NOT_ROLLBACK, "the state is closed"};
        return {RLUA_NOT_ROLLBACK, "no VM is behind this: it is empty, was moved from, or its VM "
                                   "was not made by rlua::state"};
    }
    rlua::error failed(int status) const { return take_error(L_, status, top_); }
    result<void> done(int status) const {
        if (status == RLUA_OK)
            return {};
        return failed(status);
    }

    // Pushes the handler that call() will use; returns where. First of what a visit pushes.
    int push_handler() noexcept {
        lua_pushcclosure(L_, handle_error, 0); // a light C function: allocates nothing
        return lua_gettop(L_);
    }

    // Calls the function below `count` arguments.
    int call(int count, int results, int handler) {
        if (!core_->passing.message.empty())
            core_->passing = {};
        calling_ = true;
        const int status = rlua_call(L_, count, results, handler);
        calling_ = false;
        return status;
    }
    int resume(lua_State *thread, int count, int *results) {
        if (!core_->passing.message.empty())
            core_->passing = {};
        calling_ = true;
        const int status = rlua_resume(thread, L_, count, results);
        calling_ = false;
        return status;
    }

private:
    core *core_ = nullptr, *outer_ = nullptr;
    lua_State *L_ = nullptr;
    int top_ = 0, status_ = RLUA_NOT_ROLLBACK;
    bool locked_ = false, calling_ = false;
};

// Lua has called a host function on thread L: the other direction of a visit.
class arrival {
public:
    arrival(core *c, lua_State *L) noexcept : core_(c) {
        const void *self = &mark, *holder = c->holder.load(std::memory_order_relaxed);
        if (holder != self) { // Lua was not entered by a visit
            holder = nullptr;
            if (!c->holder.compare_exchange_strong(holder, self, std::memory_order_acquire,
                                                   std::memory_order_relaxed)) {
                core_ = nullptr;
                return;
            }
            locked_ = true;
        }
        current_ = std::exchange(c->current, L);
        outer_ = std::exchange(active, c);
    }
    ~arrival() {
        if (core_ == nullptr)
            return;
        core_->current = current_;
        active = outer_;
        if (locked_)
            core_->holder.store(nullptr, std::memory_order_release);
    }
    arrival(const arrival &) = delete;
    arrival &operator=(const arrival &) = delete;
    explicit operator bool() const noexcept { return core_ != nullptr; }

private:
    core *core_, *outer_ = nullptr;
    lua_State *current_ = nullptr;
    bool locked_ = false;
};

// Raises an error from a host function: with the script's position, unless it has one from where it
// was raised first.
inline int raise(lua_State *L, const char *message) noexcept {
    lua_checkstack(L, 1);
    return rlua_error(L, message);
}
inline int raise(core *c, lua_State *L, const error &e) {
    if (e.traceback.empty() && e.status != RLUA_ERR_SYNTAX)
        return raise(L, e.message.c_str());
    bad_value(L, e.message);
    c->passing = e;
    return RLUA_RAISE;
}

// "number expected, got string", as Lua's own functions say it.
inline int raise_argument(lua_State *L, int index, bool is_given, const char *wanted) {
    std::string text(wanted);
    text += " expected, got ";
    text += is_given ? lua_typename(L, lua_type(L, index)) : "no value";
    lua_checkstack(L, 1);
    return rlua_argerror(L, index, text.c_str());
}

// Runs the body of a host function. No exception leaves it: one that the body throws is raised as a
// Lua error when everything of C++ is gone.
template <class Body> int host_call(core *c, lua_State *L, Body body) noexcept {
    const arrival here(c, L);
    if (!here)
        return raise(L, "another OS thread is inside this VM: one at a time");
#if RLUA_HAS_EXCEPTIONS
    try {
        try {
            return body();
        } catch (const bad_result &e) {
            return raise(c, L, e.error()); // which may run out of memory itself
        }
    } catch (const std::exception &e) {
        return raise(L, e.what());
    } catch (...) {
        return raise(L, "a C++ exception that is not a std::exception");
    }
#else
    return body();
#endif
}
// The same where only the thread is known.
template <class Body> int host_call(lua_State *L, Body body) noexcept {
    core *c = core_of(L);
    if (c == nullptr)
        return raise(L, "this VM was not made by rlua::state");
    return host_call(c, L, [&] { return body(c); });
}

} // namespace detail
} // namespace rlua

#endif // RLUA_CORE_HPP
