/* files.h: the io library's handles roll back, and what they stand for is closed once (files.c).
 * Before liolib.c; each place has the handle as `p` and the thread as `L`. */
#ifndef rlua_files_h
#define rlua_files_h

#include <stdio.h>

#include "lauxlib.h"

static int rlua_is_stream(const Udata *u);
static void *rlua_new_stream(lua_State *L);
static FILE *rlua_opened(lua_State *L, luaL_Stream *p, FILE *file);
static int rlua_close_file(lua_State *L, luaL_Stream *p);
static FILE *rlua_popen(lua_State *L, luaL_Stream *p, const char *command, const char *mode);
static int rlua_pclose(lua_State *L, luaL_Stream *p);

#define lua_newuserdatauv(L, size, nuvalue) rlua_new_stream(L)
#define fopen(name, mode) rlua_opened(L, p, (fopen)(name, mode))
#define tmpfile() rlua_opened(L, p, (tmpfile)())
#define fclose(file) rlua_close_file(L, p)
#define l_popen(L, command, mode) rlua_popen(L, p, command, mode)
#define l_pclose(L, file) rlua_pclose(L, p)

#endif
