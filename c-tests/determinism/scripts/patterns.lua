-- Patterns: captures, anchors, balances, frontiers, replacements of every kind, errors.
log = {}
function frame(n, input)
  local text = ("id=%d; name='x%d'; (a(b)c) [%d] end%%"):format(input, n, n % 7)
  emit(text:find("(%a+)=(%-?%d+)"), text:match("'(.-)'"), text:match("%b()"), text:match("^id"))
  emit(text:gsub("%w+", "<%0>", 3), text:gsub("(%a)(%d)", "%2%1"), text:gsub("%d+",
    { ["1"] = "one" }))
  emit(text:gsub("%a+", function(w) return #w > 2 and w:upper() or nil end), text:gsub("", "-", 4))
  emit(text:find("[", 1, true), text:find("%]", -8), text:match("()end()"), text:gsub("%s*$", "!"))
  emit(pcall(string.find, text, "[a"), pcall(string.find, text, "%"), pcall(string.gsub, text,
    "(", ""))
  emit(pcall(string.gsub, text, "x", "%2"), pcall(string.match, text, "%f"), pcall(string.rep,
    "x", 1 << 40))
  emit(pcall(string.match, ("a"):rep(300), ("a?"):rep(20) .. ("a"):rep(20)), ("x"):rep(3, ","))
  emit(("key = value"):match("^(%w+)%s*=%s*(%w+)$"), ("\0a\0"):find("%z"), ("a\0b"):gsub("%z", "0"))
  local words = {}
  for word, at in text:gmatch("(%a+)()") do words[#words + 1] = word .. at end
  log[n % 10 + 1] = table.concat(words, " ")
end
