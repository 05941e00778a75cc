-- Bits, and a generator that lives from them.
state = 88172645463325252
buckets = {}
for i = 0, 15 do buckets[i] = 0 end
function frame(n, input)
  for i = 1, 200 do
    state = state ~ state << 13
    state = state ~ state >> 7
    state = state ~ state << 17
    local b = (state ~ input) & 15
    buckets[b] = buckets[b] + 1
  end
  local x, bits = state, 0
  while x ~= 0 do
    x, bits = x & x - 1, bits + 1
  end
  ones = bits
  emit(state, bits, state // 1, state % 1000, state >> 32 << 32)
end
