-- The texts of syntax errors: tokens, control characters, bytes above 127, numbers of lines.
local sources = {
  "x = ", "x = = 1", "for", "return return", "goto nowhere", "break", "local x <const> = 1; x = 2",
  "local x <other> = 1", "x = 'unfinished", "x = [[unfinished", "--[[unfinished", "x = 1e",
    "x = 0x",
  "x = 3x", "x = '\\q'", "x = '\\300'", "x = '\\u{110000000000}'", "::a:: ::a::", "x = }",
  "\xe4 = 1", "x = \xff", "x = \1", "f(", "a.b:c = 1", "if x then else elseif", "x = 'a\nb'",
  "local function f() return ... end", "x = 1 .. 2 ..", "\27Lua", "#!x\ny = ", "return '\\xZZ'",
}
function frame(n, input)
  local list = {}
  for i = 1, 6 do
    local source = sources[(n * 6 + i) % #sources + 1]
    local _, message = load(("\n"):rep(n % 5) .. source, "=chunk" .. n % 3)
    list[i] = message
  end
  messages = list
  emit(table.unpack(list))
  emit(load(source_of_nothing and "" or "return " .. ("x"):rep(200) .. " y"))
  emit(load("x = ", "@" .. ("long/"):rep(30) .. "name.lua"), load("x =",
    "several\nlines\nof source"))
end
