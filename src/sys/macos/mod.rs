//! macOS. Built by a cross compiler, never run: docs/WINDOWS.md.

#[path = "../linux/environment.rs"]
pub mod environment;
pub mod memory;
pub mod thread;
pub(super) use crate::sys::unwatched as written;

/// User addresses have 47 bits, on both processors.
pub const ADDRESS_BITS: u32 = 47;

/// 4 GiB: the low 32 bits of an address are its offset in the region.
pub const REGION_ALIGNMENT: usize = 1 << 32;
