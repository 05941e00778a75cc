-- Leak: strings are compared by strcoll, under the host's locale.
local words = { "a", "B", "c", "\xe4", "\xc4", "z", "Z", "i", "I", "\xfd", "\xdd", "aa", "a\0b",
  "a\0a", "",
  "\255", "\128", "co-op", "coop", "Co-op", "\195\164", "\195\159", "ss", "_", "-", "10", "9",
    "A b", "Ab" }
function frame(n, input)
  local list = {}
  for i, word in ipairs(words) do list[i] = word .. (input >> i) % 4 end
  for i = 1, 20 do list[#list + 1] = string.char((input >> i) % 256, (input >> i + 8) % 256) end
  table.sort(list)
  sorted = table.concat(list, "|")
  local a, b = list[n % #list + 1], list[input % #list + 1]
  emit(sorted, a < b, a <= b, a > b, "a" < "B", "a\0b" < "a\0c", "\127" < "\128", "Z" < "a")
  emit(pcall(function() return "1" < 2 end), "10" < "9", "" < "\0", ("x"):rep(n) < ("x"):rep(300))
end
