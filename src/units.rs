//! Units: the sizes and labels that would be mixed up as bare integers.

/// Bytes in a page of the region: what the tracker reports and a snapshot copies.
pub const PAGE_SIZE: usize = 4096;

/// Bytes in a line: what a card stands for and a snapshot keeps, and what a processor's cache moves
/// at once.
pub const LINE_BYTES: usize = 64;

/// The least limit that makes sense for a VM: the standard libraries open in it.
pub const MIN_SENSIBLE_BYTES: usize = 64 << 10;

/// Pages that hold `bytes` bytes.
pub fn pages_for(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_SIZE)
}

/// The host's label on a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame(pub i64);
