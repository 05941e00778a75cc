// bindings.hpp: functions and types of C++, told once for VMs that are opened and those that are
// loaded.
//
//     rlua::bindings game;
//     game.set_type<vec3>()
//         .set_type<texture>([&](const texture &t) { return t.path; },
//                            [&](std::string_view path) { return engine.texture(path); })
//         .set_function("load", [&](std::string path) { return engine.texture(path); });
//     auto vm = rlua::state::open(config, game).value();
//     auto later = rlua::state::from_image(vm.save().value(), config, game).value();
//
// In an image a function is its path, a member is "type.member", and an object outside the VM is
// what the save function of its type says. An object in the VM is its bytes.
//
// Invariants:
// - What bindings give lives until the last VM that has it closes. VMs share it, on any thread, so
//   nothing writes to it.
// - No exception crosses the library: what a save or load function throws ends the save or the
//   load, and is in the error's sentence.
//
// Not here: VMs (state.hpp), members of types (usertypes.hpp).
#ifndef RLUA_BINDINGS_HPP
#define RLUA_BINDINGS_HPP

#include "usertypes.hpp"

#include <cstddef>

namespace rlua {
namespace detail {

// What a function of a type says when it fails, in a save or a load on this thread.
class complaint {
public:
    complaint() noexcept : outer_(std::exchange(innermost, this)) {}
    ~complaint() { innermost = outer_; }
    complaint(const complaint &) = delete;
    complaint &operator=(const complaint &) = delete;

    // The library's error, with what was said, or what C++ has for it.
    error explain(error e) const {
        if (!text_.empty())
            e.message += ": " + text_;
        else if (e.message.find("a C function has no name") != std::string::npos)
            e.message += "; of C++: set_function() names it, or, for a lambda that goes in as a "
                         "value, bindings::set_callable()";
        return e;
    }

    // For a function that answers whether it failed.
    static int say(std::string_view text) noexcept {
        if (innermost == nullptr)
            return 1;
#if RLUA_HAS_EXCEPTIONS
        try {
            innermost->text_ = text;
        } catch (...) {
            innermost->text_.clear();
        }
#else
        innermost->text_ = text;
#endif
        return 1;
    }

