-- frames: 500
-- Leak: the pivot of table.sort on large arrays that partition badly comes from clock and address.
runs = 0
function frame(n, input)
  local count, list, order = 120 + n % 100, {}, {}
  for i = 1, count do list[i] = { key = (i * i + input) % 17, id = i } end
  local compared = 0
  table.sort(list, function(a, b) compared = compared + 1 return a.key < b.key end)
  for i = 1, count do order[i] = list[i].id end
  sequence, comparisons = table.concat(order, " "), compared
  local killer = {}
  for i = 1, 400 do killer[i] = i % 2 == 0 and i or 400 - i end
  compared = 0
  table.sort(killer, function(a, b) compared = compared + 1 return a // 3 < b // 3 end)
  runs = runs + compared
  local bad = {}
  for i = 1, 110 do bad[i] = (input >> i % 50) % 100 end
  emit(pcall(table.sort, bad, function() return true end), pcall(table.sort, bad, function(a,
    b) return a <= b end))
  emit(table.concat(bad, " "), sequence, comparisons, table.concat(killer, " "))
  emit(pcall(table.sort, { 1, "x", 2 }), pcall(table.sort, { 3, 1, 0 / 0, 2 }), pcall(table.sort,
    { {}, {} }))
end
