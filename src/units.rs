//! Units: the sizes and labels that would be mixed up as bare integers.

/// Bytes in a page of the region: what the tracker reports and a snapshot copies.
pub const PAGE_SIZE: usize = 4096;

/// The least limit that makes sense for a VM: the standard libraries open in it.
pub const MIN_SENSIBLE_BYTES: usize = 64 << 10;

/// Position of a page in the region, counted from its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageIndex(pub u32);

impl PageIndex {
    /// The index as an array index.
    pub fn get(self) -> usize {
        self.0 as usize
    }

    /// Offset of the page's first byte from the base.
    pub fn byte_offset(self) -> usize {
        self.get() * PAGE_SIZE
    }
}

/// Pages that hold `bytes` bytes.
pub fn pages_for(bytes: usize) -> usize {
    bytes.div_ceil(PAGE_SIZE)
}

/// The host's label on a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame(pub i64);
