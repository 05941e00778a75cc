-- loops: finds the nested loops of a generated control-flow graph (after Havlak): tables of
-- tables, sets, depth-first search.
-- kind: alloc
local function node(graph)
  local n = { id = #graph + 1, from = {}, to = {} }
  graph[n.id] = n
  return n
end

local function edge(a, b)
  a.to[#a.to + 1] = b
  b.from[#b.from + 1] = a
end

local function nest(graph, entry, depth)
  local header, exit = node(graph), node(graph)
  edge(entry, header)
  local last = header
  if depth > 0 then
    for _ = 1, 2 do last = nest(graph, last, depth - 1) end
  end
  edge(last, header)
  edge(header, exit)
  return exit
end

local function number(root)
  local order, index, last = {}, {}, {}
  local function visit(n)
    order[#order + 1] = n
    index[n] = #order
    for _, m in ipairs(n.to) do
      if not index[m] then visit(m) end
    end
    last[n] = #order
  end
  visit(root)
  return order, index, last
end

local function find_loops(root)
  local order, index, last = number(root)
  local found, parent = 0, {}
  local function top(n)
    while parent[n] do n = parent[n] end
    return n
  end
  for i = #order, 1, -1 do
    local header, body, work = order[i], {}, {}
    for _, p in ipairs(header.from) do
      if index[p] >= i and index[p] <= last[header] then
        local t = top(p)
        if t ~= header and not body[t] then body[t] = true; work[#work + 1] = t end
        found = found + 1
      end
    end
    while #work > 0 do
      local n = table.remove(work)
      for _, p in ipairs(n.from) do
        local t = top(p)
        if t ~= header and not body[t] and index[t] > i then
          body[t] = true
          work[#work + 1] = t
        end
      end
    end
    for n in pairs(body) do parent[n] = header end
  end
  return found
end

local found = 0
for _ = 1, 40 do
  local graph = {}
  local root = node(graph)
  nest(graph, root, 10)
  found = found + find_loops(root)
end
assert(found == 40 * 2047, found)
