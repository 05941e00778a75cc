//! Written pages where nobody is asked for them: opaque memory is compared.
//!
//! Windows tells of them only in reservations that were made for it (`MEM_WRITE_WATCH`), of which a
//! process can have few, and calls a page that was committed again unwritten. macOS does not tell,
//! nor does the model of a system.

use crate::sys::Refused;
use crate::sys::written::Refusal;

pub fn probe() -> Result<(), Refusal> {
    Err(Refusal { why: "librlua asks this system for no written pages", passing: false })
}

pub unsafe fn register(_start: *mut u8, _bytes: usize) -> Result<(), Refused> {
    Err(Refused)
}

pub unsafe fn scan(
    _start: *mut u8,
    _pages: usize,
    _report: &mut dyn FnMut(usize, usize),
) -> Result<(), Refused> {
    Err(Refused)
}

pub unsafe fn protect(_start: *mut u8, _pages: usize) -> Result<(), Refused> {
    Err(Refused)
}

pub unsafe fn unprotect(_start: *mut u8, _pages: usize) -> Result<(), Refused> {
    Err(Refused)
}
