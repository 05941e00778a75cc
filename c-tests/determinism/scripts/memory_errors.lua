-- What is too large: the same texts, and the emergency collection at the same allocation.
-- frames: 40
-- options: --memory 4
function frame(n, input)
  local keep = {}
  for i = 1, 50 do keep[i] = { i } end
  emit(pcall(string.rep, "x", 1 << 34), pcall(string.rep, "abc", 1 << 60), pcall(string.rep, "x",
    1e10))
  emit(pcall(table.concat, setmetatable({}, { __len = function() return 1 << 40 end })))
  emit(pcall(table.unpack, {}, 1, 10000000), pcall(string.format, "%1000d", 1), pcall(box, 1 << 30))
  emit(pcall(function() local s = ("x"):rep(1 << 20) for _ = 1, 40 do s = s .. s end end))
  emit(collectgarbage "count", #keep)
  emit(pcall(function() local t = {} for i = 1, 1e9 do t[i] = { i } end end))
  emit(collectgarbage "count")
  weak = setmetatable({ {} }, { __mode = "v" })
end
