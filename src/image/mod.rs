//! Image: the format of a saved state. docs/FORMAT.md has it byte by byte.
//!
//! # Not here
//! The body, which is the region's (`src/lua/image.c`, `src/arena/kinds.rs`); who saves and loads
//! (`crate::vm`).
#![forbid(unsafe_code)]

use crate::error::{ImageError, Text};

/// A secret of those who exchange images.
pub type Key = [u8; 32];

/// Reads as "rluaIMG", and a byte that no text has.
const MAGIC: [u8; 8] = *b"rluaIMG\x1a";
/// Of this format.
const VERSION: u32 = 1;
/// Of Lua, whose structures the body consists of: 5.4.9.
const LUA: u32 = 50409;
/// Of the layout that the body has: little-endian, 64 bits, and a number that rises with each
/// change of a structure of ours or of the arena.
const LAYOUT: u32 = 0x0064_0001;
/// The hash is one with a key.
const KEYED: u32 = 1;
/// The host announces what it writes to its blocks.
const ANNOUNCES: u32 = 2;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 128;
/// Where in the header the hash stands.
const HASH_AT: usize = 96;

/// What the header says of the VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // docs/FORMAT.md says what each is
pub struct Header {
    pub body_bytes: u64,
    pub limit_bytes: u64,
    pub names_bytes: u64,
    pub names: u32,
    pub profile: u32,
    pub seed: Option<u64>,
    pub guard: u32,
    pub pacing: [u32; 4],
    pub serial: u32,
    pub announces: bool,
}

/// Puts numbers behind each other.
struct Fields<'a>(&'a mut [u8], usize);

impl Fields<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.0[self.1..][..bytes.len()].copy_from_slice(bytes);
        self.1 += bytes.len();
    }

    fn word(&mut self, word: u32) {
        self.put(&word.to_le_bytes());
    }

    fn long(&mut self, long: u64) {
        self.put(&long.to_le_bytes());
    }
}

impl Header {
    /// The bytes; the hash is zero.
    pub fn encode(&self, keyed: bool) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut fields = Fields(&mut bytes, 0);
        fields.put(&MAGIC);
        fields.word(VERSION);
        let flag = |set, flag| if set { flag } else { 0 };
        fields.word(flag(keyed, KEYED) | flag(self.announces, ANNOUNCES));
        fields.word(LUA);
        fields.word(LAYOUT);
        fields.long(self.body_bytes);
        fields.long(self.limit_bytes);
        fields.long(self.names_bytes);
        fields.word(self.names);
        fields.word(self.profile);
        fields.long(self.seed.unwrap_or(0));
        fields.word(self.seed.is_some().into());
        fields.word(self.guard);
        self.pacing.iter().for_each(|&part| fields.word(part));
        fields.word(self.serial);
        bytes
    }

    /// What the bytes say, and whether the hash has a key. The sizes are not verified.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<(Header, bool), ImageError> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let bad = |what| Err(ImageError::bad(what));
        if bytes[..8] != MAGIC {
            return bad(format_args!("it does not begin as an image does"));
        }
        for (at, known, what) in [(8, VERSION, "format"), (16, LUA, "Lua"), (20, LAYOUT, "layout")]
        {
            let found = word(at);
            if found != known {
                return bad(format_args!(
                    "its {what} is {found:#x}, and this library's {known:#x}"
                ));
            }
        }
        let (flags, known_seed) = (word(12), word(64));
        if flags & !(KEYED | ANNOUNCES) != 0 || known_seed > 1 || long(88) >> 32 != 0 {
            return bad(format_args!("its header has flags that mean nothing"));
        }
        let header = Header {
            body_bytes: long(24),
            limit_bytes: long(32),
            names_bytes: long(40),
            names: word(48),
            profile: word(52),
            seed: (known_seed == 1).then(|| long(56)),
            guard: word(68),
            pacing: [72, 76, 80, 84].map(word),
            serial: word(88),
            announces: flags & ANNOUNCES != 0,
        };
        Ok((header, flags & KEYED != 0))
    }
}

/// Puts the hash where it stands, or takes it out.
pub fn set_hash(header: &mut [u8; HEADER_BYTES], hash: [u8; 32]) {
    header[HASH_AT..].copy_from_slice(&hash);
}

/// The hash that the header has; the place is zero then.
pub fn take_hash(header: &mut [u8; HEADER_BYTES]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(&header[HASH_AT..]);
    header[HASH_AT..].fill(0);
    hash
}

/// BLAKE3 of an image's parts, in order, with the key where there is one.
pub struct Hash(blake3::Hasher);

impl Hash {
    /// Of nothing yet.
    pub fn new(key: Option<&Key>) -> Hash {
        Hash(key.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed))
    }

    /// Takes in what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all that came.
    pub fn finish(&self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// Whether it is that, in a time that does not tell how much of it is.
    pub fn is(&self, expected: [u8; 32]) -> bool {
        self.0.finalize() == blake3::Hash::from(expected)
    }
}

/// A name that an image has for something outside: its kind (`src/lua/image.c`) and its text.
pub type Named<'a> = (u8, &'a [u8]);

/// Takes the first name off the rest.
pub fn next_name<'a>(rest: &mut &'a [u8]) -> Result<Named<'a>, ImageError> {
    let bad = || ImageError::bad(format_args!("its names end in the middle of one"));
    let (&[kind, length], tail) = rest.split_first_chunk::<2>().ok_or_else(bad)?;
    let (text, tail) = tail.split_at_checked(length as usize).ok_or_else(bad)?;
    *rest = tail;
    Ok((kind, text))
}

/// For a sentence.
pub fn unknown(name: &[u8]) -> ImageError {
    ImageError::UnknownName { name: Text::from_lossy(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_any_other_byte_is_seen_or_says_something_else() {
        let header = Header {
            body_bytes: 4096,
            limit_bytes: 1 << 32,
            names_bytes: 77,
            names: 3,
            profile: 1,
            seed: Some(u64::MAX),
            guard: 2,
            pacing: [200, 4, 12, 8],
            serial: 9,
            announces: true,
        };
        let bytes = header.encode(true);
        assert_eq!(Header::decode(&bytes), Ok((header, true)));
        for at in 0..HASH_AT {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert_ne!(Header::decode(&changed), Ok((header, true)), "byte {at}");
        }
        let mut hashed = bytes;
        set_hash(&mut hashed, [7; 32]);
        assert_eq!(take_hash(&mut hashed), [7; 32]);
        assert_eq!(hashed, bytes);
    }

    #[test]
    fn names_end_where_they_say_or_are_refused() {
        let mut rest: &[u8] = &[1, 2, b'a', b'b', 2, 0, 3, 9, b'c'];
        assert_eq!(next_name(&mut rest), Ok((1, &b"ab"[..])));
        assert_eq!(next_name(&mut rest), Ok((2, &b""[..])));
        assert!(next_name(&mut rest).is_err());
    }
}
