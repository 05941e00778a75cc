-- graph.lua: operations on a random graph of objects; graph.c calls one at a time, by number.
-- Everything random comes from `rnd`, whose state is in the VM, so the same calls do the same.
-- An operation may fail (no memory, an error on purpose): the host calls it protected.

local newud, host_pcallk, host_busy = ...
local yield, wrap, create, resume = coroutine.yield, coroutine.wrap, coroutine.create,
  coroutine.resume

local state = 1
local function rnd(n)
  state = state ~ (state << 13)
  state = state ~ (state >> 7)
  state = state ~ (state << 17)
  return (state >> 33) % n + 1
end

local N <const> = 96
local nodes, cos, fns, revived = {}, {}, {}, {}
local gone, closed, hooks = 0, 0, 0
local weak = {
  setmetatable({}, {__mode = 'k'}),
  setmetatable({}, {__mode = 'v'}),
  setmetatable({}, {__mode = 'kv'}),
}

local function any() return nodes[rnd(N)] end
local function put(x) nodes[rnd(N)] = x return x end
local function tab()
  for _ = 1, 4 do
    local x = any()
    if type(x) == 'table' then return x end
  end
  return put({})
end
local function text()
  local kind = rnd(8)
  if kind < 5 then return 'k' .. rnd(400) end
  if kind < 7 then return ('long'):rep(rnd(40)) .. rnd(1000) end
  if kind == 7 then return string.format('%d:%5.2f:%s:%q', rnd(99), rnd(99) / 7, rnd(9), 'x\n') end
  return ('L'):rep(rnd(6000))
end
local function value()
  local kind = rnd(12)
  if kind == 1 then return rnd(2) == 1 end
  if kind == 2 then return rnd(1000) end
  if kind == 3 then return rnd(1000) / 8 end
  if kind < 7 then return text() end
  if kind == 7 then return {rnd(9), rnd(9)} end
  if kind == 8 then return nil end
  return any()
end
local function key()
  local k
  repeat k = value() until k ~= nil and k == k
  return k
end

-- Metatables -------------------------------------------------------------------------------

local function closer(n, yields)
  return setmetatable({n}, {__close = function(o, e)
    closed = closed + o[1]
    if yields then yield('closing', e) end
    if n == 9 then error('in __close', 0) end
  end})
end

local yielding = {}
for _, event in ipairs {'index', 'newindex', 'add', 'sub', 'mul', 'div', 'mod', 'pow', 'unm',
  'idiv',
                        'band', 'bor', 'bxor', 'shl', 'shr', 'bnot', 'concat', 'len', 'eq', 'lt',
                        'le', 'call'} do
  yielding['__' .. event] = function(a, b)
    local kept <const> = rnd(100)
    local back = yield(event, kept)
    return back or kept
  end
end
local function yielder() return setmetatable({}, yielding) end

