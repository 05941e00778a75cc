-- Integers wrap; loops, shifts and conversions at the edges do not surprise.
total, product = 0, 1
function frame(n, input)
  total = total * 31 + input
  product = product * (input | 1)
  local min, max = math.mininteger, math.maxinteger
  emit(max + n, min - n, max * n, min // -1, min % -1, -min, math.abs(min), max + 1 == min)
  emit(1 << 63, 1 << 64, 1 << -1, -1 >> 1, -1 >> 63, -1 >> 64, input << n % 80, input >> n % 80 - 8)
  emit(input ~ n, ~input, input & 0xFF, input | n, 7.0 & 3, 0x10 | 1, 3.0 & 1, input // 3,
    input % 7)
  local loops = 0
  for _ = max - 2, max do loops = loops + 1 end
  for _ = min + 2, min, -1 do loops = loops + 1 end
  for _ = 1, math.huge do loops = loops + 1 if loops > 20 then break end end
  for _ = max, max + 1.0 do loops = loops + 1 end
  for _ = 1, 0 do loops = loops + 1 end
  for i = max - 1, max, 2 do loops = loops + i % 2 end
  count = loops
  emit(loops, max // 1 | 0, math.ult(max, min), max + 0.0 == max, max + 0.0 == 2 ^ 63)
end
