-- Tracebacks: names of functions are looked up in package.loaded, in the order of its table.
local function deep(k)
  if k == 0 then error("deep " .. k) end
  return (deep(k - 1))
end
function frame(n, input)
  local _, text = xpcall(deep, debug.traceback, n % 30)
  trace = text
  emit(text)
  emit(select(2, xpcall(string.rep, debug.traceback)))
  emit(select(2, xpcall(function() table.sort({ 3, 2, 1 }, function() error "in sort" end) end,
    debug.traceback)))
  local co = coroutine.create(function() coroutine.yield(n) end)
  coroutine.resume(co)
  emit(debug.traceback(co), debug.traceback(co, "message", 1), debug.traceback("x", 1))
  emit(xpcall(error, function(m) return m and #m end, "text"))
end
