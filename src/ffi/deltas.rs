//! Deltas: what leads from one held snapshot to another, and a VM that follows.

use crate::error::Error;
use crate::ffi::images::{ByReader, rlua_Reader, rlua_Writer, save_by};
use crate::ffi::objects::{read_names, rlua_Name};
use crate::lua::lua_State;
use crate::units::Frame;
use crate::vm::load::Source;
use crate::vm::{Vm, deltas, guard};
use std::ffi::{c_int, c_void};

/// Saves what leads from one held snapshot to another, as rlua_save saves a whole state: a
/// spectator who has the first follows for the bytes that changed, a replay seeks. Usually the
/// second is the newer one; the other way round works too. A resource or a guarded userdata that
/// the second alone has goes along by rlua_register_type, one that both have stays the spectator's
/// own.
///
/// Cost: the first time a pass over the used bytes. From then on what changed between the
/// snapshots, and a look at each resource and guarded userdata, as long as the one that the last
/// delta led to is held: so long the VM keeps its bytes twice more.
///
/// @param from_frame  The label of the first.
/// @param to_frame    The label of the second.
/// @return            As rlua_save_snapshot.
///
/// # Safety
/// As for rlua_save.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_save_delta(
    L: *mut lua_State,
    from_frame: i64,
    to_frame: i64,
    writer: rlua_Writer,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: as for rlua_save.
    unsafe {
        let (from, to) = (Frame(from_frame), Frame(to_frame));
        save_by(L, writer, ud, |vm, sink| deltas::save(vm, from, to, sink))
    }
}

/// Makes an idle VM's state what a delta leads to; it has to have the state that the delta leads
/// from: the same image loaded, the deltas before applied. Its main thread, its snapshots and its
/// participants stay; references and pointers of the host's into the state are good where they are
/// good in the VM that saved. Resources and guarded userdata that are new are made by their types
/// (rlua_register_type, rlua_Config.types), those that are gone end as if they had been collected.
/// A guarded userdata that a snapshot of the VM has must not be gone: discard the snapshot first.
///
/// The delta is verified as rlua_load verifies an image, by the VM's own `image_key` and `trust`.
/// After an error nothing has changed.
///
/// Cost: what was written since the last one was applied, and what this one changes; the first
/// time, a pass over the used bytes; with RLUA_TRUST_PROVED, the proof each time. The VM keeps its
/// state once more from then on. Where guarded userdata are new or gone, a pass over the used
/// bytes.
///
/// @param names   What names stand for that the state did not have yet since the first delta, or
///                NULL: as rlua_Config.names.
/// @param reader  Called until the delta is whole.
/// @return        As rlua_load, and NOT_ROLLBACK, BUSY, POISONED; BAD_IMAGE also where the delta
///                leads from another state, or is of a VM with another limit, guard or announces;
///                UNSUPPORTED (a snapshot has a guarded userdata that ends).
///
/// # Safety
/// `L` as for rlua_save; `names` is NULL or ends with a NULL name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_apply_delta(
    L: *mut lua_State,
    names: *const rlua_Name,
    reader: rlua_Reader,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::work(L, |vm| {
            let reader = reader.ok_or(Error::NullArg { name: "reader" })?;
            deltas::apply(vm, &read_names(names)?, &mut Sealing(vm, ByReader { reader, ud }))
        })
    }
}

/// Seals a VM while a source is read.
struct Sealing<T>(*mut Vm, T);

impl<T: Source> Source for Sealing<T> {
    fn read(&mut self, into: &mut [u8]) -> usize {
        // SAFETY: live and held, for the call.
        let _sealed = unsafe { guard::Mark::sealed(self.0) };
        self.1.read(into)
    }
}
