//! Sentence: what went wrong last, as a C string in a place of its own.

use std::ffi::c_char;
use std::fmt;

/// A sentence in a place of its own, ended by a zero: noting a failure must not allocate, since
/// the failure may be that there is no memory. Longer sentences are cut.
pub struct Sentence {
    bytes: [u8; Sentence::ROOM],
    length: usize,
}

impl Sentence {
    const ROOM: usize = 512;

    /// The empty sentence.
    pub const fn new() -> Sentence {
        Sentence { bytes: [0; Sentence::ROOM], length: 0 }
    }

    /// Replaces the sentence.
    pub fn set(&mut self, text: fmt::Arguments<'_>) {
        self.length = 0;
        // Cutting answers an error, which is no reason to say nothing.
        let _ = fmt::Write::write_fmt(self, text);
        self.bytes[self.length] = 0;
    }

    /// The sentence as a C string, as long as it is not replaced.
    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

impl Default for Sentence {
    fn default() -> Sentence {
        Sentence::new()
    }
}

impl fmt::Write for Sentence {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Sentence::ROOM - 1 - self.length;
        let mut taken = text.len().min(room);
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        for (place, byte) in self.bytes[self.length..].iter_mut().zip(&text.as_bytes()[..taken]) {
            // A zero would end the sentence early.
            *place = if *byte == 0 { b'?' } else { *byte };
        }
        self.length += taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        let mut sentence = Sentence::new();
        sentence.set(format_args!("{}", "\u{e9}\0".repeat(1000)));
        // SAFETY: ended by a zero.
        let text = unsafe { std::ffi::CStr::from_ptr(sentence.as_ptr()) }.to_str().unwrap();
        assert!(text.len() >= Sentence::ROOM - 4 && text.starts_with("\u{e9}?\u{e9}?"));
        sentence.set(format_args!("short"));
        // SAFETY: as above.
        assert_eq!(unsafe { std::ffi::CStr::from_ptr(sentence.as_ptr()) }, c"short");
    }
}
