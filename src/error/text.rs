//! Text: a few words in a place of their own. An error that allocated could not say that memory
//! ran out. Longer text is cut.

use std::fmt;

/// Up to `N` bytes of text, held by value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    length: usize,
    /// Zero from `length` on.
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const fn new() -> Text<N> {
        Text { length: 0, bytes: [0; N] }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// The text of bytes that may be none; what is no text reads as a question mark.
    pub fn from_lossy(bytes: &[u8]) -> Text<N> {
        let mut text = Text::new();
        for chunk in bytes.utf8_chunks() {
            text.append(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.append("?");
            }
        }
        text
    }

    /// Adds what there is room for, in whole characters; answers whether that was all.
    fn append(&mut self, text: &str) -> bool {
        let mut taken = text.len().min(N - self.length);
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        self.bytes[self.length..][..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        taken == text.len()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.append(text) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<const N: usize> From<fmt::Arguments<'_>> for Text<N> {
    fn from(arguments: fmt::Arguments<'_>) -> Text<N> {
        let mut text = Text::new();
        // Cutting answers an error, which is no reason to say nothing.
        let _ = fmt::Write::write_fmt(&mut text, arguments);
        text
    }
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(words: &str) -> Text<N> {
        let mut text = Text::new();
        text.append(words);
        text
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = Text::<8>::from(format_args!("{}{}", "abc", "d\u{20ac}\u{20ac}"));
        assert_eq!(text.as_str(), "abcd\u{20ac}");
        assert_eq!(Text::<3>::from("abcdef").to_string(), "abc");
        assert_eq!(Text::<3>::new().as_str(), "");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(Text::<8>::from_lossy(b"a\xffb\xc3").as_str(), "a?b?");
    }
}
