/* pyconfig.h: what CPython's headers ask of the machine, for Windows on x86-64 as GCC compiles for
 * it. Linux has the headers without the one of Windows; all others are the same on each platform.
 *
 * Not here: what CPython asks for while it is built itself. */
#ifndef RLUA_PYCONFIG_H
#define RLUA_PYCONFIG_H

#define MS_WINDOWS 1
#define MS_WIN32 1
#define MS_WIN64 1
#define NT_THREADS 1

/* What is in python3N.dll is imported from there. */
#define Py_ENABLE_SHARED 1
#define HAVE_DECLSPEC_DLL 1

#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_PID_T 4
#define SIZEOF_SIZE_T 8
#define SIZEOF_VOID_P 8
#define SIZEOF_WCHAR_T 2

#define HAVE_STDDEF_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_WCHAR_H 1

#define WITH_DOC_STRINGS 1
#define WITH_PYMALLOC 1

#endif
