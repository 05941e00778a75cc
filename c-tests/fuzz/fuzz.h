/* fuzz.h: what the fuzzers share: options, one child process a seed.
 *
 * A run is told by its seed alone. Each seed runs in a child, so that a crash is a finding and not
 * the end; where the run was (frame, step, what it did) lies in a page that both share. The child
 * is forked; on Windows it is this program again, and RLUA_FUZZ_PLACE names the page.
 *
 * Options: --seed S      the first seed (default 1); the next ones follow
 *          --seconds N   no new seed is begun after that time (default 10); 0: one seed only
 *          --frames N    length of a run
 *          --findings N  stop after that many seeds failed (default 5)
 * RLUA_TEST_SCALE divides the seconds. The closing line counts seeds.
 *
 * Not here: what a fuzzer does. */
#ifndef RLUA_FUZZ_H
#define RLUA_FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define HARNESS_NO_MAIN
#include "../harness.h"
#include "../random.h"

#include <limits.h>
#include <time.h>
#ifndef _WIN32 /* there windows/posix.h stands in for it */
#include <sys/mman.h>
#endif

enum { FUZZ_COUNTS = 12, FUZZ_WATCHDOG_SECONDS = 120 };

/* Where a run is, for the parent that survives it. */
typedef struct FuzzPlace {
    uint64_t seed;
    long frame, step;
    char what[96];
    unsigned long long counts[FUZZ_COUNTS];
} FuzzPlace;

typedef struct Fuzzer {
    const char *name;
    long frames; /* of a run, where no option tells */
    void (*body)(uint64_t seed, long frames);
    const char *counted[FUZZ_COUNTS]; /* names of the counts, NULL after the last */
} Fuzzer;

static FuzzPlace *fuzz;
/* Whole pages, however large they are. */
enum { FUZZ_SHARED_BYTES = 1 << 16 };

__attribute__((format(PRINTF, 1, 2))) static inline void doing(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(fuzz->what, sizeof fuzz->what, format, args);
    va_end(args);
}

static inline double fuzz_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

__attribute__((noreturn)) static inline void fuzz_body(const Fuzzer *fuzzer, uint64_t seed,
                                                        long frames) {
    harness.in_child = 1;
    harness.current = fuzzer->name;
    alarm((unsigned)(FUZZ_WATCHDOG_SECONDS * test_scale()));
    fuzzer->body(seed, frames);
    alarm(0);
    fflush(stdout);
    _exit(0);
}

#ifdef _WIN32
/* Answers whether this process is the child of a seed. */
static inline int fuzz_map(void) {
    char name[40];
    const char *given = getenv("RLUA_FUZZ_PLACE");
    HANDLE page;
    snprintf(name, sizeof name, "rlua-fuzz-%lu", (unsigned long)GetCurrentProcessId());
    page = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, sizeof *fuzz,
                              given ? given : name);
    fuzz = page ? MapViewOfFile(page, FILE_MAP_ALL_ACCESS, 0, 0, sizeof *fuzz) : NULL;
    if (!fuzz) FAIL("no page to share: error %lu", (unsigned long)GetLastError());
    if (!given) setenv("RLUA_FUZZ_PLACE", name, 1);
    return given != NULL;
}

static inline pid_t fuzz_start(const Fuzzer *fuzzer, uint64_t seed, long frames) {
    char texts[2][24];
    char *argv[] = {posix_self(), "--seed", texts[0], "--frames", texts[1], NULL};
    (void)fuzzer;
    snprintf(texts[0], sizeof texts[0], "%llu", (unsigned long long)seed);
    snprintf(texts[1], sizeof texts[1], "%ld", frames);
    return posix_start(argv);
}
#else
static inline int fuzz_map(void) {
    fuzz = mmap(NULL, FUZZ_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fuzz == MAP_FAILED) FAIL("mmap: %s", strerror(errno));
    return 0;
}

static inline pid_t fuzz_start(const Fuzzer *fuzzer, uint64_t seed, long frames) {
    pid_t child = fork();
    if (child == 0) fuzz_body(fuzzer, seed, frames);
    return child;
}
#endif

static inline int fuzz_one(const Fuzzer *fuzzer, const char *program, uint64_t seed, long frames) {
    int status;
    pid_t child;
    fuzz->seed = seed;
    fuzz->frame = fuzz->step = 0;
    doing("the start");
    fflush(stdout);
    fflush(stderr);
    child = fuzz_start(fuzzer, seed, frames);
    if (child < 0) FAIL("cannot start a process: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0) CHECK_EQ(errno, EINTR);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "FAIL %s: died by signal %d (%s)\n", fuzzer->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    fprintf(stderr, "     seed %llu, frame %ld, step %ld, in: %s\n",
            (unsigned long long)seed, fuzz->frame, fuzz->step, fuzz->what);
    fprintf(stderr, "     again: %s --seed %llu --seconds 0 --frames %ld\n", program,
            (unsigned long long)seed, frames);
    return 0;
}

static inline long fuzz_option(int argc, char **argv, const char *name, long usual) {
    int i;
    for (i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return strtol(argv[i + 1], NULL, 0);
    return usual;
}

static inline void fuzz_counts(const Fuzzer *fuzzer) {
    int i;
    printf("%s:", fuzzer->name);
    for (i = 0; i < FUZZ_COUNTS && fuzzer->counted[i]; i++)
        printf("%s %llu %s", i ? "," : "", fuzz->counts[i], fuzzer->counted[i]);
    putchar('\n');
}

static inline int fuzz_main(const Fuzzer *fuzzer, int argc, char **argv) {
    uint64_t first = (uint64_t)fuzz_option(argc, argv, "--seed", 1), seed = first;
    long frames = fuzz_option(argc, argv, "--frames", fuzzer->frames);
    long findings = fuzz_option(argc, argv, "--findings", 5);
    double seconds = (double)fuzz_option(argc, argv, "--seconds", 10) / (double)test_scale();
    double end = fuzz_seconds() + seconds;
    harness.current = fuzzer->name;
    if (fuzz_map()) fuzz_body(fuzzer, first, frames);
    do {
        if (fuzz_one(fuzzer, argv[0], seed, frames)) harness.passed++;
        else harness.failed++;
        seed++;
    } while (harness.failed < findings && fuzz_seconds() < end);
    printf("%s: seeds %llu to %llu, %ld frames each\n", fuzzer->name, (unsigned long long)first,
           (unsigned long long)seed - 1, frames);
    fuzz_counts(fuzzer);
    harness_closing_line();
    return harness.failed ? 1 : 0;
}

#endif
