//! `librlua`: Lua 5.4 whose whole state can go back in time.
//!
//! The C API is the product: `include/rlua.h`, generated from [`ffi`]. The modules are floors; a
//! module uses only what is below it (`tests/floors.rs` enforces this, docs/ARCHITECTURE.md tells
//! why):
//!
//! ```text
//! 7 ffi         the C ABI: NULL checks, busy, poison, panic guard, codes
//! 6 vm          Vm: owns the parts; orders capture and restore
//! 5 image       the format of saved states
//! 4 resource    handles, deferred release
//! 3 lua         bindings to the one C unit      snapshot   history, undo logs
//! 2 arena       the allocator                   tracker    which pages were written
//! 1 region      reserve, commit, release        pages      sets of pages
//! 0 sys         the operating system            error, units
//!               (contract, platforms)
//! ```

pub mod arena;
pub mod cards;
pub mod digits;
pub mod error;
pub mod ffi;
pub mod image;
pub mod lua;
pub mod pages;
pub mod region;
pub mod resource;
pub mod snapshot;
pub mod sys;
pub mod tracker;
pub mod units;
pub mod vm;
