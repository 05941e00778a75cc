-- Every function of the io library and every method of its handles, a statement or two a slice.
-- `Y` ends a slice: the host may snap there, collect, or go back to an earlier one. Content and
-- position of a file do not go back, so a slice seeks before it reads or writes, and what it writes
-- is the same each time. `...`: a folder.
local folder = ...
local Y = coroutine.yield
local function at(name) return folder .. "/" .. name end
local function refused(message, f, ...)
  local ok, why = pcall(f, ...)
  assert(not ok and why:find(message, 1, true), why)
end
local function failed(wanted, value, message, code)
  assert(value == nil and type(message) == "string" and math.type(code) == "integer")
  assert(not wanted or message:find(wanted, 1, true), message)
end
local function content(name, text)
  local f <close> = assert(io.open(at(name), "rb"))
  local found = f:read("a")
  assert(found == text, found)
end

-- io.open: modes
failed("No such file", io.open(at "none")); Y()
failed(nil, io.open(at "none/none", "w")); Y()
refused("invalid mode", io.open, at "a", "rw"); Y()
refused("invalid mode", io.open, at "a", "r+bx"); Y()
for _, mode in ipairs { "w", "wb", "w+", "w+b", "a", "ab", "a+", "a+b", "r", "rb", "r+", "r+b" } do
  local f = assert(io.open(at "a", mode)); Y()
  assert(io.type(f) == "file" and tostring(f):find("^file %(0x")); Y()
  if not mode:find "^r$" and not mode:find "^rb$" then
    assert(f:seek("set", 0) == 0 and f:write("text") == f and f:flush()); Y()
  else
    failed(nil, f:write "text"); Y()
  end
  assert(f:close() == true); Y()
  assert(io.type(f) == "closed file" and tostring(f) == "file (closed)"); Y()
  refused("closed file", f.close, f); Y()
  refused("closed file", f.read, f); Y()
  refused("closed file", f.lines, f); Y()
end

-- write, seek, read: every format
local f = assert(io.open(at "b", "w+")); Y()
assert(f:seek("set") == 0)
assert(f:write("12 0x1p4 -7.5e1 x\n", "line two\n", 3, " ", 4.5, "\n\n", "rest\0z"))
Y()
assert(f:seek("end") == 40); Y()
assert(f:seek("set", 0) == 0); assert(f:read("n") == 12 and f:read("n") == 16.0); Y()
f:seek("set", 0); local a, b, c, d = f:read("n", "n", "n", "n"); Y()
assert(a == 12 and b == 16.0 and c == -75.0 and d == nil); Y()
f:seek("set", 18); assert(f:read() == "line two" and f:read("L") == "3 4.5\n"); Y()
f:seek("set", 18); assert(f:read(4, 0, 4) == "line"); Y()
f:seek("set", 33); assert(f:read("l") == "" and f:read("a") == "rest\0z"); Y()
f:seek("set", 27); assert(f:read("n", "n", "l", "L", "a") == 3); Y()
f:seek("end"); assert(f:read(0) == nil and f:read(1) == nil and f:read("l") == nil); Y()
f:seek("end"); assert(f:read("a") == "" and f:read("n") == nil and f:read(5, "a") == nil); Y()
refused("invalid format", f.read, f, "q"); Y()
refused("invalid option", f.seek, f, "nowhere"); Y()
failed("Invalid argument", f:seek("set", -1)); Y()
f:seek("set", 2); assert(f:seek("cur", 3) == 5 and f:seek() == 5); Y()
assert(f:read("*l"):len() > 0); Y() -- the old way
assert(f:write() == f and f:seek("set", 0)); Y()
refused("string expected", f.write, f, {}); Y()

assert(f:close()); Y()

-- buffers
f = assert(io.open(at "f", "w+")); Y()
for _, mode in ipairs { "no", "line", "full" } do
  assert(f:setvbuf(mode, mode == "no" and 0 or 512)); Y()
  f:seek("set", 0); assert(f:write("buffered")); f:flush(); Y()
  do local g <close> = io.open(at "f") assert(g:read(8) == "buffered") end; Y()
end
refused("invalid option", f.setvbuf, f, "some"); Y()
assert(f:close()); Y()

