// functions.hpp: callables of C++ as functions of Lua: their parameters are read by type, their
// results pushed, their exceptions raised.
//
// A callable that goes in as a value (an argument, an element, what set() is given) lives as long
// as the live state or a snapshot can reach the function. What is trivially copyable lies in the
// VM, and so rolls back, captures and all; anything else lies outside, and does not. For a function
// with a name, state::set_function() does more.
//
// Not here: members of objects (usertypes.hpp).
#ifndef RLUA_FUNCTIONS_HPP
#define RLUA_FUNCTIONS_HPP

#include "handles.hpp"

#include <cstring>
#include <typeinfo>

namespace rlua {

class state_view;

// All further arguments of a host function: its last parameter, or its only one.
//
//     lua.set_function("log", [](rlua::arguments all) {
//         for (int i = 0; i < all.size(); ++i) write(all.text(i));
//     }).value();
//
// It is valid during the call.
class arguments {
public:
    arguments() = default;
    arguments(lua_State *L, int first) noexcept
        : L_(L), first_(first), size_(lua_gettop(L) - first + 1) {
        if (size_ < 0)
            size_ = 0;
    }
    int size() const noexcept { return size_; }
    type kind(int i) const noexcept { return detail::type_at(L_, at(i)); }

    // The i-th, from 0; an absent one is nil. RLUA_BAD_ARG when it is not a T.
    template <class T> result<T> get(int i) const {
        const detail::balance guard(L_);
        if (detail::reserve(L_) != RLUA_OK)
            return error{RLUA_NO_MEMORY, "there is no room on the Lua stack"};
        return detail::take<T>(L_, at(i), "argument " + std::to_string(i + 1));
    }

    // What tostring makes of it.
    std::string text(int i) const {
        const detail::balance guard(L_);
        return i < size_ ? detail::text_at(L_, at(i)) : "nil";
    }

private:
    int at(int i) const noexcept { return first_ + i; }

