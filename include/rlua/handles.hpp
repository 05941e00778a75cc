// handles.hpp: Lua values that C++ keeps: value, table, function, coroutine, and places in tables.
//
// A handle is a reference of the library (rlua_ref), move-only, and keeps its value alive in the
// VM. It is good after a rollback to any snapshot that was taken later than the handle; after one
// to an earlier snapshot it is stale, and every use answers RLUA_STALE. It may outlive its VM: then
// every use answers RLUA_NOT_ROLLBACK. One that ends while another OS thread is inside the VM
// leaves its value there until the VM closes.
//
// Cost: a handle takes one rlua_ref and, at its end, one rlua_unref; a use one rlua_getref.
//
// Not here: how a VM is opened and asked by names (state.hpp).
#ifndef RLUA_HANDLES_HPP
#define RLUA_HANDLES_HPP

#include "values.hpp"

#include <functional>

namespace rlua {

// What a Lua value is, as lua_type tells.
enum class type {
    nil = LUA_TNIL,
    boolean = LUA_TBOOLEAN,
    light_userdata = LUA_TLIGHTUSERDATA,
    number = LUA_TNUMBER,
    string = LUA_TSTRING,
    table = LUA_TTABLE,
    function = LUA_TFUNCTION,
    userdata = LUA_TUSERDATA,
    coroutine = LUA_TTHREAD,
};

class value;
class table;
class function;
class coroutine;

// Any number of values: what a call with `call<values>` returns, and what a host function returns
// that does not know their number before.
struct values;

namespace detail {

inline type type_at(lua_State *L, int index) noexcept {
    const int kind = lua_type(L, index);
    return kind <= LUA_TNIL ? type::nil : static_cast<type>(kind);
}

// `what` names the value in messages: a text, or a function that makes one.
template <class T, class What> result<T> take(lua_State *L, int index, const What &what) {
    static_assert(!std::is_same_v<T, std::string_view>,
                  "the view would outlive the value on the stack: take a std::string");
    static_assert(!std::is_reference_v<T>, "take a pointer: it is valid as long as the object is");
    const int place = index > 0 ? index : lua_absindex(L, index);
    slot<T> found;
    if (found.read(L, place))
        return found.take();
    if constexpr (std::is_invocable_v<const What &>)
        return mismatch(L, place, what(), slot<T>::codec_type::name());
    else
        return mismatch(L, place, what, slot<T>::codec_type::name());
}

template <class T> constexpr int result_count() {
    if constexpr (std::is_void_v<T>)
        return 0;
    else if constexpr (std::is_same_v<T, values>)
        return LUA_MULTRET;
    else if constexpr (is_tuple<T>::value)
        return static_cast<int>(std::tuple_size_v<T>);
    else
        return 1;
}

// Results that are read without touching the thread that they are on: one plain value.
template <class T> struct is_plain
    : std::bool_constant<std::is_void_v<T> || std::is_arithmetic_v<T> || std::is_enum_v<T> ||
                         std::is_same_v<T, std::string>> {};
template <class T> struct is_plain<std::optional<T>> : is_plain<T> {};

template <class T, std::size_t... I>
result<T> take_tuple(lua_State *L, int first, std::index_sequence<I...>) {
    std::tuple<slot<std::tuple_element_t<I, T>>...> parts;
    int wrong = -1;
    ((wrong >= 0 || read_slot(L, first + static_cast<int>(I), std::get<I>(parts))
          ? void() : void(wrong = static_cast<int>(I))), ...);
    if (wrong < 0)
        return T{std::get<I>(parts).take()...};
    const char *names[] = {slot<std::tuple_element_t<I, T>>::codec_type::name()..., ""};
    return mismatch(L, first + wrong, "result " + std::to_string(wrong + 1), names[wrong]);
}

// All from `first` on. (Values is `values`, which is not whole yet.)
template <class Values> result<Values> take_values(lua_State *L, int first) {
    Values all;
    for (int at = first, last = lua_gettop(L); at <= last; ++at) {
        all.emplace_back();
        if (reserve(L) != RLUA_OK || !all.back().take(L, at))
            return error{RLUA_NO_MEMORY, "there is no memory for another handle"};
    }
    return all;
}

// What a call left from `first` on.
template <class T> result<T> take_results(lua_State *L, int first) {
    if constexpr (std::is_void_v<T>)
        return {};
    else if constexpr (std::is_same_v<T, values>)
        return take_values<T>(L, first);
    else if constexpr (is_tuple<T>::value)
        return take_tuple<T>(L, first, std::make_index_sequence<std::tuple_size_v<T>>{});
    else
        return take<T>(L, first, "result");
}

template <class... A> int push_all(lua_State *L, int status, A &&...arguments) {
    if constexpr (sizeof...(A) > 0) {
        if (sizeof...(A) > 8 && status == RLUA_OK) // a visit has room for fewer
            status = reserve(L, static_cast<int>(sizeof...(A)) + 8);
        ((status = status == RLUA_OK ? push(L, std::forward<A>(arguments)) : status), ...);
    }
    return status;
}

// Calls what was pushed with `status` on top of the visit's stack.
template <class T, class... A>
result<T> call(visit &in, int handler, int status, A &&...arguments) {
    lua_State *L = in.state();
    const int function = lua_gettop(L);
    status = push_all(L, status, std::forward<A>(arguments)...);
    if (status != RLUA_OK)
        return in.failed(status);
    status = in.call(static_cast<int>(sizeof...(A)), result_count<T>(), handler);
    if (status >= RLUA_ERR_RUN)
        return take_raised(in.vm(), L, status, function - 1);
    if (status != RLUA_OK)
        return in.failed(status);
    return take_results<T>(L, function);
}

template <class K>
constexpr bool is_index = std::is_integral_v<K> && !std::is_same_v<K, bool> &&
                          (std::is_signed_v<K> || sizeof(K) < sizeof(lua_Integer));

// Keys: strings and integers have calls of their own.
template <class K> int get_key(lua_State *L, int table, const K &key) {
    if constexpr (std::is_convertible_v<const K &, const char *>) {
        return rlua_getfield(L, table, key);
    } else if constexpr (is_index<K>) {
        return rlua_geti(L, table, static_cast<lua_Integer>(key));
    } else {
        const int place = lua_absindex(L, table), status = push(L, key);
        return status == RLUA_OK ? rlua_gettable(L, place) : status;
    }
}

// Takes the value from the top.
template <class K> int set_key(lua_State *L, int table, const K &key) {
    if constexpr (std::is_convertible_v<const K &, const char *>) {
        return rlua_setfield(L, table, key);
    } else if constexpr (is_index<K>) {
        return rlua_seti(L, table, static_cast<lua_Integer>(key));
    } else {
        const int place = lua_absindex(L, table), status = push(L, key);
        if (status != RLUA_OK)
            return status;
        lua_rotate(L, -2, 1);
        return rlua_settable(L, place);
    }
}

template <class K> std::string key_text(const K &key) {
    if constexpr (std::is_convertible_v<const K &, std::string_view>)
        return std::string(std::string_view(key));
    else if constexpr (std::is_integral_v<K>)
        return "[" + std::to_string(key) + "]";
    else
        return "[?]";
}

// What keeps the keys of a place: those that are views stay views.
template <class K> using kept_key = std::conditional_t<
    std::is_convertible_v<const K &, const char *>, const char *, std::decay_t<K>>;

} // namespace detail

// A place in a table, for reading and writing: what operator[] gives. It names the place, and looks
// nothing up before it is asked; it must not outlive the handle or the state that it was asked of.
//
//     int hp = lua["game"]["player"]["hp"].get<int>().value();
//     lua["game"]["player"]["hp"].set(hp - 1).value();
template <class... Keys> class [[nodiscard]] place {
public:
    place(detail::core *vm, rlua_Ref root, std::tuple<Keys...> keys)
        : vm_(vm), root_(root), keys_(std::move(keys)) {}

    template <class K> place<Keys..., detail::kept_key<K>> operator[](const K &key) const {
        return {vm_, root_, std::tuple_cat(keys_, std::tuple<detail::kept_key<K>>(key))};
    }

    // Reads it, by copy. RLUA_BAD_ARG when it is not a T, or when there is no such place.
    template <class T> result<T> get() const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        if (const auto way = walk(in, std::index_sequence_for<Keys...>{}); !way)
            return way.error();
        return detail::take<T>(in.state(), -1, [this] { return name(); });
    }
    type kind() const {
        detail::visit in(vm_);
        const bool found = in && walk(in, std::index_sequence_for<Keys...>{});
        return found ? detail::type_at(in.state(), -1) : type::nil;
    }

