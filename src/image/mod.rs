//! Image: the format of a saved state. docs/FORMAT.md has it byte by byte.
//!
//! # Not here
//! The body, which is the region's (`src/lua/canon.c`); who saves and loads
//! (`crate::vm`).
#![forbid(unsafe_code)]

use crate::error::{ImageError, Text};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128_with_seed};

/// A secret of those who exchange images.
pub type Key = [u8; 32];

/// Reads as "rluaIMG", or "rluaDLT", and a byte that no text has.
const MAGIC: [[u8; 8]; 2] = [*b"rluaIMG\x1a", *b"rluaDLT\x1a"];
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
/// The body is compressed.
const COMPRESSED: u32 = 4;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 128;
/// Bytes of the hash, at the end.
pub const HASH_BYTES: usize = 32;
/// Plain bytes of a part of a compressed body; the last one may have fewer.
pub const PART_BYTES: usize = 1 << 16;

/// What the bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A whole state.
    #[default]
    Image,
    /// What changed between two.
    Delta,
}

/// What the header says of the VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // docs/FORMAT.md says what each is
pub struct Header {
    pub form: Form,
    pub keyed: bool,
    pub compressed: bool,
    pub announces: bool,
    pub body_bytes: u64,
    pub limit_bytes: u64,
    pub profile: u32,
    pub guard: u32,
    pub seed: Option<u64>,
    pub pacing: [u32; 4],
    pub serial: u32,
    /// Of a delta: the states' sums before and after.
    pub sums: [Sum; 2],
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
    /// The bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut fields = Fields(&mut bytes, 0);
        let flag = |set, flag| if set { flag } else { 0 };
        fields.put(&MAGIC[self.form as usize]);
        fields.word(VERSION);
        fields.word(
            flag(self.keyed, KEYED)
                | flag(self.announces, ANNOUNCES)
                | flag(self.compressed, COMPRESSED),
        );
        fields.word(LUA);
        fields.word(LAYOUT);
        fields.long(self.body_bytes);
        fields.long(self.limit_bytes);
        fields.long(self.seed.unwrap_or(0));
        fields.word(self.seed.is_some().into());
        fields.word(self.profile);
        fields.word(self.guard);
        self.pacing.iter().for_each(|&part| fields.word(part));
        fields.word(self.serial);
        fields.long(0);
        self.sums.iter().for_each(|sum| fields.put(&sum.0));
        bytes
    }

    /// What the bytes say. The sizes are not verified.
    pub fn decode(bytes: &[u8; HEADER_BYTES], form: Form) -> Result<Header, ImageError> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let sum = |at: usize| Sum(bytes[at..at + 16].try_into().expect("16 bytes"));
        let bad = |what| Err(ImageError::bad(what));
        if bytes[..8] != MAGIC[form as usize] {
            return bad(match form {
                Form::Image => format_args!("it does not begin as an image does"),
                Form::Delta => format_args!("it does not begin as a delta does"),
            });
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
        let (flags, known_seed) = (word(12), word(48));
        let meaningless = flags & !(KEYED | ANNOUNCES | COMPRESSED) != 0
            || known_seed > 1
            || known_seed == 0 && long(40) != 0
            || long(80) != 0
            || form == Form::Image && bytes[88..120].iter().any(|&byte| byte != 0)
            || long(120) != 0;
        if meaningless {
            return bad(format_args!("its header has bits that mean nothing"));
        }
        Ok(Header {
            form,
            keyed: flags & KEYED != 0,
            announces: flags & ANNOUNCES != 0,
            compressed: flags & COMPRESSED != 0,
            body_bytes: long(24),
            limit_bytes: long(32),
            seed: (known_seed == 1).then(|| long(40)),
            profile: word(52),
            guard: word(56),
            pacing: [60, 64, 68, 72].map(word),
            serial: word(76),
            sums: [sum(88), sum(104)],
        })
    }
}

/// The hash of an image's bytes, in order: BLAKE3 with the key where there is one, else XXH3, which
/// finds damage, not malice.
#[allow(clippy::large_enum_variant)] // a box ends the process where there is no memory
pub enum Hash {
    /// With a key.
    Keyed(blake3::Hasher),
    /// Without.
    Plain(Xxh3),
}

