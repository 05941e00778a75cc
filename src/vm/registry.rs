//! Registry: which VM an address belongs to, without touching the address.
//!
//! Each region has a 4 GiB slot of the address space to itself (R1), so a table indexed by the
//! upper bits of a `lua_State *` finds its VM with one load. A foreign pointer, a closed VM's and
//! garbage are told apart from ours before anything is read through them.

use super::Vm;
use crate::error::{Error, Result};
use crate::lua::lua_State;
use crate::sys;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One a place that a region can lie at.
const SLOTS: usize = sys::REGION_SLOTS;

static VMS: [AtomicPtr<Vm>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

/// What an address belongs to.
pub enum Owner {
    /// A live VM.
    Live(*mut Vm),
    /// A slot that a VM had before it was closed.
    Closed,
    /// Nothing of ours.
    Foreign,
}

/// Left in a slot when its VM is closed: never a valid address of a VM.
fn tombstone() -> *mut Vm {
    ptr::without_provenance_mut(1)
}

fn slot(address: usize) -> Option<&'static AtomicPtr<Vm>> {
    VMS.get(address / sys::REGION_ALIGNMENT)
}

/// Finds the owner of a thread's address.
#[inline]
pub fn find(thread: *mut lua_State) -> Owner {
    let Some(slot) = slot(thread as usize) else { return Owner::Foreign };
    let vm = slot.load(Ordering::Acquire);
    if vm.is_null() {
        Owner::Foreign
    } else if vm == tombstone() {
        Owner::Closed
    } else {
        Owner::Live(vm)
    }
}

/// Enters a VM; it is then owned by the registry.
pub fn enter(vm: Box<Vm>) -> Result<*mut lua_State> {
    let main = vm.main();
    let slot = slot(main as usize)
        .ok_or(Error::NoAddressSpace { wanted_bytes: vm.arena().limit_bytes() })?;
    slot.store(Box::into_raw(vm), Ordering::Release);
    Ok(main)
}

/// Takes a VM out, to be dropped.
///
/// # Safety
/// `vm` is live and nothing else uses it any more.
pub unsafe fn leave(vm: *mut Vm) -> Box<Vm> {
    // SAFETY: the box made by enter().
    let vm = unsafe { Box::from_raw(vm) };
    if let Some(slot) = slot(vm.main() as usize) {
        slot.store(tombstone(), Ordering::Release);
    }
    vm
}