    // Writes it. The tables on the way have to be there.
    template <class T> result<void> set(T &&value) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        constexpr std::size_t last = sizeof...(Keys) - 1;
        if (const auto way = walk(in, std::make_index_sequence<last>{}); !way)
            return way.error();
        lua_State *L = in.state();
        const int table = lua_gettop(L);
        if (lua_type(L, table) == LUA_TNIL)
            return missing(last);
        int status = detail::push(L, std::forward<T>(value));
        if (status == RLUA_OK)
            status = detail::set_key(L, table, std::get<last>(keys_));
        return in.done(status);
    }
    template <class T> void operator=(T &&) const = delete; // an error would be lost: use set()

    // Calls it. operator() drops the results.
    template <class T = void, class... A> result<T> call(A &&...arguments) const {
        detail::visit in(vm_);
        if (!in)
            return in.refused();
        const int handler = in.push_handler();
        if (const auto way = walk(in, std::index_sequence_for<Keys...>{}); !way)
            return way.error();
        return detail::call<T>(in, handler, RLUA_OK, std::forward<A>(arguments)...);
    }
    template <class... A> result<void> operator()(A &&...arguments) const {
        return call<void>(std::forward<A>(arguments)...);
    }

private:
    template <std::size_t... I>
    result<void> walk(detail::visit &in, std::index_sequence<I...>) const {
        lua_State *L = in.state();
        int status = sizeof...(I) <= 8 ? RLUA_OK // a visit has room for so many
                                       : detail::reserve(L, static_cast<int>(sizeof...(I)) + 8);
        if (status == RLUA_OK && root_ == 0)
            lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
        else if (status == RLUA_OK)
            status = rlua_getref(L, root_);
        std::size_t nowhere = sizeof...(Keys);
        ((status == RLUA_OK && nowhere == sizeof...(Keys)
              ? lua_type(L, -1) == LUA_TNIL
                    ? void(nowhere = I)
                    : void(status = detail::get_key(L, -1, std::get<I>(keys_)))
              : void()), ...);
        if (nowhere != sizeof...(Keys))
            return missing(nowhere);
        return in.done(status);
    }

    // The first `count` keys as a path.
    std::string name(std::size_t count = sizeof...(Keys)) const {
        std::string text;
        std::apply([&](const auto &...key) {
            std::size_t at = 0;
            ((at++ < count ? void(text += (text.empty() ? "" : ".") + detail::key_text(key))
                           : void()), ...);
        }, keys_);
        return text;
    }
    rlua::error missing(std::size_t at) const {
        return {RLUA_BAD_ARG, name() + ": " + (at ? name(at) : "the table") + " is nil"};
    }

    detail::core *vm_;
    rlua_Ref root_;
    std::tuple<Keys...> keys_;
};

