/* iofiles.c: the io library under rollback. A handle's state (open, closed, default input and
 * output) rolls back; the FILE behind it is closed once, when neither the live state nor a held
 * snapshot has it open. Position and content of a file do not roll back.
 * Method: descriptors of this process are counted in /proc/self/fd (where there is one; else a
 * count is skipped), files are read again through another handle.
 * Not here: userdata of other modules (guarded.c). */
#include "descriptors.h"
#include "folder.h"

#include <fcntl.h>

/* A VM with `path` (a scratch file), `text(path)` and `fds()`. */
static int fds(lua_State *L) {
    lua_pushinteger(L, descriptors());
    return 1;
}

static lua_State *open_io(size_t snapshots) {
    lua_State *L = open_vm(4 * MIB, snapshots);
    make_folder("io");
    lua_register(L, "fds", fds);
    lua_pushfstring(L, "%s/file", folder);
    lua_setglobal(L, "path");
    run(L, "function text(p) local f <close> = io.open(p or path) return f:read 'a' end");
    CHECK_EVAL(L, "fds() - fds()", "0");
    return L;
}

static void close_io(lua_State *L) {
    lua_close(L);
    remove_folder();
}

TEST(close_runs_again_without_an_error) {
    int before = descriptors(), round;
    lua_State *L = open_io(4);
    run(L, "f = io.open(path, 'w')");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        run(L, "assert(io.type(f) == 'file') assert(f:write('line\\n')) assert(f:close()) "
               "assert(io.type(f) == 'closed file') assert(not pcall(f.write, f, 'x')) "
               "assert(select(2, pcall(f.close, f)):find 'closed file')");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "io.type(f)", "file");
        CHECK_OK(rlua_check(L));
    }
    CHECK_EVAL(L, "text()", "line\nline\nline\nline\n");
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(close_flushes_at_once) {
    lua_State *L = open_io(4);
    run(L, "f = io.open(path, 'w') f:setvbuf('full', 100000) f:write 'early'");
    CHECK_OK(rlua_snap(L));
    run(L, "f:write ' late' assert(f:close()) assert(text() == 'early late')");
    close_io(L);
}

TEST(descriptor_is_closed_when_no_snapshot_has_it_open) {
    NOT_ON_WINDOWS("open descriptors are not listed");
    int before;
    lua_State *L = open_io(4);
    before = descriptors();
    run(L, "f = io.open(path, 'w')");
    CHECK_OK(rlua_snap_frame(L, 1));
    CHECK_OK(rlua_snap_frame(L, 2));
    run(L, "f:close()");
    CHECK_OK(rlua_snap_frame(L, 3));
    CHECK_OK(rlua_discard_before(L, 2));
    CHECK_EQ(descriptors(), before + 1);
    CHECK_OK(rlua_discard_before(L, 3));
    CHECK_EQ(descriptors(), before);
    CHECK_EVAL(L, "io.type(f)", "closed file");
    run(L, "f = nil collectgarbage()");
    close_io(L);
}

TEST(closed_without_a_snapshot_is_closed_at_once) {
    int before;
    lua_State *L = open_io(4);
    before = descriptors();
    run(L, "f = io.open(path, 'w') f:close()");
    CHECK_EQ(descriptors(), before);
    CHECK_OK(rlua_snap(L));
    run(L, "g = io.open(path, 'w') g:write 'x' g:close()");
    CHECK_EQ(descriptors(), before);
    run(L, "do local h <close> = io.open(path, 'w') end");
    CHECK_EQ(descriptors(), before);
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(descriptors(), before);
    close_io(L);
}

TEST(issue_open_snap_collect_roll_back_collect) {
    int before = descriptors(), round;
    lua_State *L = open_io(4);
    run(L, "f = io.open(path, 'w')");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "f = nil collectgarbage() collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        run(L, "assert(f:write 'x')");
    }
    run(L, "f = nil collectgarbage()");
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(handle_made_after_the_snapshot_is_closed_by_the_rollback) {
    int before;
    lua_State *L = open_io(4);
    before = descriptors();
    CHECK_OK(rlua_snap(L));
    run(L, "f = io.open(path, 'w') f:setvbuf 'full' f:write 'kept in the buffer' "
           "g = io.open(path) h = io.tmpfile()");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EQ(descriptors(), before);
    CHECK_EVAL(L, "text()", "kept in the buffer");
    close_io(L);
}

