/* posix.h: what the C tests ask of POSIX, for Windows. Read before everything else, by the
 * compiler's -include.
 *
 * Names and meanings are POSIX's as far as a test needs them. There is no fork: a runner is
 * spawned, and in_child() starts the program anew, goes through the same test up to the same place,
 * and does there what the child is to do (harness.h).
 *
 * Not here: what a test can do without. It says so by itself (skipped.txt, NOT_RUN).
 */
#ifndef RLUA_TEST_WINDOWS_POSIX_H
#define RLUA_TEST_WINDOWS_POSIX_H

#define __USE_MINGW_ANSI_STDIO 1
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <windows.h>
#undef ERROR

/* The text is the same to the byte as elsewhere: run.sh reads it. */
__attribute__((constructor(101))) static void posix_text(void) {
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    _setmode(2, _O_BINARY);
    setvbuf(stderr, NULL, _IONBF, 0);
}

/* -- the environment --------------------------------------------------------------------------- */

static inline int setenv(const char *name, const char *value, int replace) {
    (void)replace;
    return _putenv_s(name, value);
}
static inline int unsetenv(const char *name) { return _putenv_s(name, ""); }

/* -- time -------------------------------------------------------------------------------------- */

static inline struct tm *gmtime_r(const time_t *t, struct tm *tm) {
    return gmtime_s(tm, t) == 0 ? tm : NULL;
}
static inline struct tm *localtime_r(const time_t *t, struct tm *tm) {
    return localtime_s(tm, t) == 0 ? tm : NULL;
}
#define timegm(tm) _mkgmtime(tm)

/* -- processes --------------------------------------------------------------------------------- */

/* How a process ended is its exit code; what the system ends it with stands for signals. */
#define POSIX_ABORTED 3 /* the C library's abort() */
#define POSIX_FAST_FAIL 0xC0000409u
#define POSIX_WATCHDOG 0xE000000Eu
#define SIGALRM 14
#define WIFSIGNALED(status) ((unsigned)(status) >= 0xC0000000u || (status) == POSIX_ABORTED)
#define WIFEXITED(status) (!WIFSIGNALED(status))
#define WEXITSTATUS(status) (status)
#define WTERMSIG(status) posix_signal((unsigned)(status))

static inline int posix_signal(unsigned status) {
    if (status == POSIX_ABORTED || status == POSIX_FAST_FAIL) return SIGABRT;
    return status == POSIX_WATCHDOG ? SIGALRM : SIGSEGV;
}
static inline const char *strsignal(int number) {
    return number == SIGABRT ? "aborted" : number == SIGALRM ? "took too long" : "an exception";
}

/* A child is a handle. Of all of them, Windows knows none that is left. */
#define WNOHANG 1
static inline pid_t waitpid(pid_t child, int *status, int options) {
    DWORD code = 0;
    (void)options;
    if (child == -1) errno = ECHILD;
    if (WaitForSingleObject((HANDLE)child, INFINITE) != WAIT_OBJECT_0) return -1;
    GetExitCodeProcess((HANDLE)child, &code);
    CloseHandle((HANDLE)child);
    *status = (int)code;
    return child;
}

/* The program that runs. */
static inline char *posix_self(void) {
    static char path[MAX_PATH];
    GetModuleFileNameA(NULL, path, sizeof path);
    return path;
}

/* Its path as POSIX writes it: what /proc/self/exe leads to. */
static inline ssize_t posix_readlink(char *path, size_t room) {
    size_t length = strlen(posix_self()), i;
    if (length > room) length = room;
    for (i = 0; i < length; i++) path[i] = posix_self()[i] == '\\' ? '/' : posix_self()[i];
    return (ssize_t)length;
}
#define readlink(proc_self_exe, path, room) posix_readlink((path), (room))

/* Starts this program with other arguments: words without blanks. -1 where it cannot. */
static inline pid_t posix_start(char **argv) {
    return (pid_t)_spawnv(_P_NOWAIT, posix_self(), (const char *const *)argv);
}

/* The same with other standard files. */
static inline pid_t posix_start_between(int in, int out) {
    char *argv[] = {posix_self(), NULL};
    int saved_in = _dup(0), saved_out = _dup(1);
    pid_t child;
    fflush(stdout);
    _dup2(in, 0);
    _dup2(out, 1);
    child = posix_start(argv);
    _dup2(saved_in, 0);
    _dup2(saved_out, 1);
    _close(saved_in);
    _close(saved_out);
    return child;
}

/* A test that is gone through anew leaves its standard files alone: they are what the child shall
 * have. */
static inline int posix_dup2(int file, int number) {
    return getenv("RLUA_TEST_CHILD") ? 0 : _dup2(file, number);
}
#define dup2(file, number) posix_dup2((file), (number))

static inline int pipe(int ends[2]) { return _pipe(ends, 4096, _O_BINARY); }

/* -- a watchdog -------------------------------------------------------------------------------- */

static VOID CALLBACK posix_bark(PVOID unused, BOOLEAN fired) {
    (void)unused, (void)fired;
    TerminateProcess(GetCurrentProcess(), POSIX_WATCHDOG);
}

/* One at a time; 0 ends it. It kills, and calls nobody. */
static inline unsigned alarm(unsigned seconds) {
    static HANDLE timer;
    if (timer) (void)!DeleteTimerQueueTimer(NULL, timer, NULL);
    timer = NULL;
    if (seconds)
        CreateTimerQueueTimer(&timer, NULL, posix_bark, NULL, seconds * 1000, 0,
                              WT_EXECUTEONLYONCE);
    return 0;
}

#define F_GETFD 1
static inline int fcntl(int file, int what) {
    (void)what;
    return _get_osfhandle(file) == -1 ? -1 : 0;
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Anonymous and private. */
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 32
#define MAP_FAILED NULL
#define mmap(at, bytes, prot, flags, file, offset) \
    VirtualAlloc((at), (bytes), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
#define munmap(start, bytes) VirtualFree((start), 0, MEM_RELEASE)

/* -- files ------------------------------------------------------------------------------------- */

static inline char *posix_temporary(char *pattern) {
    static unsigned count;
    size_t length = strlen(pattern);
    char made[7];
    snprintf(made, sizeof made, "%04x%02x", (unsigned)GetCurrentProcessId() & 0xffff,
             count++ & 0xff);
    memcpy(pattern + length - 6, made, 6);
    CreateDirectoryA("/tmp", NULL);
    return pattern;
}
/* A process before, whose number came again, may have left such a name. */
enum { POSIX_ATTEMPTS = 200 };
static inline char *mkdtemp(char *pattern) {
    for (int i = 0; i < POSIX_ATTEMPTS; i++)
        if (CreateDirectoryA(posix_temporary(pattern), NULL)) return pattern;
    return NULL;
}
/* mingw's refuses that the file is opened a second time. */
static inline int posix_mkstemp(char *pattern) {
    int file = -1;
    for (int i = 0; i < POSIX_ATTEMPTS && file < 0; i++)
        file = _open(posix_temporary(pattern), _O_RDWR | _O_CREAT | _O_EXCL | _O_BINARY, 0600);
    return file;
}
#define mkstemp(pattern) posix_mkstemp(pattern)

#endif
