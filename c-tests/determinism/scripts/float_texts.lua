-- Leak: %.14g and the point of the locale, in tostring, .. and table.concat.
texts = {}
function frame(n, input)
  local list = {}
  for i = 1, 20 do
    local x = input * 10.0 ^ (i * 31 % 600 - 310)
    list[i] = tostring(x)
    list[i + 20] = x .. "|" .. i / n .. "|" .. n / 4
  end
  list[41] = table.concat({ 1.5, -0.0, 1e15, 1e16, 1e100, 2^53, 2^63, 0.1, 1 / 3, 100.0, 5e-324 },
    " ")
  list[42] = table.concat({ 123456789012345, -1, math.mininteger, 1e14, 99999999999999.5 }, " ")
  list[43] = tostring(math.huge) .. tostring(-math.huge) .. 3.0 .. -0.0
  texts = list
  for _, text in ipairs(list) do emit(text, tonumber(text)) end
end
