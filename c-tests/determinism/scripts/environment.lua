-- Leak: variables of the environment, the folders of require, the locale, names of temporary files.
function frame(n, input)
  variables = { os.getenv "HOME", os.getenv "PATH", os.getenv "LANG", os.getenv "TZ",
    os.getenv "PADDING" }
  path, cpath, config = package.path, package.cpath, package.config
  emit(os.getenv "USER", os.getenv "LUA_PATH", os.getenv "TMPDIR", pcall(os.getenv))
  emit(os.setlocale(), os.setlocale(nil, "numeric"), os.setlocale("no such locale"),
    pcall(os.setlocale, "C", "none"))
  emit(io.open("/no/such/file"), pcall(io.lines, "/no/such/file"), io.type(io.stdout),
    pcall(io.open, "x", "bad"))
  emit(pcall(require, "no.such.module"), package.searchpath("no.such", "./?.none;/?.none"))
  emit(loadfile("/no/such/file"), pcall(dofile, "/no/such/file"), os.remove("/no/such/file"),
    os.rename("/no/a", "/no/b"))
  emit(arg, _VERSION, #package.searchers, os.execute and true)
end
