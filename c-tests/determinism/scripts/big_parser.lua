-- A parser of expressions and of JSON, a printer, and an evaluator; patterns and recursion.
texts = {}
local function tokens(text)
  local list = {}
  for space, word, number, other in text:gmatch "(%s*)([%a_]*)(%d*%.?%d*)([^%w%s]?)" do
    if word ~= "" then list[#list + 1] = word end
    if number ~= "" then list[#list + 1] = tonumber(number) end
    if other ~= "" then list[#list + 1] = other end
  end
  return list
end
local power = { ["+"] = 1, ["-"] = 1, ["*"] = 2, ["/"] = 2, ["%"] = 2, ["^"] = 3 }
local function expression(list, at, level)
  local left = list[at]
  at = at + 1
  if left == "(" then
    left, at = expression(list, at, 0)
    at = at + 1
  end
  while power[list[at]] and power[list[at]] > level do
    local op = list[at]
    local right
    right, at = expression(list, at + 1, power[op])
    left = { op, left, right }
  end
  return left, at
end
local function evaluate(tree, names)
  if type(tree) == "number" then return tree end
  if type(tree) == "string" then return names[tree] or 0 end
  local a, b = evaluate(tree[2], names), evaluate(tree[3], names)
  local op = tree[1]
  if op == "+" then return a + b end
  if op == "-" then return a - b end
  if op == "*" then return a * b end
  if op == "^" then return (a % 50) ^ (b % 4) end
  if b == 0 then return 0 end
  return op == "/" and a / b or a % b
end
local function json(value, out)
  local kind = math.type(value) or type(value)
  if kind == "table" then
    out[#out + 1] = "{"
    for k, v in pairs(value) do
      out[#out + 1] = ("%q:"):format(tostring(k))
      json(v, out)
      out[#out + 1] = ","
    end
    out[#out + 1] = "}"
  else
    out[#out + 1] = kind == "string" and ("%q"):format(value) or tostring(value)
  end
  return out
end
function frame(n, input)
  local parts = {}
  for i = 1, 12 do
    parts[#parts + 1] = ({ "x", "y", tostring(n), ("%.2f"):format(n / 7), "(a + 2)",
      "3" })[(input >> i * 3) % 6 + 1]
    parts[#parts + 1] = ({ "+", "-", "*", "/", "%", "^" })[(input >> i * 2) % 6 + 1]
  end
  parts[#parts] = nil
  local text = table.concat(parts, " ")
  local tree = expression(tokens(text), 1, 0)
  value = evaluate(tree, { x = n / 3, y = input % 1000, a = 0.5 })
  texts[n % 6 + 1] = { source = text, tree = tree, json = table.concat(json({ tree = tree,
    value = value }, {})) }
  emit(text, value, texts[n % 6 + 1].json)
end