    // Runs a body that answers an int. What it throws is said, and answers 1.
    template <class Body> static int guard(Body body) noexcept {
#if RLUA_HAS_EXCEPTIONS
        try {
            return body();
        } catch (const std::exception &e) {
            return say(e.what());
        } catch (...) {
            return say("a C++ exception that is not a std::exception");
        }
#else
        return body();
#endif
    }

private:
    static inline thread_local complaint *innermost = nullptr;
    complaint *outer_;
    std::string text_;
};

// Whether a usertype says how it is saved and loaded.
template <class T, class = void> struct has_save : std::false_type {};
template <class T>
struct has_save<T, std::void_t<decltype(usertype<T>::save(std::declval<const T &>()))>>
    : std::true_type {};
template <class T, class = void> struct has_load : std::false_type {};
template <class T>
struct has_load<T, std::void_t<decltype(usertype<T>::load(std::string_view()))>> : std::true_type {
};
template <class T> struct own_save {
    decltype(auto) operator()(const T &object) const { return usertype<T>::save(object); }
};
template <class T> struct own_load {
    decltype(auto) operator()(std::string_view bytes) const { return usertype<T>::load(bytes); }
};

// Text or bytes, or a result of them, to a writer.
template <class B> int write_bytes(B &&bytes, rlua_Writer writer, void *to) {
    if constexpr (is_result<bare<B>>::value) {
        return bytes ? write_bytes(*bytes, writer, to) : complaint::say(bytes.error().message);
    } else if constexpr (std::is_convertible_v<B, std::string_view>) {
        const std::string_view text(bytes);
        return writer(to, text.data() ? text.data() : "", text.size());
    } else {
        static_assert(sizeof(*std::data(bytes)) == 1,
                      "a save function returns text or bytes, or a result of them");
        return std::size(bytes) == 0 ? 0 : writer(to, std::data(bytes), std::size(bytes));
    }
}

// A box for what a load function returned.
template <class T, class From> int put_box(From &&from, void **out) {
    using held = bare<From>;
    if constexpr (is_result<held>::value) {
        if (!from)
            return complaint::say(from.error().message);
        return put_box<T>(*std::forward<From>(from), out);
    } else {
        std::unique_ptr<box> made;
        if constexpr (std::is_same_v<held, T>) {
            made = std::make_unique<value_box<T>>(std::forward<From>(from));
        } else {
            static_assert(!std::is_pointer_v<held> && std::is_same_v<bare<decltype(*from)>, T>,
                          "a load function returns the object, a std::unique_ptr, a "
                          "std::shared_ptr or rlua::borrow() of it, or a result of these");
            if constexpr (std::is_constructible_v<bool, const held &>)
                if (!from)
                    return complaint::say("there is no object");
            made = std::make_unique<pointer_box<T, held>>(std::forward<From>(from));
        }
        *out = made.release();
        return 0;
    }
}

enum : int { IS_FUNCTION, IS_TYPE, IS_NAME, IS_USERDATA };

class bound_function final : public binding {
public:
    bound_function(std::string path, std::unique_ptr<host_function> function)
        : path_(std::move(path)), function_(std::move(function)) {}
    const char *name() const noexcept override { return path_.c_str(); }
    int kind() const noexcept override { return IS_FUNCTION; }
    void add_names(std::vector<rlua_Name> &names) const override {
        names.push_back({name(), nullptr, trampoline, function_.get()});
    }
    int enter(lua_State *L) const override {
        return rlua_pushfunction(L, trampoline, function_.get(), name());
    }

private:
    std::string path_;
    std::unique_ptr<host_function> function_;
};

// A C function or a pointer of the host's.
class bound_name final : public binding {
public:
    bound_name(std::string name, lua_CFunction function, void *pointer)
        : name_(std::move(name)), function_(function), pointer_(pointer) {}
    const char *name() const noexcept override { return name_.c_str(); }
    int kind() const noexcept override { return IS_NAME; }
    void add_names(std::vector<rlua_Name> &names) const override {
        names.push_back({name(), function_, nullptr, pointer_});
    }
    int enter(lua_State *L) const override {
        return function_ ? rlua_register(L, name(), function_)
                         : rlua_register_pointer(L, name(), pointer_);
    }

private:
    std::string name_;
    lua_CFunction function_;
    void *pointer_;
};

// A usertype: the names of its members.
template <class T> class bound_type : public binding {
public:
    const char *name() const noexcept override { return usertype<T>::name; }
    int kind() const noexcept override { return IS_TYPE; }
    void add_names(std::vector<rlua_Name> &names) const override {
        const auto &members = table_of_members<T>::get();
        for (std::size_t i = 0; i < members.names.size(); ++i)
            names.push_back({members.names[i].c_str(), nullptr, members.methods[i].function,
                             nullptr});
    }
    int enter(lua_State *) const override { return RLUA_OK; }
};

// One whose objects lie outside, and go along.
template <class T, class Save, class Load> class saved_type final : public bound_type<T> {
public:
    saved_type(Save save, Load load)
        : save_(std::move(save)), load_(std::move(load)), resource_(resource_type<T>()),
          type_{sizeof type_, usertype<T>::name, &resource_, put, take, this} {}
    const rlua_ObjectType *object_type() const noexcept override { return &type_; }
    int enter(lua_State *L) const override { return rlua_register_type(L, &type_); }

private:
    static int put(const void *object, std::size_t, rlua_Writer writer, void *to,
                   void *ud) noexcept {
        return complaint::guard([=] {
            const auto *held = static_cast<const box *>(object);
            if (held->kind != &tag<T>)
                return complaint::say("it is of another C++ type of that name");
            const T &saved = *static_cast<const T *>(held->object);
            return write_bytes(static_cast<const saved_type *>(ud)->save_(saved), writer, to);
        });
    }
    static int take(const void *bytes, std::size_t length, void *object, std::size_t,
                    void *ud) noexcept {
        return complaint::guard([=] {
            const std::string_view text(static_cast<const char *>(bytes), length);
            return put_box<T>(static_cast<const saved_type *>(ud)->load_(text),
                              static_cast<void **>(object));
        });
    }

    Save save_;
    Load load_;
    rlua_ResourceType resource_;
    rlua_ObjectType type_;
};

// Userdata of a C module, whose block is a T.
template <class T, class Save, class Load> class saved_userdata final : public binding {
public:
    saved_userdata(std::string name, Save save, Load load)
        : name_(std::move(name)), save_(std::move(save)), load_(std::move(load)),
          type_{sizeof type_, name_.c_str(), nullptr, put, take, this} {}
    const char *name() const noexcept override { return name_.c_str(); }
    int kind() const noexcept override { return IS_USERDATA; }
    const rlua_ObjectType *object_type() const noexcept override { return &type_; }
    int enter(lua_State *L) const override { return rlua_register_type(L, &type_); }

private:
    static int check(std::size_t size) {
        return size == sizeof(T) ? 0 : complaint::say("its block has " + std::to_string(size) +
                                                      " bytes, the C++ type of it " +
                                                      std::to_string(sizeof(T)));
    }
    static int put(const void *block, std::size_t size, rlua_Writer writer, void *to,
                   void *ud) noexcept {
        return complaint::guard([=] {
            if (check(size) != 0)
                return 1;
            T copy;
            std::memcpy(&copy, block, size);
            const T &saved = copy;
            return write_bytes(static_cast<const saved_userdata *>(ud)->save_(saved), writer, to);
        });
    }
    static int take(const void *bytes, std::size_t length, void *block, std::size_t size,
                    void *ud) noexcept {
        return complaint::guard([=] {
            const std::string_view text(static_cast<const char *>(bytes), length);
            return check(size) != 0
                       ? 1
                       : fill(static_cast<const saved_userdata *>(ud)->load_(text), block);
        });
    }
    template <class From> static int fill(const From &from, void *block) {
        if constexpr (is_result<From>::value) {
            return from ? fill(*from, block) : complaint::say(from.error().message);
        } else {
            static_assert(std::is_same_v<From, T>,
                          "a load function returns what the block holds, or a result of it");
            std::memcpy(block, &from, sizeof from);
            return 0;
        }
    }

    std::string name_;
    Save save_;
    Load load_;
    rlua_ObjectType type_;
};

} // namespace detail

// See the head of this file. What has the name of something earlier replaces it, for VMs to come.
// The object may end before its VMs.
class bindings {
public:
    // A function under a path, as state::set_function() gives it to one VM; tables on the way are
    // made. All VMs share the callable and what it captured.
    template <class Signature = void, class F>
    bindings &set_function(std::string path, F &&function) {
        if constexpr (!std::is_void_v<Signature>) {
            return set_function(std::move(path), typed<Signature>(std::forward<F>(function)));
        } else {
            using held = detail::named_function<std::decay_t<F>>;
            static_assert(!detail::signature<std::decay_t<F>>::is_mutable,
                          "the captured state of a mutable lambda is not in an image: keep it in "
                          "the VM, or say rlua::outside()");
            return add(std::make_shared<detail::bound_function>(
                std::move(path), std::make_unique<held>(std::forward<F>(function))));
        }
    }

