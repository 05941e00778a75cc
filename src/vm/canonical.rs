//! Canonical: bytes of a state that mean the same in every process, any part of it.
//!
//! The allocator's own state is written here, blocks by C, each by its kind; what neither has is
//! zero. A part depends on what lies in it, on the slab or run that reaches into it, and, where it
//! has stacks or frames, on their threads.
//!
//! # Not here
//! What a block's canonical form is (`src/lua/canon.c`); who wants it ([`super::images`]).

use crate::arena::{MAIN_OFFSET, Run, View};
use crate::error::{Error, ImageError, Result, Text};
use crate::lua;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::{ptr, slice};

/// What for. As in `src/lua/canon.c`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// An image: what cannot leave the VM is refused.
    Image,
    /// A checksum: it is left out.
    Checksum,
    /// A second state, whose region lies there.
    Clone(u64),
}

/// The canonical form of one state.
pub struct Canonical {
    view: View,
    canon: *mut c_void,
}

impl Drop for Canonical {
    fn drop(&mut self) {
        // SAFETY: made by rlua_c_canon_begin, ended once.
        unsafe { lua::rlua_c_canon_end(self.canon) }
    }
}

impl Canonical {
    /// Of the state in `view`, whose pointers are those of a region at `base`.
    ///
    /// # Safety
    /// It is an idle VM's, or a copy of one; nothing writes to it while this lives.
    pub unsafe fn of(view: View, base: *const u8, wanted: For) -> Result<Canonical> {
        let (mode, to): (c_int, u64) = match wanted {
            For::Image => (0, 0),
            For::Checksum => (1, 0),
            For::Clone(to) => (2, to),
        };
        let (from, base) = (view.base().cast(), base as u64);
        // SAFETY: the contract above; the state is the first block of an arena.
        let canon = unsafe { lua::rlua_c_canon_begin(from, base, MAIN_OFFSET, mode, to) };
        if canon.is_null() {
            return Err(Error::NoMemoryForHandle);
        }
        Ok(Canonical { view, canon })
    }

    /// The state's own bytes.
    pub fn view(&self) -> View {
        self.view
    }

    /// Hands on where the stack and each frame of a thread lie, and how long they are.
    pub fn thread_parts(&self, thread: usize, mut found: impl FnMut(usize, usize)) {
        unsafe extern "C" fn part<F: FnMut(usize, usize)>(
            ud: *mut c_void,
            offset: usize,
            bytes: usize,
        ) {
            // SAFETY: what C was given, for the call.
            unsafe { (*ud.cast::<F>())(offset, bytes) }
        }
        fn of<F: FnMut(usize, usize)>(_: &F) -> lua::Part {
            part::<F>
        }
        // SAFETY: a thread of the state.
        unsafe {
            let (part, ud) = (of(&found), ptr::from_mut(&mut found).cast());
            lua::rlua_c_canon_thread_parts(self.canon, thread, part, ud);
        }
    }

    /// Bytes that the state has.
    pub fn used_bytes(&self) -> usize {
        self.view.used_bytes()
    }

    /// Writes the bytes from `from` on, as many as `out` has, zero beyond the state's end. `run` is
    /// the one that reaches to `from`, its head included, or the first. Answers the one that
    /// reaches to the end of what was written.
    ///
    /// # Safety
    /// `from` and the length are multiples of 8; `run` is a run.
    pub unsafe fn write(&mut self, mut run: usize, from: usize, out: &mut [u8]) -> Result<usize> {
        let (end, top) = (from + out.len(), self.used_bytes());
        let mut at = from;
        if at < View::FIRST - View::HEAD {
            at = self.copy(at, View::HEADER_BYTES.min(end), from, out);
            at = zero(at, (View::FIRST - View::HEAD).min(end), from, out);
        }
        while at < end && at < top {
            at = self.copy(at, run.min(end), from, out);
            if run >= top || at == end {
                break;
            }
            let (what, stride) = self.view.run(run);
            let stop = run + stride - View::HEAD;
            let part = stop.min(end);
            match what {
                Run::Free => at = self.copy(at, part.min(run + View::LINKS), from, out),
                Run::Map => at = self.copy(at, part.min(run + self.view.map_bytes()), from, out),
                Run::Slab | Run::Block(_) if at < part => {
                    let to = out[at - from..part - from].as_mut_ptr().cast();
                    // SAFETY: the run is one; the part lies in it, and in `out`.
                    let wrong = unsafe {
                        match what {
                            Run::Block(kind) => {
                                let bytes = stride - View::HEAD;
                                lua::rlua_c_canon_run(self.canon, run, bytes, kind, at, part, to)
                            }
                            _ => lua::rlua_c_canon_slab(self.canon, run, at, part, to),
                        }
                    };
                    if !wrong.is_null() {
                        // SAFETY: a string of C's.
                        return Err(self.refused(unsafe { CStr::from_ptr(wrong) }));
                    }
                    at = part;
                }
                _ => {}
            }
            at = zero(at, part, from, out);
            if stop < end {
                run += stride;
            }
        }
        zero(at, end, from, out);
        Ok(run)
    }

