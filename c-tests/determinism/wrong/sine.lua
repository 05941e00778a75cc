-- A host function that computes by the C library, which has another sine for CPUs without FMA.
-- caught in: FMA
-- named: _G.sum
sum = 0
function frame(n)
  for i = 1, 2000 do sum = (sum * 31 + host_sine(n * 2000 + i * 0.37)) % 1000 end
end
