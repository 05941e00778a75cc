-- Leak: upper and lower are the locale's; Turkish has four letters i.
local all = {}
for i = 0, 255 do all[i + 1] = string.char(i) end
local every = table.concat(all)
function frame(n, input)
  local text = every:sub(input % 256 + 1) .. "Titel I i TITLE \xc4\xe4\xdd\xfd" .. n
  upper, lower = text:upper(), text:lower()
  emit(upper, lower, upper:lower(), text:reverse(), text:len(), text:byte(1, 3))
  emit(("ISTANBUL"):lower() == "istanbul", ("title"):upper() == "TITLE", ("\xe4"):upper())
end
