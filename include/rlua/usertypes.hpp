// usertypes.hpp: objects of C++ in Lua.
//
// Where an object lies decides what a rollback does to it:
// - A trivially copyable type lies in the VM, in a userdata, by value. Its bytes roll back with
//   everything else, and nothing has to be released.
// - Any other type lies outside, owned by a resource: it is deleted exactly once, when neither the
//   live state nor a snapshot can reach it. Its members do not roll back.
//
//     template <> struct rlua::usertype<vec3> {
//         static constexpr const char *name = "vec3";
//         static constexpr rlua::member members[] = {
//             rlua::property<&vec3::x>("x"), rlua::method<&vec3::length>("length"),
//             rlua::method<&add>("__add")};
//     };
//
// Parameters: `T &` and `T *` are the object itself, valid during the call (`T *` from get(): until
// the VM runs again or goes back); `T` is a copy. In go: a T, a std::unique_ptr<T>, a
// std::shared_ptr<T>, and borrow(object), which owns nothing. A shared_ptr comes out of what went
// in as one.
//
// Not here: callables (functions.hpp).
#ifndef RLUA_USERTYPES_HPP
#define RLUA_USERTYPES_HPP

#include "functions.hpp"

namespace rlua {

// A member of a usertype: see method() and property().
struct member {
    const char *name;
    rlua_HostFunction call, get, set;
};

// Names a C++ type whose objects scripts hold: specialize it.
//
//     static constexpr const char *name          names the type in the VM and in messages
//     static constexpr rlua::member members[]    optional
//     static constexpr bool outside = true       optional: a trivially copyable type that shall lie
//                                                outside all the same
template <class T> struct usertype;

namespace detail {

template <class T, class = void> struct has_name : std::false_type {};
template <class T>
struct has_name<T, std::void_t<decltype(usertype<T>::name)>> : std::true_type {};
template <class T> struct is_usertype : has_name<T> {};

template <class T, class = void> struct wants_outside : std::false_type {};
template <class T>
struct wants_outside<T, std::void_t<decltype(usertype<T>::outside)>>
    : std::bool_constant<usertype<T>::outside> {};

template <class T>
constexpr bool lies_in_vm = lies_inline<T> && !wants_outside<T>::value;

template <class T, class = void> struct members_of {
    static const member *begin() { return nullptr; }
    static const member *end() { return nullptr; }
};
template <class T> struct members_of<T, std::void_t<decltype(usertype<T>::members)>> {
    static const member *begin() { return std::begin(usertype<T>::members); }
    static const member *end() { return std::end(usertype<T>::members); }
};

// An object in the VM, in a userdata. The kind tells what it is, whatever a script did with the
// library `debug`.
template <class T> struct inline_object {
    std::uint64_t kind;
    T object;
};
template <class T> constexpr std::uint64_t own_kind() {
    return hash(usertype<T>::name, sizeof(T));
}

// An object outside: what a resource owns.
template <class T> inline char tag = 0; // its address names the type
struct box {
    const void *kind = nullptr;    // &tag<T>
    const void *pointer = nullptr; // &tag<the smart pointer>, where there is one
    void *object = nullptr;
    virtual ~box() = default;
};
template <class T> struct value_box final : box {
    T held;
    template <class From> explicit value_box(From &&from) : held(std::forward<From>(from)) {
        kind = &tag<T>, object = &held;
    }
};
template <class T, class Pointer> struct pointer_box final : box {
    Pointer held;
    explicit pointer_box(Pointer p) : held(std::move(p)) {
        kind = &tag<T>, pointer = &tag<Pointer>, object = &*held;
    }
};

inline void release_box(lua_State *, void *object, void *) noexcept {
    delete static_cast<box *>(object);
}

template <class T> int index_member(lua_State *L, void *ud) noexcept;
template <class T> int set_member(lua_State *L, void *ud) noexcept;

// What a metatable of T has: metamethods and methods by their names. Without properties `__index`
// is the table of methods; with them it is a function, and the methods lie in the metatable itself.
template <class T> struct table_of_members {
    struct property {
        std::string_view name;
        const member *is;
    };
    std::vector<rlua_Method> methods;
    std::vector<std::string> names; // of the methods in images: "type.method"
    std::vector<property> properties;

    static const table_of_members &get() {
        static const table_of_members one;
        return one;
    }
    const member *find(lua_State *L) const noexcept { // by the key at index 2
        std::size_t length = 0;
        const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : nullptr;
        for (const property &each : properties)
            if (key && each.name == std::string_view(key, length))
                return each.is;
        return nullptr;
    }

private:
    table_of_members() {
        for (const member &each : members_of<T>()) {
            if (each.call)
                methods.push_back({each.name, each.call});
            else
                properties.push_back({each.name, &each});
        }
        if (!properties.empty()) {
            methods.push_back({"__index", index_member<T>});
            methods.push_back({"__newindex", set_member<T>});
        }
        for (const rlua_Method &each : methods)
            names.push_back(std::string(usertype<T>::name) + '.' + each.name);
        methods.push_back({nullptr, nullptr});
    }
};

inline bool is_metamethod(const char *name) noexcept { return std::strncmp(name, "__", 2) == 0; }

// Fills the metatable at the top; `all` of the methods, or those that are no metamethods alone.
template <class T> int push_members(lua_State *L, bool all) {
    const int meta = lua_gettop(L);
    const auto &members = table_of_members<T>::get();
    int methods = meta, status = RLUA_OK;
    if (members.properties.empty()) {
        status = rlua_createtable(L, 0, size_hint(members.methods.size()));
        methods = meta + 1;
        if (status == RLUA_OK)
            lua_pushvalue(L, -1);
        if (status == RLUA_OK)
            status = rlua_setfield(L, meta, "__index");
    }
    for (std::size_t i = 0; status == RLUA_OK && i < members.names.size(); ++i) {
        const rlua_Method &each = members.methods[i];
        if (!all && is_metamethod(each.name))
            continue;
        status = rlua_pushfunction(L, each.function, nullptr, members.names[i].c_str());
        if (status == RLUA_OK)
            status = rlua_setfield(L, is_metamethod(each.name) ? meta : methods, each.name);
    }
    // Last: what has it is whole.
    lua_pushinteger(L, static_cast<lua_Integer>(own_kind<T>()));
    if (status == RLUA_OK)
        status = rlua_rawseti(L, meta, 1);
    if (status == RLUA_OK)
        lua_settop(L, meta);
    return status;
}

template <class T> rlua_ResourceType resource_type() {
    return {sizeof(rlua_ResourceType), usertype<T>::name, release_box, nullptr,
            table_of_members<T>::get().methods.data()};
}

// Pushes the metatable of a type that lies in the VM; makes it where there is none.
template <class T> int push_metatable(lua_State *L) {
    int status = rlua_getmetatable(L, usertype<T>::name);
    if (status != RLUA_OK || lua_type(L, -1) == LUA_TTABLE)
        return status;
    lua_settop(L, -2);
    status = rlua_createtable(L, 0, size_hint(table_of_members<T>::get().methods.size() + 4));
    const int meta = lua_gettop(L);
    for (const char *field : {"__name", "__metatable"}) {
        if (status == RLUA_OK)
            status = push(L, usertype<T>::name);
        if (status == RLUA_OK)
            status = rlua_setfield(L, meta, field);
    }
    if (status == RLUA_OK)
        status = push_members<T>(L, true);
    if (status != RLUA_OK)
        return status;
    lua_pushvalue(L, meta);
    return rlua_setfield(L, LUA_REGISTRYINDEX, usertype<T>::name);
}

template <class T, class Box, class From> int push_box(lua_State *L, From &&from) {
    if (core_of(L) == nullptr)
        return bad_value(L, "this VM was not made by rlua::state");
    std::unique_ptr<box> held = std::make_unique<Box>(std::forward<From>(from));
    const rlua_ResourceType type = resource_type<T>();
    const int status = rlua_pushresource(L, held.get(), &type);
    if (status != RLUA_OK)
        return status;
    (void)held.release();
    if (table_of_members<T>::get().properties.empty() || !lua_getmetatable(L, -1))
        return RLUA_OK;
    // The library makes the metatable, but leaves methods out of one that has an `__index`.
    lua_rawgeti(L, -1, 1);
    const bool is_whole = lua_type(L, -1) == LUA_TNUMBER;
    lua_settop(L, -2);
    const int filled = is_whole ? RLUA_OK : push_members<T>(L, false);
    if (filled == RLUA_OK)
        lua_settop(L, -2);
    return filled;
}

template <class T, class From> int push_object(lua_State *L, From &&from) {
    if constexpr (lies_in_vm<T>) {
        if (core_of(L) == nullptr)
            return bad_value(L, "this VM was not made by rlua::state");
        void *block = nullptr;
        int status = rlua_newuserdata(L, sizeof(inline_object<T>), 0, &block);
        if (status != RLUA_OK)
            return status;
        std::memset(block, 0, sizeof(inline_object<T>)); // the padding too
        new (block) inline_object<T>{own_kind<T>(), std::forward<From>(from)};
        status = push_metatable<T>(L);
        if (status == RLUA_OK)
            lua_setmetatable(L, -2); // has no __gc, so it raises nothing
        return status;
    } else {
        return push_box<T, value_box<T>>(L, std::forward<From>(from));
    }
}

template <class T> box *find_box(lua_State *L, int index) {
    const rlua_ResourceType type = {sizeof(rlua_ResourceType), usertype<T>::name, release_box,
                                    nullptr, nullptr};
    void *object = nullptr;
    if (rlua_toresource(L, index, &type, &object) != RLUA_OK)
        return nullptr;
    auto *found = static_cast<box *>(object);
    return found->kind == &tag<T> ? found : nullptr;
}

// The object at an index, or NULL.
template <class T> T *find_object(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA)
        return nullptr;
    if constexpr (lies_in_vm<T>) {
        // Its size, what its block says, and what its metatable says: a userdata of another
        // module would have to be made to look like one in all three.
        constexpr std::uint64_t kind = own_kind<T>();
        auto *found = static_cast<inline_object<T> *>(lua_touserdata(L, index));
        if (lua_rawlen(L, index) != sizeof(inline_object<T>) || found->kind != kind ||
            !lua_getmetatable(L, index))
            return nullptr;
        lua_rawgeti(L, -1, 1);
        const bool is_ours = static_cast<std::uint64_t>(lua_tointegerx(L, -1, nullptr)) == kind;
        lua_settop(L, -3);
        return is_ours ? &found->object : nullptr;
    } else {
        box *found = find_box<T>(L, index);
        return found ? static_cast<T *>(found->object) : nullptr;
    }
}

// Objects as parameters, results and elements: T, T &, T *.
template <class T> using object_type = bare<std::remove_pointer_t<bare<T>>>;

template <class T>
struct slot<T, std::enable_if_t<is_usertype<object_type<T>>::value>> {
    using object = object_type<T>;
    struct codec_type {
        static const char *name() { return usertype<object>::name; }
    };
    object *held = nullptr;
    bool read(lua_State *L, int index) {
        held = find_object<object>(L, index);
        return held != nullptr;
    }
    T take() {
        if constexpr (std::is_pointer_v<T>)
            return held;
        else if constexpr (std::is_rvalue_reference_v<T>)
            return std::move(*held);
        else
            return *held;
    }
};

// Member functions, member variables and functions as one kind of callable.
template <class T, auto M, class S = decltype(M)> struct bound;
template <class T, auto M, class C, class R, class... A> struct bound<T, M, R (C::*)(A...)> {
    R operator()(T &self, A... a) const { return (self.*M)(std::forward<A>(a)...); }
};
template <class T, auto M, class C, class R, class... A>
struct bound<T, M, R (C::*)(A...) const> {
    R operator()(T &self, A... a) const { return (self.*M)(std::forward<A>(a)...); }
};
template <class T, auto M, class C, class R, class... A>
struct bound<T, M, R (C::*)(A...) noexcept> : bound<T, M, R (C::*)(A...)> {};
template <class T, auto M, class C, class R, class... A>
struct bound<T, M, R (C::*)(A...) const noexcept> : bound<T, M, R (C::*)(A...) const> {};
template <class T, auto M, class R, class... A> struct bound<T, M, R (*)(A...)> {
    R operator()(A... a) const { return M(std::forward<A>(a)...); }
};
template <class T, auto M, class R, class... A>
struct bound<T, M, R (*)(A...) noexcept> : bound<T, M, R (*)(A...)> {};
template <class T, auto M, class C, class V> struct bound<T, M, V C::*> {
    using type = V;
    const V &operator()(T &self) const { return self.*M; }
};

template <class S> struct class_of { using type = void; };
template <class C, class V> struct class_of<V C::*> { using type = C; };

template <class T, auto M> int call_member(lua_State *L, void *) noexcept {
    return host_call(L, [=](core *c) {
        bound<T, M> function;
        return invoke(c, L, function);
    });
}

// A setter gets the object, the key and the value.
template <class T, auto M> int assign_member(lua_State *L, void *) noexcept {
    return host_call(L, [=](core *c) {
        lua_rotate(L, 2, -1);
        lua_settop(L, 2);
        if constexpr (std::is_member_object_pointer_v<decltype(M)>) {
            auto set = [](T &self, bare<decltype(std::declval<T &>().*M)> value) {
                self.*M = std::move(value);
            };
            return invoke(c, L, set);
        } else {
            bound<T, M> function;
            return invoke(c, L, function);
        }
    });
}

template <class T> int index_member(lua_State *L, void *ud) noexcept {
    if (const member *found = table_of_members<T>::get().find(L))
        return found->get(L, ud);
    if (!lua_getmetatable(L, 1))
        return 0;
    lua_pushvalue(L, 2);
    const int status = rlua_rawget(L, -2); // a method, or nil
    return status == RLUA_OK ? 1 : raise(L, rlua_last_error(L));
}

template <class T> int set_member(lua_State *L, void *ud) noexcept {
    const member *found = table_of_members<T>::get().find(L);
    if (found && found->set)
        return found->set(L, ud);
    return host_call(L, [=](core *) {
        const std::string text = std::string(usertype<T>::name) +
                                 (found ? ": read-only: " : ": no such property: ") + text_at(L, 2);
        return raise(L, text.c_str());
    });
}

} // namespace detail

