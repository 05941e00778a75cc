// rlua.hpp: RAII, typed values and lambdas over rlua.h, for C++17, header-only.
//
//     auto lua = rlua::state::open(1 << 20, 20).value();
//     lua.run("n = 1").value();
//     lua.snap().value();
//     lua.run("n = 2").value();
//     lua.rollback().value();
//     int n = lua.get<int>("n").value();      // 1
//
// Invariants:
// - Only functions that cannot raise a Lua error are called, so no longjmp crosses a C++ frame.
//   A lambda given to Lua must keep to the same: rlua_* and this header, never luaL_error().
// - No C++ exception crosses Lua: one that leaves a lambda becomes a Lua error, with the script's
//   position in front. (An exception that leaves a lua_CFunction of yours does: see recover().)
// - Every failure is a result, and a result that nobody asks is a compiler's warning.
// - Nothing here throws by itself but result::value(); std::bad_alloc may come from strings and
//   containers. With -fno-exceptions value() prints the message and aborts.
// - A lambda lives until its state closes, not until Lua collects it: a rollback can bring a
//   collected function back.
// - What a mutable lambda captured by value rolls back: in the VM's own memory where it is
//   trivially copyable, else by a copy for each snapshot. outside(lambda) leaves it alone.
// - A call leaves the Lua stack as it found it.
//
// Threads: a state, its views and its lambdas belong to one thread at a time.
//
// Not here: userdata with C++ objects in them, coroutines driven by the host.
#ifndef RLUA_HPP
#define RLUA_HPP

extern "C" {
#include "lua.h" // which leaves its linkage to us
}
#include "rlua.h"

#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define RLUA_HAS_EXCEPTIONS 1
#include <stdexcept>
#else
#define RLUA_HAS_EXCEPTIONS 0
#endif

