-- Leak: closures are hashed by their address.
listeners = {}
function frame(n, input)
  for i = 1, 3 do
    local id = n * 10 + i
    listeners[function(x) return x * 3 + id end] = id
  end
  local value, kept = input % 1000, 0
  for f, id in pairs(listeners) do
    value = f(value) % 1000003
    kept = kept + 1
    if kept > 60 then listeners[f] = nil end
  end
  result = value
end
