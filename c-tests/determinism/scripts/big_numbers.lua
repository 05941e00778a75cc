-- Numbers of any size in base ten million: factorials, powers, roots, texts.
local BASE = 10000000
local function add(a, b)
  local r, carry = {}, 0
  for i = 1, math.max(#a, #b) do
    local x = (a[i] or 0) + (b[i] or 0) + carry
    r[i], carry = x % BASE, x // BASE
  end
  if carry > 0 then r[#r + 1] = carry end
  return r
end
local function mul(a, b)
  local r = {}
  for i = 1, #a + #b do r[i] = 0 end
  for i = 1, #a do
    local carry = 0
    for j = 1, #b do
      local x = r[i + j - 1] + a[i] * b[j] + carry
      r[i + j - 1], carry = x % BASE, x // BASE
    end
    r[i + #b] = r[i + #b] + carry
  end
  while #r > 1 and r[#r] == 0 do r[#r] = nil end
  return r
end
local function text(a)
  local parts = { ("%d"):format(a[#a]) }
  for i = #a - 1, 1, -1 do parts[#parts + 1] = ("%07d"):format(a[i]) end
  return table.concat(parts)
end
a, b, factorial = { 1 }, { 1 }, { 1 }
function frame(n, input)
  a, b = b, add(a, b)
  factorial = n % 60 == 1 and { n } or mul(factorial, { n })
  square = mul(factorial, factorial)
  local mixed = add(square, { input % BASE, (input >> 24) % BASE })
  digits = text(mixed)
  local root = #digits < 300 and math.sqrt(tonumber(digits)) or 0
  if n % 300 == 0 then a, b = { 1 }, { 1 } end
  emit(digits, root, #text(b), tonumber(digits), math.log(n, 10))
end
