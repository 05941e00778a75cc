-- A host function that writes a number in the locale of its player.
-- caught in: locale
-- named: _G.label
function frame(n)
  label = "price " .. host_number_text(n + 0.5)
end
