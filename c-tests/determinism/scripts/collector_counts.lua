-- collectgarbage("count") and steps: when the collector works is a function of what was allocated.
counts, cycles = {}, 0
function frame(n, input)
  local garbage = {}
  for i = 1, 40 + input % 60 do garbage[i] = { i, tostring(i), ("x"):rep(i % 60) } end
  counts[n % 30 + 1] = collectgarbage "count"
  if n % 5 == 0 and collectgarbage("step", n % 3) then cycles = cycles + 1 end
  if n % 90 == 0 then collectgarbage() end
  if n == 200 then emit(collectgarbage "generational") end
  if n == 400 then emit(collectgarbage "incremental") end
  if n % 100 == 50 then collectgarbage "stop" end
  if n % 100 == 70 then collectgarbage "restart" end
  emit(collectgarbage "count", collectgarbage "isrunning")
end