// A method of a usertype: a member function, or any function, which gets the object as Lua passes
// it. A name that begins with two underscores is a metamethod. T is the usertype where the function
// is a base class's.
template <auto M, class T = typename detail::class_of<decltype(M)>::type>
constexpr member method(const char *name) noexcept {
    return {name, detail::call_member<T, M>, nullptr, nullptr};
}

// A property, read and written as `object.name`: a member variable, or a getter and a setter.
template <auto M, class T = typename detail::class_of<decltype(M)>::type>
constexpr member property(const char *name) noexcept {
    if constexpr (std::is_member_object_pointer_v<decltype(M)>) {
        using held = detail::bare<decltype(std::declval<T &>().*M)>;
        if constexpr (!std::is_const_v<std::remove_reference_t<decltype(std::declval<T &>().*M)>> &&
                      std::is_move_assignable_v<held>)
            return {name, nullptr, detail::call_member<T, M>, detail::assign_member<T, M>};
    }
    return {name, nullptr, detail::call_member<T, M>, nullptr};
}
template <auto Get, auto Set, class T = typename detail::class_of<decltype(Get)>::type>
constexpr member property(const char *name) noexcept {
    return {name, nullptr, detail::call_member<T, Get>, detail::assign_member<T, Set>};
}

// One that scripts cannot write.
template <auto M, class T = typename detail::class_of<decltype(M)>::type>
constexpr member read_only(const char *name) noexcept {
    return {name, nullptr, detail::call_member<T, M>, nullptr};
}

