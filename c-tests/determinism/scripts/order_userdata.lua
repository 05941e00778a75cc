-- Leak: userdata are hashed by their address.
boxes, list = {}, {}
function frame(n, input)
  local b = box(1 + n % 40, n % 256)
  b:set(1, input % 256)
  b:user(1, n)
  boxes[b] = n
  list[n % 50 + 1] = b
  local sum, seen = 0, 0
  for k, v in pairs(boxes) do
    sum = (sum * 33 + k:get(1) + v) % 1000003
    seen = seen + 1
    if v < n - 50 then boxes[k] = nil end
  end
  order, count = sum, seen
end
