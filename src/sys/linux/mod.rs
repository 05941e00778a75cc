//! Linux.

pub mod memory;
pub mod written;