TEST(position_and_content_stay_as_they_are) {
    lua_State *L = open_io(4);
    run(L, "f = io.open(path, 'w+') f:write 'abcdef' f:seek('set', 1)");
    CHECK_OK(rlua_snap(L));
    run(L, "assert(f:read(2) == 'bc')");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "f:seek()", "3");
    CHECK_EVAL(L, "f:seek('set', 0) and f:read 'a'", "abcdef");
    close_io(L);
}

TEST(lines_iterators) {
    int before = descriptors(), round;
    lua_State *L = open_io(8);
    run(L, "local f <close> = io.open(path, 'w') for i = 1, 20 do f:write(i, '\\n') end f:close()\n"
           "function all() local t = {} for line in io.lines(path) do t[#t + 1] = line end "
           "return table.concat(t, ' ') end\n"
           "co = coroutine.wrap(function() for line in io.lines(path) do coroutine.yield(line) end "
           "return 'end' end) co()");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 4; round++) {
        CHECK_EVAL(L, "#all()", "50");
        run(L, "repeat local line = co() until line == 'end'"); /* closed at its end */
        run(L, "for line in io.lines(path) do if line == '3' then break end end "
               "for line in io.lines(path, 'n', 'l') do break end io.lines(path) "
               "pcall(function() for line in io.lines(path) do error 'leave' end end) "
               "collectgarbage()");
        CHECK_OK(rlua_check(L));
        CHECK_OK(rlua_rollback(L, 1));
    }
    run(L, "repeat local line = co() until line == 'end' co = nil collectgarbage()");
    CHECK_EVAL(L, "select('#', pcall(io.lines, path .. '/none'))", "2");
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(lines_of_a_handle_that_was_closed_says_so_and_not_after_the_rollback) {
    lua_State *L = open_io(4);
    run(L, "f = io.open(path, 'w+') f:write 'a\\nb\\n' f:seek 'set' next_line = f:lines()");
    CHECK_OK(rlua_snap(L));
    run(L, "f:close() assert(select(2, pcall(next_line)):find 'file is already closed')");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "next_line()", "a");
    close_io(L);
}

TEST(popen_gives_its_status_again) {
    NOT_ON_WINDOWS("the commands are for a POSIX shell (windows/processes.c)");
    int before = descriptors(), round;
    lua_State *L = open_io(4);
    run(L, "r = io.popen 'echo one; exit 3' w = io.popen('cat > ' .. path .. '; exit 4', 'w')");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        if (round == 0) run(L, "assert(r:read 'l' == 'one') assert(w:write 'sent')");
        run(L, "a, b, c = r:close() assert(a == nil and b == 'exit' and c == 3)");
        run(L, "a, b, c = w:close() assert(a == nil and b == 'exit' and c == 4)");
        CHECK_EVAL(L, "text()", "sent");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_OK(rlua_check(L));
    }
    run(L, "assert(io.popen('true'):close() == true)");
    run(L, "r, w = nil collectgarbage()");
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(popen_used_again_after_its_process_ended_is_an_error_value) {
    NOT_ON_WINDOWS("the commands are for a POSIX shell (windows/processes.c)");
    lua_State *L = open_io(4);
    run(L, "r = io.popen 'echo one' w = io.popen('cat > /dev/null', 'w')");
    CHECK_OK(rlua_snap(L));
    run(L, "r:close() w:close()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "pcall(r.read, r, 'l') pcall(r.read, r, 'a') pcall(r.lines, r) "
           "pcall(w.write, w, 'x') pcall(w.flush, w) pcall(r.seek, r) pcall(r.setvbuf, r, 'no')");
    run(L, "r, w = nil collectgarbage()");
    close_io(L);
}