    /// Hands on the whole form, `chunk` bytes at a time.
    ///
    /// # Safety
    /// As said of [`Canonical::of`].
    pub unsafe fn each(
        &mut self,
        chunk: &mut [u8],
        mut found: impl FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let (mut at, mut run, used) = (0, View::FIRST, self.used_bytes());
        while at < used {
            let bytes = chunk.len().min(used - at);
            // SAFETY: as above; a top is a multiple of 16.
            run = unsafe { self.write(run, at, &mut chunk[..bytes])? };
            found(&mut chunk[..bytes])?;
            at += bytes;
        }
        Ok(())
    }

    /// Copies `at .. to`, if that is anything, and answers where it ended.
    fn copy(&self, at: usize, to: usize, from: usize, out: &mut [u8]) -> usize {
        if at >= to {
            return at;
        }
        let part = out[at - from..to - from].as_mut_ptr();
        // SAFETY: inside the state, which `out` is no part of.
        unsafe { self.view.base().add(at).copy_to_nonoverlapping(part, to - at) };
        to
    }

    fn refused(&self, why: &CStr) -> Error {
        if why.is_empty() {
            return Error::NoMemoryForHandle;
        }
        let mut path: [c_char; lua::PATH_ROOM] = [0; lua::PATH_ROOM];
        // SAFETY: as much room as it needs; it ends with a zero.
        let (offset, path) = unsafe {
            let offset = lua::rlua_c_canon_path(self.canon, path.as_mut_ptr());
            (offset, CStr::from_ptr(path.as_ptr()).to_bytes())
        };
        let (why, path) = (Text::from_lossy(why.to_bytes()), Text::from_lossy(path));
        ImageError::Unsavable { offset, why, path }.into()
    }

    /// What stands for something outside is met from here on (`src/lua/internal.h`); else a state
    /// that has such is refused.
    ///
    /// # Safety
    /// `meet` may be called with `ud` while this writes.
    pub unsafe fn meet(&mut self, meet: lua::Meet, ud: *mut c_void) {
        // SAFETY: the contract above.
        unsafe { lua::rlua_c_canon_meet(self.canon, meet, ud) }
    }

    /// What a name that was met stands for.
    pub fn known(&self, word: u64) -> Option<lua::Outward> {
        let mut known = lua::Outward { address: ptr::null(), ud: ptr::null(), word, kind: 0 };
        // SAFETY: a place for one.
        let found = unsafe { lua::rlua_c_canon_known(self.canon, &mut known) };
        (found != 0).then_some(known)
    }

    /// Another number than before where a pointer has got a name: then its form is another in
    /// places that nobody wrote to.
    pub fn named(&self) -> u32 {
        // SAFETY: a number of C's.
        unsafe { lua::rlua_c_canon_named(self.canon) }
    }

    /// Another number than before where a name was met, again or not, in what was written since.
    pub fn names_met(&self) -> u32 {
        // SAFETY: a number of C's.
        unsafe { lua::rlua_c_canon_names_met(self.canon) }
    }

    /// The names that were met, as the format has them, and how many.
    pub fn names(&self) -> (&[u8], u32) {
        let (mut bytes, mut count) = (0, 0);
        // SAFETY: so many bytes, as long as this lives and nothing more is written.
        unsafe {
            let text = lua::rlua_c_canon_names(self.canon, &mut bytes, &mut count);
            (if bytes == 0 { &[] } else { slice::from_raw_parts(text.cast(), bytes) }, count)
        }
    }
}

/// Makes `at .. to` zero, if that is anything, and answers where it ended.
fn zero(at: usize, to: usize, from: usize, out: &mut [u8]) -> usize {
    if at >= to {
        return at;
    }
    out[at - from..to - from].fill(0);
    to
}
