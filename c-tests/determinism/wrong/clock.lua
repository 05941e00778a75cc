-- A host function that answers the clock: every process sees another world.
-- caught in: every
-- named: _G.world.started
world = { started = 0, ticks = 0 }
function frame(n)
  if n == 3 then world.started = host_clock() end
  world.ticks = n
end
