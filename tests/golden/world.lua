-- The world of the golden images: small, and one of everything that an image can have. `frame(n)`
-- returns what it did as a text, which depends on no time of a collection.
local yield, wrap = coroutine.yield, coroutine.wrap
local weak = setmetatable({}, { __mode = "k" })
local values = setmetatable({}, { __mode = "v" })
kept, log, gone = {}, {}, 0

local function closer(name)
  return setmetatable({ name }, { __close = function(o, e) yield("closing " .. o[1], e) end })
end

local object = setmetatable({}, {
  __index = function(_, k) return yield("index " .. k) end,
  __add = function(a, b) return yield("add", b) or 1 end,
  __lt = function() return yield "less" end,
  __concat = function(_, b) return yield "concat" .. b end,
})

local shared = 0
local function get() return shared end
local function add(x) shared = shared + x return shared end
counters = { get = get, add = add }

local bodies = {
  function() for i = 1, 9 do yield(i) end for x = 0.25, 2.0, 0.25 do yield(x) end end,
  function()
    for w, v in ("a=1, b=2, c=3"):gmatch "(%a)=(%d)" do yield(w .. v) end
    for p, c in utf8.codes "a\u{e4}\u{20ac}" do yield(p * c) end
  end,
  function() for k, v in pairs { 1, x = 2, [true] = 3, [2.5] = 4 } do yield(k) end end,
  function()
    local t = {}
    for i = 1, 6 do t[i], t["k" .. i] = i, i end
    for k in next, t do t[k] = nil yield(k) end
  end,
  function(...) local n = select("#", ...) yield(n, ...) return yield(...) end,
  function()
    local ok, e = pcall(function() yield "in pcall" error { "an error" } end)
    yield(e[1])
  end,
  function()
    xpcall(function() yield "in xpcall" error "x" end, function(m) log.handled = m end)
    yield "behind xpcall"
  end,
  function()
    local a <close> = closer "a"
    local b <close> = closer "b"
    yield "body"
    return yield "return"
  end,
  function() pcall(function() local c <close> = closer "c" error "e" end) yield "closed" end,
  function() yield(object.name) yield(object + 1) yield(object < 1) yield(object .. "x") end,
  function()
    local function deep(k)
      if k == 0 then return yield "deep" end
      return deep(k - 1), k
    end
    deep(25)
  end,
  function() local inner = wrap(function() yield(1) yield(2) end) yield(inner()) yield(inner()) end,
}
local running = {}

local function text(v)
  if math.type(v) == "float" then return ("%a"):format(v) end
  local kind = type(v)
  return (kind == "table" or kind == "function" or kind == "userdata") and kind or tostring(v)
end

function frame(n)
  local out = {}
  for i, body in ipairs(bodies) do
    local co = running[i]
    if not co or coroutine.status(co) == "dead" then co = coroutine.create(body) running[i] = co end
    out[#out + 1] = text(select(2, coroutine.resume(co, n, i)))
  end
  local t = { n, n / 7, -0.0, 1 << 62, ("long string "):rep(5) .. n, x = n, [2 ^ 53] = golden_add }
  kept[n % 5] = t
  local source = "local a <const>, b = %d, ... return function(...) return a + b, ... end"
  kept["f" .. n % 5] = load(source:format(n))(n)
  kept[golden_place], kept[golden_add] = n, golden_double(n)
  weak[t], values[n] = { t }, t
  weak[{}] = n
  setmetatable({}, { __gc = function() gone = gone + 1 end })
  if n % 3 == 0 then collectgarbage() end
  local alive = 0
  for _ in pairs(n % 3 == 0 and values or {}) do alive = alive + 1 end
  out[#out + 1] = counters.add(n) .. " " .. golden_add(n, shared) .. " " .. kept["f" .. n % 5](1)
  out[#out + 1] = math.random(1000) .. " " .. alive .. " " .. (n % 3 == 0 and gone or "")
  local order = {}
  for k, v in pairs(kept) do order[#order + 1] = type(k) .. type(v) end
  out[#out + 1] = table.concat(order, ",")
  return table.concat(out, "|")
end
