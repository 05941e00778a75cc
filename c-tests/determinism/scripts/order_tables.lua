-- Leak: tables are hashed by their address (point2uint).
keyed, made = {}, {}
function frame(n, input)
  local key = { id = n }
  made[#made + 1] = key
  keyed[key] = input
  if #made > 80 then
    local gone = table.remove(made, input % #made + 1)
    keyed[gone] = nil
  end
  local sum, place = 0, 0
  for k, v in pairs(keyed) do
    place = place + 1
    sum = (sum * 31 + k.id * place + v) & 0xFFFFFFFFFFFF
  end
  order = sum
  first = next(keyed).id
end
