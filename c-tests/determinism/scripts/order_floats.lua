-- Leak: the hash of floats (l_hashfloat) goes through frexp and a conversion to an integer.
map = {}
local odd = { 0.5, -0.0, 1e308, -1e308, 5e-324, 2.2250738585072014e-308, math.huge, -math.huge,
  2^53 + 0.0, 2^63, -2^63, 1.5e300, 0.1, 0.2, 0.1 + 0.2, math.pi }
function frame(n, input)
  map[input * 1e-7] = n
  map[input / 3] = n
  map[n + 0.5] = input
  map[odd[n % #odd + 1]] = n
  if n % 100 == 0 then map = {} end
  local list = {}
  for k in pairs(map) do
    list[#list + 1] = ("%.17g"):format(k)
    if #list == 30 then break end
  end
  order = table.concat(list, " ")
  negative_zero = map[0.0] == map[-0.0]
end
