/* tsan.h: what a program needs so that ThreadSanitizer sees into the library.
 *
 * The library's C is built by gcc and its Rust by nightly with -Zsanitizer=thread; both leave the
 * __tsan_* functions open, and the program brings gcc's runtime. LLVM calls three that gcc's
 * runtime may not have: they are here, over the runtime's own memcpy and its like.
 *
 * Not here: tests. Empty where the program is built without -fsanitize=thread. */
#ifndef RLUA_TEST_TSAN_H
#define RLUA_TEST_TSAN_H
#ifdef __SANITIZE_THREAD__

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memset(void *to, int byte, size_t size);

__attribute__((weak)) void *__tsan_memcpy(void *to, const void *from, size_t size) {
    return memcpy(to, from, size);
}
__attribute__((weak)) void *__tsan_memmove(void *to, const void *from, size_t size) {
    return memmove(to, from, size);
}
__attribute__((weak)) void *__tsan_memset(void *to, int byte, size_t size) {
    return memset(to, byte, size);
}

/* The runtime has shadows only for what it takes for a program's addresses. VMs usually lie
 * elsewhere; where fixed addresses are refused, they go where the runtime puts them. */
extern void *__interceptor_mmap64(void *, size_t, int, int, int, off_t);

/* Not instrumented: the runtime calls them before it is ready. */
#define PLAIN __attribute__((no_sanitize_thread))

PLAIN static inline void *tsan_map(void *at, size_t size, int prot, int flags, int file,
                                   off_t offset) {
    if (flags & 0x100000) { /* MAP_FIXED_NOREPLACE */
        errno = EPERM;
        return MAP_FAILED;
    }
    return __interceptor_mmap64(at, size, prot, flags, file, offset);
}
PLAIN void *mmap(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return tsan_map(at, size, prot, flags, file, offset);
}
PLAIN void *mmap64(void *at, size_t size, int prot, int flags, int file, off_t offset) {
    return tsan_map(at, size, prot, flags, file, offset);
}

#endif
#endif
