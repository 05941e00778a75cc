-- Leak: the host's C functions are hashed by their address, and a linker may fold equal ones.
owners = {}
function frame(n, input)
  local a, b, c, d = host_functions()
  owners[a], owners[b], owners[c], owners[d] = n, input, n + 1, n + 2
  owners[emit], owners[box], owners[light] = "emit", "box", "light"
  local list = {}
  for f, owner in pairs(owners) do
    list[#list + 1] = tostring(owner)
    if f == a or f == c then list[#list + 1] = f() end
  end
  order = table.concat(list, " ")
  distinct = (a ~= b) and (c ~= d) and (a ~= d)
  if n % 9 == 0 then owners[b] = nil end
  emit(order, distinct, rawequal(c, d), owners[d] == owners[c])
end
