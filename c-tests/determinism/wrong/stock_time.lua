-- lua.org's own profile: the year in which the player plays.
-- options: --stock
-- caught in: time
-- named: _G.season
function frame(n)
  season = os.date("%Y")
end