namespace rlua {

// Why a call failed. `status` is an rlua_Status; `message` is the error value's text, or the
// library's sentence; `traceback` is Lua's, where a script raised the error, else empty.
struct error {
    int status = RLUA_OK;
    std::string message;
    std::string traceback = {};
};

#if RLUA_HAS_EXCEPTIONS
// What result::value() throws.
class bad_result : public std::runtime_error {
public:
    explicit bad_result(const rlua::error &e)
        : std::runtime_error(e.message), error_(std::make_shared<rlua::error>(e)) {}
    int status() const noexcept { return error_->status; }
    const std::string &traceback() const noexcept { return error_->traceback; }
    const rlua::error &error() const noexcept { return *error_; }

private:
    std::shared_ptr<const rlua::error> error_; // a copy of an exception must not throw
};
#endif

namespace detail {

[[noreturn]] inline void fail(const error &e) {
#if RLUA_HAS_EXCEPTIONS
    throw bad_result(e);
#else
    std::fprintf(stderr, "rlua: %s\n", e.message.c_str());
    std::abort();
#endif
}

} // namespace detail

// A value or an error. operator bool asks which; value() takes the value, or throws bad_result
// (aborts without exceptions); operator* and error() need the right answer to have been asked.
template <class T> class [[nodiscard]] result {
public:
    using value_type = T;
    result(T value) : value_(std::move(value)) {}
    result(rlua::error e) : error_(std::move(e)) {}

    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    const rlua::error &error() const noexcept { return error_; }
    T &operator*() & noexcept { return *value_; }
    const T &operator*() const & noexcept { return *value_; }
    T &&operator*() && noexcept { return *std::move(value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }
    T &value() & { return ok(), *value_; }
    const T &value() const & { return ok(), *value_; }
    T &&value() && { return ok(), *std::move(value_); }
    template <class U> T value_or(U &&other) const & {
        return has_value() ? *value_ : static_cast<T>(std::forward<U>(other));
    }

private:
    void ok() const {
        if (!has_value())
            detail::fail(error_);
    }
    std::optional<T> value_;
    rlua::error error_;
};

// Success or an error.
template <> class [[nodiscard]] result<void> {
public:
    using value_type = void;
    result() = default;
    result(rlua::error e) : error_(std::move(e)) {}

    bool has_value() const noexcept { return error_.status == RLUA_OK; }
    explicit operator bool() const noexcept { return has_value(); }
    const rlua::error &error() const noexcept { return error_; }
    void value() const {
        if (!has_value())
            detail::fail(error_);
    }

private:
    rlua::error error_;
};

// How a C++ type crosses: specialize it for a type of your own.
//
//     static int push(lua_State *, const T &)        pushes one value; an rlua_Status, and on
//                                                    failure one error value pushed instead
//     static bool read(lua_State *, int index, T &)  false when the value there is not a T; may
//                                                    leave values above the stack it found
//     static const char *name()                      for messages: "expected <name>"
template <class T, class = void> struct codec;

namespace detail {

// Puts the stack back to where it was.
class balance {
public:
    explicit balance(lua_State *L) noexcept : L_(L), top_(L ? lua_gettop(L) : 0) {}
    ~balance() {
        if (L_)
            lua_settop(L_, top_);
    }
    balance(const balance &) = delete;
    balance &operator=(const balance &) = delete;
    int top() const noexcept { return top_; }

private:
    lua_State *L_;
    int top_;
};

// A codec's failure: the message is pushed.
inline int bad_value(lua_State *L, std::string_view message) noexcept {
    lua_checkstack(L, 1);
    rlua_pushlstring(L, message.data(), message.size()); // or the memory error, on top as well
    return RLUA_BAD_ARG;
}

// Makes room for what one call here pushes. A closed state has a NULL in it.
inline int reserve(lua_State *L) noexcept {
    if (L == nullptr)
        return RLUA_NULL_ARG;
    return lua_checkstack(L, 8) ? RLUA_OK : RLUA_NO_MEMORY;
}

// The thread that lives as long as its VM; a coroutine may be collected or rolled back away.
inline lua_State *main_thread(lua_State *L) noexcept {
    if (reserve(L) != RLUA_OK)
        return L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_settop(L, -2);
    return main ? main : L; // a script took it out of the registry
}

template <class T> [[nodiscard]] int push(lua_State *L, const T &value) {
    const int status = reserve(L);
    return status == RLUA_OK ? codec<T>::push(L, value) : status;
}

template <class T> [[nodiscard]] bool read(lua_State *L, int index, T &out) {
    return reserve(L) == RLUA_OK && codec<T>::read(L, index, out);
}

// The text of the value on top: itself, or what its __tostring says.
inline std::string text_of_top(lua_State *L) {
    const char *text = nullptr;
    std::size_t length = 0;
    const int kind = lua_type(L, -1);
    if (kind != LUA_TSTRING) {
        if (!lua_checkstack(L, 4) || rlua_getglobal(L, "tostring") != RLUA_OK ||
            rlua_pushvalue(L, -2) != RLUA_OK || rlua_call(L, 1, 1, 0) != RLUA_OK)
            return std::string("(error object is a ") + lua_typename(L, kind) + " value)";
    }
    if (rlua_tolstring(L, -1, &text, &length) != RLUA_OK || text == nullptr)
        return "(error object has no text)";
    return std::string(text, length);
}

// The script's error that a lambda passes on. It keeps the traceback of where it was raised, which
// tells of the calls further out as well.
inline error &passing() {
    static thread_local error current;
    return current;
}

inline error with_traceback(error e) {
    const std::string_view mark = "\nstack traceback:\n";
    const std::size_t end = e.message.rfind(mark);
    if (end != std::string::npos) {
        e.traceback = e.message.substr(end + 1);
        e.message.resize(end);
    }
    error &passed = passing();
    if (!passed.traceback.empty() && passed.message == e.message)
        e.traceback = std::move(passed.traceback);
    passed = {};
    return e;
}

// Makes the error of a failed call; its Lua value, if it has one, lies above `top`.
inline error take_error(lua_State *L, int status, int top) {
    if (status == RLUA_ERR_MEM)
        return {status, "not enough memory"};
    if (status == RLUA_NULL_ARG && L == nullptr)
        return {status, "the state is closed"};
    const bool has_value = L && (status >= RLUA_ERR_RUN || status == RLUA_BAD_ARG);
    if (has_value && lua_gettop(L) > top)
        return {status, text_of_top(L)};
    const char *sentence = rlua_last_error(L);
    return {status, sentence && *sentence ? sentence : rlua_strerror(status)};
}

inline std::string mismatch(lua_State *L, int index, std::string_view what, const char *wanted) {
    std::string text(what);
    text += ": expected ";
    text += wanted;
    text += ", found ";
    return text += lua_typename(L, lua_type(L, index));
}

// Raises an error from a host function: with the script's position, unless it has one from where it
// was raised first.
inline int raise(lua_State *L, const char *message) noexcept {
    lua_checkstack(L, 1);
    return rlua_error(L, message);
}
inline int raise(lua_State *L, const error &e) {
    if (e.traceback.empty() && e.status != RLUA_ERR_SYNTAX)
        return raise(L, e.message.c_str());
    bad_value(L, e.message);
    passing() = e;
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

template <class T> struct is_tuple : std::false_type {};
template <class... T> struct is_tuple<std::tuple<T...>> : std::true_type {};
template <class T> struct is_result : std::false_type {};
template <class T> struct is_result<result<T>> : std::true_type {};

} // namespace detail

template <> struct codec<bool> {
    static const char *name() { return "boolean"; }
    static int push(lua_State *L, bool value) { return rlua_pushboolean(L, value); }
    static bool read(lua_State *L, int index, bool &out) {
        out = lua_toboolean(L, index) != 0;
        return lua_type(L, index) == LUA_TBOOLEAN;
    }
};

// nil, as nullptr.
template <> struct codec<std::nullptr_t> {
    static const char *name() { return "nil"; }
    static int push(lua_State *L, std::nullptr_t) { return rlua_pushnil(L); }
    static bool read(lua_State *L, int index, std::nullptr_t &out) {
        out = nullptr;
        return lua_type(L, index) <= LUA_TNIL;
    }
};

// Integers, in both directions only when the value fits; a float with an integer value counts.
template <class T>
struct codec<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>> {
    static const char *name() { return "integer in range"; }
    static int push(lua_State *L, T value) {
        if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(lua_Integer)) {
            if (value > static_cast<T>(LUA_MAXINTEGER))
                return detail::bad_value(L, "an unsigned integer is above Lua's largest integer");
        }
        return rlua_pushinteger(L, static_cast<lua_Integer>(value));
    }
    static bool read(lua_State *L, int index, T &out) {
        int is_integer = 0;
        const lua_Integer value = lua_tointegerx(L, index, &is_integer);
        out = static_cast<T>(value);
        return lua_type(L, index) == LUA_TNUMBER && is_integer &&
               static_cast<lua_Integer>(out) == value && (value < 0) == (out < T{});
    }
};

template <class T> struct codec<T, std::enable_if_t<std::is_floating_point_v<T>>> {
    static const char *name() { return "number"; }
    static int push(lua_State *L, T value) {
        return rlua_pushnumber(L, static_cast<lua_Number>(value));
    }
    static bool read(lua_State *L, int index, T &out) {
        out = static_cast<T>(lua_tonumberx(L, index, nullptr));
        return lua_type(L, index) == LUA_TNUMBER;
    }
};

// Strings are bytes, of any length and content. A number is not taken for one.
template <> struct codec<std::string_view> {
    static const char *name() { return "string"; }
    static int push(lua_State *L, std::string_view value) {
        return rlua_pushlstring(L, value.data() ? value.data() : "", value.size());
    }
    // The view lasts as long as the value is on the stack: as a lambda's argument, to its end.
    static bool read(lua_State *L, int index, std::string_view &out) {
        const char *text = nullptr;
        std::size_t length = 0;
        if (lua_type(L, index) != LUA_TSTRING ||
            rlua_tolstring(L, index, &text, &length) != RLUA_OK)
            return false;
        out = std::string_view(text, length);
        return true;
    }
};

template <> struct codec<std::string> {
    static const char *name() { return "string"; }
    static int push(lua_State *L, const std::string &value) {
        return codec<std::string_view>::push(L, value);
    }
    static bool read(lua_State *L, int index, std::string &out) {
        std::string_view view;
        if (!codec<std::string_view>::read(L, index, view))
            return false;
        out.assign(view);
        return true;
    }
};

// C strings go in only; NULL is nil.
template <> struct codec<const char *> {
    static int push(lua_State *L, const char *value) {
        return value ? codec<std::string_view>::push(L, value) : rlua_pushnil(L);
    }
};
template <> struct codec<char *> : codec<const char *> {};
template <std::size_t N> struct codec<char[N]> : codec<const char *> {};

// nil or a T.
template <class T> struct codec<std::optional<T>> {
    static const char *name() { return codec<T>::name(); }
    static int push(lua_State *L, const std::optional<T> &value) {
        return value ? detail::push(L, *value) : rlua_pushnil(L);
    }
    static bool read(lua_State *L, int index, std::optional<T> &out) {
        out.reset();
        if (lua_type(L, index) <= LUA_TNIL)
            return true;
        T value{};
        if (!detail::read(L, index, value))
            return false;
        out = std::move(value);
        return true;
    }
};

// A sequence, by copy: t[1] up to the first nil.
template <class T> struct codec<std::vector<T>> {
    static const char *name() { return "sequence"; }
    static int push(lua_State *L, const std::vector<T> &values) {
        const std::size_t hint = values.size() < INT_MAX ? values.size() : INT_MAX;
        int status = rlua_createtable(L, static_cast<int>(hint), 0);
        lua_Integer n = 0;
        for (const T &value : values) {
            if (status == RLUA_OK)
                status = detail::push<T>(L, value);
            if (status == RLUA_OK)
                status = rlua_seti(L, -2, ++n);
        }
        return status;
    }
    static bool read(lua_State *L, int index, std::vector<T> &out) {
        out.clear();
        if (lua_type(L, index) != LUA_TTABLE)
            return false;
        const int table = lua_absindex(L, index);
        for (lua_Integer n = 1;; ++n) {
            detail::balance guard(L);
            if (rlua_geti(L, table, n) != RLUA_OK)
                return false;
            if (lua_type(L, -1) == LUA_TNIL)
                return true;
            T value{};
            if (!detail::read(L, -1, value))
                return false;
            out.push_back(std::move(value));
        }
    }
};

// A table with string keys, by copy; one with a key of another kind is not a map.
template <class T> struct codec<std::map<std::string, T>> {
    static const char *name() { return "table with string keys"; }
    static int push(lua_State *L, const std::map<std::string, T> &values) {
        const std::size_t hint = values.size() < INT_MAX ? values.size() : INT_MAX;
        int status = rlua_createtable(L, 0, static_cast<int>(hint));
        for (const auto &[key, value] : values) {
            if (status == RLUA_OK)
                status = detail::push(L, key);
            if (status == RLUA_OK)
                status = detail::push<T>(L, value);
            if (status == RLUA_OK)
                status = rlua_settable(L, -3);
        }
        return status;
    }
    static bool read(lua_State *L, int index, std::map<std::string, T> &out) {
        out.clear();
        if (lua_type(L, index) != LUA_TTABLE)
            return false;
        detail::balance guard(L);
        const int table = lua_absindex(L, index);
        int more = 0;
        lua_pushnil(L);
        while (rlua_next(L, table, &more) == RLUA_OK) {
            if (!more)
                return true;
            std::string key;
            T value{};
            if (!detail::read(L, -2, key) || !detail::read(L, -1, value))
                return false;
            out.insert_or_assign(std::move(key), std::move(value));
            lua_settop(L, guard.top() + 1); // the key stays for the next round
        }
        return false;
    }
};

namespace detail {

// One function given to Lua; the state owns it until it closes. attach() puts its state where it
// follows the snapshots, and answers an rlua_Status; detach() undoes that.
struct host_function {
    virtual ~host_function() = default;
    virtual int invoke(lua_State *L) = 0;
    virtual int attach(lua_State *L) = 0;
    virtual void detach(lua_State *L) noexcept = 0;
};

inline int trampoline(lua_State *L, void *ud) noexcept {
    auto *function = static_cast<host_function *>(ud);
#if RLUA_HAS_EXCEPTIONS
    try {
        try {
            return function->invoke(L);
        } catch (const bad_result &e) {
            return raise(L, e.error()); // which may run out of memory itself
        }
    } catch (const std::exception &e) {
        return raise(L, e.what());
    } catch (...) {
        return raise(L, "a C++ exception that is not a std::exception");
    }
#else
    return function->invoke(L);
#endif
}

// Turns a failed push of a result above `top` into a raise; Lua's own errors stay as they are.
inline int raise_failed_push(lua_State *L, int status, int top) {
    if (status >= RLUA_ERR_RUN)
        return RLUA_RAISE;
    return raise(L, take_error(L, status, top));
}

template <class T> int push_results(lua_State *L, const T &value) {
    const int top = lua_gettop(L);
    if constexpr (is_tuple<T>::value) {
        int status = RLUA_OK;
        std::apply([&](const auto &...each) {
            ((status = status == RLUA_OK ? push(L, each) : status), ...);
        }, value);
        if (status == RLUA_OK)
            return static_cast<int>(std::tuple_size_v<T>);
        return raise_failed_push(L, status, top);
    } else if constexpr (is_result<T>::value) {
        if (!value)
            return raise(L, value.error());
        if constexpr (std::is_void_v<typename T::value_type>)
            return 0;
        else
            return push_results(L, *value);
    } else {
        const int status = push(L, value);
        return status == RLUA_OK ? 1 : raise_failed_push(L, status, top);
    }
}

template <class F> struct signature : signature<decltype(&F::operator())> {};
template <class R, class... A> struct signature<R(A...)> {
    using result_type = R;
    using argument_types = std::tuple<A...>;
    static constexpr bool is_mutable = false;
};
template <class S> struct mutable_signature : S {
    static constexpr bool is_mutable = true;
};
template <class R, class... A> struct signature<R (*)(A...)> : signature<R(A...)> {};
template <class R, class... A> struct signature<R (*)(A...) noexcept> : signature<R(A...)> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...)> : mutable_signature<signature<R(A...)>> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) const> : signature<R(A...)> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) noexcept> : mutable_signature<signature<R(A...)>> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) const noexcept> : signature<R(A...)> {};

