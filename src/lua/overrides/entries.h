/* entries.h: every protected run counts as an entry into Lua; the depth tells whether the VM is
 * idle (V1), and the outermost one sees to the floating-point environment. unit.c wraps the entries
 * that pass no LUAI_TRY.
 */
#ifndef rlua_entries_h
#define rlua_entries_h

#include "fpenv.h"
#include "private.h"

/* The depth is put back, not counted down: an error thrown to the main thread's handler skips the
 * runs between, which then never count down. */
#define LUAI_THROW(L, c) RLUA_LONGJMP((c)->b, 1)
#define LUAI_TRY(L, c, a) \
  { \
    unsigned int rlua_outer = rlua_enter(L); \
    if (RLUA_SETJMP((c)->b) == 0) { a } \
    rlua_leave(L, rlua_outer); \
  }
#define luai_jmpbuf jmp_buf

#endif