// An object of the host's on its way into a VM that shall not own it. It must live as long as
// scripts or snapshots can reach the handle.
template <class T> class borrowed {
public:
    explicit borrowed(T &object) noexcept : object_(&object) {}
    T &operator*() const noexcept { return *object_; }

private:
    T *object_;
};
template <class T> borrowed<T> borrow(T &object) noexcept { return borrowed<T>(object); }

template <class T> struct codec<T, std::enable_if_t<detail::is_usertype<T>::value>> {
    static const char *name() { return usertype<T>::name; }
    static int push(lua_State *L, const T &value) { return detail::push_object<T>(L, value); }
    static int push(lua_State *L, T &&value) { return detail::push_object<T>(L, std::move(value)); }
    static bool read(lua_State *L, int index, T &out) {
        const T *found = detail::find_object<T>(L, index);
        if (found)
            out = *found;
        return found != nullptr;
    }
};

namespace detail {

template <class T, class Pointer> struct pointer_codec {
    static_assert(!lies_in_vm<T>, "a trivially copyable usertype lies in the VM: give the value "
                                  "itself, or say `outside = true` in its usertype");
    static const char *name() { return usertype<T>::name; }
    static int push(lua_State *L, Pointer pointer) { return push_box<T, pointer_box<T, Pointer>>(
        L, std::move(pointer)); }
};

} // namespace detail