TEST(popen_leaves_no_zombie) {
    NOT_ON_WINDOWS("the commands are for a POSIX shell (windows/processes.c)");
    lua_State *L = open_io(2);
    int frame;
    for (frame = 0; frame < 20; frame++) {
        CHECK_OK(rlua_snap_frame(L, frame));
        run(L, "p = io.popen 'true'");
        if (frame % 3 == 0) run(L, "p:close()");
        if (frame % 4 == 0) CHECK_OK(rlua_rollback(L, 1));
        run(L, "collectgarbage()");
    }
    close_io(L);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_EQ(errno, ECHILD);
}

TEST(tmpfile_lives_as_long_as_a_snapshot_has_it) {
    int before = descriptors(), round;
    lua_State *L = open_io(4);
    run(L, "t = io.tmpfile() t:write 'content'");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "t:close() t = nil collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EVAL(L, "t:seek 'set' == 0 and t:read 'a'", "content");
    }
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(default_input_and_output_roll_back) {
    int before = descriptors();
    lua_State *L = open_io(4);
    run(L, "local f <close> = io.open(path, 'w') f:write '1\\n2\\n3\\n' f:close() "
           "io.output(path .. '2') io.input(path)");
    CHECK_OK(rlua_snap(L));
    run(L, "io.write 'first ' io.close() assert(io.read 'n' == 1) io.input():close() "
           "assert(not pcall(io.read)) io.output(io.stdout) io.input(io.stdin) collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "assert(io.write 'second') assert(io.read 'n' == 2) io.close() io.output(io.stdout)");
    CHECK_EVAL(L, "text(path .. '2')", "first second");
    CHECK_OK(rlua_rollback(L, 1));
    CHECK_EVAL(L, "io.type(io.output())", "file");
    run(L, "local n = 0 for line in io.lines() do n = n + 1 end assert(n == 2)");
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(standard_files_are_never_closed) {
    lua_State *L = open_io(4);
    CHECK_OK(rlua_snap(L));
    run(L, "for _, f in ipairs {io.stdin, io.stdout, io.stderr} do "
           "local ok, why = f:close() assert(not ok and why == 'cannot close standard file') "
           "assert(io.type(f) == 'file') end "
           "io.stdin, io.stdout, io.stderr = nil io = nil package.loaded.io = nil "
           "debug.getregistry()._IO_output = nil debug.getregistry()._IO_input = nil "
           "collectgarbage() collectgarbage()");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "assert(io.stdout:write '')");
    close_io(L);
    CHECK(fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0);
    CHECK(fprintf(stdout, "%s", "") >= 0 && fflush(stdout) == 0);
}

TEST(library_opened_after_the_snapshot) {
    int before = descriptors(), round;
    lua_State *L = rlua_new_rollback(4 * MIB, 4);
    luaL_requiref(L, "_G", luaopen_base, 1);
    lua_settop(L, 0);
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        luaL_requiref(L, "io", luaopen_io, 1);
        lua_settop(L, 0);
        run(L, "a = io.tmpfile() b = io.tmpfile() b:close() b = io.tmpfile() b = nil "
               "collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        CHECK_EQ(descriptors(), before);
        CHECK_EVAL(L, "io", "nil");
    }
    CHECK(fcntl(1, F_GETFD) >= 0);
    lua_close(L);
}

TEST(a_failing_flush_is_told_at_close) {
    lua_State *L = open_io(4);
    if (access("/dev/full", W_OK) != 0) NOT_RUN("no /dev/full");
    run(L, "f = io.open('/dev/full', 'w') f:setvbuf('full', 4096)");
    CHECK_OK(rlua_snap(L));
    run(L, "f:write 'x' local ok, why, code = f:close() "
           "assert(not ok and type(why) == 'string' and math.type(code) == 'integer') "
           "assert(io.type(f) == 'closed file')");
    CHECK_OK(rlua_rollback(L, 1));
    run(L, "f:close()");
    close_io(L);
}

/* What C modules do with lauxlib's luaL_Stream: a handle of their own with their own `closef`. */
static int own_closes;

static int own_close(lua_State *L) {
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    own_closes++;
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

static int own_open(lua_State *L) {
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    stream->closef = NULL;
    luaL_setmetatable(L, LUA_FILEHANDLE);
    stream->f = tmpfile();
    stream->closef = own_close;
    return 1;
}

TEST(streams_of_c_modules_are_closed_once_by_their_own_function) {
    int before = descriptors(), round;
    lua_State *L = open_io(4);
    own_closes = 0;
    lua_register(L, "own_open", own_open);
    run(L, "a, b, c = own_open(), own_open(), own_open()");
    CHECK_OK(rlua_snap_frame(L, 1));
    for (round = 0; round < 3; round++) {
        run(L, "pcall(a.write, a, 'x') pcall(a.close, a) b = nil collectgarbage() d = own_open()");
        CHECK_OK(rlua_rollback_to(L, 1));
        run(L, "assert(b:write 'x') assert(c:write 'y')");
    }
    close_io(L);
    CHECK_EQ(own_closes, 6);
    CHECK_EQ(descriptors(), before);
}

TEST(finalized_handles_of_scripts_with_their_own_gc_in_lua) {
    lua_State *L = open_io(4);
    int round, before = descriptors();
    run(L, "holder = setmetatable({f = io.tmpfile()}, {__gc = function(t) t.f:close() end, "
           "__close = function(t) t.f:close() end})");
    CHECK_OK(rlua_snap(L));
    for (round = 0; round < 3; round++) {
        run(L, "holder = nil collectgarbage() collectgarbage()");
        CHECK_OK(rlua_rollback(L, 1));
        run(L, "assert(holder.f:write 'x')");
        CHECK_OK(rlua_check(L));
    }
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(leaks_stay_bounded) {
    lua_State *L = open_io(8);
    int step, steps = 2000 / (int)test_scale(), before = descriptors(), most = 0;
    int64_t frame = 0;
    run(L, "keep = {} collectgarbage('incremental', 200, 100)");
    for (step = 0; step < steps; step++) {
        CHECK_OK(rlua_snap_frame(L, ++frame));
        run(L, "n = (n or 0) + 1 leak = io.open(path, 'a') leak:write(n, '\\n') "
               "keep[n % 8] = io.open(path) local old = n % 5 == 0 and keep[(n + 3) % 8] "
               "if old then old:close() keep[(n + 3) % 8] = nil end "
               "if n % 10 == 0 then collectgarbage() end");
        if (step % 7 == 6) {
            frame -= step / 7 % 5;
            CHECK_OK(rlua_rollback_to(L, frame));
        }
        if (descriptors() > most) most = descriptors();
    }
    if (most - before > 120) FAIL("%d descriptors were open", most - before);
    close_io(L);
    CHECK_EQ(descriptors(), before);
}

TEST(close_of_the_vm_flushes_and_closes_all) {
    int before = descriptors();
    char path[128], text[16] = "";
    FILE *file;
    lua_State *L = open_io(4);
    run(L, "f = io.open(path, 'w') f:setvbuf('full', 10000) f:write 'ab'");
    CHECK_OK(rlua_snap(L));
    run(L, "f:write 'cd' g = io.open(path) f = nil collectgarbage()");
    snprintf(path, sizeof path, "%s/file", folder);
    lua_close(L);
    file = fopen(path, "r");
    CHECK(file && fgets(text, sizeof text, file));
    fclose(file);
    CHECK_STR(text, "abcd");
    remove_folder();
    CHECK_EQ(descriptors(), before);
}

TEST(without_snapshots_as_in_lua) {
    int before = descriptors();
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    run(L, "f = io.tmpfile() f:write 'x' assert(f:close() == true) f = nil p = io.popen 'exit 2' "
           "local a, b, c = p:close() assert(a == nil and b == 'exit' and c == 2) "
           "g = io.tmpfile() g = nil collectgarbage()");
    CHECK_EQ(descriptors(), before);
    CHECK_EVAL(L, "tostring(f) .. tostring(io.tmpfile()):sub(1, 6)", "nilfile (");
    lua_close(L);
    CHECK_EQ(descriptors(), before);
}
