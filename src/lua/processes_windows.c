/* processes_windows.c: the processes of io.popen on Windows. Part of files.c, which says when they
 * are started and ended.
 */
#include <fcntl.h>
#include <io.h>

/* Of states that are no VMs of ours. */
#define stock_popen(command, mode) _popen((command), (mode))
#define stock_pclose(file) _pclose(file)

/* A process that io.popen started. Outside the VM. */
typedef struct Pipe {
  FILE *file;
  HANDLE handle;
  int writes; /* the script writes, and the process reads */
  int ended;
  int status; /* what it exited with; -1 where there was none to wait for */
} Pipe;

/* Neither end is inherited. */
#define make_pipe(ends, mode) \
  _pipe((ends), 4096, ((mode)[1] == 'b' ? _O_BINARY : _O_TEXT) | _O_NOINHERIT)

/* A handle that the process shall have, of one of ours or of none. */
static HANDLE inherited(HANDLE handle) {
  HANDLE copy = NULL, self = GetCurrentProcess();
  if (handle == NULL || handle == INVALID_HANDLE_VALUE) return NULL;
  if (!DuplicateHandle(self, handle, self, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS)) return NULL;
  return copy;
}

/* Starts the command interpreter with one end of a pipe, which is closed here. */
static int start(Pipe *process, const char *command, int ends[2]) {
  const char *shell = getenv("COMSPEC");
  int theirs = ends[!process->writes];
  HANDLE pipe = (HANDLE)_get_osfhandle(theirs);
  STARTUPINFOA how = {.cb = sizeof how, .dwFlags = STARTF_USESTDHANDLES};
  PROCESS_INFORMATION made;
  if (shell == NULL) shell = "cmd.exe";
  size_t room = strlen(shell) + strlen(command) + sizeof "\"\" /c ";
  char *line = malloc(room);
  BOOL done = FALSE;
  if (line != NULL) {
    snprintf(line, room, "\"%s\" /c %s", shell, command);
    how.hStdInput = inherited(process->writes ? pipe : GetStdHandle(STD_INPUT_HANDLE));
    how.hStdOutput = inherited(process->writes ? GetStdHandle(STD_OUTPUT_HANDLE) : pipe);
    how.hStdError = inherited(GetStdHandle(STD_ERROR_HANDLE));
    done = CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &how, &made);
    if (how.hStdInput != NULL) CloseHandle(how.hStdInput);
    if (how.hStdOutput != NULL) CloseHandle(how.hStdOutput);
    if (how.hStdError != NULL) CloseHandle(how.hStdError);
    free(line);
  }
  _close(theirs);
  if (!done) return line == NULL ? ENOMEM : ENOENT;
  CloseHandle(made.hThread);
  process->handle = made.hProcess;
  return 0;
}

static void wait_for(Pipe *process) {
  DWORD status;
  int ended = WaitForSingleObject(process->handle, INFINITE) == WAIT_OBJECT_0 &&
              GetExitCodeProcess(process->handle, &status);
  process->status = ended ? (int)status : -1;
  process->ended = 1;
  CloseHandle(process->handle);
}

/* Ends what the process reads or writes: the descriptor is another one from then on. */
static int make_useless(Pipe *process) {
  int null = _open("NUL", (process->writes ? _O_RDONLY : _O_WRONLY) | _O_NOINHERIT);
  if (null == -1) return 0;
  int moved = _dup2(null, _fileno(process->file));
  _close(null);
  return moved == 0;
}