    // A usertype, so that its members are known where an image is loaded. Objects outside the VM go
    // along if the usertype says how, by static functions `save` and `load`: see the other form.
    template <class T> bindings &set_type() {
        static_assert(detail::has_save<T>::value == detail::has_load<T>::value,
                      "a usertype has both save(const T &) and load(std::string_view), or neither");
        if constexpr (detail::has_save<T>::value) {
            static_assert(!detail::lies_in_vm<T>, "a trivially copyable usertype is in an image as "
                                                  "its bytes, unless it says `outside = true`");
            // One for all bindings: a VM may be given several.
            using type = detail::saved_type<T, detail::own_save<T>, detail::own_load<T>>;
            static const auto own = std::make_shared<const type>(detail::own_save<T>(),
                                                                 detail::own_load<T>());
            return add(own);
        } else {
            return add(std::make_shared<detail::bound_type<T>>());
        }
    }

    // The same with two functions:
    // - save(const T &) returns text or bytes.
    // - load(std::string_view) makes an object of these: a T, a std::unique_ptr, a std::shared_ptr,
    //   rlua::borrow(). The bytes may be a stranger's.
    // Either may return a result of that. Neither may use the VM. Where one throws, or returns an
    // error or no object, the save or the load fails with RLUA_STREAM, and says what it said.
    template <class T, class Save, class Load> bindings &set_type(Save save, Load load) {
        static_assert(!detail::lies_in_vm<T>, "a trivially copyable usertype is in an image as its "
                                              "bytes, unless it says `outside = true`");
        using type = detail::saved_type<T, Save, Load>;
        return add(std::make_shared<type>(std::move(save), std::move(load)));
    }

