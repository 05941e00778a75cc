-- sieve: Eratosthenes over a boolean array that is rebuilt each round.
-- kind: cpu
local limit = 250000
local found
for _ = 1, 44 do
  local composite = {}
  for i = 1, limit do composite[i] = false end
  found = 0
  for i = 2, limit do
    if not composite[i] then
      found = found + 1
      for j = i * i, limit, i do composite[j] = true end
    end
  end
end
assert(found == 22044)
