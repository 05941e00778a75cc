-- Leak: os.clock is the process's time; scripts measure themselves, and seed from it.
samples = {}
function frame(n, input)
  local before = os.clock()
  local x = 0
  for i = 1, 100 do x = x + i end
  samples[n % 10 + 1] = os.clock() - before
  at = os.clock()
  math.randomseed(os.time(), (os.clock() * 1e6) // 1 | 0)
  rolled = math.random(1000)
  late = os.clock() > 1e6
end
