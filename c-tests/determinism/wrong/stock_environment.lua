-- lua.org's own profile: what the player's shell says.
-- options: --stock
-- caught in: environment
-- named: _G.home
function frame(n)
  home = os.getenv("HOME")
end
