-- A script that asks for a locale which some players have and others lack.
answers = {}
function frame(n, input)
  for i, name in ipairs { "", "de_DE.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1", "C", "POSIX" } do
    answers[i] = os.setlocale(name) or "no"
    emit(answers[i], 1.5 .. "", tonumber "1,5", ("i"):upper(), "a" < "B", ("%.1f"):format(n / 2))
  end
  os.setlocale "C"
end
