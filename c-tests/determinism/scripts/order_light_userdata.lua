-- Leak: light userdata are hashed by an address in the host.
handles = {}
function frame(n, input)
  local i = input % 64 + 1
  handles[light(i)] = i
  handles[light(n % 64 + 1)] = nil
  local list = {}
  for _, v in pairs(handles) do list[#list + 1] = v end
  order = table.concat(list, ",")
  emit(order, handles[light(1)], light(3) == light(3))
end
