//! A platform of plain memory, for Miri: a reservation is an allocation, and nothing is told of
//! writes. Miri cannot align to 4 GiB, so regions lie at smaller boundaries here; only what hashes
//! addresses, which is Lua, can tell.

pub const ADDRESS_BITS: u32 = 47;

pub const REGION_ALIGNMENT: usize = 1 << 28;

pub(super) use crate::sys::unwatched as written;

pub mod memory {
    use super::REGION_ALIGNMENT;
    use crate::sys::Refused;
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    pub fn system_page_bytes() -> usize {
        4096
    }

    fn layout(bytes: usize) -> Result<Layout, Refused> {
        Layout::from_size_align(bytes, REGION_ALIGNMENT).map_err(|_| Refused)
    }

    /// Miri would have to hold all of it.
    const MOST_BYTES: usize = 64 << 20;

    pub fn reserve(bytes: usize) -> Result<NonNull<u8>, Refused> {
        if bytes == 0 || bytes > MOST_BYTES {
            return Err(Refused);
        }
        // SAFETY: the size is not zero.
        NonNull::new(unsafe { alloc_zeroed(layout(bytes)?) }).ok_or(Refused)
    }

    fn plain(bytes: usize) -> Result<Layout, Refused> {
        Layout::from_size_align(bytes, 4096).map_err(|_| Refused)
    }

    pub fn map_table(bytes: usize) -> Result<NonNull<u8>, Refused> {
        // SAFETY: the size is not zero.
        NonNull::new(unsafe { alloc_zeroed(plain(bytes)?) }).ok_or(Refused)
    }

    pub unsafe fn unmap_table(start: NonNull<u8>, bytes: usize) {
        if let Ok(layout) = plain(bytes) {
            // SAFETY: allocated by map_table() with this layout.
            unsafe { dealloc(start.as_ptr(), layout) }
        }
    }

    pub unsafe fn expect_large_pages(_start: *mut u8, _bytes: usize) {}

    pub unsafe fn use_large_pages(_start: *mut u8, _bytes: usize) {}

    pub unsafe fn commit(_start: *mut u8, _bytes: usize) -> Result<(), Refused> {
        Ok(())
    }

    pub unsafe fn discard(start: *mut u8, bytes: usize) -> Result<(), Refused> {
        // SAFETY: the caller's contract.
        unsafe { start.write_bytes(0, bytes) };
        Ok(())
    }

    pub unsafe fn release(base: NonNull<u8>, bytes: usize) {
        if let Ok(layout) = layout(bytes) {
            // SAFETY: allocated by reserve() with this layout.
            unsafe { dealloc(base.as_ptr(), layout) }
        }
    }
}

pub mod thread {
    pub fn id() -> usize {
        thread_local! {
            static MARK: u8 = const { 0 };
        }
        MARK.with(|mark| std::ptr::from_ref(mark).addr())
    }
}

pub mod environment {
    use std::ffi::CStr;

    pub fn variable<T>(_name: &CStr, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
        look(None)
    }
}
