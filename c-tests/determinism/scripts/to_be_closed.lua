-- Variables that are closed: their order, errors in them, in loops, in coroutines, after goto.
log = {}
local function closer(id)
  return setmetatable({}, { __close = function(_, e) log[#log + 1] = id .. ":" .. tostring(e) end })
end
function frame(n, input)
  log = {}
  do
    local a <close> = closer "a"
    local b <close> = closer "b"
    local c <const> = n
  end
  emit(pcall(function()
    local x <close> = closer "x"
    local y <close> = setmetatable({}, { __close = function() error("closing", 0) end })
    if input % 2 == 0 then error("body", 0) end
  end))
  for i = 1, 3 do
    local z <close> = closer("z" .. i)
    if i == n % 3 + 1 then break end
  end
  local co = coroutine.wrap(function()
    local w <close> = closer "w"
    coroutine.yield(1)
  end)
  co()
  local dying = coroutine.create(function()
    local v <close> = closer "v"
    coroutine.yield()
  end)
  coroutine.resume(dying)
  emit(coroutine.close(dying), coroutine.status(dying))
  for k in next, { 1 }, nil, closer "iterator" do emit(k) end
  history = table.concat(log, " ")
  emit(history)
end
