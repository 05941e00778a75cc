/* terminal.c: see terminal.h. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Another screen and no cursor; and back, with plain ink. */
static const char TAKE[] = "\033[?1049h\033[?25l\033[2J";
static const char GIVE[] = "\033[0m\033[?25h\033[?1049l";

static struct termios before;
static volatile sig_atomic_t taken;

/* What a signal handler may call, too. */
static void write_all(const char *text, size_t length) {
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        if (written < 0 && errno != EINTR && errno != EAGAIN) return;
        if (written > 0) text += written, length -= (size_t)written;
    }
}

static void take(void) {
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
    raw.c_cc[VMIN] = raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    write_all(TAKE, sizeof TAKE - 1);
    taken = 1;
}

void terminal_close(void) {
    if (!taken) return;
    taken = 0;
    write_all(GIVE, sizeof GIVE - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* Gives the terminal back, and lets the signal do what it does. */
static void on_end(int signal_number) {
    int saved = errno;
    terminal_close();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    errno = saved;
}

static void on_stop(int signal_number) {
    int saved = errno;
    sigset_t set;
    terminal_close();
    signal(signal_number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    raise(signal_number);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here, until it is continued */
    signal(signal_number, on_stop);
    take();
    errno = saved;
}

bool terminal_open(void) {
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGABRT,
                               SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action;
    size_t at;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return false;
    if (tcgetattr(STDIN_FILENO, &before) != 0) return false;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_end;
    for (at = 0; at < sizeof ends / sizeof *ends; at++) sigaction(ends[at], &action, NULL);
    action.sa_handler = on_stop;
    sigaction(SIGTSTP, &action, NULL);
    atexit(terminal_close);
    take();
    return true;
}

static int read_byte(void) {
    unsigned char byte;
    return read(STDIN_FILENO, &byte, 1) == 1 ? byte : -1;
}

/* ESC [ letter, ESC O letter, ESC [ number ~: what terminals send for the keys above. */
static int escape(void) {
    int byte = read_byte(), number = 0;
    if (byte != '[' && byte != 'O') return KEY_NONE;
    do {
        byte = read_byte();
        if (byte >= '0' && byte <= '9') number = number * 10 % 1000 + byte - '0';
    } while ((byte >= '0' && byte <= '9') || byte == ';');
    switch (byte) {
    case 'A': return KEY_UP;
    case 'B': return KEY_DOWN;
    case 'C': return KEY_RIGHT;
    case 'D': return KEY_LEFT;
    case 'H': return KEY_HOME;
    case 'F': return KEY_END;
    case '~':
        if (number == 1 || number == 7) return KEY_HOME;
        return number == 4 || number == 8 ? KEY_END : KEY_NONE;
    default: return KEY_NONE;
    }
}

int terminal_key(void) {
    int byte = read_byte();
    if (byte < 0) return KEY_NONE;
    if (byte == 033) return escape();
    if (byte == '\r' || byte == '\n') return KEY_ENTER;
    return byte;
}

void terminal_size(int *columns, int *rows) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

void terminal_write(const char *text, size_t length) { write_all(text, length); }
