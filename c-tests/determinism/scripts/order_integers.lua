-- Tables of integers: what lies in the array, what in the hash, and when they are built anew.
sparse, dense, negative = {}, {}, {}
function frame(n, input)
  sparse[input] = n
  sparse[input >> 40] = n
  dense[#dense + 1] = n
  dense[n * 2] = input
  negative[-n] = n
  negative[math.mininteger + n] = n
  negative[math.maxinteger - n] = n
  if n % 3 == 0 then sparse[next(sparse)] = nil end
  if n % 60 == 0 then sparse, dense, negative = {}, {}, {} end
  local mix = 0
  for k, v in pairs(sparse) do mix = mix * 31 + k ~ v end
  for k, v in pairs(dense) do mix = mix * 31 + k ~ v end
  for k, v in pairs(negative) do mix = mix * 31 + k ~ v end
  order, border = mix, #dense
end