    lua_State *L_ = nullptr;
    int first_ = 1, size_ = 0;
};

namespace detail {

// Result and parameters of a callable. A mutable lambda is one whose operator() is not const.
template <class F, class = void> struct signature {};
template <class R, class... A> struct signature<R(A...)> {
    using result_type = R;
    using argument_types = std::tuple<A...>;
    static constexpr bool is_known = true, is_mutable = false;
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
template <class F>
struct signature<F, std::void_t<decltype(&F::operator())>> : signature<decltype(&F::operator())> {};

template <class F, class = void> struct has_signature : std::false_type {};
template <class F>
struct has_signature<F, std::enable_if_t<signature<F>::is_known>> : std::true_type {};

// outside(): the state of the callable does not roll back.
template <class F> struct outside_function {
    template <class... A> decltype(auto) operator()(A &&...arguments) const {
        return function(std::forward<A>(arguments)...);
    }
    mutable F function;
};
template <class F> struct signature<outside_function<F>> : signature<F> {
    static constexpr bool is_mutable = false;
};

// typed(): a generic callable with the signature that it shall have.
template <class S, class F> struct typed_function {
    template <class... A> decltype(auto) operator()(A &&...arguments) {
        return function(std::forward<A>(arguments)...);
    }
    F function;
};
template <class R, class... A, class F>
struct signature<typed_function<R(A...), F>> : signature<R(A...)> {
    static constexpr bool is_mutable = !std::is_invocable_v<const F &, A...>;
};

template <class T> struct is_result : std::false_type {};
template <class T> struct is_result<result<T>> : std::true_type {};
template <class T> struct is_function_object : std::false_type {};
template <class S> struct is_function_object<std::function<S>> : std::true_type {};

// Turns a failed push of a result above `top` into a raise; Lua's own errors stay as they are.
inline int raise_failed_push(core *c, lua_State *L, int status, int top) {
    if (status >= RLUA_ERR_RUN)
        return RLUA_RAISE;
    return raise(c, L, take_error(L, status, top));
}

template <class R> int push_results(core *c, lua_State *L, R &&value) {
    using T = bare<R>;
    const int top = lua_gettop(L);
    if constexpr (is_result<T>::value) {
        if (!value)
            return raise(c, L, value.error());
        if constexpr (std::is_void_v<typename T::value_type>)
            return 0;
        else
            return push_results(c, L, *std::forward<R>(value));
    } else {
        int status = RLUA_OK, count = 1;
        if constexpr (is_tuple<T>::value) {
            count = static_cast<int>(std::tuple_size_v<T>);
            status = std::apply([&](auto &&...each) {
                return push_all(L, status, std::forward<decltype(each)>(each)...);
            }, std::forward<R>(value));
        } else if constexpr (std::is_same_v<T, values>) {
            count = static_cast<int>(value.size());
            status = reserve(L, count + 4);
            for (const auto &each : value)
                status = status == RLUA_OK ? each.push(L) : status;
        } else {
            if (top > LUA_MINSTACK - 10) // else a C function has the room
                status = reserve(L);
            status = status == RLUA_OK ? push(L, std::forward<R>(value)) : status;
        }
        return status == RLUA_OK ? count : raise_failed_push(c, L, status, top);
    }
}

// Parameters that are no value of Lua's stack: the view, and the rest of the arguments.
template <class T> constexpr bool is_view = std::is_same_v<bare<T>, state_view>;
template <class T> constexpr bool is_rest = std::is_same_v<bare<T>, arguments>;

template <class T> struct is_usertype; // usertypes.hpp
// References to objects stay references; everything else is read into a value.
template <class A, class = void> struct parameter { using type = std::decay_t<A>; };
template <class A>
struct parameter<A, std::enable_if_t<std::is_reference_v<A> && is_usertype<bare<A>>::value>> {
    using type = A;
};

template <> struct slot<arguments> {
    struct codec_type {
        static const char *name() { return "arguments"; }
    };
    arguments held{};
    bool read(lua_State *L, int index) { return held = arguments(L, index), true; }
    arguments take() { return held; }
};

// Calls a callable with the arguments on the stack of a host function, and pushes its results.
template <class R, class... A, class F, std::size_t... I>
int invoke(core *c, lua_State *L, F &function, const signature<R(A...)> *,
           std::index_sequence<I...>) {
    constexpr bool with_view = (false || ... || is_view<A>);
    constexpr bool with_rest = (false || ... || is_rest<A>);
    constexpr int wanted = static_cast<int>(sizeof...(A)) - with_view - with_rest;
    static_assert(wanted <= LUA_MINSTACK - 8, "more parameters than a C function has slots for");
    const int given = lua_gettop(L);
    if (given < wanted)
        lua_settop(L, wanted); // absent arguments are nil
    std::tuple<slot<typename parameter<A>::type>...> parts;
    if constexpr (sizeof...(A) > 0) {
        int wrong = -1;
        ((wrong >= 0 || read_slot(L, static_cast<int>(I) + 1 - with_view, std::get<I>(parts))
              ? void() : void(wrong = static_cast<int>(I))), ...);
        if (wrong >= 0) {
            const char *names[] = {slot<typename parameter<A>::type>::codec_type::name()...};
            const int place = wrong + 1 - with_view;
            return raise_argument(L, place, place <= given, names[wrong]);
        }
    }
    if constexpr (std::is_void_v<R>)
        return function(std::get<I>(parts).take()...), 0;
    else
        return push_results(c, L, function(std::get<I>(parts).take()...));
}

template <class T> struct signature_of;
template <class R, class... A> struct signature_of<std::pair<R, std::tuple<A...>>> {
    using type = signature<R(A...)>;
    using indices = std::index_sequence_for<A...>;
};

template <class F> int invoke(core *c, lua_State *L, F &function) {
    using of = signature_of<std::pair<typename signature<F>::result_type,
                                      typename signature<F>::argument_types>>;
    return invoke(c, L, function, static_cast<const typename of::type *>(nullptr),
                  typename of::indices{});
}

// The body of a host function of rlua_pushfunction whose ud is a host_function.
inline int trampoline(lua_State *L, void *ud) noexcept {
    auto *function = static_cast<host_function *>(ud);
    if (function->owner)
        return host_call(function->owner, L, [=] { return function->invoke(function->owner, L); });
    return host_call(L, [=](core *c) { return function->invoke(c, L); });
}

// What raises for a C function: no frame with destructors is on the stack any more.
inline int finish(lua_State *L, int results) {
    if (results >= 0)
        return results;
    if (lua_gettop(L) == 0)
        lua_pushnil(L);
    return lua_error(L);
}

inline int raise_changed(lua_State *L) noexcept {
    return raise(L, "what this function needs was taken from it by debug.setupvalue");
}

// A number for a type, the same in all processes of one compiler: it lies in the VM.
inline constexpr std::uint64_t hash(const char *text, std::uint64_t seed = 0xcbf29ce484222325u) {
    for (; *text; ++text)
        seed = (seed ^ static_cast<unsigned char>(*text)) * 0x100000001b3u;
    return seed;
}
template <class T> std::uint64_t kind_of() {
#if defined(_MSC_VER) && !defined(__clang__)
    const char *shown = __FUNCSIG__;
#else
    const char *shown = __PRETTY_FUNCTION__;
#endif
#if defined(__cpp_rtti) || defined(_CPPRTTI)
    static const std::uint64_t kind = hash(typeid(T).name(), hash(shown)); // tells lambdas apart
#else
    static const std::uint64_t kind = hash(shown);
#endif
    return kind;
}

// A callable in the VM: the only upvalue of its function. The kind tells what the block is,
// whatever a script did with the library `debug`. No address is in it, so that it is the same on
// all peers.
template <class F> struct inline_function {
    std::uint64_t kind;
    F function;

    static int run(lua_State *L) noexcept {
        if constexpr (std::is_empty_v<F>) {
            alignas(F) char nothing[sizeof(F)] = {};
            return call(L, *reinterpret_cast<F *>(nothing));
        } else {
            auto *self = static_cast<inline_function *>(lua_touserdata(L, lua_upvalueindex(1)));
            if (self == nullptr || lua_rawlen(L, lua_upvalueindex(1)) != sizeof(inline_function) ||
                self->kind != kind_of<F>())
                return raise_changed(L);
            return call(L, self->function);
        }
    }
    static int call(lua_State *L, F &function) noexcept {
        return host_call(L, [=, &function](core *c) { return detail::invoke(c, L, function); });
    }
    static int entry(lua_State *L) { return finish(L, run(L)); }
};

template <class F>
constexpr bool lies_inline = std::is_trivially_copyable_v<F> &&
                             std::is_trivially_destructible_v<F> && alignof(F) <= 16;
template <class F> constexpr bool lies_inline<outside_function<F>> = false;

// A callable outside, owned by a resource: the only upvalue of its function.
template <class F> struct held_function final : host_function {
    F function;
    explicit held_function(F f) : function(std::move(f)) {}
    int invoke(core *c, lua_State *L) override { return detail::invoke(c, L, function); }
};

inline void release_function(lua_State *, void *object, void *) noexcept {
    delete static_cast<host_function *>(object);
}
inline rlua_ResourceType held_type(core *c) noexcept {
    return {sizeof(rlua_ResourceType), "C++ function", release_function, c, nullptr};
}
inline int run_held(lua_State *L) noexcept {
    const rlua_ResourceType type = held_type(nullptr);
    void *object = nullptr;
    if (rlua_toresource(L, lua_upvalueindex(1), &type, &object) != RLUA_OK)
        return raise_changed(L);
    return trampoline(L, static_cast<host_function *>(object));
}
inline int enter_held(lua_State *L) { return finish(L, run_held(L)); }

template <class F> int push_callable(lua_State *L, F function) {
    core *c = core_of(L);
    if (c == nullptr)
        return bad_value(L, "this VM was not made by rlua::state");
    if constexpr (std::is_empty_v<F> && lies_inline<F>) {
        return rlua_pushcclosure(L, inline_function<F>::entry, 0);
    } else if constexpr (lies_inline<F>) {
        using block_type = inline_function<F>;
        void *block = nullptr;
        const int status = rlua_newuserdata(L, sizeof(block_type), 0, &block);
        if (status != RLUA_OK)
            return status;
        std::memset(block, 0, sizeof(block_type)); // the padding too
        new (block) block_type{kind_of<F>(), std::move(function)};
        return rlua_pushcclosure(L, block_type::entry, 1);
    } else {
        static_assert(!signature<F>::is_mutable,
                      "a mutable lambda that is not trivially copyable cannot roll back as a "
                      "value: give it a name by state::set_function(), or say rlua::outside()");
        auto held = std::make_unique<held_function<F>>(std::move(function));
        held->owner = c;
        const rlua_ResourceType type = held_type(c);
        const int status = rlua_pushresource(L, static_cast<host_function *>(held.get()), &type);
        if (status != RLUA_OK)
            return status;
        (void)held.release();
        return rlua_pushcclosure(L, enter_held, 1);
    }
}

template <class F, class = void> struct is_callable : std::false_type {};
template <class F>
struct is_callable<F, std::enable_if_t<has_signature<F>::value>>
    : std::bool_constant<!is_function_object<F>::value && !std::is_base_of_v<value, F> &&
                         !is_usertype<F>::value> {};

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

// A callable with a name, owned by the core. What it captured lies where it follows the snapshots
// as its kind of state asks for.
template <class F> class named_function final : public host_function {
    static constexpr bool moves = signature<F>::is_mutable && !std::is_empty_v<F>;
    static constexpr bool in_arena = moves && lies_inline<F>;
    static constexpr bool by_copies = moves && !in_arena;
    static_assert(!by_copies || std::is_copy_constructible_v<F>,
                  "a mutable lambda needs copyable captures to roll back: use rlua::outside(), or "
                  "hold the object by std::shared_ptr if it shall not roll back");

public:
    explicit named_function(F function)
        : heap_(std::make_unique<F>(std::move(function))), function_(heap_.get()) {}

    int attach(core *c, lua_State *L) override {
        if constexpr (moves)
            owner = c;
        if constexpr (in_arena) {
            void *place = rlua_alloc(L, sizeof(F));
            if (!place)
                return RLUA_NO_MEMORY;
            function_ = new (place) F(*heap_);
        } else if constexpr (by_copies) {
            const rlua_Participant participant = copies<F, named_function>::participant();
            return rlua_add_participant(L, &participant, this);
        }
        (void)c, (void)L;
        return RLUA_OK;
    }

    void detach(lua_State *L) noexcept override {
        if constexpr (in_arena) {
            rlua_free(L, function_);
            function_ = heap_.get();
        } else if constexpr (by_copies) {
            const rlua_Participant participant = copies<F, named_function>::participant();
            rlua_remove_participant(L, &participant, this);
        } else {
            (void)L;
        }
    }

    int invoke(core *c, lua_State *L) override {
        if (!function_)
            return raise(L, "the state of this function could not be restored: out of memory");
        return detail::invoke(c, L, *function_);
    }

    // For copies<F>. A copy that fails loses the state; calls then raise, and snaps fail.
    static const F *captured(void *ud) noexcept {
        return static_cast<named_function *>(ud)->function_;
    }
    static void restored(void *ud, const F &then) noexcept {
        auto *self = static_cast<named_function *>(ud);
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
    std::unique_ptr<F> heap_;
    F *function_; // in the heap, or in the arena
};

} // namespace detail

// A callable whose captured state does not roll back: a statistic, a log.
template <class F> detail::outside_function<std::decay_t<F>> outside(F &&function) {
    return {std::forward<F>(function)};
}

// A generic lambda with a signature: typed<int(int, int)>([](auto a, auto b) { return a + b; })
template <class Signature, class F>
detail::typed_function<Signature, std::decay_t<F>> typed(F &&function) {
    return {std::forward<F>(function)};
}

// Lambdas, function objects and function pointers go in only; they come out as rlua::function.
template <class F> struct codec<F, std::enable_if_t<detail::is_callable<F>::value>> {
    static const char *name() { return "function"; }
    static int push(lua_State *L, F function) {
        return detail::push_callable(L, std::move(function));
    }
};

// In both directions. One that came out of Lua calls back, and throws what the call answers
// (without exceptions it aborts): rlua::function_of<R(A...)> returns a result. Empty is nil.
template <class R, class... A> struct codec<std::function<R(A...)>> {
    static const char *name() { return "function"; }
    static int push(lua_State *L, std::function<R(A...)> function) {
        if (!function)
            return lua_pushnil(L), RLUA_OK;
        return detail::push_callable(L, std::move(function));
    }
    static bool read(lua_State *L, int index, std::function<R(A...)> &out) {
        if (lua_type(L, index) <= LUA_TNIL)
            return out = nullptr, true;
        auto held = std::make_shared<function_of<R(A...)>>();
        if (!codec<function_of<R(A...)>>::read(L, index, *held))
            return false;
        out = [held](A... arguments) -> R {
            return (*held)(std::forward<A>(arguments)...).value();
        };
        return true;
    }
};

} // namespace rlua

#endif // RLUA_FUNCTIONS_HPP