-- lines, of a handle and of a name
do
  local g <close> = assert(io.open(at "c", "w+")); Y()
  g:seek("set", 0) g:write("1 one\n2 two\n3 three\n") g:flush(); Y()
  g:seek("set", 0); local n = 0; for line in g:lines() do n = n + #line end; assert(n == 17); Y()
  g:seek("set", 0); for i, rest in g:lines("n", "L") do assert(rest:sub(-1) == "\n" and i < 4) end
  Y()
  g:seek("set", 0); local next_line = g:lines(2); assert(next_line() == "1 "); Y()
  assert(type(next_line()) ~= "boolean"); Y()
  assert(io.type(g) == "file"); Y() -- lines of a handle do not close it
end
Y()
for line in io.lines(at "c") do assert(line:find "^%d %l+$") Y() end
for i, word in io.lines(at "c", "n", "l") do assert(word) Y() if i == 2 then break end end
do
  local next_line, nothing, nobody, handle = io.lines(at "c", "L"); Y()
  assert(nothing == nil and nobody == nil and io.type(handle) == "file"); Y()
  repeat local line = next_line(); Y() until line == nil
  assert(io.type(handle) == "closed file"); Y()
  refused("file is already closed", next_line); Y()
end
refused("No such file", io.lines, at "none"); Y()
refused("too many arguments", io.lines, at "c", table.unpack({}, 1, 251)); Y()
pcall(function() for line in io.lines(at "c") do Y() error "left" end end); Y()

-- the default input and output
local stdin, stdout = io.input(), io.output(); Y()
assert(io.output(at "d") and io.output() ~= stdout); Y()
assert(io.output():seek("set", 0) and io.write("default ", 1, " ", 2.5, "\n") == io.output()); Y()
assert(io.output():flush()); Y()
content("d", "default 1 2.5\n"); Y()
assert(io.input(at "d") == io.input()); Y()
io.input():seek("set", 0); assert(io.read(7, "n", "n") == "default"); Y()
io.input():seek("set", 0); for line in io.lines() do assert(line == "default 1 2.5") end; Y()
io.input():seek("set", 0); assert(io.read("a") == "default 1 2.5\n" and io.read("a") == ""); Y()
assert(io.close() == true); Y()
refused("default output file is closed", io.write, "x"); Y()
refused("closed file", io.close); Y()
assert(io.output(stdout) == stdout); Y()
local input = io.input(); assert(io.close(input)); Y()
refused("default input file is closed", io.read); Y()
refused("closed", io.lines); Y()
assert(io.input(stdin) == stdin); Y()
refused("No such file", io.input, at "none"); Y()
refused("No such file", io.output, at "none/none"); Y()
for _, standard in ipairs { io.stdin, io.stdout, io.stderr } do
  local ok, why = standard:close(); assert(ok == nil and why == "cannot close standard file"); Y()
  assert(io.type(standard) == "file"); Y()
end
assert(io.stdout:write("") == io.stdout and io.stderr:write("") == io.stderr); Y()

-- temporary files, garbage, and the ways to close
local t = assert(io.tmpfile()); Y()
t:seek("set", 0); assert(t:write("temporary")); Y()
t:seek("set", 0); assert(t:read("a") == "temporary"); Y()
t = nil; collectgarbage(); Y()
do local u <close> = io.tmpfile() u:write("x") Y() end; Y()
for _ = 1, 5 do local lost = io.open(at "b"); lost:read(1); Y() end
do local held = {}; for i = 1, 10 do held[i] = io.open(at "c") end; Y()
  for i = 1, 10, 2 do held[i]:close() end; Y()
  for i = 1, 10 do assert(io.type(held[i]) == (i % 2 == 1 and "closed file" or "file")) end; Y()
end
assert(io.type(0) == nil and io.type(io) == nil and io.type(io.stdin) == "file"); Y()
refused("value expected", io.type); Y()

-- processes
local p = assert(io.popen("echo out; exit 3")); Y()
assert(io.type(p) == "file"); Y()
p:read("a"); local ok, how, code = p:close(); assert(ok == nil and how == "exit" and code == 3); Y()
assert(io.type(p) == "closed file"); Y()
local w = assert(io.popen("cat >" .. at "e" .. "; exit 0", "w")); Y()
w:write("to a process"); assert(w:close() == true); content("e", "to a process"); Y()
refused("invalid mode", io.popen, "true", "rw"); Y()
do local lost = io.popen("true"); Y() end; collectgarbage(); Y()
do
  local q <close> = io.popen("echo a; echo b")
  local one, other = q:read("l", "l"); assert(one == "a" and other == "b")
end; Y()
for line in io.popen("echo last"):lines() do assert(line == "last") end; Y()
return "the end"
