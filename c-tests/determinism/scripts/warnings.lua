-- warn goes to the host; what a script sees of it is nothing.
function frame(n)
  emit(pcall(warn), pcall(warn, 1, {}), select("#", warn("@off")))
  state = n
end
