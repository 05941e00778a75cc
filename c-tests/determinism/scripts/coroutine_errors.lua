-- Coroutines that fail, that are closed, that yield across pcall, metamethods and iterators.
kept = {}
function frame(n, input)
  local co = coroutine.create(function(a)
    local b = coroutine.yield(a + 1)
    local ok, e = pcall(function() coroutine.yield(b * 2) error { code = n } end)
    coroutine.yield(ok, e.code)
    error("last " .. n)
  end)
  emit(coroutine.resume(co, n))
  emit(coroutine.resume(co, input % 100))
  emit(coroutine.resume(co))
  emit(coroutine.resume(co))
  emit(coroutine.resume(co))
  emit(coroutine.status(co), pcall(coroutine.wrap(function() error "wrapped" end)))
  kept[n % 5 + 1] = co
  local meta = setmetatable({}, { __add = function(a, b) return coroutine.yield(b) end,
    __index = function(_, k) return coroutine.yield(k) end, __call = function(_,
      x) return coroutine.yield(x) end })
  local w = coroutine.wrap(function() return meta + n, meta.key, meta(3) end)
  emit(w())
  emit(w "one")
  emit(w "two")
  emit(w "three")
  emit(coroutine.isyieldable(), coroutine.running())
  emit(coroutine.resume(coroutine.create(function() return coroutine.isyieldable(), select(2,
    coroutine.running()) end)))
  emit(pcall(coroutine.yield, 1), coroutine.resume(coroutine.running()))
  emit(pcall(table.sort, { 2, 1 }, coroutine.wrap(function() coroutine.yield(table.sort({ 2, 1 },
    coroutine.yield)) end)))
end