template <class T, class D>
struct codec<std::unique_ptr<T, D>, std::enable_if_t<detail::is_usertype<T>::value>> {
    using pointer = std::unique_ptr<T, D>;
    static const char *name() { return usertype<T>::name; }
    static int push(lua_State *L, pointer object) {
        if (!object)
            return lua_pushnil(L), RLUA_OK;
        return detail::pointer_codec<T, pointer>::push(L, std::move(object));
    }
};

template <class T>
struct codec<std::shared_ptr<T>, std::enable_if_t<detail::is_usertype<T>::value>> {
    using pointer = std::shared_ptr<T>;
    static const char *name() { return usertype<T>::name; }
    static int push(lua_State *L, pointer object) {
        if (!object)
            return lua_pushnil(L), RLUA_OK;
        return detail::pointer_codec<T, pointer>::push(L, std::move(object));
    }
    static bool read(lua_State *L, int index, pointer &out) {
        detail::box *found = detail::find_box<T>(L, index);
        if (found == nullptr || found->pointer != &detail::tag<pointer>)
            return false;
        out = static_cast<detail::pointer_box<T, pointer> *>(found)->held;
        return true;
    }
};

template <class T>
struct codec<borrowed<T>, std::enable_if_t<detail::is_usertype<T>::value>> {
    static const char *name() { return usertype<T>::name; }
    static int push(lua_State *L, borrowed<T> object) {
        return detail::pointer_codec<T, borrowed<T>>::push(L, object);
    }
};

template <class T> result<void> value::close() const {
    static_assert(!detail::lies_in_vm<T>, "an object in the VM needs no end");
    detail::visit in(vm());
    if (!in)
        return in.refused();
    const rlua_ResourceType type = {sizeof(rlua_ResourceType), usertype<T>::name,
                                    detail::release_box, nullptr, nullptr};
    int status = rlua_getref(in.state(), ref_);
    if (status == RLUA_OK)
        status = rlua_closeresource(in.state(), -1, &type);
    if (status == RLUA_OK)
        return {};
    return detail::sentence(in.state(), status);
}

} // namespace rlua

#endif // RLUA_USERTYPES_HPP
