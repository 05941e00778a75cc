//! Threads.

/// A thread-local's address in a shared library takes a call; the thread pointer is one load.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn id() -> usize {
    let pointer: usize;
    // SAFETY: the System V ABI keeps the thread pointer at fs:0; only that is read.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly));
    }
    pointer
}

#[cfg(not(target_arch = "x86_64"))]
pub fn id() -> usize {
    thread_local! {
        static MARK: u8 = const { 0 };
    }
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}
