//! The C ABI: C's structs, arguments' checks, and one thin function for each of the header's.
//!
//! Each goes through one of the doors of [`crate::vm::guard`], which finds the VM, owns V1 and V2,
//! and turns an error into a status and a sentence.
//!
//! # Not here
//! What the calls do ([`crate::vm`]), and the protected calls, which are C (`src/lua`).

#![allow(non_camel_case_types, non_snake_case)] // C's names

pub mod deltas;
pub mod determinism;
pub mod diff;
pub mod hooks;
pub mod images;
pub mod life;
pub mod memory;
pub mod objects;
pub mod participants;
pub mod references;
pub mod resources;
mod sized;
pub mod snapshots;
pub mod status;
pub mod synctest;
