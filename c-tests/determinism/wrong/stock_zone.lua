-- lua.org's own profile: where the player lives.
-- options: --stock
-- caught in: zone
-- named: _G.noon
function frame(n)
  noon = os.date("%H:%M", 86400 * 200)
end
