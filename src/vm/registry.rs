//! Registry: which VM an address belongs to, without touching the address.
//!
//! Each region begins at a 4 GiB boundary (R1), so a table indexed by the upper bits of a
//! `lua_State *` finds the only VM it can belong to with one load, and the VM's own extent tells
//! whether it does: behind a region's end, the same 4 GiB may hold what is somebody else's. A
//! foreign pointer, a closed VM's and garbage are told apart from ours before anything is read
//! through them.

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

/// Left in a slot when its VM is closed: the extent that it had. Odd, as no address of a VM is.
fn tombstone(reserved_bytes: usize) -> *mut Vm {
    ptr::without_provenance_mut(reserved_bytes << 1 | 1)
}

fn slot(address: usize) -> Option<&'static AtomicPtr<Vm>> {
    VMS.get(address / sys::REGION_ALIGNMENT)
}

/// Where the VM of a thread lies, if it has one: for the cache, to which any address may be given.
#[inline]
pub fn hint(thread: *mut lua_State) -> *const Vm {
    slot(thread as usize).map_or(ptr::null(), |slot| slot.load(Ordering::Relaxed))
}

/// Finds the owner of a thread's address.
#[inline]
pub fn find(thread: *mut lua_State) -> Owner {
    let address = thread as usize;
    let Some(slot) = slot(address) else { return Owner::Foreign };
    let vm = slot.load(Ordering::Acquire);
    if vm.is_null() {
        return Owner::Foreign;
    }
    let tombstone = vm as usize;
    let (owner, reserved_bytes) = match tombstone & 1 {
        1 => (Owner::Closed, tombstone >> 1),
        // SAFETY: live: it leaves the registry before it is freed, and the caller closes no VM that
        // it asks about. The extent never changes.
        _ => (Owner::Live(vm), unsafe { (*vm).arena.reserved_bytes() }),
    };
    if address % sys::REGION_ALIGNMENT < reserved_bytes { owner } else { Owner::Foreign }
}

/// Enters a VM, which has to be closed from then on; where that fails, it is freed.
///
/// # Safety
/// `vm` is from [`Vm::open`].
pub unsafe fn enter(vm: *mut Vm) -> Result<*mut lua_State> {
    // SAFETY: live, by the contract above.
    unsafe { lend(vm).inspect_err(|_| Vm::free(vm)) }
}

/// Enters a VM until it leaves again.
///
/// # Safety
/// As for [`enter`].
pub(super) unsafe fn lend(vm: *mut Vm) -> Result<*mut lua_State> {
    // SAFETY: live, by the contract above.
    let (main, wanted_bytes) = unsafe { ((*vm).main, (*vm).arena.reserved_bytes()) };
    let slot = slot(main as usize).ok_or(Error::NoAddressSpace { wanted_bytes })?;
    slot.store(vm, Ordering::Release);
    Ok(main)
}

/// Takes a VM out, to be freed.
///
/// # Safety
/// `vm` is live.
pub unsafe fn leave(vm: *mut Vm) {
    // SAFETY: live, by the contract above.
    let (main, reserved_bytes) = unsafe { ((*vm).main, (*vm).arena.reserved_bytes()) };
    if let Some(slot) = slot(main as usize) {
        slot.store(tombstone(reserved_bytes), Ordering::Release);
    }
}