template <class F> struct outside_function {
    template <class... A> decltype(auto) operator()(A &&...arguments) const {
        return function(std::forward<A>(arguments)...);
    }
    mutable F function;
};
template <class F> struct signature<outside_function<F>> : signature<F> {
    static constexpr bool is_mutable = false;
};

// Keeps a T outside the VM in step with its snapshots, by copies. Participants need C functions
// that let no exception out.
template <class T, class Access> struct copies {
    static int capture(void *ud, std::int64_t, void **token) noexcept {
#if RLUA_HAS_EXCEPTIONS
        try {
            const T *now = Access::captured(ud);
            return now ? (*token = new T(*now), 0) : 1;
        } catch (...) {
            return 1;
        }
#else
        const T *now = Access::captured(ud);
        return now ? (*token = new T(*now), 0) : 1;
#endif
    }
    static void restore(void *ud, void *token) noexcept {
        Access::restored(ud, *static_cast<const T *>(token));
    }
    static void discard(void *, void *token) noexcept { delete static_cast<T *>(token); }
    static rlua_Participant participant() noexcept {
        return {sizeof(rlua_Participant), capture, restore, discard};
    }
};

} // namespace detail

// A lambda whose captured state does not roll back, for set_function: a statistic, a log.
template <class F> detail::outside_function<std::decay_t<F>> outside(F &&function) {
    return {std::forward<F>(function)};
}

