/* harness.h: the small harness of the C and C++ tests; one program a file.
 *
 * A program starts itself again as a *runner*, which reports each test over a pipe. A failed
 * check ends the runner, and so does a crash: either is charged to the test that was running,
 * and a fresh runner carries on with the next one. So no test sees what a failed one left.
 *
 * Arguments: the names of the tests to run; none means all.
 * RLUA_TEST_DIRECT=1   no runner: one process, for a debugger or valgrind; stops at a failure.
 * RLUA_TEST_SCALE=n    heavy tests do one n-th of their work.
 * RLUA_REQUIRE_ALL=1   a test that cannot run here (NOT_RUN) counts as failed.
 * RLUA_TEST_EMULATOR   the words of a command that runs such programs, where the system does not:
 *                      a test that starts its own program again puts them in front.
 *
 * The last line is `N passed, N failed`; the exit status is 0 when the second N is 0.
 *
 * Not here: anything about what is tested, except the helpers every file needs. */
#ifndef RLUA_TEST_HARNESS_H
#define RLUA_TEST_HARNESS_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#ifndef _WIN32 /* there windows/posix.h stands in for them */
#include <sys/wait.h>
#endif
#include <unistd.h>

#include "rlua.h"
#ifdef __cplusplus
extern "C" {
#endif
#include "lauxlib.h"
#include "lualib.h"
#ifdef __cplusplus
}
#endif

#ifdef __MINGW_PRINTF_FORMAT /* C99's, as posix.h asks for it */
#define PRINTF __MINGW_PRINTF_FORMAT
#else
#define PRINTF printf
#endif
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { HARNESS_WATCHDOG_SECONDS = 900 };

typedef struct Test {
    const char *name;
    void (*body)(void);
    struct Test *next;
} Test;

static struct {
    Test *first, *last;
    const char *current;
    int events;   /* write end of the pipe to the supervisor; -1: none */
    int in_child; /* in a process made by in_child(): its parent reports */
    int children; /* that the current test had so far */
    int not_run;  /* the current test said NOT_RUN */
    int passed, failed, skipped;
} harness = {NULL, NULL, "", -1, 0, 0, 0, 0, 0, 0};

static inline void harness_add(Test *test) {
    if (harness.last) harness.last->next = test;
    else harness.first = test;
    harness.last = test;
}

#define TEST(name)                                                                          \
    static void name(void);                                                                 \
    static Test name##_test = {#name, name, NULL};                                          \
    __attribute__((constructor)) static void name##_add(void) { harness_add(&name##_test); } \
    static void name(void)

static inline void harness_event(char event) {
    if (harness.events >= 0 && write(harness.events, &event, 1) != 1) _exit(3);
}

static inline void harness_closing_line(void) {
    if (harness.skipped) printf("%d not run, see above\n", harness.skipped);
    printf("%d passed, %d failed\n", harness.passed, harness.failed);
    fflush(stdout);
}

__attribute__((noreturn, format(PRINTF, 3, 4))) static inline void
harness_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    fflush(stdout);
    fprintf(stderr, "FAIL %s\n     %s:%d: ", harness.current, file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (!harness.in_child) {
        harness_event('F');
        if (harness.events < 0) {
            harness.failed++;
            harness_closing_line();
        }
    }
    _exit(1);
}

__attribute__((format(PRINTF, 1, 2))) static inline void harness_not_run(const char *format, ...) {
    va_list args;
    harness.not_run = 1;
    fprintf(stderr, "\n*** NOT RUN: %s: ", harness.current);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs(" ***\n\n", stderr);
}

/* Ends the test, saying loudly what is missing and how to get it. */
#define NOT_RUN(...)                  \
    do {                              \
        harness_not_run(__VA_ARGS__); \
        return;                       \
    } while (0)

/* Ends the test where it is about what Windows has otherwise. */
#ifdef _WIN32
#define NOT_ON_WINDOWS(...) NOT_RUN(__VA_ARGS__)
#else
#define NOT_ON_WINDOWS(...) ((void)0)
#endif

