-- frames: 60
-- Limits of the matcher: its depth and its captures.
function frame(n)
  depth = 0
  for i = 150, 250, 5 do
    if pcall(string.match, ("x"):rep(i), ("(x)?"):rep(1) .. ("x-"):rep(i) .. "y") then depth = i end
  end
  emit(depth, pcall(string.match, "x", ("("):rep(40)), pcall(string.match, "x", ("()"):rep(32)))
  emit(pcall(string.match, ("a"):rep(250000), "^.-b"), pcall(string.rep, "x", -1))
  emit(pcall(string.gsub, "abc", "%w", "%9"), pcall(string.gsub, "abc", "(a)(b)(c)", "%3%2%1%0"))
  emit(pcall(string.find, ("a"):rep(220000), ("(.-)"):rep(2) .. "b", 219900))
end
