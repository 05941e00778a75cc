//! Digits of floats and back, exactly rounded: what `src/lua` asks of Rust's formatting.
//!
//! The text of a number must not depend on a C library or a locale. Signs, flags, padding and the
//! grammar of numerals are in C (`format.c`, `numerals.c`); here is only the conversion.
//!
//! # Not here
//! Values that are not finite, signs.

use std::ffi::{c_char, c_int};
use std::fmt::{self, Write};

/// Text that is written to memory of C's. Raw: it may lie in an arena (R3).
struct Text {
    to: *mut u8,
    room: usize,
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if piece.len() > self.room - self.length {
            return Err(fmt::Error);
        }
        // SAFETY: `to` has `room` bytes, by the contract of what made it, and the piece fits.
        unsafe { self.to.add(self.length).copy_from_nonoverlapping(piece.as_ptr(), piece.len()) }
        self.length += piece.len();
        Ok(())
    }
}

/// # Safety
/// `text` has `room` bytes.
#[inline]
unsafe fn written(text: *mut c_char, room: usize, number: fmt::Arguments<'_>) -> usize {
    let mut text = Text { to: text.cast(), room, length: 0 };
    text.write_fmt(number).map_or(0, |()| text.length)
}

/// Writes a finite float as `d.ddde-x` with `precision` digits behind the point, ties to even;
/// returns the length, 0 if it does not fit. At most `precision` + 10 bytes.
///
/// # Safety
/// `text` has `room` bytes.
pub unsafe extern "C" fn scientific(
    value: f64,
    precision: c_int,
    text: *mut c_char,
    room: usize,
) -> usize {
    // SAFETY: the contract above.
    unsafe { written(text, room, format_args!("{:.*e}", precision.max(0) as usize, value)) }
}

/// Writes a finite float as `ddd.ddd` with `precision` digits behind the point, ties to even;
/// returns the length, 0 if it does not fit. At most `precision` + 311 bytes.
///
/// # Safety
/// `text` has `room` bytes.
pub unsafe extern "C" fn fixed(
    value: f64,
    precision: c_int,
    text: *mut c_char,
    room: usize,
) -> usize {
    // SAFETY: the contract above.
    unsafe { written(text, room, format_args!("{:.*}", precision.max(0) as usize, value)) }
}

/// The float nearest to a decimal numeral, ties to even; infinite where it is too large.
///
/// # Safety
/// `numeral` are `length` bytes outside any arena, ASCII of the form `ddde-x`.
pub unsafe extern "C" fn nearest(numeral: *const c_char, length: usize) -> f64 {
    // SAFETY: by the contract; C's own buffer, which nothing writes to meanwhile.
    let numeral = unsafe { std::slice::from_raw_parts(numeral.cast(), length) };
    std::str::from_utf8(numeral).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