#define FAIL(...) harness_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)                                           \
    do {                                                           \
        if (!(condition)) FAIL("this is false: %s", #condition);   \
    } while (0)

static inline void harness_eq(const char *file, int line, const char *text, long long actual,
                              long long expected) {
    if (actual != expected)
        harness_fail(file, line, "%s is %lld, expected %lld", text, actual, expected);
}

static inline void harness_str(const char *file, int line, const char *text, const char *actual,
                               const char *expected) {
    if (!actual || !expected || strcmp(actual, expected) != 0)
        harness_fail(file, line, "%s is \"%s\", expected \"%s\"", text,
                     actual ? actual : "(NULL)", expected ? expected : "(NULL)");
}

static inline void harness_status(const char *file, int line, const char *text, int actual,
                                  int expected) {
    if (actual != expected)
        harness_fail(file, line, "%s answered %d (%s), expected %d (%s); last error: %s", text,
                     actual, rlua_strerror(actual), expected, rlua_strerror(expected),
                     rlua_last_error(NULL));
}

#define CHECK_EQ(actual, expected) \
    harness_eq(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
#define CHECK_STR(actual, expected) harness_str(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_STATUS(call, expected) harness_status(__FILE__, __LINE__, #call, call, expected)
#define CHECK_OK(call) CHECK_STATUS(call, RLUA_OK)

/* Checks that the call is refused with `expected` and that a sentence about it is there. */
#define CHECK_REFUSED(call, expected)                                            \
    do {                                                                         \
        CHECK_STATUS(call, expected);                                            \
        CHECK(rlua_last_error(NULL) != NULL && strlen(rlua_last_error(NULL)) > 8); \
    } while (0)

#ifndef _WIN32
/* Goes on as another command: some words, then `argv`, up to NULL. Returns if it cannot. */
static inline void harness_exec(const char *words, char **argv) {
    char text[PATH_MAX], *command[64], *word;
    size_t count = 0;
    snprintf(text, sizeof text, "%s", words ? words : "");
    for (word = strtok(text, " "); word && count < 32; word = strtok(NULL, " "))
        command[count++] = word;
    while (*argv && count + 1 < COUNT_OF(command)) command[count++] = *argv++;
    command[count] = NULL;
    if (count > 0) execvp(command[0], command);
}

/* Goes on as a test program, whose path argv[0] is. */
static inline void run_again(char **argv) { harness_exec(getenv("RLUA_TEST_EMULATOR"), argv); }
#endif

static inline long test_scale(void) {
    const char *text = getenv("RLUA_TEST_SCALE");
    long scale = text ? strtol(text, NULL, 10) : 1;
    return scale > 0 ? scale : 1;
}

#ifdef _WIN32
/* RLUA_TEST_CHILD: the process goes through a test as far as its child of this number. The answers
 * of those before it follow. */
static inline int harness_replayed_child(const char *child, int number) {
    char *rest;
    if (strtol(child, &rest, 10) == number) return 1;
    for (; number > 0; number--) (void)strtol(rest, &rest, 10);
    harness.children++;
    return (int)strtol(rest, &rest, 10) - 1000;
}

/* As a process of its own that has gone through the same test, since there is no fork: what the
 * test did before is done once more, there. */
static inline int in_child(void (*body)(void *), void *argument) {
    static char answers[1024];
    const char *replay = getenv("RLUA_TEST_CHILD");
    char text[1100], *argv[] = {posix_self(), (char *)harness.current, NULL};
    int status, number = harness.children;
    pid_t child;
    if (replay) {
        int answer = harness_replayed_child(replay, number);
        if (harness.children > number) return answer;
        body(argument);
        fflush(stdout);
        exit(0);
    }
    if (number == 0) answers[0] = '\0';
    snprintf(text, sizeof text, "%d%s", number, answers);
    CHECK_EQ(setenv("RLUA_TEST_CHILD", text, 1), 0);
    fflush(stdout);
    fflush(stderr);
    child = posix_start(argv);
    unsetenv("RLUA_TEST_CHILD");
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    snprintf(text, sizeof text, " %d", status + 1000); /* no sign to be lost */
    CHECK(strlen(answers) + strlen(text) < sizeof answers);
    strcat(answers, text);
    harness.children++;
    return status;
}
#else
/* Runs `body` in a forked process; gives its exit status, or minus the signal it died by. */
static inline int in_child(void (*body)(void *), void *argument) {
    int status;
    pid_t child;
    fflush(stdout);
    fflush(stderr);
    child = fork();
    if (child == 0) {
        harness.in_child = 1;
        body(argument);
        fflush(stdout);
        exit(0);
    }
    CHECK(child > 0);
    while (waitpid(child, &status, 0) < 0) CHECK_EQ(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
#endif

/* Runs a chunk that must succeed; leaves the stack as it was. */
static inline void run(lua_State *L, const char *chunk) {
    int top = lua_gettop(L);
    if (luaL_dostring(L, chunk) != LUA_OK)
        harness_fail(__FILE__, __LINE__, "the chunk\n%s\nfailed: %s", chunk, lua_tostring(L, -1));
    lua_settop(L, top);
}

/* Writes the expression's value, as text, to `buffer`. */
static inline const char *eval(lua_State *L, const char *expression, char *buffer, size_t size) {
    char chunk[512];
    int top = lua_gettop(L);
    snprintf(chunk, sizeof chunk, "return (%s)", expression);
    if (luaL_dostring(L, chunk) != LUA_OK)
        harness_fail(__FILE__, __LINE__, "%s failed: %s", chunk, lua_tostring(L, -1));
    snprintf(buffer, size, "%s", luaL_tolstring(L, -1, NULL));
    lua_settop(L, top);
    return buffer;
}

static inline void harness_eval(const char *file, int line, lua_State *L, const char *expression,
                                const char *expected) {
    char buffer[512];
    harness_str(file, line, expression, eval(L, expression, buffer, sizeof buffer), expected);
}

/* Checks the text of an expression's value, evaluated in the VM. */
#define CHECK_EVAL(L, expression, expected) \
    harness_eval(__FILE__, __LINE__, L, expression, expected)

static inline long long global_int(lua_State *L, const char *name) {
    long long value;
    int is_integer;
    lua_getglobal(L, name);
    value = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer) FAIL("global %s is no integer but a %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return value;
}

/* A VM with the standard libraries. */
static inline lua_State *open_vm(size_t memory_size, size_t max_snapshots) {
    lua_State *L = rlua_new_rollback(memory_size, max_snapshots);
    if (!L) FAIL("rlua_new_rollback(%zu, %zu): %s", memory_size, max_snapshots,
                 rlua_last_error(NULL));
    luaL_openlibs(L);
    return L;
}

static inline rlua_Info info_of(lua_State *L) {
    rlua_Info info;
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    CHECK_OK(rlua_info(L, &info));
    return info;
}

static inline size_t snapshot_count(lua_State *L) {
    size_t count = 0;
    CHECK_OK(rlua_snapshot_count(L, &count));
    return count;
}

static inline int harness_selected(const Test *test, char **names) {
    if (!*names) return 1;
    for (; *names; names++)
        if (strcmp(*names, test->name) == 0) return 1;
    return 0;
}

static inline void harness_count(char event, const char *name) {
    if (event == 'N') {
        harness.skipped++;
        if (getenv("RLUA_REQUIRE_ALL")) {
            harness.failed++;
            fprintf(stderr, "FAIL %s: not run, and RLUA_REQUIRE_ALL is set\n", name);
        }
    } else if (event == 'P') {
        harness.passed++;
        printf("ok   %s\n", name);
    } else {
        harness.failed++;
    }
}

/* Runs the selected tests from number `from` on. */
static inline void harness_run_from(int from, char **names) {
    int index = 0;
    Test *test;
    for (test = harness.first; test; test = test->next) {
        if (!harness_selected(test, names) || index++ < from) continue;
        harness.current = test->name;
        harness.not_run = 0;
        harness.children = 0;
        harness_event('S');
        alarm(HARNESS_WATCHDOG_SECONDS);
        test->body();
        alarm(0);
        fflush(stdout);
        if (harness.events >= 0) harness_event(harness.not_run ? 'N' : 'P');
        else harness_count(harness.not_run ? 'N' : 'P', test->name);
    }
}

static inline pid_t harness_spawn(int from, char **argv, int *events) {
    int ends[2];
    char text[16];
    pid_t child;
    if (pipe(ends) != 0) FAIL("pipe: %s", strerror(errno));
    fflush(stdout);
    snprintf(text, sizeof text, "%d", ends[1]);
    setenv("RLUA_TEST_EVENTS", text, 1);
    snprintf(text, sizeof text, "%d", from);
    setenv("RLUA_TEST_FROM", text, 1);
#ifdef _WIN32
    child = posix_start(argv);
#else
    child = fork();
#endif
    if (child < 0) FAIL("cannot start a process: %s", strerror(errno));
    if (child > 0) {
        close(ends[1]);
        *events = ends[0];
        return child;
    }
#ifndef _WIN32
    close(ends[0]);
    run_again(argv);
    fprintf(stderr, "cannot start %s: %s\n", argv[0], strerror(errno));
#endif
    _exit(127);
}

static inline void harness_report_end(const char *name, int running, int status) {
    if (!running && WIFEXITED(status) && WEXITSTATUS(status) <= 1) {
        if (WEXITSTATUS(status) == 0 || harness.failed) return;
    }
    harness.failed++;
    fflush(stdout);
    if (WIFSIGNALED(status))
        fprintf(stderr, "FAIL %s: died by signal %d (%s)\n", name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else
        fprintf(stderr, "FAIL %s: the process ended with status %d\n", name,
                WEXITSTATUS(status));
}

/* One runner; gives the number of tests it began. */
static inline int harness_one_runner(int from, char **argv, Test **next) {
    int events, status, began = 0, running = 0;
    char event;
    const char *name = "(before the first test)";
    pid_t child = harness_spawn(from, argv, &events);
    while (read(events, &event, 1) == 1) {
        if (event == 'S') {
            while (!harness_selected(*next, argv + 1)) *next = (*next)->next;
            name = (*next)->name;
            *next = (*next)->next;
            began++;
            running = 1;
        } else {
            running = 0;
            harness_count(event, name);
        }
    }
    close(events);
    while (waitpid(child, &status, 0) < 0) CHECK_EQ(errno, EINTR);
    harness_report_end(name, running, status);
    return began;
}

#ifndef HARNESS_NO_MAIN /* the fuzzers have their own */
int main(int argc, char **argv) {
    const char *events = getenv("RLUA_TEST_EVENTS"), *from = getenv("RLUA_TEST_FROM");
    int done = 0, total = 0, began = 1;
    Test *test;
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (test = harness.first; test; test = test->next)
        total += harness_selected(test, argv + 1);
    if (getenv("RLUA_TEST_CHILD")) { /* ends inside the test; see in_child() */
        harness.in_child = 1;
        harness_run_from(0, argv + 1);
        return 126;
    }
    if (events && from) {
        harness.events = (int)strtol(events, NULL, 10);
        harness_run_from((int)strtol(from, NULL, 10), argv + 1);
        return 0;
    }
    if (total == 0) FAIL("no such test");
    if (getenv("RLUA_TEST_DIRECT")) {
        harness_run_from(0, argv + 1);
    } else {
        for (test = harness.first; done < total && began > 0; done += began)
            began = harness_one_runner(done, argv, &test);
    }
    harness_closing_line();
    return harness.failed ? 1 : 0;
}
#endif

#endif
