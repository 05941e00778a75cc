-- Many actors that are coroutines; their stacks are part of the state.
actors, clock = {}, 0
local function live(name, speed)
  local x, y = 0, 0
  for step = 1, math.huge do
    x = x + speed * math.cos(step * 0.3)
    y = y + speed * math.sin(step * 0.3)
    local command = coroutine.yield(name, x, y)
    if command == "die" then return "dead", x, y end
    if command == "turn" then speed = -speed end
  end
end
function frame(n, input)
  if n % 4 == 1 then actors[#actors + 1] = coroutine.create(live) end
  positions = {}
  for i = #actors, 1, -1 do
    local command = (input >> i) % 37 == 0 and "die" or (input >> i) % 5 == 0 and "turn" or i
    local ok, name, x, y = coroutine.resume(actors[i], command, i / 8)
    positions[i] = { name, x, y }
    if coroutine.status(actors[i]) == "dead" then table.remove(actors, i) end
  end
  while #actors > 40 do table.remove(actors, 1) end
  clock = n
end
