/* processes_posix.c: the processes of io.popen where there is POSIX. Part of files.c, which says
 * when they are started and ended.
 */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Of states that are no VMs of ours. */
#define stock_popen(command, mode) popen((command), (mode))
#define stock_pclose(file) pclose(file)

/* A process that io.popen started. Outside the VM. */
typedef struct Pipe {
  FILE *file;
  pid_t pid;
  int writes; /* the script writes, and the process reads */
  int ended;
  int status; /* of waitpid; -1 where there was none to wait for */
} Pipe;

/* Both ends close on exec; text and bytes are one. */
#ifdef __linux__
int pipe2(int ends[2], int flags); /* declared for _GNU_SOURCE alone */
#define make_pipe(ends, mode) pipe2((ends), O_CLOEXEC)
#else
/* A process that another thread starts between the calls has both ends, too. */
static int make_pipe(int ends[2], const char *mode) {
  (void)mode;
  if (pipe(ends) != 0) return -1;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  return 0;
}
#endif

/* Starts a shell with one end of a pipe, which is closed here; the other end closes on exec. */
static int start(Pipe *process, const char *command, int ends[2]) {
  char shell[] = "/bin/sh", sh[] = "sh", c[] = "-c";
  char *const args[] = {sh, c, (char *)command, NULL};
  posix_spawn_file_actions_t actions;
  int theirs = ends[!process->writes], error = posix_spawn_file_actions_init(&actions);
  if (error == 0) {
    error = posix_spawn_file_actions_adddup2(&actions, theirs, !process->writes);
    if (error == 0) error = posix_spawn(&process->pid, shell, &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
  }
  close(theirs);
  return error;
}

static void wait_for(Pipe *process) {
  int status;
  pid_t found;
  do found = waitpid(process->pid, &status, 0);
  while (found == -1 && errno == EINTR);
  process->status = found == -1 ? -1 : status;
  process->ended = 1;
}

/* Ends what the process reads or writes: the descriptor is another one from then on. */
static int make_useless(Pipe *process) {
  int file = fileno(process->file);
  int null = open("/dev/null", (process->writes ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
  if (null == -1) return 0;
  int moved = dup2(null, file);
  close(null);
  if (moved == -1) return 0;
  fcntl(file, F_SETFD, FD_CLOEXEC);
  return 1;
}
