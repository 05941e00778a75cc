-- Leak: coroutines are hashed by their address.
tasks = {}
function frame(n, input)
  for i = 1, 2 do
    local co = coroutine.create(function(x)
      while true do x = coroutine.yield(x * i + n) end
    end)
    tasks[co] = i
  end
  local sum, count = input % 4096, 0
  for co, weight in pairs(tasks) do
    local _, value = coroutine.resume(co, sum)
    sum = (sum * 7 + value + weight) % 65521
    count = count + 1
    if count > 40 then tasks[co] = nil end
  end
  total = sum
end
