/* processes.c: processes of io.popen on Windows end once, and tell their status again.
 * Method: the commands are cmd.exe's. What files and processes do on POSIX: ../iofiles.c. */
#include "harness.h"

#include <tlhelp32.h>

/* Processes that this one has started and that run still. */
static int children(void) {
    PROCESSENTRY32 entry = {.dwSize = sizeof entry};
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    int count = 0;
    BOOL more;
    CHECK(all != INVALID_HANDLE_VALUE);
    for (more = Process32First(all, &entry); more; more = Process32Next(all, &entry))
        count += entry.th32ParentProcessID == GetCurrentProcessId();
    CloseHandle(all);
    return count;
}

static DWORD handles(void) {
    DWORD count = 0;
    CHECK(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

TEST(a_status_is_told_again) {
    lua_State *L = open_vm(4 * MIB, 4);
    int round;
    run(L, "r = io.popen 'echo one& exit 3'");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        if (round == 0) run(L, "assert(r:read 'l' == 'one')");
        run(L, "a, b, c = r:close() assert(a == nil and b == 'exit' and c == 3)");
        CHECK_EVAL(L, "io.type(r)", "closed file");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "io.type(r)", "file");
        CHECK_OK(rlua_check(L));
    }
    run(L, "assert(io.popen('exit 0'):close() == true)");
    lua_close(L);
}

TEST(what_is_written_arrives) {
    lua_State *L = open_vm(4 * MIB, 4);
    run(L, "name = 'rlua-processes.tmp' w = io.popen('more >\"' .. name .. '\"', 'w')");
    run(L, "w:write 'sent' assert(w:close())");
    run(L, "f = assert(io.open(name)) assert(f:read 'a':find 'sent') f:close() os.remove(name)");
    lua_close(L);
}

TEST(a_handle_whose_process_ended_answers_errors) {
    lua_State *L = open_vm(4 * MIB, 4);
    run(L, "r = io.popen 'echo one' w = io.popen('more >NUL', 'w')");
    CHECK_OK(rlua_snap(L));
    run(L, "r:close() w:close()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "assert(not r:read 'l') w:setvbuf 'no' assert(not w:write 'x') assert(r:close())");
    lua_close(L);
}

TEST(no_process_and_no_handle_is_left) {
    DWORD before = 0;
    int frame;
    for (frame = 0; frame < 24; frame++) {
        lua_State *L = open_vm(4 * MIB, 2);
        CHECK_OK(rlua_snap(L));
        run(L, "p = io.popen 'exit 1' q = io.popen 'echo x'");
        if (frame % 3 == 0) run(L, "p:close()");
        if (frame % 4 == 0) CHECK_OK(rlua_rollback(L, 1));
        lua_close(L);
        if (frame == 3) before = handles();
    }
    CHECK_EQ(children(), 0);
    CHECK(handles() <= before + 2); /* the C library may keep one of its own */
}

TEST(the_stock_profile_starts_them_too) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    run(L, "local name = os.tmpname() assert(io.open(name)):close() assert(os.remove(name))");
    run(L, "local p = io.popen 'echo two& exit 4' assert(p:read 'l' == 'two') "
           "local a, b, c = p:close() assert(a == nil and b == 'exit' and c == 4)");
    lua_close(L);
}
