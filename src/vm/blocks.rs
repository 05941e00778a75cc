//! Blocks: what guarded userdata have in them stays theirs, whatever state is put in place around
//! them.
//!
//! # Not here
//! Restores, which keep the userdata themselves where they are ([`super::guarded`]); which of them
//! stay ([`super::handles`]).

use super::objects::{block_at, place_at};
use super::{Vm, no_room, push};
use crate::error::{ImageError, Result, Text};
use crate::lua;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

/// One as it was.
struct Block {
    /// Of the userdata.
    place: usize,
    was: lua::Met,
    /// Of its type.
    name: Vec<u8>,
    bytes: Vec<u8>,
}

impl Block {
    /// Where the bytes lie.
    fn start(&self) -> usize {
        self.place + self.was.memory
    }
}

/// Those of some userdata.
#[derive(Default)]
pub(super) struct Blocks(Vec<Block>);

fn bytes_of(bytes: usize) -> Result<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(no_room("copy of userdata"))?;
    room.resize(bytes, 0);
    Ok(room)
}

impl Blocks {
    /// Adds that of the guarded userdata there.
    ///
    /// # Safety
    /// `vm` is live, held and idle. So for all functions here.
    pub unsafe fn keep(&mut self, vm: *mut Vm, place: usize) -> Result<()> {
        let mut was = MaybeUninit::uninit();
        // SAFETY: the contract above; C fills it, and the name is as long as it says.
        unsafe {
            lua::rlua_c_meet_guarded((*vm).main, place_at(vm, place), was.as_mut_ptr());
            let mut was = was.assume_init();
            let mut name = bytes_of(was.kind_length)?;
            if !was.kind.is_null() {
                was.kind.cast::<u8>().copy_to_nonoverlapping(name.as_mut_ptr(), name.len());
            }
            was.kind = ptr::null();
            let bytes = bytes_of(was.size)?;
            push(&mut self.0, Block { place, was, name, bytes }, no_room("copy of userdata"))?;
            let last = self.0.len() - 1;
            self.0[last].look(vm);
        }
        Ok(())
    }

    /// What is in them now, is what they keep.
    ///
    /// # Safety
    /// As for [`Blocks::keep`]; the state has these userdata.
    pub unsafe fn look(&mut self, vm: *mut Vm) {
        // SAFETY: the contract above.
        self.0.iter_mut().for_each(|block| unsafe { block.look(vm) });
    }

    /// In a state that was put in place they are guarded again, and have what they keep. After an
    /// error some have.
    ///
    /// # Safety
    /// As for [`Blocks::keep`]; nothing has run in the state.
    pub unsafe fn guard_again(&self, vm: *mut Vm) -> Result<()> {
        for block in &self.0 {
            let was = lua::Met { kind: block.name.as_ptr().cast(), ..block.was };
            // SAFETY: the contract above; C looks at a live block, and sees that it is as long.
            unsafe {
                let why = match block_at(vm, block.place) {
                    Some((userdata, bytes)) => {
                        lua::rlua_c_guard_again((*vm).main, userdata, bytes, &was)
                    }
                    None => c"a userdata that stays is gone".as_ptr(),
                };
                if !why.is_null() {
                    let what = Text::from_lossy(CStr::from_ptr(why).to_bytes());
                    return Err(ImageError::Bad { what, place: Some(block.place) }.into());
                }
                let to = place_at(vm, block.start()).cast::<u8>();
                to.copy_from_nonoverlapping(block.bytes.as_ptr(), block.bytes.len());
            }
        }
        Ok(())
    }

    /// Puts what they keep into a copy of a state that has these userdata.
    pub fn put_into(&self, state: &mut [u8]) {
        for block in &self.0 {
            state[block.start()..][..block.bytes.len()].copy_from_slice(&block.bytes);
        }
    }
}

impl Block {
    /// # Safety
    /// As for [`Blocks::look`].
    unsafe fn look(&mut self, vm: *mut Vm) {
        // SAFETY: the contract above: so many bytes of the userdata.
        unsafe {
            let from = place_at(vm, self.start()).cast::<u8>();
            from.copy_to_nonoverlapping(self.bytes.as_mut_ptr(), self.bytes.len());
        }
    }
}
