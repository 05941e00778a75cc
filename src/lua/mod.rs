//! Lua: bindings to the one translation unit.
//!
//! `life.c` makes, finalizes and asks; `shim.c` runs raising functions protected. Both are compiled
//! into Lua's own unit (`vendor/unit.c`), so no layout of Lua's is repeated in Rust.
//!
//! # Invariants
//! - L1 *no jump over owners*: no raise (longjmp) crosses a Rust frame that owns anything. Every
//!   function declared here returns normally; what raises inside is caught in C.
//! - L2 *outward pointers*: every pointer stored in the arena points into the arena, or is one of:
//!   the static `dummynode` and `absentkey` of tables, C functions and continuations, `frealloc`
//!   and its `ud`, `panic`, `warnf` and its `ud_warn`, hooks, light userdata, what a host put into
//!   a userdata block or its extra space.
//!
//! # Not here
//! NULL, busy and poison: [`crate::ffi`] asks before it calls.

mod bindings;

pub use bindings::*;