// A handle to any Lua value; an empty one is nil. The others are values that are known to be of
// their type.
class [[nodiscard]] value {
public:
    value() = default;
    value(value &&other) noexcept
        : vm_(std::move(other.vm_)), ref_(std::exchange(other.ref_, 0)) {}
    value &operator=(value &&other) noexcept {
        if (this != &other) {
            release();
            vm_ = std::move(other.vm_);
            ref_ = std::exchange(other.ref_, 0);
        }
        return *this;
    }
    value(const value &) = delete;
    value &operator=(const value &) = delete;
    ~value() { release(); }

    // Whether it names nothing: made by default, or moved from.
    bool is_empty() const noexcept { return ref_ == 0; }

    // Whether a rollback took the value away (or release(), or the end of its VM).
    bool is_stale() const noexcept {
        const detail::visit in(vm_.get());
        return !in || rlua_getref(in.state(), ref_) != RLUA_OK;
    }

    // Its type; nil when it is stale.
    type kind() const noexcept {
        const detail::visit in(vm_.get());
        const bool found = in && rlua_getref(in.state(), ref_) == RLUA_OK;
        return found ? detail::type_at(in.state(), -1) : type::nil;
    }

    // Reads it, by copy. RLUA_BAD_ARG when it is not a T.
    template <class T> result<T> as() const {
        detail::visit in(vm_.get());
        if (!in)
            return in.refused();
        if (const int status = rlua_getref(in.state(), ref_); status != RLUA_OK)
            return in.failed(status);
        return detail::take<T>(in.state(), -1, "value");
    }

