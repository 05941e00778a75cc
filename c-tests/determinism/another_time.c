/* another_time.c: a process that has this preloaded lives in another year, and its CPU time began
 * long ago. For matrix.py: a script that reads a clock must not see it.
 * Not here: sleeping, and clocks that nobody reads through the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

enum { SHIFT = 1000000000 };

time_t time(time_t *out) {
    static time_t (*real)(time_t *);
    time_t now;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "time");
    now = real(NULL) - SHIFT;
    if (out) *out = now;
    return now;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    int status;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "gettimeofday");
    status = real(now, zone);
    now->tv_sec -= SHIFT;
    return status;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    int status;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    status = real(id, now);
    now->tv_sec += id == CLOCK_REALTIME ? -SHIFT : 1000;
    return status;
}

clock_t clock(void) {
    static clock_t (*real)(void);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock");
    return real() + 1000 * CLOCKS_PER_SEC;
}
