/* bcryptprimitives.c: a DLL that every Windows since 7 has and Wine 8 lacks. Rust's standard
 * library takes the seeds of its hash tables from it. Beside the test programs, for Wine alone.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG bytes); /* RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T bytes) {
    return SystemFunction036(buffer, (ULONG)bytes);
}