    // What tostring makes of it.
    result<std::string> text() const {
        detail::visit in(vm_.get());
        if (!in)
            return in.refused();
        int status = rlua_getref(in.state(), ref_);
        if (status == RLUA_OK)
            status = rlua_pushtostring(in.state(), -1);
        if (status != RLUA_OK)
            return in.failed(status);
        return detail::take<std::string>(in.state(), -1, "text");
    }

    // Whether Lua's == finds them equal; `__eq` may run.
    result<bool> equals(const value &other) const {
        detail::visit in(vm_.get());
        if (!in)
            return in.refused();
        int status = rlua_getref(in.state(), ref_), equal = 0;
        if (status == RLUA_OK)
            status = other.push(in.state());
        if (status == RLUA_OK)
            status = rlua_compare(in.state(), -2, -1, LUA_OPEQ, &equal);
        if (status != RLUA_OK)
            return in.failed(status);
        return equal != 0;
    }

    // Ends the object of a usertype that it names, where it is one outside the VM (usertypes.hpp).
    // The object is deleted as soon as no snapshot can reach it; scripts find it closed at once.
    template <class T> result<void> close() const;

    // Ends it before its time. After that it is empty.
    void release() noexcept {
        if (const rlua_Ref ref = std::exchange(ref_, 0)) {
            const detail::visit in(vm_.get());
            if (in)
                rlua_unref(in.state(), ref);
        }
    }

    // Pushes it; an rlua_Status. The numbers of two VMs are alike, so one of another VM would name
    // another value: BAD_ARG, and a message is pushed.
    [[nodiscard]] int push(lua_State *L) const noexcept {
        if (ref_ == 0)
            return lua_pushnil(L), RLUA_OK;
        if (detail::core_of(L) != vm_.get())
            return detail::bad_value(L, "a handle belongs to the VM that it was made in");
        return rlua_getref(L, ref_);
    }

    // Makes it name the value at an index; false where there is no memory.
    [[nodiscard]] bool take(lua_State *L, int index) noexcept {
        release();
        detail::core *here = detail::core_of(L);
        if (here == nullptr)
            return false;
        lua_pushvalue(L, index);
        ref_ = rlua_ref(L);
        if (ref_ == 0)
            lua_settop(L, -2);
        else if (vm_.get() != here)
            vm_ = detail::core_ref(here);
        return ref_ != 0;
    }

protected:
    detail::core *vm() const noexcept { return vm_.get(); }

    detail::core_ref vm_;
    rlua_Ref ref_ = 0;
};

struct values : std::vector<value> {
    using std::vector<value>::vector;
};

