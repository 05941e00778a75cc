// cxx.hpp: what the tests of rlua.hpp share: the harness, a VM, and a look at an error.
#ifndef RLUA_TEST_CXX_HPP
#define RLUA_TEST_CXX_HPP

#include "../harness.h"
#include "rlua.hpp"

constexpr std::size_t mib = std::size_t{1} << 20;

inline rlua::state open(std::size_t snapshots = 8) {
    return rlua::state::open(mib, snapshots).value();
}

// Whether a result is that error, with `part` in its sentence; says what it is otherwise.
template <class T> bool is_error(const rlua::result<T> &result, int status, const char *part) {
    const auto &e = result.error();
    if (!result && e.status == status && !e.message.empty() &&
        e.message.find(part) != std::string::npos)
        return true;
    std::printf("found status %d: %s\n", e.status, e.message.c_str());
    return false;
}

#endif
