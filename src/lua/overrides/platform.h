/* platform.h: what differs between operating systems, for the whole unit. Everything else in C is
 * the same, but for the processes behind io.popen (processes_posix.c, processes_windows.c).
 *
 * First of all: Windows' headers must be read before anything is redefined, and LUA_USE_C89 undone
 * before Lua's other headers look at it.
 */
#ifndef rlua_platform_h
#define rlua_platform_h

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Not visible outside the library. On Windows that is all that the list of exports does not name
 * (build.rs). */
#ifdef _WIN32
#define RLUA_INTERNAL
#else
#define RLUA_INTERNAL __attribute__((visibility("hidden")))
#endif

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <float.h>
#include <io.h>
#include <limits.h>
#include <locale.h>
#include <windows.h>

/* luaconf.h takes Windows for C of 1989, and scripts would see it: in math.log(x, 2), for one. */
#include "luaconf.h"
#undef LUA_USE_C89

/* Without a frame, longjmp restores registers and unwinds nothing: it passes Rust frames that own
 * nothing (L1), and asks no tables. */
#define RLUA_SETJMP(buffer) _setjmp((buffer), NULL)
#define RLUA_LONGJMP(buffer, value) longjmp((buffer), (value))

/* The printf that build.rs asks for. */
#define RLUA_PRINTF __MINGW_PRINTF_FORMAT

/* `long` is 4 bytes here; scripts see 8 everywhere (string.pack's "l"). */
#define RLUA_LONG long long

/* Of which the C library knows a part; clock.c has the others (LUA_STRFTIMEOPTIONS). */
#define RLUA_STRFTIME_KNOWN "aAbBcdHIjmMpSUwWxXyYzZ"
#define LUA_STRFTIMEOPTIONS \
  "aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%" \
  "||" "EcECExEXEyEY" "OdOeOHOIOmOMOSOuOUOVOwOWOy"

static inline struct tm *rlua_gmtime_r(const time_t *t, struct tm *tm) {
  return gmtime_s(tm, t) == 0 ? tm : NULL;
}
static inline struct tm *rlua_localtime_r(const time_t *t, struct tm *tm) {
  return localtime_s(tm, t) == 0 ? tm : NULL;
}

/* os.tmpname: the name of a file that is there and empty; not 0 where there is none. */
#define LUA_TMPNAMBUFSIZE (MAX_PATH + 1)
static inline int rlua_make_temporary(char *name) {
  char folder[MAX_PATH + 1];
  DWORD length = GetTempPathA(sizeof folder, folder);
  return length == 0 || length >= sizeof folder || GetTempFileNameA(folder, "lua", 0, name) == 0;
}

/* What separates folders is a constant of loadlib.c, but in the deterministic profile
 * (packages.h). */
#define RLUA_SEPARATOR_VARIES

/* fflush throws away what has been read ahead. */
#define RLUA_FLUSH(file) ((file)->_flag & _IOREAD ? 0 : fflush(file))

/* Files of more than 2 GiB. */
#define l_fseek(file, offset, whence) _fseeki64((file), (offset), (whence))
#define l_ftell(file) _ftelli64(file)
#define l_seeknum long long

#else
#include <unistd.h>

#define RLUA_SETJMP(buffer) _setjmp(buffer)
#define RLUA_LONGJMP(buffer, value) _longjmp((buffer), (value))

#define RLUA_PRINTF printf

#define RLUA_FLUSH(file) fflush(file)

#define RLUA_LONG long

static inline struct tm *rlua_gmtime_r(const time_t *t, struct tm *tm) { return gmtime_r(t, tm); }
static inline struct tm *rlua_localtime_r(const time_t *t, struct tm *tm) {
  return localtime_r(t, tm);
}

#define LUA_TMPNAMBUFSIZE 32
static inline int rlua_make_temporary(char *name) {
  int file = mkstemp(strcpy(name, "/tmp/lua_XXXXXX"));
  if (file != -1) close(file);
  return file == -1;
}

#endif

#endif
