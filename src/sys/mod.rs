//! What the operating system gives us, behind one small contract per file.
//!
//! A port touches this folder alone: one folder a platform, the same files in each.
//!
//! - `memory`: address space at 4 GiB boundaries, reserved, committed, released.
//! - `written`: which pages of a range were written, told by the kernel.
//!
//! # Not here
//! Policy. What is reserved and when memory is committed is decided in [`crate::region`].

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{memory, written};

#[cfg(not(target_os = "linux"))]
compile_error!("librlua has no sys/ folder for this platform yet: only Linux is supported");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("librlua needs 64-bit addresses: a region lies at a 4 GiB boundary");
