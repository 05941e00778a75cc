-- A bytecode machine with its own memory, stack and devices, running a program that it changes.
local program = {
  { "push", 0 }, { "store", "sum" }, { "push", 40 }, { "store", "i" },
  { "load", "i" }, { "load", "sum" }, { "add" }, { "push", 7 }, { "mul" }, { "push", 65521 },
    { "mod" },
  { "store", "sum" }, { "load", "i" }, { "push", 1 }, { "sub" }, { "dup" }, { "store", "i" },
  { "jump_if", 5 }, { "load", "sum" }, { "call", "sine" }, { "out" }, { "load", "input" },
    { "load", "sum" },
  { "xor" }, { "store", "sum" }, { "halt" },
}
memory, output = { input = 0 }, {}
local devices = { sine = function(x) return math.sin(x) * 1000 // 1 | 0 end }
local ops
ops = {
  push = function(s, v) s[#s + 1] = v end,
  load = function(s, name) s[#s + 1] = memory[name] or 0 end,
  store = function(s, name) memory[name] = table.remove(s) end,
  add = function(s) local b = table.remove(s) s[#s] = s[#s] + b end,
  sub = function(s) local b = table.remove(s) s[#s] = s[#s] - b end,
  mul = function(s) local b = table.remove(s) s[#s] = s[#s] * b end,
  mod = function(s) local b = table.remove(s) s[#s] = s[#s] % b end,
  xor = function(s) local b = table.remove(s) s[#s] = s[#s] ~ b end,
  dup = function(s) s[#s + 1] = s[#s] end,
  out = function(s) output[#output % 25 + 1] = table.remove(s) end,
  call = function(s, name) s[#s] = devices[name](s[#s]) end,
  jump_if = function(s, target) if table.remove(s) > 0 then return target end end,
}
function frame(n, input)
  memory.input = input % 65536
  program[8][2] = n % 30 + 1
  local stack, pc, steps = {}, 1, 0
  while program[pc][1] ~= "halt" do
    local instruction = program[pc]
    pc = ops[instruction[1]](stack, instruction[2]) or pc + 1
    steps = steps + 1
  end
  executed = steps
  emit(memory.sum, steps, table.concat(output, " "))
end
