//! Environment variables, read in place: `std::env` copies them.

use std::ffi::CStr;

pub fn variable<T>(name: &CStr, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
    // SAFETY: the name ends with a zero. The text is gone when `look` returns; a host that sets
    // variables in another thread meanwhile breaks the rule of setenv.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        look((!value.is_null()).then(|| CStr::from_ptr(value).to_bytes()))
    }
}