// Names a C++ type whose objects a VM may own, as resources: specialize it. An object is deleted
// exactly once, when neither the live state nor a held snapshot can reach its handle.
//
//     static const char *name()               names the type in the VM
//     static const rlua_Method *methods()     ended by {}; see method(); nullptr for none
template <class T> struct resource_traits;

namespace detail {

template <class T> void delete_object(lua_State *, void *object, void *) noexcept {
    delete static_cast<T *>(object);
}

template <class T> const rlua_ResourceType &resource_type() {
    static const rlua_ResourceType type = {sizeof(rlua_ResourceType), resource_traits<T>::name(),
                                           delete_object<T>, nullptr,
                                           resource_traits<T>::methods()};
    return type;
}

} // namespace detail

// An object on its way into a VM: lua.set("texture", owned(std::make_unique<texture>())), or what
// a lambda returns. Once pushed, it is the VM's.
template <class T> class owned {
public:
    explicit owned(std::unique_ptr<T> object) noexcept : object_(std::move(object)) {}

private:
    friend struct codec<owned<T>>;
    mutable std::unique_ptr<T> object_;
};

template <class T> struct codec<owned<T>> {
    static int push(lua_State *L, const owned<T> &value) {
        if (!value.object_)
            return rlua_pushnil(L);
        const int status = rlua_pushresource(L, value.object_.get(), &detail::resource_type<T>());
        if (status == RLUA_OK)
            (void)value.object_.release();
        return status;
    }
};

