-- The generational collector: ages, minor and major collections, weak tables and finalizers in it.
collectgarbage "generational"
old, young, dead = {}, setmetatable({}, { __mode = "v" }), 0
function frame(n, input)
  for i = 1, 30 do
    local object = setmetatable({ n, i },
      { __gc = i % 10 == 0 and function() dead = dead + 1 end or nil })
    young[i] = object
    if (input >> i) % 8 == 0 then old[(input >> i) % 200] = { object } end
  end
  local alive = 0
  for _ in pairs(young) do alive = alive + 1 end
  living = alive
  emit(alive, dead, collectgarbage "count")
  if n % 200 == 0 then old = {} end
end