// A handle to a function.
//
//     lua.set_function("on", [&](std::string event, rlua::function f) {
//         handlers[event] = std::move(f);
//     });
//     handlers["hit"].call<int>(25)       result<int>
//     handlers["hit"](25)                 result<void>
class [[nodiscard]] function : public value {
public:
    // Calls it. T is one result, a std::tuple of several, `values` for all; void drops them.
    template <class T = void, class... A> result<T> call(A &&...arguments) const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        const int handler = in.push_handler(), status = rlua_getref(in.state(), ref_);
        return detail::call<T>(in, handler, status, std::forward<A>(arguments)...);
    }
    template <class... A> result<void> operator()(A &&...arguments) const {
        return call<void>(std::forward<A>(arguments)...);
    }

    // A new coroutine that will run it; the arguments are those of its first resume.
    result<coroutine> start() const;

    // Gives a loaded chunk another table for its globals: see state_view::environment().
    result<void> set_environment(const table &globals) const;
};

// A function of known parameters and result: function_of<int(int, int)> add; add(1, 2) is a
// result<int>.
template <class Signature> class function_of;
template <class R, class... A> class [[nodiscard]] function_of<R(A...)> : public function {
public:
    result<R> operator()(A... arguments) const {
        return this->template call<R>(std::forward<A>(arguments)...);
    }
};

// A handle to a table.
class [[nodiscard]] table : public value {
public:
    template <class K> place<detail::kept_key<K>> operator[](const K &key) const {
        return {vm(), ref_ ? ref_ : ~rlua_Ref{0}, std::tuple<detail::kept_key<K>>(key)};
    }
    template <class T, class K> result<T> get(const K &key) const {
        return (*this)[key].template get<T>();
    }
    template <class K, class T> result<void> set(const K &key, T &&value) const {
        return (*this)[key].set(std::forward<T>(value));
    }

    // Calls t:name(arguments).
    template <class T = void, class... A>
    result<T> call_method(const char *name, A &&...arguments) const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        const int handler = in.push_handler();
        int status = rlua_getref(in.state(), ref_);
        if (status == RLUA_OK)
            status = rlua_getfield(in.state(), -1, name);
        return detail::call<T>(in, handler, status, *this, std::forward<A>(arguments)...);
    }

    // What # tells; `__len` may run.
    result<std::int64_t> size() const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        int status = rlua_getref(in.state(), ref_);
        if (status == RLUA_OK)
            status = rlua_len(in.state(), -1);
        if (status != RLUA_OK)
            return in.failed(status);
        return detail::take<std::int64_t>(in.state(), -1, "length");
    }

    // Calls `body(K, V)` for each pair, in Lua's order, without metamethods. A body that returns
    // bool ends the iteration by false. It may change values and remove keys, and add none. A pair
    // of other types is RLUA_BAD_ARG; `rlua::value` takes any.
    template <class K, class V, class Body> result<void> for_each(Body body) const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        lua_State *L = in.state();
        int status = rlua_getref(L, ref_), more = 0;
        if (status != RLUA_OK)
            return in.failed(status);
        const int here = lua_gettop(L);
        for (lua_pushnil(L); (status = rlua_next(L, here, &more)) == RLUA_OK && more;) {
            detail::slot<K> key;
            detail::slot<V> value;
            if (!key.read(L, here + 1))
                return detail::mismatch(L, here + 1, "key", detail::slot<K>::codec_type::name());
            if (!value.read(L, here + 2))
                return detail::mismatch(L, here + 2, "value", detail::slot<V>::codec_type::name());
            if constexpr (std::is_same_v<decltype(body(key.take(), value.take())), bool>) {
                if (!body(key.take(), value.take()))
                    return {};
            } else {
                body(key.take(), value.take());
            }
            lua_settop(L, here + 1);
        }
        return in.done(status);
    }

    // The pairs, by copy: for (auto &[key, value] : t.pairs<std::string, int>().value())
    template <class K, class V> result<std::vector<std::pair<K, V>>> pairs() const {
        std::vector<std::pair<K, V>> all;
        const auto done = for_each<K, V>([&](K key, V value) {
            all.emplace_back(std::move(key), std::move(value));
        });
        if (!done)
            return done.error();
        return all;
    }

    // Gives it a metatable.
    result<void> set_metatable(const table &meta) const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        int status = rlua_getref(in.state(), ref_);
        if (status == RLUA_OK)
            status = meta.push(in.state());
        if (status == RLUA_OK)
            lua_setmetatable(in.state(), -2);
        return in.done(status);
    }
};