// Reads a handle: a T * as a lambda's parameter, or from get(). Valid while the resource lives.
template <class T> struct codec<T *, std::void_t<decltype(resource_traits<T>::name())>> {
    static const char *name() { return resource_traits<T>::name(); }
    static bool read(lua_State *L, int index, T *&out) {
        void *object = nullptr;
        if (rlua_toresource(L, index, &detail::resource_type<T>(), &object) != RLUA_OK)
            return false;
        out = static_cast<T *>(object);
        return true;
    }
};

class reference;

// A VM that someone else owns: what a lambda takes as its first parameter to call back into the
// VM, on the coroutine that called it. It must not be kept after the call.
class state_view {
public:
    explicit state_view(lua_State *L) noexcept : L_(L) {}

    // The raw state, for lua.h. Mind that most of lua.h may raise.
    lua_State *raw() const noexcept { return L_; }

    // Runs a chunk of source and drops what it returns. `name` as Lua takes chunk names.
    result<void> run(std::string_view code, const char *name = "=run") const {
        detail::balance guard(L_);
        return call_pushed<void>(load(code, name), guard.top());
    }

    // Runs a chunk and returns its result: a T, or a std::tuple of them.
    template <class T> result<T> eval(std::string_view code, const char *name = "=eval") const {
        detail::balance guard(L_);
        return call_pushed<T>(load(code, name), guard.top());
    }

    // Calls the global function `name`. T as for eval(); void drops the results.
    template <class T = void, class... A>
    result<T> call(const char *name, const A &...arguments) const {
        detail::balance guard(L_);
        return call_pushed<T>(look_up(name), guard.top(), arguments...);
    }

    // Reads a global, by copy. BAD_ARG when it is not a T.
    template <class T> result<T> get(const char *name) const {
        detail::balance guard(L_);
        const int status = look_up(name);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, guard.top());
        return take<T>(-1, name);
    }

    // The same by a reference.
    template <class T, class Ref, class = std::enable_if_t<std::is_same_v<Ref, reference>>>
    result<T> get(const Ref &ref) const {
        detail::balance guard(L_);
        const int status = detail::push(L_, ref);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, guard.top());
        return take<T>(-1, "reference");
    }
    template <class T = void, class Ref, class... A,
              class = std::enable_if_t<std::is_same_v<Ref, reference>>>
    result<T> call(const Ref &ref, const A &...arguments) const {
        detail::balance guard(L_);
        return call_pushed<T>(detail::push(L_, ref), guard.top(), arguments...);
    }

    // A reference to the value of a global: a function to call later, without its name. BAD_ARG
    // for nil, which is what an absent global is: no later call could make anything of it.
    result<reference> ref(const char *name) const;

    // Writes a global, by copy. nullptr writes nil.
    template <class T> result<void> set(const char *name, const T &value) const {
        detail::balance guard(L_);
        int status = detail::push(L_, value);
        if (status == RLUA_OK)
            status = rlua_setglobal(L_, name);
        return done(status, guard.top());
    }

    // Runs a full collection.
    result<void> collect() const {
        detail::balance guard(L_);
        const int status = detail::reserve(L_);
        return done(status == RLUA_OK ? rlua_gc(L_, LUA_GCCOLLECT, 0) : status, guard.top());
    }

protected:
    result<void> done(int status, int top) const {
        if (status == RLUA_OK)
            return {};
        return detail::take_error(L_, status, top);
    }

    lua_State *L_;

private:
    int load(std::string_view code, const char *name) const {
        const int status = detail::reserve(L_);
        return status == RLUA_OK ? rlua_loadbuffer(L_, code.data() ? code.data() : "",
                                                   code.size(), name, "t")
                                 : status;
    }

    int look_up(const char *name) const {
        const int status = detail::reserve(L_);
        return status == RLUA_OK ? rlua_getglobal(L_, name) : status;
    }

    // Calls what loading or looking up with `status` has left just above `top`.
    template <class T, class... A>
    result<T> call_pushed(int status, int top, const A &...arguments) const {
        ((status = status == RLUA_OK ? detail::push(L_, arguments) : status), ...);
        constexpr int count = result_count<T>();
        if (status == RLUA_OK) {
            detail::passing() = {};
            status = rlua_call(L_, static_cast<int>(sizeof...(A)), count, RLUA_TRACEBACK);
            if (status >= RLUA_ERR_RUN)
                return detail::with_traceback(detail::take_error(L_, status, top));
        }
        if (status != RLUA_OK)
            return detail::take_error(L_, status, top);
        if constexpr (std::is_void_v<T>)
            return {};
        else if constexpr (detail::is_tuple<T>::value)
            return take_tuple<T>(top, std::make_index_sequence<static_cast<std::size_t>(count)>{});
        else
            return take<T>(-1, "result");
    }

    template <class T> static constexpr int result_count() {
        if constexpr (std::is_void_v<T>)
            return 0;
        else if constexpr (detail::is_tuple<T>::value)
            return static_cast<int>(std::tuple_size_v<T>);
        else
            return 1;
    }

    template <class T> result<T> take(int index, const char *what) const {
        static_assert(!std::is_same_v<T, std::string_view>,
                      "the view would outlive the value on the stack: take a std::string");
        T value{};
        const int absolute = lua_absindex(L_, index);
        if (!detail::read(L_, absolute, value))
            return error{RLUA_BAD_ARG, detail::mismatch(L_, absolute, what, codec<T>::name())};
        return value;
    }

    template <class T, std::size_t... I>
    result<T> take_tuple(int top, std::index_sequence<I...>) const {
        T values{};
        int wrong = -1;
        ((detail::read(L_, top + 1 + static_cast<int>(I), std::get<I>(values)) || wrong >= 0
              ? void() : void(wrong = static_cast<int>(I))), ...);
        if (wrong < 0)
            return values;
        const char *names[] = {codec<std::tuple_element_t<I, T>>::name()..., ""};
        const std::string what = "result " + std::to_string(wrong + 1);
        return error{RLUA_BAD_ARG, detail::mismatch(L_, top + 1 + wrong, what, names[wrong])};
    }
};

