// check.hpp: the smallest harness that the examples need.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>
#include <vector>

namespace check {

struct test {
    const char *name;
    void (*body)();
};

inline std::vector<test> &tests() {
    static std::vector<test> all;
    return all;
}

inline int &failures_in_test() {
    static int count = 0;
    return count;
}

struct registration {
    registration(const char *name, void (*body)()) { tests().push_back({name, body}); }
};

inline void fail(const char *file, int line, const char *what) {
    std::printf("%s:%d: %s\n", file, line, what);
    ++failures_in_test();
}

inline int run_all() {
    int passed = 0, failed = 0;
    for (const test &each : tests()) {
        failures_in_test() = 0;
        each.body();
        if (failures_in_test() == 0) {
            ++passed;
        } else {
            ++failed;
            std::printf("FAILED %s\n", each.name);
        }
    }
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

} // namespace check

#define TEST(name)                                                                             \
    static void name();                                                                        \
    static const check::registration register_##name(#name, name);                             \
    static void name()
#define CHECK(condition)                                                                       \
    ((condition) ? void() : check::fail(__FILE__, __LINE__, #condition))

#endif // CHECK_HPP
