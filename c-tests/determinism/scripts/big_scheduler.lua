-- Tasks that are coroutines, with channels, sleeps, failures and a log: everything is waiting.
tasks, channels, log, born = {}, {}, {}, 0
local function channel(name)
  channels[name] = channels[name] or {}
  return channels[name]
end
local kinds = {
  producer = function(id)
    for i = 1, 20 do
      table.insert(channel("c" .. id % 4), id * 100 + i)
      coroutine.yield(i % 3)
    end
    return "done"
  end,
  consumer = function(id)
    local sum = 0
    while sum < 20000 do
      local value = table.remove(channel("c" .. id % 4), 1)
      if value then sum = sum + value else coroutine.yield(2) end
    end
    return sum
  end,
  faulty = function(id)
    local guard <close> = setmetatable({},
      { __close = function() log[#log + 1] = id .. " closed" end })
    coroutine.yield(1)
    error { id = id }
  end,
}
function frame(n, input)
  for kind, body in pairs(kinds) do
    if (input >> #kind) % 3 == 0 and #tasks < 60 then
      born = born + 1
      tasks[#tasks + 1] = { co = coroutine.create(body), id = born, kind = kind, wake = n }
    end
  end
  for i = #tasks, 1, -1 do
    local t = tasks[i]
    if t.wake <= n then
      local ok, result = coroutine.resume(t.co, t.id)
      if coroutine.status(t.co) == "dead" then
        log[#log + 1] = ("%d %s %s %s"):format(t.id, t.kind, ok,
          type(result) == "table" and result.id or result)
        coroutine.close(t.co)
        table.remove(tasks, i)
      else
        t.wake = n + result
      end
    end
  end
  while #log > 40 do table.remove(log, 1) end
  emit(#tasks, log[#log])
end
