/* fuzz.h: what the fuzzers share: options, one child process a seed.
 *
 * A run is told by its seed alone. Each seed runs in a forked child, so that a crash is a finding
 * and not the end; where the run was (frame, step, what it did) lies in a page that both share.
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
#include <sys/mman.h>
#include <time.h>

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

__attribute__((format(printf, 1, 2))) static inline void doing(const char *format, ...) {
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

static inline int fuzz_one(const Fuzzer *fuzzer, const char *program, uint64_t seed, long frames) {
    int status;
    pid_t child;
    fuzz->seed = seed;
    fuzz->frame = fuzz->step = 0;
    doing("the start");
    fflush(stdout);
    fflush(stderr);
    child = fork();
    if (child == 0) {
        harness.in_child = 1;
        harness.current = fuzzer->name;
        alarm((unsigned)(FUZZ_WATCHDOG_SECONDS * test_scale()));
        fuzzer->body(seed, frames);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0) FAIL("fork: %s", strerror(errno));
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
    fuzz = mmap(NULL, sizeof *fuzz, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fuzz == MAP_FAILED) FAIL("mmap: %s", strerror(errno));
    harness.current = fuzzer->name;
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
