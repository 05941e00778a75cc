/* strict.c: calls about memory as a system with larger pages takes them.
 * qemu tells a program of pages as large as it is asked to, but obeys calls in steps of 4 KiB all
 * the same. Linked with a test program, this ends the process where the program or the library
 * names a place or a size that is not a multiple of the page it was told of.
 * Not here: calls that the C library makes inside itself. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void expect_pages(const char *call, const void *start, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if ((uintptr_t)start % page == 0 && bytes % page == 0) return;
    fprintf(stderr, "%s(%p, %zu): not in pages of %zu bytes\n", call, start, bytes, page);
    abort();
}

/* Weak: some tests have their own (many.c, sysmalloc.c). */
#define WEAK __attribute__((weak))

WEAK void *mmap(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    expect_pages("mmap", flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? at : NULL,
                 flags & MAP_ANONYMOUS ? size : 0);
    return (void *)syscall(SYS_mmap, at, size, prot, flags, file, offset);
}

WEAK void *mmap64(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return mmap(at, size, prot, flags, file, offset);
}

WEAK int munmap(void *start, size_t bytes) {
    expect_pages("munmap", start, bytes);
    return (int)syscall(SYS_munmap, start, bytes);
}

WEAK int mprotect(void *start, size_t bytes, int prot) {
    expect_pages("mprotect", start, bytes);
    return (int)syscall(SYS_mprotect, start, bytes, prot);
}

WEAK int madvise(void *start, size_t bytes, int advice) {
    expect_pages("madvise", start, bytes);
    return (int)syscall(SYS_madvise, start, bytes, advice);
}