namespace detail {

// A callable, with its parameters read from the stack by their types. What it captured lies where
// it follows the snapshots as its kind of state asks for.
template <class F> class heap_function final : public host_function {
    using arguments = typename signature<F>::argument_types;
    using result_type = typename signature<F>::result_type;
    static constexpr std::size_t arity = std::tuple_size_v<arguments>;
    static_assert(arity <= LUA_MINSTACK, "more parameters than Lua gives a C function slots");

    static constexpr bool takes_view() {
        if constexpr (arity == 0)
            return false;
        else
            return std::is_same_v<std::decay_t<std::tuple_element_t<0, arguments>>, state_view>;
    }
    template <std::size_t I>
    using argument = std::decay_t<std::tuple_element_t<I + takes_view(), arguments>>;

    static constexpr bool moves = signature<F>::is_mutable && !std::is_empty_v<F>;
    static constexpr bool in_arena = moves && std::is_trivially_copyable_v<F> && alignof(F) <= 16;
    static constexpr bool by_copies = moves && !in_arena;
    static_assert(!by_copies || std::is_copy_constructible_v<F>,
                  "a mutable lambda needs copyable captures to roll back: use rlua::outside(), or "
                  "hold the object by std::shared_ptr if it shall not roll back");

public:
    explicit heap_function(F function)
        : heap_(std::make_unique<F>(std::move(function))), function_(heap_.get()) {}

    int attach(lua_State *L) override {
        if constexpr (in_arena) {
            void *place = rlua_alloc(L, sizeof(F));
            if (!place)
                return RLUA_NO_MEMORY;
            function_ = new (place) F(*heap_);
        } else if constexpr (by_copies) {
            const rlua_Participant participant = copies<F, heap_function>::participant();
            return rlua_add_participant(L, &participant, this);
        }
        return RLUA_OK;
    }

    void detach(lua_State *L) noexcept override {
        if constexpr (in_arena) {
            rlua_free(L, function_);
            function_ = heap_.get();
        } else if constexpr (by_copies) {
            const rlua_Participant participant = copies<F, heap_function>::participant();
            rlua_remove_participant(L, &participant, this);
        }
    }

    int invoke(lua_State *L) override {
        if (!function_)
            return raise(L, "the state of this function could not be restored: out of memory");
        return invoke_with(L, std::make_index_sequence<arity - takes_view()>{});
    }

    // For copies<F>. A copy that fails loses the state; calls then raise, and snaps fail.
    static const F *captured(void *ud) noexcept {
        return static_cast<heap_function *>(ud)->function_;
    }
    static void restored(void *ud, const F &then) noexcept {
        auto *self = static_cast<heap_function *>(ud);
#if RLUA_HAS_EXCEPTIONS
        try {
            self->heap_ = std::make_unique<F>(then);
        } catch (...) {
            self->heap_.reset();
        }
#else
        self->heap_ = std::make_unique<F>(then);
#endif
        self->function_ = self->heap_.get();
    }

private:
    template <std::size_t... I> int invoke_with(lua_State *L, std::index_sequence<I...>) {
        const int given = lua_gettop(L);
        if (given < static_cast<int>(sizeof...(I)))
            lua_settop(L, static_cast<int>(sizeof...(I))); // absent arguments are nil
        std::tuple<argument<I>...> values{};
        int wrong = -1;
        ((wrong < 0 && !read(L, static_cast<int>(I) + 1, std::get<I>(values))
              ? void(wrong = static_cast<int>(I)) : void()), ...);
        if (wrong >= 0) {
            const char *names[] = {codec<argument<I>>::name()..., ""};
            return raise_argument(L, wrong + 1, wrong < given, names[wrong]);
        }
        auto bound = [&]() -> decltype(auto) {
            if constexpr (takes_view())
                return (*function_)(state_view(L), std::move(std::get<I>(values))...);
            else
                return (*function_)(std::move(std::get<I>(values))...);
        };
        if constexpr (std::is_void_v<result_type>)
            return bound(), 0;
        else
            return push_results<std::decay_t<result_type>>(L, bound());
    }

    std::unique_ptr<F> heap_;
    F *function_; // in the heap, or in the arena
};

template <auto M, class S = decltype(M)> struct method_call;
template <auto M, class C, class R, class... A> struct method_call<M, R (C::*)(A...)> {
    static R call(C *self, A... arguments) { return (self->*M)(std::forward<A>(arguments)...); }
};
template <auto M, class C, class R, class... A> struct method_call<M, R (C::*)(A...) const> {
    static R call(C *self, A... arguments) { return (self->*M)(std::forward<A>(arguments)...); }
};

template <auto M> int invoke_method(lua_State *L, void *) noexcept {
    heap_function<decltype(&method_call<M>::call)> function(&method_call<M>::call);
    return trampoline(L, static_cast<host_function *>(&function));
}

} // namespace detail

