// result.hpp: what can go wrong, as a value: error, result<T>, and what result::value() throws.
//
// Not here: where errors come from (core.hpp).
#ifndef RLUA_RESULT_HPP
#define RLUA_RESULT_HPP

extern "C" {
#include "lua.h" // which leaves its linkage to us
}
#include "rlua.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define RLUA_HAS_EXCEPTIONS 1
#include <stdexcept>
#else
#define RLUA_HAS_EXCEPTIONS 0
#endif

namespace rlua {

// Why a call failed. `message` is the error value's text, or the library's sentence; `traceback` is
// Lua's, where a script raised the error, else empty.
struct error {
    rlua_Status status = RLUA_OK;
    std::string message = {};
    std::string traceback = {};
};

#if RLUA_HAS_EXCEPTIONS
// What result::value() throws.
class bad_result : public std::runtime_error {
public:
    explicit bad_result(rlua::error e)
        : std::runtime_error(e.message), error_(std::make_shared<rlua::error>(std::move(e))) {}
    rlua_Status status() const noexcept { return error_->status; }
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

// An error where there is one: a pointer, so that success costs no strings.
class failure {
public:
    failure() = default;
    failure(rlua::error e) : error_(std::make_unique<rlua::error>(std::move(e))) {}
    explicit operator bool() const noexcept { return error_ != nullptr; }
    const rlua::error &get() const noexcept {
        static const rlua::error none;
        return error_ ? *error_ : none;
    }
    void check() const {
        if (error_)
            fail(*error_);
    }

private:
    std::unique_ptr<rlua::error> error_;
};

} // namespace detail

// A value or an error; move-only. operator bool asks which; value() takes the value, or throws
// bad_result (prints the message and aborts without exceptions); operator* needs success, to have
// been asked for. Of a temporary they give the value itself, not a reference into what ends.
template <class T> class [[nodiscard]] result {
public:
    using value_type = T;
    result(T value) : value_(std::move(value)) {}
    result(rlua::error e) : failure_(std::move(e)) {}

    bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    const rlua::error &error() const & noexcept { return failure_.get(); }
    rlua::error error() && { return failure_.get(); }
    T &operator*() & noexcept { return *value_; }
    const T &operator*() const & noexcept { return *value_; }
    T operator*() && { return *std::move(value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }
    T &value() & { return failure_.check(), *value_; }
    const T &value() const & { return failure_.check(), *value_; }
    T value() && { return failure_.check(), *std::move(value_); }
    template <class U> T value_or(U &&other) const & {
        return has_value() ? *value_ : static_cast<T>(std::forward<U>(other));
    }
    template <class U> T value_or(U &&other) && {
        return has_value() ? *std::move(value_) : static_cast<T>(std::forward<U>(other));
    }

private:
    std::optional<T> value_;
    detail::failure failure_;
};

// Success or an error.
template <> class [[nodiscard]] result<void> {
public:
    using value_type = void;
    result() = default;
    result(rlua::error e) : failure_(std::move(e)) {}

    bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }
    const rlua::error &error() const & noexcept { return failure_.get(); }
    rlua::error error() && { return failure_.get(); }
    void value() const { failure_.check(); }

private:
    detail::failure failure_;
};

} // namespace rlua

#endif // RLUA_RESULT_HPP
