-- slices.lua: programs that use every opcode and the library; slices.c runs them in slices.
-- Each gets `out`, takes down what it finds, and must find the same however it is cut. So nothing
-- here depends on time, addresses, the collector, or files (whose position does not go back).

local programs, helpers = {}, {}

function programs.opcodes(out)
  local a, b, c, n = 7, 3, 2.5, nil
  local t, s, yes = {10, 20, 30, x = 1}, 'str', true
  local up = 0
  local function inc(k) up = up + (k or 1) return up end
  for i = 1, 12 do
    out(a + b, a - b, a * b, a / b, a % b, a ^ b, a // b, a & b, a | b, a ~ b, a << b, a >> b)
    out(a + 1, a - 1, a * 2, a / 2, a % 2, a ^ 2, a // 2, a & 12, a | 8, a ~ 5, a << 1, a >> 1)
    out(1 + a, 1 - a, 2 << a, -c, ~a, not yes, #t, #s, s .. a .. c, 2 * a, 12 & a, a + 1.5, a -
      2.5, c // 0.5)
    out(a == b, a < b, a <= b, a ~= 7, a == 7, a < 10, a <= 10, a > 10, a >= 10, s == 'str', c ==
      2.5)
    out(n == nil, yes and a or b, n and a, n or b, t[1], t[a - 4], t.x, t[i], t[s], #'x' == 1)
    t[2], t[i], t.x, t[a - 5], t[s] = i, i * 2, i + inc(), b, i
    a, b = b + i, a % 5 + 1
    if not yes then a = 1 elseif n then b = 2 end
    local v <const>, w = 5, {f = function(self, ...) return select('#', ...), ... end}
    out(w:f(1, 2, 3), (w:f(v)), w.f(w, inc(2)))
    do local k <close> = setmetatable({}, {__close = function() up = up + 100 end}) out(up) end
    goto skip
    out('never')
    ::skip::
  end
  for i = 10, 1, -3 do out(i) end
  for x = 0.0, 1.0, 0.25 do out(x) end
  for i = math.maxinteger - 2, math.maxinteger do out(i) end
  for k, v in ipairs(t) do out(k, v) end
  local i = 0
  repeat local k = i i = i + 1 until k > 5
  while i > 0 do i = i - 1 if i == 2 then break end end
  local function tail(n, acc) if n == 0 then return acc end return tail(n - 1, acc + n) end
  local function va(...) local p, q = ... local r = {...} return #r, p, q, ... end
  out(tail(300, 0), va(), va(1), va(1, 2, 3), (va(nil, nil)))
  local lots = {va(table.unpack(t)), n, yes, false, nil, 1.0, -5, 1e300, 0x7fffffff, 'x'}
  out(#lots, lots[2])
  local empty, none, nils = nil, false, {nil, nil}
  if none == false and empty == nil and yes == true then out('constants') end
  local g = up_value_of_global
  global_of_program = (global_of_program or 0) + 1
  out(global_of_program, g, #nils >= 0)
  global_of_program = nil
  local x, y, z = nil, nil, nil
  out(x, y, z, c > 2, 2 < c, 3 >= c, c ~= 'x', 5 == a, 100 > a)
  out(helpers.closures())
end

-- Values at each index of a list, by closures that share and do not share.
function helpers.closures()
  local list, shared = {}, 0
  for i = 1, 5 do
    local own = i
    list[i] = function() own = own + 1 shared = shared + own return own, shared end
  end
  local sum = 0
  for r = 1, 3 do for i = 1, 5 do local a, b = list[i]() sum = sum + a * b end end
  return sum
end

function programs.wide_constants(out) -- constants and lists beyond what an instruction can name
  local parts = {}
  for i = 1, 131200 do parts[i] = i .. '.5' end
  local f = load('local t = {' .. table.concat(parts, ',') ..
    '} local x = 99999999.5 return t, x, -x')
  local t, x, y = f()
  out(#t, t[1], t[131200], x, y)
  helpers.cover(f)
end

function programs.metamethods(out)
  local mt = {}
  local function box(v) return setmetatable({v = v}, mt) end
  local function val(x) return type(x) == 'table' and x.v or x end
  for name, f in pairs {
    add = function(a, b) return a + b end, sub = function(a, b) return a - b end,
    mul = function(a, b) return a * b end, div = function(a, b) return a / b end,
    mod = function(a, b) return a % b end, pow = function(a, b) return a ^ b end,
    idiv = function(a, b) return a // b end, band = function(a, b) return a & b end,
    bor = function(a, b) return a | b end, bxor = function(a, b) return a ~ b end,
    shl = function(a, b) return a << b end, shr = function(a, b) return a >> b end,
    concat = function(a, b) return a .. b end} do
    mt['__' .. name] = function(a, b) return box(f(val(a), val(b))) end
  end
  mt.__unm = function(a) return box(-a.v) end
  mt.__bnot = function(a) return box(~a.v) end
  mt.__len = function(a) return a.v end
  mt.__eq = function(a, b) return a.v == b.v end
  mt.__lt = function(a, b) return val(a) < val(b) end
  mt.__le = function(a, b) return val(a) <= val(b) end
  mt.__call = function(self, ...) return self.v, ... end
  mt.__index = function(t, k) return k .. '?' end
  mt.__newindex = function(t, k, v) rawset(t, k, v * 2) end
  mt.__tostring = function(t) return 'box ' .. t.v end
  mt.__name = 'Box'
  mt.__pairs = function(t) return function(_, k) if not k then return 1, t.v end end, t, nil end
  mt.__close = function(t, e) out('closed', t.v, e) end
  for i = 1, 8 do
    local a, b = box(i), box(3)
    out((a + b).v, (a - 1).v, (2 * a).v, (a / b).v, (a % b).v, (a ^ 2).v, (a // b).v, (a & 1).v,
        (a | 8).v, (a ~ b).v, (a << 1).v, (a >> 1).v, (1 << a).v, (a .. b).v, ('x' .. a).v, (-a).v,
        (~a).v, #a, a == b, a ~= box(i), a < b, a <= b, a > 2, a >= b, a(1, 2))
    a.new = i
    out(a.missing, a.new, tostring(a))
    for k, v in pairs(a) do out(k, v) end
    local ok, e = pcall(function() local c <close> = a error('in block ' .. i, 0) end)
    out(ok, e, pcall(function() return a.v + {} end))
  end
end

function programs.strings(out)
  local text = 'The quick brown fox jumps over the lazy dog'
  for i = 1, 10 do
    out(string.byte(text, i), string.char(65 + i, 97 + i), string.find(text, 'o', i, true))
    out(string.find(text, '(%a+)%s(%a+)', i),
      string.format('%5d|%-5s|%05.1f|%x|%q|%s|%i|%g|%c|%a|%o|%u',
        i, 'ab', i / 3, i, 'q\n"', true, i, i / 7, 64 + i, 0.5, i, i):sub(1, 60))
    out(string.gsub(text, '%w+', {quick = 'slow', dog = false}), string.gsub(text, 'o', '0', i))
    out((string.gsub(text, '(%w)(%w*)', function(a, b) return b .. a .. i end)))
    out(string.len(text), string.lower(text), string.upper(text), string.match(text, '()(%w+)$'))
    out(string.rep('ab', i, ','), string.reverse(text), string.sub(text, -i, -2))
    local packed = string.pack('>I2 i4 s1 z d j n B f', i, -i, 'str', 'zero', i / 2, i, 1.5, i,
      0.25)
    out(#packed, string.unpack('>I2 i4 s1 z d j n B f', packed), string.packsize('i4 i8 !8 d'))
    for w, n in string.gmatch('a=1, b=2, c=3', '(%w+)=(%w+)') do out(w, n) end
    local f = load(string.dump(function(x) return x * 2 + 1 end, true), 'd', 'b')
    out(f(i), text:find('%f[%a]%a+', i), ('%b()'):len(), ('x(a(b)c)y'):match('%b()'))
    out(tostring(i / 4), tonumber('0x' .. i), tonumber('z' .. i, 36), '10' + i, '3' * '4', i .. '')
  end
  out(utf8.char(228, 8364, 0x10FFFF), utf8.charpattern, utf8.len('äöü€'), utf8.codepoint('äöü', 1,
    -1))
  for p, c in utf8.codes('aä€') do out(p, c) end
  out(utf8.offset('aä€x', 3), utf8.len('\xff'), pcall(utf8.codepoint, '\xff'))
end

function programs.tables(out)
  local t = {}
  for i = 1, 60 do table.insert(t, (i * 37) % 61) end
  table.insert(t, 5, 'five')
  out(table.remove(t, 5), table.remove(t), #t, table.concat(t, ' ', 1, 20))
  table.sort(t)
  out(table.concat(t, ','))
  table.sort(t, function(a, b) return a > b end)
  out(table.concat(t, ','), table.unpack(t, 3, 9))
  out(table.concat(table.move(t, 1, 10, 5, {}), ',', 5), table.pack(1, nil, 3).n)
  for i = 1, 200 do t[i % 23] = (t[i % 23] or 0) + i t['k' .. i % 17] = i end
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = tostring(k) end
  table.sort(keys)
  out(#keys, table.concat(keys, ' '), next({}), rawlen(t) >= 0, rawget(t, 'k1'), rawequal(t, t))
  rawset(t, 'raw', 1)
  out(t.raw, select('#', table.unpack({}, 1, 100)), select(-1, 1, 2, 3), select(2, 'a', 'b'))
  local grid = {}
  for i = 1, 20 do grid[i] = {} for j = 1, 20 do grid[i][j] = i * j end end
  local sum = 0
  for _, row in ipairs(grid) do for _, v in ipairs(row) do sum = sum + v end end
  out(sum)
end

function programs.numbers(out)
  math.randomseed(42, 7)
  for i = 1, 40 do
    out(math.random(), math.random(100), math.random(-5, 5), math.random(0))
    out(math.abs(-i), math.ceil(i / 3), math.floor(-i / 3), math.fmod(i, 3), math.max(i, 5, 2.5))
    out(math.min(i, 5), math.modf(i / 4), math.sqrt(i), math.exp(1), math.log(i), math.log(i, 2))
    out(math.log(i, 10), math.sin(i), math.cos(i), math.tan(i), math.asin(1 / i), math.acos(1 / i))
    out(math.atan(i, 2), math.deg(i), math.rad(i), math.tointeger(i + 0.0), math.type(i / 1))
    if math.pow then -- kept for programs of older versions
      out(math.atan2(i, 2), math.cosh(i), math.sinh(i), math.tanh(i), math.pow(i, 2), math.frexp(i))
      out(math.ldexp(i, 3), math.log10(i))
    end
    out(math.ult(i, -1), math.pi, math.huge, math.maxinteger + i, math.mininteger - i, i // 0.0)
    out(pcall(function() return i // 0 end), 5.0 == 5, 1e15, 2^53, -0.0, 0x.8p3, 3 | 4.0)
  end
end

function programs.coroutines(out)
  local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end
    end) end
  for v in gen(10) do out(v) end
  local co = coroutine.create(function(a, b)
    out(a, b, coroutine.isyieldable(), select(2, coroutine.running()))
    local c = coroutine.yield(a + b)
    local ok, d = pcall(function() return coroutine.yield(c * 2) end)
    local e <close> = setmetatable({}, {__close = function(_, err) coroutine.yield('closing')
      out(err) end})
    error('end ' .. tostring(d), 0)
  end)
  out(coroutine.resume(co, 1, 2)) out(coroutine.resume(co, 10)) out(coroutine.resume(co, 'x'))
  out(coroutine.status(co), coroutine.resume(co)) out(coroutine.status(co), coroutine.resume(co))
  local sus = coroutine.create(function() local x <close> = setmetatable({}, {__close = function()
    out('c') end}) coroutine.yield() end)
  coroutine.resume(sus)
  out(coroutine.close(sus), coroutine.status(sus))
  local function fib(n) if n < 2 then coroutine.yield(n) else fib(n - 1) fib(n - 2) end end
  local sum = 0
  for v in coroutine.wrap(function() fib(10) end) do sum = sum + v end
  out(sum)
  local queue, log = {}, {}
  for i = 1, 5 do queue[i] = coroutine.create(function() for s = 1, i do log[#log + 1] = i * s
    coroutine.yield() end end) end
  while #queue > 0 do
    local c = table.remove(queue, 1)
    coroutine.resume(c)
    if coroutine.status(c) ~= 'dead' then queue[#queue + 1] = c end
  end
  out(table.concat(log, ' '))
end

function programs.errors(out)
  for i = 1, 10 do
    out(pcall(error), pcall(error, 'message', 0), pcall(error, {}) == false, pcall(assert, false,
      'no'))
    out(pcall(assert, nil), assert(i, 'x'), xpcall(error, function(m) return 'handled ' .. m end,
      'e' .. i))
    out(pcall(function() local x = nil return x.y end), pcall(function() return 1 < 'x' end))
    out(pcall(function() return #i end), pcall(function() return i() end), pcall(string.rep))
    out(pcall(setmetatable, 1, {}), pcall(ipairs), pcall(next, {}, 'k'), pcall(select, 0))
    out(xpcall(function() local function r() return 1 + r() end return r() end, function() return
      'deep' end))
    out(load('x ='), load('return 1, 2', 'c', 't', {})(), load(function() return nil end),
      loadstring == nil)
    out(pcall(load, 'return', 'x', 'q'), getmetatable('').__index == string, type(nil), _VERSION)
  end
  warn('@off') warn('not', ' shown') warn('@on')
  out(dofile == nil, loadfile('/nowhere'))
end

function programs.debugging(out)
  local function f(a, b) local c = a + b return debug.getinfo(1, 'nSl').currentline > 0,
    debug.getlocal(1, 3) end
  out(f(1, 2))
  local up = 1
  local function g() return up end
  out(debug.getupvalue(g, 1), debug.setupvalue(g, 1, 5), g(), debug.upvalueid(g, 1) ~= nil)
  local function h() return up end
  debug.upvaluejoin(g, 1, h, 1)
  out(g(), debug.setlocal(1, 1, out), #debug.traceback('x', 1) > 0, debug.getmetatable('').__index
    == string)
  out(debug.getuservalue(1), debug.sethook == nil, debug.gethook == nil, type(debug.getregistry()))
  out(debug.setmetatable(5, {__index = function(n, k) return n .. k end}), (5).x,
    debug.setmetatable(5, nil))
  local co = coroutine.create(function() local here = 3 coroutine.yield() end)
  coroutine.resume(co)
  out(debug.getlocal(co, 1, 1), debug.getinfo(co, 1, 'l').currentline > 0, debug.setuservalue ==
    nil)
  out(debug.setcstacklimit == nil, debug.debug == nil)
end

function programs.rest(out)
  out(os.time {year = 2020, month = 1, day = 1, hour = 12, isdst = false} > 0, os.date('!%Y-%m-%d',
    0))
  out(type(os.clock()), os.difftime(5, 3), os.getenv('NOT THERE'), type(os.setlocale()))
  out(collectgarbage('isrunning'), type(collectgarbage('count')), collectgarbage('step') ~= nil)
  package.preload.made = function(name, extra) return {name = name, extra = extra} end
  out(require('made').name, package.loaded.made ~= nil, package.searchpath('none', './?.none'))
  package.preload.made, package.loaded.made = nil, nil
  out(type(package.path), type(package.cpath), #package.config > 0, #package.searchers,
    package.loadlib == nil)
  local words = {}
  for i = 1, 300 do
    local k = 'w' .. (i * i) % 47
    words[k] = (words[k] or 0) + 1
    if i % 50 == 0 then collectgarbage() end
  end
  local list = {}
  for k, v in pairs(words) do list[#list + 1] = k .. v end
  table.sort(list)
  out(table.concat(list, ' '), print == nil, getmetatable(print))
  local q, n = {}, 0
  local function place(row)
    if row > 6 then n = n + 1 return end
    for col = 1, 6 do
      local free = true
      for r = 1, row - 1 do
        if q[r] == col or math.abs(q[r] - col) == row - r then free = false break end
      end
      if free then q[row] = col place(row + 1) end
    end
  end
  place(1)
  out('queens', n)
end

-- Which opcodes a function and those in it have: reads a binary chunk.
local seen = {}
function helpers.cover(f)
  local s, at = string.dump(f, true), 32
  local function byte() at = at + 1 return s:byte(at - 1) end
  local function int() local n = 0 while true do local b = byte() n = n << 7 | b & 0x7F if b >=
    0x80 then return n end end end
  local function str() local n = int() if n > 0 then at = at + n - 1 end end
  local function func()
    str() int() int() at = at + 3
    for _ = 1, int() do seen[string.unpack('<I4', s, at) & 0x7F] = true at = at + 4 end
    for _ = 1, int() do
      local t = byte()
      if t == 0x13 or t == 0x03 then at = at + 8 elseif t & 0xF == 4 then str() end
    end
    for _ = 1, int() do at = at + 3 end
    for _ = 1, int() do func() end
    for _ = 1, int() do at = at + 1 end
    for _ = 1, int() do int() int() end
    for _ = 1, int() do str() int() int() end
    for _ = 1, int() do str() end
  end
  byte() -- upvalues of the main function
  func()
end

-- What is missing, as text: opcodes by number, functions by name, those that cannot be here aside.
local function missing(text)
  local lacks = {}
  for _, f in pairs(programs) do helpers.cover(f) end
  for _, f in pairs(helpers) do helpers.cover(f) end
  for op = 0, 82 do if not seen[op] then lacks[#lacks + 1] = 'opcode ' .. op end end
  for _, lib in ipairs {'string', 'table', 'math', 'utf8', 'coroutine', 'debug', 'os', 'package'} do
    for name in pairs(_G[lib]) do
      if not text:find(lib .. '.' .. name, 1, true) then lacks[#lacks + 1] = lib .. '.' .. name end
    end
  end
  for name, f in pairs(_G) do
    if type(f) == 'function' and name:sub(-2) ~= '__' and not text:find(name .. '[ (,]') then
      lacks[#lacks + 1] = name end
  end
  table.sort(lacks)
  return table.concat(lacks, ', ')
end
-- Left out: os.exit, os.execute, os.rename, os.remove, os.tmpname (they leave the process).

local names = {}
for name in pairs(programs) do names[#names + 1] = name end
table.sort(names)

return names, function(name)
  local lines = {}
  programs[name](function(...)
    local parts = {}
    for i = 1, select('#', ...) do
      local v = select(i, ...)
      parts[i] = (type(v) == 'table' or type(v) == 'function' or type(v) == 'thread') and type(v)
        or tostring(v)
    end
    lines[#lines + 1] = table.concat(parts, '\t')
  end)
  return table.concat(lines, '\n')
end, missing
