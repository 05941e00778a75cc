//! Diff: where the states of two VMs differ, for hosts. The walk is C's (`src/lua/diff.c`).
//!
//! # Not here
//! What an image is ([`super::images`]).

use super::guard::{self, see_idle};
use super::registry::{self, Owner};
use super::{Vm, no_room};
use crate::arena::{Arena, Block, HOST};
use crate::error::{Error, Result};
use crate::lua::{self, lua_State};
use std::ffi::{CStr, c_int, c_void};
use std::ops::ControlFlow;
use std::ptr;
use std::sync::atomic::Ordering;

/// What a comparison found. It has nothing of the VMs any more.
pub struct Differences(*mut c_void);

/// One of them.
pub struct Difference<'a> {
    /// As C numbers it.
    pub kind: c_int,
    /// The way that leads to it.
    pub path: &'a CStr,
    /// What the first state has there.
    pub a: &'a CStr,
    /// What the second one has.
    pub b: &'a CStr,
}

impl Differences {
    /// Of two idle VMs, at most so many.
    ///
    /// Cost: O(objects), and as much memory.
    ///
    /// # Safety
    /// Both are live, held, and not the same.
    pub unsafe fn of(a: *mut Vm, b: *mut Vm, most: usize) -> Result<Differences> {
        // SAFETY: the contract above; idle (V1), so nothing changes meanwhile.
        unsafe {
            see_idle(a)?;
            see_idle(b)?;
            let found = Differences(lua::rlua_c_diff((*a).main, (*b).main, most));
            if found.0.is_null() {
                return Err(Error::NoMemoryForHandle);
            }
            found.compare_blocks(&(*a).arena, &(*b).arena)?;
            if lua::rlua_c_diff_failed(found.0) != 0 {
                return Err(Error::NoMemoryForHandle);
            }
            Ok(found)
        }
    }

    /// Blocks of the host, which no object leads to: those at the same offset are the same block.
    ///
    /// # Safety
    /// As for [`Differences::of`].
    unsafe fn compare_blocks(&self, a: &Arena, b: &Arena) -> Result<()> {
        let (of_a, of_b) = (host_blocks(a)?, host_blocks(b)?);
        let (mut rest_a, mut rest_b) = (&of_a[..], &of_b[..]);
        loop {
            let offset = match (rest_a, rest_b) {
                ([], []) => return Ok(()),
                ([first, ..], []) | ([], [first, ..]) => first.0,
                ([first, ..], [other, ..]) => first.0.min(other.0),
            };
            let bytes = [&mut rest_a, &mut rest_b].map(|rest| match *rest {
                [first, behind @ ..] if first.0 == offset => {
                    *rest = behind;
                    first.1
                }
                _ => 0,
            });
            // SAFETY: live blocks of so many bytes, or none.
            if unsafe { lua::rlua_c_diff_block(self.0, offset, bytes[0], bytes[1]) } == 0 {
                return Ok(());
            }
        }
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = Difference<'_>> {
        (0..).map_while(|index| {
            let [mut path, mut a, mut b] = [ptr::null(); 3];
            // SAFETY: the texts live as long as the diff.
            unsafe {
                match lua::rlua_c_diff_found(self.0, index, &mut path, &mut a, &mut b) {
                    0 => None,
                    kind => Some(Difference {
                        kind,
                        path: CStr::from_ptr(path),
                        a: CStr::from_ptr(a),
                        b: CStr::from_ptr(b),
                    }),
                }
            }
        })
    }
}

impl Drop for Differences {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by rlua_c_diff, ended once.
            unsafe { lua::rlua_c_diff_end(self.0) }
        }
    }
}

/// Offsets and sizes, in the order of their places.
fn host_blocks(arena: &Arena) -> Result<Vec<(usize, usize)>> {
    let mut blocks = Vec::new();
    let all = arena.each_block(|Block { offset, bytes, kind, .. }| {
        if kind == HOST {
            if blocks.try_reserve(1).is_err() {
                return ControlFlow::Break(());
            }
            blocks.push((offset, bytes));
        }
        ControlFlow::Continue(())
    });
    match all {
        ControlFlow::Continue(()) => Ok(blocks),
        ControlFlow::Break(()) => Err(no_room("block")(())),
    }
}

/// Frees a VM that was made to be looked at: no finalizer in it runs.
///
/// # Safety
/// `thread` is of a live VM, which no other OS thread uses any more.
pub unsafe fn close_unrun(thread: *mut lua_State) {
    if let Owner::Live(vm) = registry::find(thread) {
        // SAFETY: live, by the contract above.
        unsafe {
            (*vm).poisoned.store(true, Ordering::Relaxed);
            guard::close(vm);
        }
    }
}
