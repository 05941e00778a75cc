-- A host function that tells the machine.
-- caught in: machine
-- named: _G.settings.quality
settings = {}
function frame(n)
  settings.quality = host_machine() == "x86_64" and 3 or 2
end
