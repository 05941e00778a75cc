/* files.c: the files and processes behind the handles of the io library.
 *
 * A handle is plain data: open or closed, it rolls back. What it stands for lies outside, is noted
 * there when it is opened (vm/streams.rs, as a resource is) and ends once, when neither the live
 * state nor a held snapshot has it open. Until then f:close() flushes a file, and ends a process,
 * since its status has to be told; that status is remembered for a close that runs again, and the
 * stream of an ended process answers errors.
 *
 * Invariants
 * - O2 *open*: a handle that is not closed, in the live state or in a held snapshot, has a `FILE`
 *   that is not closed.
 *
 * Part of the one translation unit, behind protect.h; overrides/files.h brings it into liolib.c.
 * Not here: how a process is started and waited for (processes_posix.c, processes_windows.c);
 * handles that C modules make with a `closef` of their own; those are guarded (guarded.c). Position
 * and content of files, which do not roll back.
 */
#ifdef _WIN32
#include "processes_windows.c"
#else
#include "processes_posix.c"
#endif

static Pipe *open_pipe(const char *command, const char *mode) {
  int ends[2], error;
  Pipe *process = malloc(sizeof *process);
  if (process == NULL) return NULL;
  *process = (Pipe){.writes = mode[0] == 'w', .status = -1};
  fflush(NULL);
  if (make_pipe(ends, mode) == 0) {
    int ours = ends[process->writes];
    process->file = fdopen(ours, mode);
    error = process->file != NULL ? start(process, command, ends) : errno;
    if (error == 0) return process;
    if (process->file != NULL) fclose(process->file);
    else close(ours), close(ends[!process->writes]);
    errno = error;
  }
  error = errno;
  free(process);
  errno = error;
  return NULL;
}

/* The block of a handle. Hosts know its first part. */
typedef struct Stream {
  luaL_Stream public;
  uint64_t magic;
  uint64_t id; /* of what it stands for, in the table outside; 0 while there is nothing */
  Pipe *pipe;
} Stream;

#define STREAM_MAGIC ((uint64_t)0x316D61657274736F)

static int rlua_is_stream(const Udata *u) {
  return u->len == sizeof(Stream) && ((Stream *)getudatamem((Udata *)u))->magic == STREAM_MAGIC;
}

/* What a stream has outside the VM, in bytes of garbage that make the collector work: a buffer, and
 * a descriptor, of which a process has few. A script that forgets to close its files, in a VM whose
 * collector takes its time, would else use them up. In a VM without snapshots, too: the collector
 * must not differ between peers of which only some keep snapshots. */
#define STREAM_DEBT (16 * 1024)

static void owe(lua_State *L, l_mem bytes) {
  global_State *g = G(L);
  if (g->own.in_arena) luaE_setdebt(g, g->GCdebt + bytes);
}

/* Whether the collector called the function that runs. */
#define in_finalizer(L) ((L)->ci->previous != NULL && ((L)->ci->previous->callstatus & CIST_FIN))

/* What a script closes is taken off again, whether or not a snapshot has it: what the collector
 * does depends on the state alone. */
static void repay(lua_State *L) {
  if (!in_finalizer(L)) owe(L, -STREAM_DEBT);
}

static void *rlua_new_stream(lua_State *L) {
  owe(L, STREAM_DEBT);
  Stream *stream = lua_newuserdatauv(L, sizeof(Stream), 0);
  memset(stream, 0, sizeof *stream);
  stream->magic = STREAM_MAGIC;
  return stream;
}

#define in_vm(L) (G(L)->own.in_arena)

/* Notes what was opened; where there is no memory for that, it is closed again. */
static void note_opened(lua_State *L, Stream *stream, void *object, int kind) {
  if (!hooks.opened(L, stream, object, kind, &stream->id)) {
    stream->id = 0;
    rlua_c_close_stream(object, kind);
    luaM_error(L);
  }
}

static FILE *rlua_opened(lua_State *L, luaL_Stream *p, FILE *file) {
  if (file != NULL && in_vm(L)) note_opened(L, (Stream *)p, file, STREAM_FILE);
  return file;
}

/* As fclose, of a handle that was closed in the state. */
static int rlua_close_file(lua_State *L, luaL_Stream *p) {
  Stream *stream = (Stream *)p;
  if (stream->id == 0) return fclose(p->f);
  repay(L);
  switch (hooks.closed(L, stream, stream->id)) {
    case END_NOW: return fclose(p->f);
    case END_LATER: return RLUA_FLUSH(p->f);
    default: errno = EBADF; return EOF;
  }
}

/* -- processes --------------------------------------------------------------------------------- */

/* Closes the pipe and waits for the process. The `FILE` stays, on a descriptor that can neither be
 * read nor written where it was before. */
static int end_process(Pipe *process) {
  fflush(process->file);
  if (!make_useless(process)) return -1;
  wait_for(process);
  return process->status;
}

/* Nothing has the handle any more. */
static int end_pipe(Pipe *process) {
  fclose(process->file);
  if (!process->ended) wait_for(process);
  int status = process->status;
  free(process);
  return status;
}

static FILE *rlua_popen(lua_State *L, luaL_Stream *p, const char *command, const char *mode) {
  Stream *stream = (Stream *)p;
  if (!in_vm(L)) return fflush(NULL), stock_popen(command, mode);
  Pipe *process = open_pipe(command, mode);
  if (process == NULL) return NULL;
  note_opened(L, stream, process, STREAM_PIPE);
  stream->pipe = process;
  return process->file;
}

/* Fits luaL_execresult, which looks at errno too. */
static int answer(int status) {
  if (status != -1) errno = 0;
  else if (errno == 0) errno = ECHILD;
  return status;
}

/* As pclose. A handle that was collected while a snapshot has it ends no process yet. */
static int rlua_pclose(lua_State *L, luaL_Stream *p) {
  Stream *stream = (Stream *)p;
  Pipe *process = stream->pipe;
  if (process == NULL) return stock_pclose(p->f);
  repay(L);
  switch (hooks.closed(L, stream, stream->id)) {
    case END_NOW: return answer(end_pipe(process));
    case END_PAST: errno = EBADF; return -1;
    default: break;
  }
  if (in_finalizer(L)) return 0;
  return answer(process->ended ? process->status : end_process(process));
}

/* Ends what a handle stood for. */
void rlua_c_close_stream(void *object, int kind) {
  if (kind == STREAM_FILE) fclose(object);
  else end_pipe(object);
}
