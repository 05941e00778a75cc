-- lua.org's own profile: an address in a name.
-- options: --stock
-- caught in: address
-- named: _G.names[1]
names = {}
function frame(n)
  names[1] = tostring(print)
end