// A member function as a method of a resource type: method<&texture::width>("width").
template <auto M> constexpr rlua_Method method(const char *name) noexcept {
    return {name, detail::invoke_method<M>};
}

// A reference to a Lua value, above all to a function; move-only, releases at the end of its life.
// It knows when it is stale: made after the snapshot that was restored. It must not outlive its
// state; the coroutine that it was made on it may.
class [[nodiscard]] reference {
public:
    reference() = default;
    reference(lua_State *L, rlua_Ref ref) noexcept : L_(detail::main_thread(L)), ref_(ref) {}
    reference(reference &&other) noexcept
        : L_(other.L_), ref_(std::exchange(other.ref_, 0)) {}
    reference &operator=(reference &&other) noexcept {
        if (this != &other) {
            release();
            L_ = other.L_;
            ref_ = std::exchange(other.ref_, 0);
        }
        return *this;
    }
    reference(const reference &) = delete;
    reference &operator=(const reference &) = delete;
    ~reference() { release(); }

    // Reads the value, by copy. STALE, or BAD_ARG when it is not a T.
    template <class T> result<T> get() const { return state_view(L_).template get<T>(*this); }

    // Calls the value. T as for state_view::eval().
    template <class T = void, class... A> result<T> call(const A &...arguments) const {
        return state_view(L_).template call<T>(*this, arguments...);
    }

    bool is_stale() const noexcept {
        detail::balance guard(L_);
        return detail::reserve(L_) != RLUA_OK || rlua_getref(L_, ref_) != RLUA_OK;
    }

    // Pushes the value; an rlua_Status. The numbers of two VMs are alike, so one of another VM
    // would name another value: BAD_ARG, and a message is pushed.
    [[nodiscard]] int push(lua_State *L) const noexcept {
        if (L_ && detail::main_thread(L) != L_)
            return detail::bad_value(L, "a reference belongs to the VM that it was made in");
        return rlua_getref(L, ref_);
    }

    void release() noexcept {
        if (const rlua_Ref ref = std::exchange(ref_, 0))
            rlua_unref(L_, ref);
    }

private:
    lua_State *L_ = nullptr;
    rlua_Ref ref_ = 0;
};

template <> struct codec<reference> {
    static int push(lua_State *L, const reference &value) { return value.push(L); }
};

inline result<reference> state_view::ref(const char *name) const {
    detail::balance guard(L_);
    const int status = look_up(name);
    if (status != RLUA_OK)
        return detail::take_error(L_, status, guard.top());
    if (lua_type(L_, -1) <= LUA_TNIL)
        return error{RLUA_BAD_ARG, detail::mismatch(L_, -1, name, "a value")};
    const rlua_Ref ref = rlua_ref(L_);
    if (ref == 0)
        return detail::take_error(L_, RLUA_NO_MEMORY, INT_MAX);
    return reference(L_, ref);
}

// A VM with its whole state in one arena, owned. Move-only; closes at the end of its life.
class state : public state_view {
public:
    // Opens a VM with the standard libraries. `memory_size` is the limit of its state in bytes,
    // 0 for the largest there is; `max_snapshots` is how many snapshots it keeps.
    static result<state> open(std::size_t memory_size = 0, std::size_t max_snapshots = 0) {
        rlua_Config config{};
        config.size = sizeof config;
        config.memory_size = memory_size;
        config.max_snapshots = max_snapshots;
        return open(config);
    }

    // The same with every option; `libraries` false opens none.
    static result<state> open(const rlua_Config &config, bool libraries = true) {
        lua_State *L = nullptr;
        int status = rlua_open(&config, &L);
        if (status != RLUA_OK)
            return detail::take_error(nullptr, status, 0);
        state made(L);
        if (libraries && (status = rlua_openlibs(L, RLUA_LIB_ALL)) != RLUA_OK)
            return detail::take_error(L, status, 0);
        return made;
    }

    state(state &&other) noexcept
        : state_view(std::exchange(other.L_, nullptr)), functions_(std::move(other.functions_)) {}
    state &operator=(state &&other) noexcept {
        if (this != &other) {
            release();
            L_ = std::exchange(other.L_, nullptr);
            functions_ = std::move(other.functions_);
        }
        return *this;
    }
    state(const state &) = delete;
    state &operator=(const state &) = delete;
    ~state() { release(); }

    // Closes the VM: finalizers run, snapshots go, then the lambdas. BUSY while Lua runs in it,
    // and nothing has changed; see recover(). Closing twice is fine; everything else then answers
    // an error.
    result<void> close() {
        if (is_busy())
            return error{RLUA_BUSY, "close: Lua is running in this VM"};
        release();
        return {};
    }
    bool is_open() const noexcept { return L_ != nullptr; }

