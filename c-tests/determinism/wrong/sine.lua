-- A host function that computes by the C library, which has another sine for CPUs without FMA.
-- caught in: FMA
-- named: _G.bits
bits = 0
function frame(n)
  for i = 1, 1000 do
    local sine = host_sine(n * 1000 + i * 0.37)
    bits = bits * 31 + string.unpack("<i8", string.pack("<d", sine))
  end
end
