// values.hpp: how C++ values cross: codec<T> for each type.
//
//   bool, integers, floats, enums, strings    as themselves; an integer only where it fits
//   nullptr, std::optional, std::monostate    nil, or the value
//   std::vector, std::array                   a sequence, by copy
//   std::map, std::unordered_map              a table, by copy
//   std::pair, std::tuple                     a sequence of their size; as a result, several values
//   std::variant                              the first alternative that the value is
//
// Not here: handles of Lua values (handles.hpp), callables (functions.hpp), objects
// (usertypes.hpp).
#ifndef RLUA_VALUES_HPP
#define RLUA_VALUES_HPP

#include "core.hpp"

#include <array>
#include <climits>
#include <map>
#include <tuple>
#include <unordered_map>
#include <variant>

namespace rlua {

// How a C++ type crosses: specialize it for a type of your own.
//
//     static int push(lua_State *, const T &)        pushes one value; an rlua_Status, and on
//                                                    failure one error value pushed instead
//     static bool read(lua_State *, int index, T &)  false when the value there is not a T; may
//                                                    leave values above the stack it found
//     static const char *name()                      for messages: "expected <name>"
//
// Each finds room for eight values on the Lua stack, and calls only what cannot raise.
template <class T, class = void> struct codec;

namespace detail {

template <class T> using bare = std::remove_cv_t<std::remove_reference_t<T>>;

template <class T> [[nodiscard]] int push(lua_State *L, T &&value) {
    return codec<std::decay_t<T>>::push(L, std::forward<T>(value));
}

// For elements: each level of a nested value needs room of its own.
template <class T> [[nodiscard]] int push_element(lua_State *L, T &&value) {
    const int status = reserve(L);
    return status == RLUA_OK ? push(L, std::forward<T>(value)) : bad_value(L, "stack overflow");
}

// How one parameter, result or element of type T is read and handed on.
template <class T, class = void> struct slot {
    using codec_type = codec<T>;
    T held{};
    bool read(lua_State *L, int index) { return codec<T>::read(L, index, held); }
    T &&take() { return std::move(held); }
};

// Reads what may leave values on the stack (a codec of the host's) with room for them.
template <class T> [[nodiscard]] bool read_slot(lua_State *L, int index, slot<T> &out) {
    if constexpr (!std::is_arithmetic_v<T> && !std::is_same_v<T, std::string_view>)
        if (reserve(L) != RLUA_OK)
            return false;
    return out.read(L, index);
}

inline int size_hint(std::size_t size) noexcept {
    return size < INT_MAX ? static_cast<int>(size) : INT_MAX;
}

// Puts the stack back to where it was.
class balance {
public:
    explicit balance(lua_State *L) noexcept : L_(L), top_(lua_gettop(L)) {}
    ~balance() { lua_settop(L_, top_); }
    balance(const balance &) = delete;
    balance &operator=(const balance &) = delete;

private:
    lua_State *L_;
    int top_;
};

} // namespace detail

template <> struct codec<bool> {
    static const char *name() { return "boolean"; }
    static int push(lua_State *L, bool value) { return lua_pushboolean(L, value), RLUA_OK; }
    static bool read(lua_State *L, int index, bool &out) {
        out = lua_toboolean(L, index) != 0;
        return lua_type(L, index) == LUA_TBOOLEAN;
    }
};

template <> struct codec<std::nullptr_t> {
    static const char *name() { return "nil"; }
    static int push(lua_State *L, std::nullptr_t) { return lua_pushnil(L), RLUA_OK; }
    static bool read(lua_State *L, int index, std::nullptr_t &out) {
        out = nullptr;
        return lua_type(L, index) <= LUA_TNIL;
    }
};

template <> struct codec<std::monostate> {
    static const char *name() { return "nil"; }
    static int push(lua_State *L, std::monostate) { return lua_pushnil(L), RLUA_OK; }
    static bool read(lua_State *L, int index, std::monostate &) {
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
        return lua_pushinteger(L, static_cast<lua_Integer>(value)), RLUA_OK;
    }
    static bool read(lua_State *L, int index, T &out) {
        int is_integer = 0;
        const lua_Integer value = lua_tointegerx(L, index, &is_integer);
        out = static_cast<T>(value);
        return is_integer && lua_type(L, index) == LUA_TNUMBER &&
               static_cast<lua_Integer>(out) == value && (value < 0) == (out < T{});
    }
};

template <class T> struct codec<T, std::enable_if_t<std::is_floating_point_v<T>>> {
    static const char *name() { return "number"; }
    static int push(lua_State *L, T value) {
        return lua_pushnumber(L, static_cast<lua_Number>(value)), RLUA_OK;
    }
    static bool read(lua_State *L, int index, T &out) {
        out = static_cast<T>(lua_tonumberx(L, index, nullptr));
        return lua_type(L, index) == LUA_TNUMBER;
    }
};

// An enum is its number. Any number of the underlying type's range is one, as in C++.
template <class T> struct codec<T, std::enable_if_t<std::is_enum_v<T>>> {
    using number = std::underlying_type_t<T>;
    static const char *name() { return codec<number>::name(); }
    static int push(lua_State *L, T value) {
        return codec<number>::push(L, static_cast<number>(value));
    }
    static bool read(lua_State *L, int index, T &out) {
        number value{};
        const bool is_number = codec<number>::read(L, index, value);
        out = static_cast<T>(value);
        return is_number;
    }
};

// Strings are bytes, of any length and content. A number is not taken for one.
template <> struct codec<std::string_view> {
    static const char *name() { return "string"; }
    static int push(lua_State *L, std::string_view value) {
        return rlua_pushlstring(L, value.data() ? value.data() : "", value.size());
    }
    // The view lasts as long as the value is on the stack: as a parameter, to the call's end.
    static bool read(lua_State *L, int index, std::string_view &out) {
        if (lua_type(L, index) != LUA_TSTRING)
            return false;
        std::size_t length = 0;
        const char *text = lua_tolstring(L, index, &length); // raises nothing: it is a string
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
        if (value)
            return codec<std::string_view>::push(L, value);
        return lua_pushnil(L), RLUA_OK;
    }
};
template <> struct codec<char *> : codec<const char *> {};

// nil or a T.
template <class T> struct codec<std::optional<T>> {
    static const char *name() { return codec<T>::name(); }
    template <class O> static int push(lua_State *L, O &&value) {
        if (value)
            return detail::push(L, *std::forward<O>(value));
        return lua_pushnil(L), RLUA_OK;
    }
    static bool read(lua_State *L, int index, std::optional<T> &out) {
        out.reset();
        if (lua_type(L, index) <= LUA_TNIL)
            return true;
        detail::slot<T> value;
        if (!value.read(L, index))
            return false;
        out.emplace(value.take());
        return true;
    }
};

template <class... T> struct codec<std::variant<T...>> {
    static const char *name() {
        static const std::string all = [] {
            std::string text;
            ((text += (text.empty() ? "" : " or ") + std::string(codec<T>::name())), ...);
            return text;
        }();
        return all.c_str();
    }
    static int push(lua_State *L, const std::variant<T...> &value) {
        return std::visit([L](const auto &each) { return detail::push(L, each); }, value);
    }
    static bool read(lua_State *L, int index, std::variant<T...> &out) {
        const int place = lua_absindex(L, index);
        return (try_one<T>(L, place, out) || ...);
    }

private:
    template <class U>
    static bool try_one(lua_State *L, int index, std::variant<T...> &out) {
        detail::slot<U> value;
        if (!value.read(L, index))
            return false;
        out.template emplace<U>(value.take());
        return true;
    }
};

namespace detail {

// Sequences and tables, element by element. The readers obey metamethods, as scripts do.
template <class Range> int push_sequence(lua_State *L, const Range &values, std::size_t size) {
    int status = rlua_createtable(L, size_hint(size), 0);
    lua_Integer n = 0;
    for (const auto &value : values) {
        if (status == RLUA_OK)
            status = push_element<const typename Range::value_type &>(L, value);
        if (status == RLUA_OK)
            status = rlua_rawseti(L, -2, ++n);
    }
    return status;
}

template <class Map> struct map_codec {
    static const char *name() { return "table of one kind of keys and values"; }
    static int push(lua_State *L, const Map &values) {
        int status = rlua_createtable(L, 0, size_hint(values.size()));
        for (const auto &[key, value] : values) {
            if (status == RLUA_OK)
                status = push_element(L, key);
            if (status == RLUA_OK)
                status = push_element(L, value);
            if (status == RLUA_OK)
                status = rlua_rawset(L, -3);
        }
        return status;
    }
    static bool read(lua_State *L, int index, Map &out) {
        out.clear();
        if (lua_type(L, index) != LUA_TTABLE)
            return false;
        const balance guard(L);
        const int table = lua_absindex(L, index), top = lua_gettop(L);
        int more = 0;
        lua_pushnil(L);
        while (rlua_next(L, table, &more) == RLUA_OK) {
            if (!more)
                return true;
            slot<typename Map::key_type> key;
            slot<typename Map::mapped_type> value;
            if (reserve(L) != RLUA_OK || !key.read(L, top + 1) || !value.read(L, top + 2))
                return false;
            out.insert_or_assign(key.take(), value.take());
            lua_settop(L, top + 1); // the key stays for the next round
        }
        return false;
    }
};

// The n-th element of a sequence; false when it cannot be read.
template <class T> bool read_at(lua_State *L, int table, lua_Integer n, slot<T> &out) {
    return rlua_geti(L, table, n) == RLUA_OK && reserve(L) == RLUA_OK && out.read(L, -1);
}

template <class Tuple, std::size_t... I>
int push_fields(lua_State *L, const Tuple &values, std::index_sequence<I...>) {
    int status = rlua_createtable(L, static_cast<int>(sizeof...(I)), 0);
    ((status = status == RLUA_OK ? push_element(L, std::get<I>(values)) : status,
      status = status == RLUA_OK ? rlua_rawseti(L, -2, static_cast<lua_Integer>(I) + 1) : status),
     ...);
    return status;
}

template <class Tuple, std::size_t... I>
bool read_fields(lua_State *L, int index, Tuple &out, std::index_sequence<I...>) {
    if (lua_type(L, index) != LUA_TTABLE)
        return false;
    const balance guard(L);
    const int table = lua_absindex(L, index);
    std::tuple<slot<std::tuple_element_t<I, Tuple>>...> parts;
    if (!(read_at(L, table, static_cast<lua_Integer>(I) + 1, std::get<I>(parts)) && ...))
        return false;
    out = Tuple{std::get<I>(parts).take()...};
    return true;
}

template <class T> struct is_tuple : std::false_type {};
template <class... T> struct is_tuple<std::tuple<T...>> : std::true_type {};
template <class A, class B> struct is_tuple<std::pair<A, B>> : std::true_type {};

} // namespace detail

// A sequence, by copy: t[1] up to the first nil.
template <class T> struct codec<std::vector<T>> {
    static const char *name() { return "sequence"; }
    static int push(lua_State *L, const std::vector<T> &values) {
        return detail::push_sequence(L, values, values.size());
    }
    static bool read(lua_State *L, int index, std::vector<T> &out) {
        out.clear();
        if (lua_type(L, index) != LUA_TTABLE)
            return false;
        const int table = lua_absindex(L, index);
        for (lua_Integer n = 1;; ++n) {
            const detail::balance guard(L);
            if (rlua_geti(L, table, n) != RLUA_OK)
                return false;
            if (lua_type(L, -1) == LUA_TNIL)
                return true;
            detail::slot<T> value;
            if (detail::reserve(L) != RLUA_OK || !value.read(L, -1))
                return false;
            out.push_back(value.take());
        }
    }
};

// A sequence of exactly N.
template <class T, std::size_t N> struct codec<std::array<T, N>> {
    static const char *name() { return "sequence of an array's size"; }
    static int push(lua_State *L, const std::array<T, N> &values) {
        return detail::push_sequence(L, values, N);
    }
    static bool read(lua_State *L, int index, std::array<T, N> &out) {
        std::vector<T> values;
        if (!codec<std::vector<T>>::read(L, index, values) || values.size() != N)
            return false;
        for (std::size_t i = 0; i < N; ++i)
            out[i] = std::move(values[i]);
        return true;
    }
};

template <class K, class V, class C, class A>
struct codec<std::map<K, V, C, A>> : detail::map_codec<std::map<K, V, C, A>> {};
template <class K, class V, class H, class E, class A>
struct codec<std::unordered_map<K, V, H, E, A>>
    : detail::map_codec<std::unordered_map<K, V, H, E, A>> {};

template <class T> struct codec<T, std::enable_if_t<detail::is_tuple<T>::value>> {
    using indices = std::make_index_sequence<std::tuple_size_v<T>>;
    static const char *name() { return "sequence of a tuple's types"; }
    static int push(lua_State *L, const T &values) {
        return detail::push_fields(L, values, indices{});
    }
    static bool read(lua_State *L, int index, T &out) {
        return detail::read_fields(L, index, out, indices{});
    }
};

} // namespace rlua

#endif // RLUA_VALUES_HPP