    // What a module in C has in userdata with a finalizer: `name` is the `__name` of their
    // metatable, T what a block of them holds, as C has it.
    // - save(const T &), of a copy of the block as it is now, returns text or bytes.
    // - load(std::string_view) returns a T, with what the module's finalizer will end.
    // Results and failures are as for a type. A block of another size is one.
    template <class T, class Save, class Load>
    bindings &set_userdata(std::string name, Save save, Load load) {
        static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>,
                      "a block is copied byte by byte: T is a pointer or a plain struct");
        using type = detail::saved_userdata<T, Save, Load>;
        return add(std::make_shared<type>(std::move(name), std::move(save), std::move(load)));
    }

    // A name for lambdas of one type that go in as values: an argument, an element, a result. Their
    // function is in images then, and what each captured as its bytes, in which a pointer means
    // nothing elsewhere. The lambda that is given only tells the type; it is none of a second line
    // that looks the same. What is captured is understood by programs of the same build.
    template <class F> bindings &set_callable(std::string name, const F &) {
        static_assert(std::is_class_v<F> && detail::lies_inline<F>,
                      "what this callable holds lies outside the VM: give it a path by "
                      "set_function()");
        return register_function(std::move(name), detail::inline_function<F>::entry);
    }

    // Names for C functions and pointers of the host: docs/DETERMINISM.md.
    bindings &register_function(std::string name, lua_CFunction function) {
        return add(std::make_shared<detail::bound_name>(std::move(name), function, nullptr));
    }
    bindings &register_pointer(std::string name, void *pointer) {
        return add(std::make_shared<detail::bound_name>(std::move(name), nullptr, pointer));
    }

private:
    friend class state;

    bindings &add(std::shared_ptr<const detail::binding> given) {
        for (auto &each : all_)
            if (each->kind() == given->kind() && std::strcmp(each->name(), given->name()) == 0)
                return each = std::move(given), *this;
        all_.push_back(std::move(given));
        return *this;
    }

    // What a config says of all that lies outside: what it had, and these bindings. The config is
    // good for as long as this and they are.
    struct lists {
        std::vector<rlua_Name> names;
        std::vector<const rlua_ObjectType *> types;

        lists(const bindings &given, rlua_Config &config) {
            for (const rlua_Name *each = config.names; each && each->name; ++each)
                names.push_back(*each);
            for (auto *each = config.types; each && *each; ++each)
                types.push_back(*each);
            for (const auto &each : given.all_) {
                each->add_names(names);
                if (const rlua_ObjectType *type = each->object_type())
                    types.push_back(type);
            }
            names.push_back({nullptr, nullptr, nullptr, nullptr});
            types.push_back(nullptr);
            config.names = names.data();
            config.types = types.data();
        }
    };

    std::vector<std::shared_ptr<const detail::binding>> all_;
};

} // namespace rlua

#endif // RLUA_BINDINGS_HPP
