//! Windows.

pub mod environment;
pub mod memory;
pub mod thread;

pub(super) use crate::sys::unwatched as written;

/// User addresses have 47 bits.
pub const ADDRESS_BITS: u32 = 47;

/// 4 GiB: the low 32 bits of an address are its offset in the region.
pub const REGION_ALIGNMENT: usize = 1 << 32;
