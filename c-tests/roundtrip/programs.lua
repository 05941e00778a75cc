-- programs.lua: random programs, each told by its seed; roundtrip.c runs them frame by frame.
-- Returns the program's source, and a list of the places where a coroutine can be suspended. The
-- source defines `frame(n, input)`, which changes tables with every kind
-- of key, and resumes coroutines that yield in every place where one can. `tags[i]` names the place
-- in which coroutine i is. A frame may fail; then it did so for a reason of its own, and goes on.
-- With `stock` a program does nothing that the stock profile decides by an address.

local seed, stock = ...

local state = seed * 0x9E3779B97F4A7C15 | 1
local function rnd(n)
  state = state ~ state << 13
  state = state ~ state >> 7
  state = state ~ state << 17
  return (state >> 24) % n + 1
end
local function one_of(list) return list[rnd(#list)] end
local function one_in(n) return rnd(n) == 1 end

-- What each program begins with.
local prelude = [[
local yield_, isyieldable = coroutine.yield, coroutine.isyieldable
local function yield(...) if isyieldable() then return yield_(...) end end
local function num(v) return math.type(v) and v or type(v) == 'string' and #v or 1 end
local function int(v) return math.tointeger(num(v)) or 3 end
local function str(v) return type(v) == 'string' and v:sub(1, 200) or type(v) end
T, C, R, F, W, tags, log, n = {}, {}, {}, {}, {}, {}, {}, 0
for i = 1, 6 do T[i] = {} end
W.k = setmetatable({}, {__mode = 'k'})
W.v = setmetatable({}, {__mode = 'v'})
W.kv = setmetatable({}, {__mode = 'kv'})
local mt = {}
for _, e in ipairs {'add', 'sub', 'mul', 'div', 'mod', 'pow', 'unm', 'idiv', 'band', 'bor', 'bxor',
    'shl', 'shr', 'bnot', 'concat', 'eq', 'lt', 'le', 'call', 'index', 'newindex', 'len'} do
  mt['__' .. e] = function(a, b, c)
    local kept <const>, back = {a}, yield('__' .. e, b)
    return e == 'len' and #kept or back or b
  end
end
mt.__pairs = function(t) yield '__pairs' return next, {1, x = 2, [t] = 3}, nil end
local function object() return setmetatable({}, mt) end
local function nested(k)
  return setmetatable({}, {__index = function(_, key)
    if k == 0 then yield 'deep __index' return key end
    return nested(k - 1)[key]
  end})
end
local function closer(tag, fails)
  return setmetatable({tag}, {__close = function(o, e)
    yield(tag, e)
    log[#log % 20 + 1] = str(e)
    if fails then error('in __close', 0) end
  end})
end
local function mortal(v)
  return setmetatable({v}, {__gc = function(o)
    log[#log % 20 + 1] = 'gone'
    if n % 3 == 0 then R[n % 9] = o end
    if n % 5 == 0 then error 'in __gc' end
    if n % 7 == 0 then setmetatable(o, getmetatable(o)) end
  end})
end
local function custom(t, tag)
  return function(s, k) yield(tag, k) return next(s, k) end, t, nil, closer('closing an iterator')
end
local function deep(k) if k == 0 then yield 'deep' return 1 end return deep(k - 1) + 1 end
local function protected(k)
  if k == 0 then yield 'deep pcall' error 'bottom' end
  return select(2, pcall(protected, k - 1))
end
]]

local out, depth, names, fresh

local function line(text, ...) out[#out + 1] = ('  '):rep(depth) .. text:format(...) end

local function var() return names[#names > 0 and rnd(#names) or 1] or 'n' end

local function new_var()
  fresh = fresh + 1
  return 'v' .. fresh
end

-- Runs `inside` one level deeper; what it names is out of reach then.
local function block(inside)
  local known = #names
  depth = depth + 1
  inside()
  depth = depth - 1
  while #names > known do names[#names] = nil end
end

local expr

local function literal()
  return one_of {
    '0', '1', '-1', 'math.maxinteger', 'math.mininteger', '1 << 53', '0.0', '-0.0', '0.1', '1e308',
    '1/0', '0/0', '2^53', '-2^63', '5e-324', 'nil', 'true', 'false', "''", "'short'", "'\\0\\xff'",
    "('long '):rep(" .. rnd(60) .. ')', "('x'):rep(40)", "('x'):rep(41)", tostring(rnd(1000)),
    rnd(1000) .. '.25'}
end

local function key()
  local kinds = {
    tostring(rnd(12)), tostring(-rnd(9)), '2^' .. rnd(60), rnd(9) .. '.5', "'k" .. rnd(20) .. "'",
    "('long key'):rep(9) .. " .. rnd(3), 'true', 'false', '{}', 'T[' .. rnd(6) .. ']',
    'F[' .. rnd(5) .. '] or 1', 'C[' .. rnd(4) .. '] or 2', 'function() return n end', 'n',
    'io.stdout', 'math.maxinteger', '-1/0', 'box and box(8) or 9', 'n % 40', "'n' .. n % 40"}
  if not stock then
    local more = {'print', 'math.sin', "string.gmatch('a', 'a')", 'tostring(F[1])',
      'light and light(' .. rnd(9) .. ') or 8', 'tostring(T)', 'coroutine.wrap(print)', 'emit or 7'}
    table.move(more, 1, #more, #kinds + 1, kinds)
  end
  return one_of(kinds)
end

local function arithmetic(level)
  local a, b = expr(level), expr(level)
  return (one_of {'num(%s) + num(%s)', 'num(%s) - num(%s)', 'num(%s) * num(%s)',
    'num(%s) / num(%s)', 'num(%s) ^ num(%s)', 'int(%s) & int(%s)', 'int(%s) | int(%s)',
    'int(%s) ~ int(%s)', 'int(%s) << int(%s)', 'int(%s) // (int(%s) | 1)',
    'int(%s) %% (int(%s) | 1)',
    'str(%s) .. str(%s)', '%s == %s', 'num(%s) < num(%s)', 'str(%s) <= str(%s)', '(%s) and (%s)',
    '(%s) or (%s)'}):format(a, b)
end

local function closure(level)
  local v, w = var(), var()
  return one_of {
    ('function(a) %s = a or %s return %s end'):format(v, w, v),
    ('function(...) local a, b = ... return select("#", ...), b, %s end'):format(v),
    ('function() return function() %s = %s return %s end end'):format(v, expr(level), w)}
end

function expr(level)
  if level <= 0 then return one_in(2) and var() or literal() end
  local kind = rnd(11)
  if kind < 3 then return var() end
  if kind < 5 then return literal() end
  if kind < 7 then return arithmetic(level - 1) end
  if kind == 7 then return ('{%s, %s, k = %s, [%d] = %s}'):format(expr(level - 1), expr(level - 1),
    expr(level - 1), rnd(99), expr(level - 1)) end
  if kind == 8 then return closure(level - 1) end
  if kind == 9 then return ('T[%d][%s]'):format(rnd(6), key()) end
  if kind == 10 then return one_of {'math.random(100)', 'math.random()', '#T[1]', 'n', 'input',
    "('%d %s %g'):format(n, str(n), n / 3)", "string.pack('>i4z', n, 'z')",
    "utf8.char(n % 900 + 200)", 'table.concat({n, 2, 3}, ",")', 'select(2, next(T[2]))'} end
  return ("select(2, pcall(F[%d] or type, %s))"):format(rnd(5), expr(level - 1))
end

local function local_of(text)
  local v = new_var()
  line('local %s = %s', v, text)
  names[#names + 1] = v
end

local statements = {}

-- `place` is where a yield would lie.
local function body(level, place, count)
  block(function()
    for _ = 1, count or rnd(3) do statements[rnd(#statements)](level - 1, place) end
    line('yield(%q, %s)', place, var())
  end)
end

local function add(weight, make) for _ = 1, weight do statements[#statements + 1] = make end end

add(4, function() local_of(expr(2)) end)
add(3, function() line('%s = %s', var(), expr(2)) end)
add(4, function() line('T[%d][%s] = %s', rnd(6), key(), expr(1)) end)
add(1, function() line('T[%d][%s] = nil', rnd(6), key()) end)
add(2, function() line("W[%q][%s] = %s", one_of {'k', 'v', 'kv'}, key(), expr(1)) end)
add(1, function() -- ephemerons: values that lead back to keys
  line('do local a, b = {}, {} W.k[a], W.k[b] = {b}, {a} %s end', one_in(2) and 'R[1] = a' or '')
end)
add(1, function() line('F[%d] = %s', rnd(5), closure(1)) end)
add(1, function() -- closures that share upvalues
  local v = new_var()
  line('local %s = %s', v, expr(1))
  line('F[%d], F[%d] = function() return %s end, function(x) %s = x end', rnd(5), rnd(5), v, v)
  names[#names + 1] = v
end)
add(1, function() line("if F[%d] and F[%d] then pcall(debug.upvaluejoin, F[%d], 1, F[1], 1) end",
  1, rnd(5), rnd(5)) end)
add(1, function() line('R[%d] = mortal(%s)', rnd(9), expr(1)) end)
add(1, function() line('mortal(n)  R[%d] = nil', rnd(9)) end)
add(3, function(_, place) line('%s = yield(%q, %s) or %s', var(), place, var(), var()) end)
add(1, function(_, place) line('local _ = {yield(%q), yield(%q, n)}', place, place) end)

-- The innermost levels stay simple.
local function add_nested(weight, make)
  add(weight, function(level, place)
    if level <= 0 then line('%s = %s', var(), expr(1)) else make(level, place) end
  end)
end

add_nested(2, function(level)
  line('pcall(function()')
  body(level, 'pcall')
  if one_in(2) then line("  error(%s)", expr(1)) end
  line('end)')
end)
add_nested(2, function(level)
  line('log[3] = select(2, xpcall(function(...)')
  body(level, 'xpcall')
  if one_in(2) then line("  error(%s)", expr(1)) end
  line('end, function(m) return str(m) end, %s))', expr(1))
end)
add_nested(1, function() line('pcall(pcall, xpcall, yield, print, "nested pcall")') end)
add_nested(1, function(level)
  local v = new_var()
  line('for %s = %s do', v, one_of {'1, 3', '3, 1, -1', '1, 5, 2',
    'math.maxinteger - 1, math.maxinteger', 'math.mininteger, math.mininteger + 1', '0, -1'})
  names[#names + 1] = v
  body(level, 'integer for')
  names[#names] = nil
  line('end')
end)
add_nested(1, function(level)
  local v = new_var()
  line('for %s = 0.0, 1.0, 0.5 do', v)
  body(level, 'float for')
  line('end')
end)
add_nested(1, function(level)
  line('for k, v in custom({1, x = 2, [{}] = 3}, "in an iterator") do')
  body(level, 'generic for')
  line('end')
end)
add_nested(1, function(level) -- next over keys that die meanwhile
  line('do local t = {} for i = 1, 8 do t[{}] = i t[i] = i t["k" .. i] = i end')
  line('for k in next, t do t[k] = nil')
  body(level, 'next over dead keys', 1)
  line('end end')
end)
add_nested(1, function(level)
  line('for k, v in pairs(%s) do if type(k) == "number" and k > 3 then break end',
    one_of {'object()', 'T[' .. rnd(6) .. ']', 'W.k', 'W.v'})
  body(level, 'pairs', 1)
  line('end')
end)
add_nested(1, function(level)
  line("for w, x in ('a=1 b=2 c=3'):gmatch '(%%a)=(%%d)' do")
  body(level, 'gmatch', 1)
  line('end')
end)
add_nested(1, function(level)
  line("for p, c in utf8.codes 'a\\u{e4}\\u{20ac}' do")
  body(level, 'utf8.codes', 1)
  line('end')
end)
add_nested(1, function(level)
  line('for i, v in ipairs {n, {}, "x"} do')
  body(level, 'ipairs', 1)
  line('end')
end)
add_nested(1, function(level)
  local v, again = new_var(), 'again' .. fresh
  line('do local %s = 0', v)
  line('::%s:: %s = %s + 1', again, v, v)
  body(level, 'goto', 1)
  line('if %s < 3 then goto %s end end', v, again)
end)
add_nested(1, function(level)
  local v = new_var()
  line('local %s = 3 while %s > 0 do %s = %s - 1', v, v, v, v)
  body(level, 'while', 1)
  line('end')
end)
add_nested(1, function(level)
  local v = new_var()
  line('local %s = 0 repeat %s = %s + 1', v, v, v)
  body(level, 'repeat', 1)
  line('until %s > 1', v)
end)
add_nested(2, function(level)
  line('do local c <close> = closer("__close, block")')
  body(level, 'to be closed')
  line('end')
end)
add_nested(2, function(level)
  line('log[4] = select(2, pcall(function() local c <close> = closer("__close, error", %s)',
    tostring(one_in(3)))
  line('local d <close> = closer("__close, error")')
  body(level, 'to be closed')
  line('error(%s) end))', expr(1))
end)
add_nested(1, function(level)
  line('for i = 1, 2 do local c <close> = closer("__close, break")')
  body(level, 'to be closed')
  line('if i == 1 then break end end')
end)
add_nested(1, function(level)
  line('local function f(...) local c <close> = closer("__close, return")')
  body(level, 'to be closed')
  line('return yield("return"), ... end')
  line('%s = f(1, %s)', var(), expr(1))
end)
add_nested(1, function() line('do local co = coroutine.create(function() local c <close> = '
  .. 'closer("never") yield_() end) coroutine.resume(co) %s coroutine.close(co) end',
  one_in(2) and 'yield "a coroutine to close"' or '') end)
add_nested(3, function()
  line('do local o = object() local _ = %s end', one_of {
    'o + 1', '1 - o', 'o * o', 'o / 2', 'o % 3', 'o ^ 2', '-o', 'o // 2', 'o & 1', '1 | o', 'o ~ o',
    'o << 1', '1 >> o', '~o', 'o .. "x" .. "y"', '"a" .. "b" .. o .. 1', 'o == object()', 'o < 1',
    '1 <= o', 'o > o', 'o(1, 2, 3)', 'o.x', 'o[1]', '#o', 'o < o and 1 or o >= o'})
end)
add_nested(2, function() line('do local o = object() o.x, o[1] = %s, n end', expr(1)) end)
add_nested(1, function()
  line('if object() < object() then %s = 1 else %s = 2 end', var(), var())
end)
add_nested(1, function() line('local _ = nested(%d).key', rnd(20)) end)
add_nested(1, function() line('%s = deep(%d)', var(), rnd(140)) end)
add_nested(1, function() line('%s = protected(%d)', var(), rnd(25)) end)
add_nested(1, function(level)
  line('local function f(...)')
  body(level, 'varargs', 1)
  line('  local a, b = select("#", ...), {...}')
  line('  return a, ... end')
  line('%s = f(%s, nil, f(n, nil))', var(), expr(1))
end)
add_nested(1, function(level) -- a tail call, whose frame is gone
  line('local function f(k) if k > 0 then return f(k - 1) end')
  body(level, 'tail call', 1)
  line('return yield("tail call", k) end')
  line('%s = f(%d)', var(), rnd(9))
end)
add_nested(2, function(level)
  line('do local co = coroutine.wrap(function(...)')
  body(level, 'inner coroutine')
  line('end)')
  line('co(1) yield("outer of an inner") pcall(co, 2) R[%d] = co end', rnd(9))
end)
add_nested(1, function(_, place)
  line('do local t = {n %% 7, 3, 1, 5, 2} pcall(table.sort, t, function(a, b) %s return a < b end) '
    .. 'T[%d].sorted = t[1] end', one_in(2) and 'yield_()' or 'yield(1)', rnd(6))
  line('yield(%q)', place)
end)
add_nested(1, function() line("log[5] = select(2, pcall(string.gsub, 'abc', '.', function(c) %s "
  .. 'return c:upper() end))', one_in(2) and 'yield_()' or 'yield(1)') end)
add_nested(1, function() line("F[%d] = load('local a <const>, b = %d, ... return function(...) '"
  .. " .. 'b = b or a coroutine.isyieldable() return b, ... end')(%s)", rnd(5), rnd(99),
  expr(0)) end)
add_nested(1, function() line("F[%d] = load(string.dump(function(a) return a end, %s), 'd', 'b')",
  rnd(5), tostring(one_in(2))) end)
add_nested(1, function() line('T[%d] = {} T[%d] = {table.unpack({}, 1, %d)}', rnd(6), rnd(6),
  rnd(120)) end)
add_nested(1, function() line('for i = 1, %d do local t = {{}, i} t[1][1] = t end', rnd(80)) end)
add_nested(1, function() line("if n %% 8 == 0 then collectgarbage(%s) end", one_of {"'step'",
  "'step', 1", '', "'generational'", "'incremental', 110, 200, 6", "'incremental', 200, 40, 10",
  "'stop'", "'restart'"}) end)
add(1, function() line('log[7] = debug.traceback("", 1)') end)
add_nested(1, function()
  line("for a, b in ('abc'):gmatch '()x*()' do log[8] = a * 10 + b yield('empty matches', a) end")
end)
add_nested(1, function() -- constants and variables to close as upvalues; as bytes
  line('do local k <const>, c <close> = {n}, nil F[%d] = function() return k, c end', rnd(5))
  line('log[9] = string.dump(F[%d] or frame, %s) end', rnd(5), tostring(one_in(2)))
end)
add_nested(1, function() -- large tables, which the collector marks in slices
  line('if #R < %d then local t = {} for i = 1, %d do t[i] = i %% 5 == 0 and {i} or i end', rnd(9),
    100 + rnd(900))
  line('R[%d], R[%d] = t, t end', rnd(9), 9 + rnd(3))
end)
add_nested(1, function() -- userdata with user values
  line('if box then local u = box(%d, n %% 256) u:user(1, {n, u}) u:user(2, R) R[%d] = u end',
    rnd(60), rnd(9))
end)
if not stock then
  add_nested(1, function() line('log[10] = os.time() .. " " .. os.clock()') end)
  add_nested(1, function() line('T[%d][tostring(T[%d])] = ("%%p"):format(F[1] or T)', rnd(6),
    rnd(6)) end)
end

out, depth, names, fresh = {prelude}, 0, {}, 0
line('local bodies = {')
local coroutines = 2 + rnd(4)
for i = 1, coroutines do
  line('function(...) local a, b = ...')
  names = {'a', 'b'}
  body(4, 'body', 4 + rnd(6))
  line('return a end,')
end
line('}')
names = {}
line('local shared = 0')
line('function frame(number, input) n = number')
names = {'shared'}
block(function()
  line('for i, body in ipairs(bodies) do')
  line('  local co = C[i]')
  line('  if not co or coroutine.status(co) == "dead" then')
  line('    co = coroutine.create(body) C[i] = co end')
  line('  local ok, tag, value = coroutine.resume(co, n, value)')
  line('  tags[i], log[6] = ok and tag or nil, str(tag)')
  line('end')
  for _ = 1, 2 + rnd(4) do statements[rnd(#statements)](2, 'frame') end
  line('it = it or ("x y z"):gmatch "%%a"')
  line('if not it() then it = nil end')
  line('if n %% 9 == 0 then T[n %% 6 + 1], W.v[n], W.k[T[1]] = {}, {}, {n} end')
  line('if n %% 7 == 0 then C[n %% %d + 1] = nil end', coroutines)
end)
line('end')
return table.concat(out, '\n'), {
  'body', 'return', 'tail call', 'varargs', 'deep', 'goto', 'while', 'repeat', 'integer for',
  'float for', 'generic for', 'pairs', 'ipairs', 'gmatch', 'empty matches', 'utf8.codes',
  'next over dead keys', 'in an iterator', 'closing an iterator', 'pcall', 'xpcall', 'nested pcall',
  'deep pcall', 'to be closed', '__close, block', '__close, break', '__close, error',
  '__close, return',
  'a coroutine to close', 'outer of an inner', 'deep __index', '__add', '__sub', '__mul', '__div',
  '__mod', '__pow', '__unm', '__idiv', '__band', '__bor', '__bxor', '__shl', '__shr', '__bnot',
  '__concat', '__eq', '__lt', '__le', '__call', '__index', '__newindex', '__len', '__pairs'}
