//! Lua: bindings to the one translation unit.
//!
//! `unit.c` compiles Lua and all C of ours as one, so no layout of Lua's is repeated in Rust. The
//! protected calls are public functions of C (`calls.h`, `objects.h`); what C and Rust call of each
//! other stands in `internal.h`.
//!
//! # Invariants
//! - L1 *no jump over owners*: no raise (longjmp) and no foreign unwinding crosses a Rust frame.
//!   Every function declared here returns normally; what raises inside is caught in C. While Lua or
//!   a host runs in a protected call, no Rust frame is on the stack.
//! - L2 *outward pointers*: every pointer stored in the arena points into the arena, or is one of:
//!   the static `dummynode` and `absentkey` of tables, C functions and continuations, `frealloc`
//!   and its `ud`, `panic`, `warnf` and its `ud_warn`, hooks, light userdata, the list of
//!   `keys.c`, what a host put into a userdata block or its extra space. `walk.c` tells which
//!   fields are dead.
//!
//! # Not here
//! NULL, busy and poison: [`crate::ffi`] asks before it calls.

mod bindings;

pub use bindings::*;