    // After a C++ exception that left a lua_CFunction and went through Lua's frames: makes the VM,
    // which is busy since, idle again. The caller promises that none of its frames is on any stack.
    // Lambdas of set_function() need no such help.
    result<void> recover() { return plain(rlua_recover(L_)); }

    // Makes `function` the global function `name`: a lambda, mutable or not, or a function
    // pointer, with parameters and results that have a codec. A first parameter `state_view`
    // gives it the VM. It may return void, one value, a std::tuple, or a result, whose error is
    // raised as a Lua error. Inside it use the view, not the state it may have captured: the
    // caller may be a coroutine. What a mutable lambda captured by value rolls back; see outside().
    template <class F> result<void> set_function(const char *name, F &&function) {
        using held = detail::heap_function<std::decay_t<F>>;
        functions_.push_back(std::make_unique<held>(std::forward<F>(function)));
        detail::balance guard(L_);
        int status = detail::reserve(L_);
        const bool attached = status == RLUA_OK &&
                              (status = functions_.back()->attach(L_)) == RLUA_OK;
        if (attached)
            status = rlua_pushfunction(L_, detail::trampoline, functions_.back().get(), name);
        if (status == RLUA_OK) {
            status = rlua_setglobal(L_, name); // on failure a __newindex may have kept it
        } else {
            if (attached)
                functions_.back()->detach(L_);
            functions_.pop_back();
        }
        return done(status, guard.top());
    }

    // Makes an object outside the VM follow its snapshots: each snap copies it, a rollback assigns
    // the copy back. It must outlive the state, or be unfollowed. A copy that throws in a snap
    // fails the snap; the assignment must not throw.
    template <class T> result<void> follow(T &object) {
        static_assert(std::is_copy_constructible_v<T> && std::is_copy_assignable_v<T>,
                      "follow() needs an object that can be copied and assigned");
        const auto participant = detail::copies<T, followed<T>>::participant();
        return plain(rlua_add_participant(L_, &participant, &object));
    }
    template <class T> result<void> unfollow(T &object) {
        const auto participant = detail::copies<T, followed<T>>::participant();
        return plain(rlua_remove_participant(L_, &participant, &object));
    }

    // The calls below do as their namesakes in rlua.h; nothing has changed after an error. snap()
    // returns the label that it gave.
    result<std::int64_t> snap() {
        const int status = rlua_snap(L_);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, INT_MAX);
        return newest_frame();
    }
    result<void> snap_frame(std::int64_t frame) { return plain(rlua_snap_frame(L_, frame)); }
    result<void> rollback(std::size_t n = 1) { return plain(rlua_rollback(L_, n)); }
    result<void> rollback_to(std::int64_t frame) { return plain(rlua_rollback_to(L_, frame)); }
    result<void> discard_before(std::int64_t frame) {
        return plain(rlua_discard_before(L_, frame));
    }
    result<void> set_max_snapshots(std::size_t count) {
        return plain(rlua_set_max_snapshots(L_, count));
    }
    result<void> set_time(std::int64_t seconds, std::uint32_t nanoseconds = 0) {
        return plain(rlua_set_time(L_, seconds, nanoseconds));
    }
    result<std::uint64_t> config_digest() const {
        std::uint64_t digest = 0;
        const int status = rlua_config_digest(L_, &digest);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, INT_MAX);
        return digest;
    }
    result<std::int64_t> newest_frame() const {
        std::int64_t frame = 0;
        const int status = rlua_newest_frame(L_, &frame);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, INT_MAX);
        return frame;
    }
    result<std::size_t> snapshot_count() const {
        std::size_t count = 0;
        const int status = rlua_snapshot_count(L_, &count);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, INT_MAX);
        return count;
    }
    result<rlua_Info> info() const {
        rlua_Info info{};
        info.size = sizeof info;
        const int status = rlua_info(L_, &info);
        if (status != RLUA_OK)
            return detail::take_error(L_, status, INT_MAX);
        return info;
    }
    // Walks the arena and the snapshots; CORRUPT if one is broken. For tests: it is slow.
    result<void> check() const { return plain(rlua_check(L_)); }

private:
    // For copies<T>: the object itself is the participant's ud.
    template <class T> struct followed {
        static const T *captured(void *ud) noexcept { return static_cast<const T *>(ud); }
        static void restored(void *ud, const T &then) noexcept { *static_cast<T *>(ud) = then; }
    };

    explicit state(lua_State *L) noexcept : state_view(L) {}

    result<void> plain(int status) const {
        if (status == RLUA_OK)
            return {};
        return detail::take_error(L_, status, INT_MAX);
    }

    // Dropping what is older than the oldest possible frame drops nothing, but asks.
    bool is_busy() const noexcept {
        return L_ && rlua_discard_before(L_, std::numeric_limits<std::int64_t>::min()) == RLUA_BUSY;
    }

    // A busy VM cannot be closed; it and its lambdas are leaked rather than pulled from under it.
    void release() noexcept {
        if (is_busy()) {
            for (auto &function : functions_)
                (void)function.release();
        } else if (L_) {
            lua_close(L_);
        }
        L_ = nullptr;
        functions_.clear();
    }

    std::vector<std::unique_ptr<detail::host_function>> functions_;
};

} // namespace rlua

#endif // RLUA_HPP