impl Hash {
    /// Of nothing yet.
    pub fn new(key: Option<&Key>) -> Hash {
        match key {
            Some(key) => Hash::Keyed(blake3::Hasher::new_keyed(key)),
            None => Hash::Plain(Xxh3::new()),
        }
    }

    /// Takes in what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hash::Keyed(hash) => _ = hash.update(bytes),
            Hash::Plain(hash) => hash.update(bytes),
        }
    }

    /// Of all that came.
    pub fn finish(&self) -> [u8; HASH_BYTES] {
        match self {
            Hash::Keyed(hash) => hash.finalize().into(),
            Hash::Plain(hash) => {
                let mut bytes = [0; HASH_BYTES];
                bytes[..16].copy_from_slice(&hash.digest128().to_le_bytes());
                bytes
            }
        }
    }

    /// Whether it is that, in a time that does not tell how much of it is.
    pub fn is(&self, expected: [u8; HASH_BYTES]) -> bool {
        blake3::Hash::from(self.finish()) == blake3::Hash::from(expected)
    }
}

/// Bytes of a state that are hashed together.
pub const UNIT_BYTES: usize = 256;

/// 128 bits that stand for a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(pub [u8; 16]);

/// The digest of a unit, whole or at the end: XXH3 of 128 bits, seeded with its number.
pub fn unit_digest(number: usize, bytes: &[u8]) -> u128 {
    xxh3_128_with_seed(bytes, number as u64)
}

/// Of which blocks a slab has: for this process alone.
pub fn blocks_digest(signature: &[u8]) -> u64 {
    xxh3_64(signature)
}

/// The sum of a state of `used_bytes`, whose units' digests add up to `digests`.
pub fn sum_of(digests: u128, used_bytes: usize) -> Sum {
    Sum(xxh3_128_with_seed(&digests.to_le_bytes(), used_bytes as u64).to_le_bytes())
}

/// The most bytes that a part takes when it is packed, its length included.
pub fn most_packed() -> usize {
    4 + get_maximum_output_size(PART_BYTES)
}

/// A part of a body, compressed behind its length; `room` has [`most_packed`] bytes.
pub fn pack<'a>(part: &[u8], room: &'a mut [u8]) -> &'a [u8] {
    let packed = compress_into(part, &mut room[4..]).expect("room for any part");
    room[..4].copy_from_slice(&(packed as u32).to_le_bytes());
    &room[..4 + packed]
}

/// The part again, which has to have exactly as many bytes.
pub fn unpack(packed: &[u8], part: &mut [u8]) -> Result<(), ImageError> {
    match decompress_into(packed, part) {
        Ok(bytes) if bytes == part.len() => Ok(()),
        _ => Err(bad_part()),
    }
}

/// What is no compressed part.
pub fn bad_part() -> ImageError {
    ImageError::bad(format_args!("a part of it cannot be unpacked"))
}

/// A name that an image has for something outside: its kind (`src/lua/internal.h`) and its text.
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
            form: Form::Delta,
            keyed: true,
            compressed: true,
            announces: true,
            body_bytes: 4096,
            limit_bytes: 1 << 32,
            profile: 1,
            seed: Some(u64::MAX),
            guard: 2,
            pacing: [200, 4, 12, 8],
            serial: 9,
            sums: [Sum([1; 16]), Sum([2; 16])],
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, Form::Delta), Ok(header));
        assert!(Header::decode(&bytes, Form::Image).is_err());
        for at in 0..HEADER_BYTES {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert_ne!(Header::decode(&changed, Form::Delta), Ok(header), "byte {at}");
        }
    }

    #[test]
    fn a_digest_depends_on_the_place() {
        let unit = [3; UNIT_BYTES];
        assert_ne!(unit_digest(0, &unit), unit_digest(1, &unit));
        assert_ne!(sum_of(5, 1024), sum_of(5, 2048));
    }

    #[test]
    fn names_end_where_they_say_or_are_refused() {
        let mut rest: &[u8] = &[1, 2, b'a', b'b', 2, 0, 3, 9, b'c'];
        assert_eq!(next_name(&mut rest), Ok((1, &b"ab"[..])));
        assert_eq!(next_name(&mut rest), Ok((2, &b""[..])));
        assert!(next_name(&mut rest).is_err());
    }
}
