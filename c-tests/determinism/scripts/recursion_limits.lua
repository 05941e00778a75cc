-- frames: 20
-- Limits of depth: the Lua stack, the C stack, the parser, coroutines in coroutines.
local depth
local function down() depth = depth + 1 return 1 + down() end
local function through_pcall() depth = depth + 1 return pcall(through_pcall) end
local function through_gsub() depth = depth + 1 return (("x"):gsub("x", through_gsub)) end
local function through_sort()
  depth = depth + 1
  table.sort({ 2, 1 }, through_sort)
end
local function through_coroutines()
  depth = depth + 1
  local ok, message = coroutine.resume(coroutine.create(through_coroutines))
  if not ok then error(message, 0) end
end
local looping = setmetatable({}, {})
getmetatable(looping).__index = function(t, k) depth = depth + 1 return t[k + 1] end
local function short(message) return type(message) == "string" and message:sub(1,
  120) or type(message) end
local function measure(f, ...)
  depth = 0
  local ok, message = pcall(f, ...)
  emit(depth, ok, short(message))
  return depth
end
function frame(n, input)
  limits = { measure(through_pcall), measure(through_gsub), measure(through_sort),
    measure(through_coroutines),
    measure(function() return looping[1] end), n % 10 == 0 and measure(down) or 0 }
  for _, source in ipairs { ("("):rep(300) .. "1" .. (")"):rep(300),
    ("{"):rep(250) .. ("}"):rep(250),
    ("function() "):rep(210), ("not "):rep(300) .. "1", ("1 .. "):rep(250) .. "1",
      ("-"):rep(250) .. "1" } do
    local f, message = load("return " .. source)
    emit(f and "loaded", short(message))
  end
  emit(select(2, load(("do "):rep(250) .. ("end "):rep(250))), (select(2,
    load(("local a%d "):rep(3)))))
  emit(select(2, load("local " .. ("a,"):rep(210) .. "a")), select(2,
    load("return " .. ("f("):rep(300))))
  local chain = {}
  for _ = 1, 2100 do chain = setmetatable({}, { __index = chain }) end
  emit(pcall(function() return chain.missing end),
    pcall(function() return ("x"):rep(10)[chain] end))
  emit(pcall(string.rep, "x", 1 << 33), pcall(string.rep, "xy", math.maxinteger))
  if n % 10 == 5 then emit(select(2, xpcall(down, down))) end
end
