//! Linux.

pub mod environment;
pub mod memory;
pub mod thread;
pub mod written;

/// User addresses have 47 bits, unless a program asks for more.
pub const ADDRESS_BITS: u32 = 47;

/// 4 GiB: the low 32 bits of an address are its offset in the region.
pub const REGION_ALIGNMENT: usize = 1 << 32;

/// Why the last call of the C library failed.
fn last_error() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