inline result<void> function::set_environment(const table &globals) const {
    detail::visit in(vm());
    if (!in)
        return in.refused();
    int status = rlua_getref(in.state(), ref_);
    if (status == RLUA_OK)
        status = globals.push(in.state());
    if (status != RLUA_OK)
        return in.failed(status);
    if (lua_setupvalue(in.state(), -2, 1) == nullptr)
        return rlua::error{RLUA_BAD_ARG, "this function has no globals: give it a loaded chunk"};
    return {};
}

// What coroutine.status tells.
enum class coroutine_status { suspended, running, normal, dead };

// A handle to a coroutine, driven by the host.
//
//     auto co = lua.get<rlua::function>("plan").value().start().value();
//     while (co.status() == rlua::coroutine_status::suspended)
//         act(co.resume<std::optional<std::string>>().value());
class [[nodiscard]] coroutine : public value {
public:
    // Runs it until it yields, ends or raises; T is what it yields or returns, as for
    // function::call(). The first arguments are the function's, later ones what `yield` returns.
    // RLUA_BAD_ARG for one that runs or is dead.
    template <class T = void, class... A> result<T> resume(A &&...arguments) const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        lua_State *L = in.state(), *thread = nullptr;
        int status = find(in, thread), count = 0;
        if (status != RLUA_OK)
            return in.failed(status);
        if (const auto now = status_of(in.vm(), thread); now != coroutine_status::suspended)
            return rlua::error{RLUA_BAD_ARG, now == coroutine_status::dead
                                                 ? "cannot resume a dead coroutine"
                                                 : "cannot resume a coroutine that runs"};
        const int base = lua_gettop(L);
        status = detail::push_all(L, RLUA_OK, std::forward<A>(arguments)...);
        if (status != RLUA_OK)
            return in.failed(status);
        if (!lua_checkstack(thread, static_cast<int>(sizeof...(A)) + 4))
            return rlua::error{RLUA_NO_MEMORY, "there is no room on the coroutine's stack"};
        if constexpr (sizeof...(A) > 0)
            lua_xmove(L, thread, static_cast<int>(sizeof...(A)));
        status = in.resume(thread, static_cast<int>(sizeof...(A)), &count);
        if (status != RLUA_OK && status != RLUA_YIELD)
            return ended(in, thread, status);
        const int kept = detail::result_count<T>(), wanted = kept < 0 ? count : kept;
        if constexpr (detail::is_plain<T>::value) {
            const int first = lua_gettop(thread) - count + 1;
            auto answer = detail::take_results<T>(thread, first);
            lua_settop(thread, first - 1);
            return answer;
        }
        if (!lua_checkstack(L, count > wanted ? count : wanted + 4)) {
            lua_settop(thread, -count - 1);
            return rlua::error{RLUA_NO_MEMORY, "there is no room on the Lua stack"};
        }
        lua_xmove(thread, L, count);
        if (kept >= 0)
            lua_settop(L, base + kept); // what is missing is nil
        return detail::take_results<T>(L, base + 1);
    }

    // Dead when it is stale.
    coroutine_status status() const noexcept {
        detail::visit in(vm());
        lua_State *thread = nullptr;
        const bool found = in && find(in, thread) == RLUA_OK;
        return found ? status_of(in.vm(), thread) : coroutine_status::dead;
    }

    // Ends it, and closes its variables; the error of one of them is returned.
    result<void> close() const {
        detail::visit in(vm());
        if (!in)
            return in.refused();
        lua_State *thread = nullptr;
        if (const int status = find(in, thread); status != RLUA_OK)
            return in.failed(status);
        const auto before = status_of(in.vm(), thread);
        if (before != coroutine_status::suspended && before != coroutine_status::dead)
            return rlua::error{RLUA_BUSY, "a coroutine that is running cannot be closed"};
        const bool failed = lua_closethread(thread, in.state()) != LUA_OK; // protected by itself
        result<void> answer;
        if (failed && before != coroutine_status::dead && lua_gettop(thread) > 0)
            answer = rlua::error{RLUA_ERR_RUN, detail::text_at(thread, -1)};
        lua_settop(thread, 0);
        return answer;
    }

