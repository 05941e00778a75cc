//! Environment variables, from the process's own block: the C library of the host may be another
//! than ours, with a copy of its own.

use std::ffi::{CStr, c_char};

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetEnvironmentVariableA(name: *const c_char, buffer: *mut u8, room: u32) -> u32;
}

/// A longer variable counts as not set; what is asked for here is a word.
const ROOM: usize = 256;

pub fn variable<T>(name: &CStr, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let mut buffer = [0; ROOM];
    // The length without the zero; what does not fit is answered by the room that it needs. Of an
    // empty variable it is 0, as where there is none: that counts as not set, too.
    // SAFETY: the name ends with a zero, and the buffer has the room.
    let length =
        unsafe { GetEnvironmentVariableA(name.as_ptr(), buffer.as_mut_ptr(), ROOM as u32) };
    let length = length as usize;
    look(if length == 0 { None } else { buffer.get(..length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_set_is_handed_on() {
        // Set for every process.
        assert!(variable(c"SystemRoot", |value| value.is_some_and(|text| text.contains(&b'\\'))));
    }
}
