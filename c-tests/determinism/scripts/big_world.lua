-- An entity world: components in tables keyed by entities, systems in order of pairs, events.
entities, position, velocity, health, events = {}, {}, {}, {}, {}
local next_id = 0
local function spawn(kind, x, y)
  next_id = next_id + 1
  local e = { id = next_id, kind = kind }
  entities[#entities + 1] = e
  position[e] = { x = x, y = y }
  velocity[e] = { x = math.cos(next_id), y = math.sin(next_id) }
  health[e] = 50 + next_id % 50
  return e
end
local systems = {
  move = function()
    for e, p in pairs(position) do
      local v = velocity[e]
      p.x, p.y = (p.x + v.x * 0.16) % 100, (p.y + v.y * 0.16) % 100
      v.x, v.y = v.x * 0.999 - v.y * 0.01, v.y * 0.999 + v.x * 0.01
    end
  end,
  fight = function(n)
    local last
    for e, hp in pairs(health) do
      if last and last.kind ~= e.kind then
        local a, b = position[e], position[last]
        local distance = ((a.x - b.x) ^ 2 + (a.y - b.y) ^ 2) ^ 0.5
        if distance < 40 then
          health[e] = hp - 10 / (1 + distance)
          events[#events + 1] = ("%d hits %d at %.3f"):format(last.id, e.id, distance)
        end
      end
      last = e
    end
  end,
  bury = function()
    for i = #entities, 1, -1 do
      local e = entities[i]
      if health[e] < 40 then
        table.remove(entities, i)
        position[e], velocity[e], health[e] = nil, nil, nil
        events[#events + 1] = e.kind .. e.id .. " is gone"
      end
    end
  end,
}
function frame(n, input)
  if #entities < 60 then
    for i = 1, 3 do spawn(({ "orc", "elf", "imp" })[(input >> i) % 3 + 1], input % 100, n % 100) end
  end
  for _, system in pairs(systems) do system(n) end
  while #events > 30 do table.remove(events, 1) end
  emit(#entities, events[#events], table.concat(events, "\n"))
end