private:
    int find(const detail::visit &in, lua_State *&thread) const noexcept {
        const int status = rlua_getref(in.state(), ref_);
        if (status == RLUA_OK)
            thread = lua_tothread(in.state(), -1);
        return status;
    }

    static coroutine_status status_of(detail::core *vm, lua_State *thread) noexcept {
        lua_Debug frame;
        if (thread == vm->current)
            return coroutine_status::running;
        if (lua_status(thread) == LUA_YIELD)
            return coroutine_status::suspended;
        if (lua_status(thread) != LUA_OK)
            return coroutine_status::dead;
        if (thread == vm->main || lua_getstack(thread, 0, &frame))
            return coroutine_status::normal;
        return lua_gettop(thread) == 0 ? coroutine_status::dead : coroutine_status::suspended;
    }

    rlua::error ended(detail::visit &in, lua_State *thread, int status) const {
        if (status < RLUA_ERR_RUN)
            return detail::sentence(in.state(), status);
        rlua::error e = detail::take_raised(in.vm(), thread, status, 0);
        if (e.traceback.empty() && rlua_traceback(in.state(), thread, nullptr, 0) == RLUA_OK)
            e.traceback = detail::text_at(in.state(), -1);
        return e;
    }
};

inline result<coroutine> function::start() const {
    detail::visit in(vm());
    if (!in)
        return in.refused();
    lua_State *L = in.state(), *thread = nullptr;
    int status = rlua_newthread(L, &thread);
    if (status == RLUA_OK)
        status = rlua_getref(L, ref_);
    if (status != RLUA_OK)
        return in.failed(status);
    lua_xmove(L, thread, 1);
    return detail::take<coroutine>(L, -1, "coroutine");
}

namespace detail {

template <class H, int Type> struct handle_codec {
    static int push(lua_State *L, const H &handle) {
        if (handle.is_empty())
            return bad_value(L, "an empty handle: it was made by default or moved from");
        return handle.push(L);
    }
    static bool read(lua_State *L, int index, H &out) {
        return lua_type(L, index) == Type && out.take(L, index);
    }
};

} // namespace detail

template <> struct codec<value> {
    static const char *name() { return "value"; }
    static int push(lua_State *L, const value &handle) { return handle.push(L); }
    static bool read(lua_State *L, int index, value &out) {
        if (lua_type(L, index) == LUA_TNONE)
            return out.release(), true;
        return out.take(L, index);
    }
};
template <> struct codec<function> : detail::handle_codec<function, LUA_TFUNCTION> {
    static const char *name() { return "function"; }
};
template <class S>
struct codec<function_of<S>> : detail::handle_codec<function_of<S>, LUA_TFUNCTION> {
    static const char *name() { return "function"; }
};
template <> struct codec<table> : detail::handle_codec<table, LUA_TTABLE> {
    static const char *name() { return "table"; }
};
template <> struct codec<coroutine> : detail::handle_codec<coroutine, LUA_TTHREAD> {
    static const char *name() { return "coroutine"; }
};

// A place goes in as the value that is there.
template <class... K> struct codec<place<K...>> {
    static int push(lua_State *L, const place<K...> &from) {
        auto found = from.template get<value>();
        return found ? found->push(L) : detail::bad_value(L, found.error().message);
    }
};

} // namespace rlua

#endif // RLUA_HANDLES_HPP