local metas = {
  {__index = function(t, k) return k end, __name = 'echo'},
  {__index = {a = 1, b = {2}}, __newindex = function(t, k, v) rawset(t, k, v) end},
  {__gc = function(o)
    gone = gone + 1
    if gone % 5 == 0 then revived[gone % 16 + 1] = o end
    if gone % 3 == 0 then local garbage = {} for i = 1, 20 do garbage[i] = {i} end end
  end},
  {__gc = function(o) gone = gone + 1 error('in __gc') end},
  {__gc = function(o) gone = gone + 1 setmetatable(o, getmetatable(o)) nodes[gone % N + 1] = o end},
  {__close = function(o) closed = closed + 1 end, __gc = function() closed = closed + 1 end},
  {__mode = 'k', __len = function() return 7 end},
  {__mode = 'v', __pairs = function(t) return next, t, nil end},
  {__mode = 'kv'},
  {__tostring = function() return 'named' .. gone end, __metatable = 'locked'},
  {__eq = function() return true end, __lt = function() return true end,
   __le = function() return false end, __concat = function(a, b) return 'cat' end,
   __call = function(self, ...) return select('#', ...), ... end,
   __add = function(a, b) return 1 end, __unm = function(a) return a end},
  yielding,
}
metas[#metas + 1] = {__index = setmetatable({}, metas[1])}

-- Coroutines: suspended in every position ------------------------------------------------------

local function iterator(n)
  return function(limit, i)
    yield('in iterator')
    if i < limit then return i + 1, {i} end
  end, n, 0, closer(1, rnd(2) == 1)
end

local bodies = {
  function(...) local t = {...} for i = 1, 5 do t[#t + 1] = yield(i, #t) end return t end,
  function(a)
    local ok, e = pcall(function() local x = yield(1) local y = yield(x) error({x, y}) end)
    yield(ok)
    return e
  end,
  function(a)
    return xpcall(function() yield(1) error('x') end,
                  function(m) return debug.traceback(m) .. #m end)
  end,
  function(a)
    local o, c = yielder(), nil
    c = o.field; o.field = 1; c = o + 1; c = 1 - o; c = o * o; c = o / 2; c = o % 2; c = o ^ 2
    c = -o; c = o // 2; c = o & 1; c = o | 1; c = o ~ 1; c = o << 1; c = o >> 1; c = ~o
    c = 'a' .. o .. 'b'; c = #o; c = o == yielder(); c = o < o; c = o <= o; c = o(1, 2)
    if o < 1 then c = 1 elseif o > 1 then c = 2 end
    return c
  end,
  function(a) for i, v in iterator(rnd(6)) do yield(v) if i == 4 then break end end return 1 end,
  function(a)
    local c1 <close> = closer(1, true)
    local c2 <close> = closer(rnd(2) == 1 and 9 or 2, rnd(2) == 1)
    yield(1)
    if rnd(2) == 1 then error('in body') end
    return c1, c2
  end,
  function(a)
    local inner = wrap(function() for i = 1, 3 do yield(i) end end)
    for i = 1, 3 do yield(inner()) end
  end,
  function(a)
    local function deep(n) if n == 0 then return yield(n) end local x = deep(n - 1) return x, n end
    return deep(rnd(150))
  end,
  function(...)
    local function va(...) local n = select('#', ...) yield(n, ...) return n, ... end
    return va(..., va(...))
  end,
  function(a) table.sort({3, 2, 1}, function(x, y) yield() end) end,
  function(a) for w in string.gmatch('a b c d', '%a') do yield(w) end end,
  function(a) while true do local t = {} for i = 1, rnd(30) do t[i] = {} end yield(t) end end,
  function(a)
    local t = setmetatable({}, {__index = function(t, k)
      local c <close> = closer(3, true)
      return yield(k)
    end})
    return t.x, t.y, t.z
  end,
  function(a)
    local f = {}
    for i = 1, 4 do f[i] = function() i = i + 1 return i end yield(f[i]) end
    return f
  end,
  function(a) return pcall(pcall, pcall, yield, 1) end,
  function(a) return load('local x <close> = ... return coroutine.yield(x), 2')(closer(1)) end,
  function(a) return (string.gsub('abc', '.', function() yield() end)) end,
  function(a)
    local co = create(function() local c <close> = closer(1) yield(a) end)
    resume(co)
    yield(co)
    return coroutine.close(co)
  end,
  function(a) return host_pcallk(function(x) yield(x) if rnd(2) == 1 then error(x) end return x
    end, a) end,
  function(a) for i = 1, 1e9 do if i % 3 == 0 then yield(i) end end end,
  function(a) for x = 0.0, 5.0, 0.5 do yield(x) end end,
  function(a) local self = coroutine.running() yield(self) return coroutine.close(self) end,
  function(a)
    local t = setmetatable({}, {__close = function() yield('a') local c <close> = closer(1, true)
      end})
    do local x <close> = t end
    for i = 1, 2 do local y <close> = t if i == 2 then return 'returned', yield(2) end end
  end,
}

local function new_co()
  local body = bodies[rnd(#bodies)]
  local co = create(body)
  cos[rnd(40)] = co
  return co
end

local function resume_some()
  local co = cos[rnd(40)] or new_co()
  if type(co) ~= 'thread' then return end
  local ok, x = resume(co, value(), value())
  if coroutine.status(co) == 'dead' and rnd(2) == 1 then cos[rnd(40)] = nil end
  if rnd(4) == 1 then put(x) end
end

-- Operations ---------------------------------------------------------------------------------

local ops = {
  function() local t = {} for i = 1, rnd(64) do t[i] = rnd(9) end put(t) end,
  function() local t = {} for i = 1, rnd(900) do t[i] = i % 7 == 0 and {i} or i end put(t) end,
  function() local t = {} for i = 1, rnd(60) do t[key()] = value() end put(t) end,
  function() local t = put({}) for i = 1, rnd(300) do t['f' .. i] = {} end end,
  function() local t = tab() for k in next, t do if rnd(2) == 1 then rawset(t, k, nil) end end end,
  function() local t = tab() for i = 1, rnd(20) do rawset(t, key(), value()) end end,
  function() tab()[key()] = value() end,
  function() put(tab()[key()]) end,
  function() tab().link = any() end,
  function() nodes[rnd(N)] = nil end,
  function() for i = 1, 30 do nodes[rnd(N)] = nil end end,
  function() setmetatable(tab(), metas[rnd(#metas)]) end,
  function() put(setmetatable({any(), any()}, metas[rnd(#metas)])) end,
  function() for i = 1, rnd(20) do put(setmetatable({i}, metas[2 + rnd(4)])) end end,
  function() debug.setmetatable(tab(), nil) end,
  function() local w = weak[rnd(3)] w[key()] = value() end,
  function() local w = weak[rnd(3)] for i = 1, rnd(30) do w[{i}] = {i, any()} end end,
  function() -- ephemerons: values that lead back to keys
    local a, b = {}, {}
    weak[1][a], weak[1][b] = {b}, {a}
    if rnd(2) == 1 then put(a) end
  end,
  function() for k, v in next, weak[rnd(3)] do if rnd(3) == 1 then put(v) end end end,
  function() put(text()) end,
  function() local s = text() put(s:sub(rnd(10), -rnd(3)):upper():reverse()) end,
  function() local s = text() put(s:reverse() .. s:lower() .. #s) end,
  function() put(('%s|%s|%a'):format(text(), rnd(9), rnd(99) / 3)) end,
  function() put((text():gsub('%w', {k = 'K', l = 1, o = false}))) end,
  function() put((text():gsub('(%a)(%d*)', function(a, b) return b .. a end))) end,
  function() put(string.pack('>i4s2dzj', rnd(99), text():sub(1, 200), rnd(9) / 2, 'z', rnd(9))) end,
  function() local a, b = string.unpack('<i2 i1', 'abcdef', rnd(3)) put(a + b) end,
  function() local t = {} for i = 1, rnd(50) do t[i] = text() end put(table.concat(t, ',')) end,
  function() local n = rnd(200) put(utf8.char(n, n * 50, n * 5000)) end,
  function() -- closures that share upvalues
    local x, y = rnd(9), {}
    local function get() return x, y end
    local function set(v) x = v y[#y % 20 + 1] = v return function() x = v end end
    fns[rnd(40)], fns[rnd(40)] = get, set
  end,
  function()
    local list = {}
    for i = 1, rnd(30) do list[i] = function() i = i + 1 return list, i end end
    put(list)
    fns[rnd(40)] = list[1]
  end,
  function() local f = fns[rnd(40)] if f then put((f(value()))) end end,
  function() fns[rnd(40)] = nil end,
  function() local f, g = fns[rnd(40)], fns[rnd(40)] if f and g then debug.upvaluejoin(f, 1, g, 1)
    end end,
  function() local f = fns[rnd(40)] if f then debug.setupvalue(f, 1, value()) end end,
  function() -- new prototypes, constants and debug information
    local lines = {}
    for i = 1, rnd(40) do lines[i] = ('local v%d <const> = {%d, "%s%d"}'):format(i, i, 'str',
      rnd(99)) end
    lines[#lines + 1] = 'return function(...) local a, b = ... ; return v1, a end'
    local f = load(table.concat(lines, '\n'), '=made' .. rnd(50))
    fns[rnd(40)] = f and f()
  end,
  function() local f = fns[rnd(40)] if f then fns[rnd(40)] = load(string.dump(f, rnd(2) == 1), 'd',
    'b') end end,
  function() put(select(2, load('x = = 1', text()))) end,
  function() new_co() end,
  function() resume(new_co(), any()) end,
  resume_some, resume_some,
  function() for _ = 1, rnd(20) do resume_some() end end,
  function() local i = rnd(40) if cos[i] then put(select(2, coroutine.close(cos[i]))) cos[i] = nil
    end end,
  function() cos[rnd(40)] = nil end,
  function() local f = wrap(bodies[rnd(#bodies)]) for _ = 1, rnd(4) do put((f(value()))) end end,
  function() put(cos[rnd(40)]) end,
  function() local u = newud(rnd(300) - 1, rnd(4) - 1, rnd(1 << 30)) debug.setuservalue(u, any(),
    1) put(u) end,
  function() debug.setmetatable(put(newud(rnd(40), 1, 7)), metas[rnd(#metas)]) end,
  function() local u = any() if type(u) == 'userdata' then debug.setuservalue(u, value(), rnd(2))
    end end,
  function() put(newud(rnd(9000), 0, rnd(99))) end,
  function() table.insert(tab(), value()) end,
  function() put(table.remove(tab())) end,
  function() local t = tab() table.move(t, 1, rnd(20), rnd(20)) end,
  function() local t = {} for i = 1, rnd(200) do t[i] = rnd(1000) end table.sort(t) put(t) end,
  function() local t = {} for i = 1, rnd(60) do t[i] = text() end
             table.sort(t, function(a, b) return a > b end) put(t) end,
  function() table.sort({3, 1, 2, 5}, function() error('in sort') end) end,
  function() put({table.unpack({1, 2, 3}, 1, rnd(200))}) end,
  function() local function r(n) if n > 0 then return 1 + r(n - 1) end return 0 end
    put(r(rnd(1500))) end,
  function() local function r() return 1 + r() end put(select(2, pcall(r))) end,
  function() put(select(2, pcall(error, tab()))) end,
  function() put(select(2, pcall(string.rep, 'x', 1 << 40))) end,
  function() put(select(2, pcall(string.rep, 'x', rnd(1 << 19)))) end,
  function() local c <close> = closer(9) error('and the body too') end,
  function() for i, v in ipairs(tab()) do if i > 20 then break end put(v) end end,
  function() for k, v in pairs(tab()) do if rnd(9) == 1 then put(k) break end end end,
  function() put(tostring(any())) end,
  function() put(#tostring(any() == any()) + #{value(), value()}) end,
  function() local a, b = any(), any() put(a < b) end,
  function() put(any() .. text()) end,
  function() put(any()(1, 2)) end,
  function() put(-any()) end,
  function() put(rawlen(tab())) end,
  function() _G['g' .. rnd(60)] = value() end,
  function() package.preload['m' .. rnd(20)] = function(...) return {...} end end,
  function() put(require('m' .. rnd(20))) end,
  function() package.loaded['m' .. rnd(20)] = nil end,
  function() local co = cos[rnd(40)]
             if co then debug.sethook(co, function() hooks = hooks + 1 end, 'crl', rnd(20)) end end,
  function() local co = cos[rnd(40)] if co then debug.sethook(co) end end,
  function() local co = cos[rnd(40)] if co then put(debug.traceback(co, text())) end end,
  function() local co = cos[rnd(40)] if co then debug.setlocal(co, rnd(3) - 1, 1, value()) end end,
  function() put(debug.getinfo(fns[rnd(40)] or 1, 'nSlutfr')) end,
  function() put(math.random(100)) put(math.random()) end,
  function() collectgarbage() end,
  function() collectgarbage('step', rnd(200) - 1) end,
  function() for _ = 1, rnd(20) do collectgarbage('step', 0) end end,
  function() collectgarbage('generational') end,
  function() collectgarbage('incremental', 100 + rnd(100), 100, rnd(12)) end,
  function() collectgarbage('stop') end,
  function() collectgarbage('restart') end,
  function() collectgarbage(rnd(2) == 1 and 'setpause' or 'setstepmul', rnd(400)) end,
  function() put(collectgarbage('count')) end,
  function() for _ = 1, rnd(400) do local t = {{}, {}} t[1][1] = t end end,
  function() host_busy() end,
  function() wrap(host_busy)() end,
  function() host_pcallk(function() host_busy() error('x') end) end,
  function() warn('@off') end,
}

return function(number, seed)
  state = seed | 1
  return ops[number]()
end, #ops, function() return any() end
