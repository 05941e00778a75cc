// refused.cpp: what must not compile, and the sentence that says why.
// Method: never run. checks.py compiles each case, and wants the sentence behind its number in what
// the compiler says; case 0 is none of them, and compiles.
#include "rlua.hpp"

#include <string>
#include <vector>

struct plain {
    int x;
};
template <> struct rlua::usertype<plain> {
    static constexpr const char *name = "plain";
};
struct own {
    std::string text;
};
template <> struct rlua::usertype<own> {
    static constexpr const char *name = "own";
};
struct half {
    std::string text;
};
template <> struct rlua::usertype<half> {
    static constexpr const char *name = "half";
    static std::string save(const half &from) { return from.text; }
};

void use(rlua::state &lua, rlua::function &f);

void use(rlua::state &lua, rlua::function &f) {
    (void)lua;
    (void)f;
#if CASE == 1 // the view would outlive the value on the stack
    (void)lua.get<std::string_view>("x");
#elif CASE == 2 // a mutable lambda that is not trivially copyable cannot roll back as a value
    (void)f([all = std::vector<int>()]() mutable { all.push_back(1); });
#elif CASE == 3 // a mutable lambda needs copyable captures to roll back
    (void)lua.set_function("f", [p = std::make_unique<int>(1)]() mutable { ++*p; });
#elif CASE == 4 // a trivially copyable usertype lies in the VM
    (void)lua.set("p", std::make_unique<plain>());
#elif CASE == 5 // what lies in the VM goes back as bytes
    (void)lua.new_block<std::string>();
#elif CASE == 6 // follow() needs an object that can be copied and assigned
    std::unique_ptr<int> object;
    (void)lua.follow(object);
#elif CASE == 7 // an object in the VM needs no end
    (void)f.close<plain>();
#elif CASE == 8 // deleted
    lua["x"] = 5;
#elif CASE == 9 // deleted
    rlua::function copy = f;
    (void)copy;
#elif CASE == 10 // more parameters than a C function has slots for
    (void)lua.set_function("f", [](int, int, int, int, int, int, int, int, int, int, int, int,
                                   int) {});
#elif CASE == 11 // the captured state of a mutable lambda is not in an image
    rlua::bindings().set_function("f", [n = 0]() mutable { return ++n; });
#elif CASE == 12 // a trivially copyable usertype is in an image as its bytes
    rlua::bindings().set_type<plain>([](const plain &) { return ""; },
                                     [](std::string_view) { return plain{1}; });
#elif CASE == 13 // a usertype has both save(const T &) and load(std::string_view), or neither
    rlua::bindings().set_type<half>();
#elif CASE == 14 // a load function returns the object
    rlua::bindings().set_type<own>([](const own &) { return ""; },
                                   [](std::string_view) { return new own(); });
#elif CASE == 15 // a save function returns text or bytes, or a result of them
    rlua::bindings().set_type<own>([](const own &) { return std::vector<int>(); },
                                   [](std::string_view) { return own(); });
#elif CASE == 16 // what this callable holds lies outside the VM
    rlua::bindings().set_callable("f", [s = std::string()](int n) { return n; });
#elif CASE == 17 // a block is copied byte by byte
    rlua::bindings().set_userdata<std::string>(
        "Text", [](const std::string &) { return ""; },
        [](std::string_view) { return std::string(); });
#elif CASE == 18 // a load function returns what the block holds
    rlua::bindings().set_userdata<void *>(
        "Meter", [](void *) { return ""; }, [](std::string_view) { return 1; });
#endif
}
