-- scheduler: an operating-system kernel in small, after Richards: tasks, packets, queues.
-- kind: alloc
local Packet = {}
Packet.__index = Packet
local function packet(kind, data)
  return setmetatable({ kind = kind, data = data, link = nil }, Packet)
end

local Queue = {}
Queue.__index = Queue
local function queue() return setmetatable({ head = nil, tail = nil, length = 0 }, Queue) end
function Queue:push(p)
  p.link = nil
  if self.tail then self.tail.link = p else self.head = p end
  self.tail = p
  self.length = self.length + 1
end
function Queue:pop()
  local p = self.head
  if not p then return nil end
  self.head = p.link
  if not self.head then self.tail = nil end
  self.length = self.length - 1
  return p
end

local Task = {}
Task.__index = Task
local function subclass()
  local c = setmetatable({}, { __index = Task })
  c.__index = c
  return c
end
function Task:send(other, p) other.inbox:push(p) end
function Task:ready() return self.inbox.length > 0 end

local Worker, Device, Idle = subclass(), subclass(), subclass()
local function task(class, name)
  return setmetatable({ name = name, inbox = queue(), done = 0, state = 1 }, class)
end
function Worker:run()
  local p = self.inbox:pop()
  for i = 1, 4 do p.data[i] = (p.data[i] + self.state * i) % 26 end
  self.state = self.state % 26 + 1
  self.done = self.done + 1
  self:send(self.next, packet("io", { p.data[1], p.data[2], p.data[3], p.data[4] }))
end
function Device:run()
  local p = self.inbox:pop()
  self.done = self.done + 1
  p.kind = "work"
  self:send(self.next, p)
end
function Idle:ready() return true end
function Idle:run()
  self.state = (self.state & 1 == 0) and self.state // 2 or (self.state // 2 ~ 0xD008)
  self.done = self.done + 1
end

local tasks = {}
for i = 1, 3 do
  local w, d = task(Worker, "worker" .. i), task(Device, "device" .. i)
  w.next, d.next = d, w
  for k = 1, 2 do w.inbox:push(packet("work", { k, k + 1, k + 2, k + 3 })) end
  tasks[#tasks + 1], tasks[#tasks + 2] = w, d
end
tasks[#tasks + 1] = task(Idle, "idle")
for _ = 1, 120000 do
  for i = 1, #tasks do
    local t = tasks[i]
    if t:ready() then t:run() end
  end
end
local sum = 0
for i, t in ipairs(tasks) do sum = sum + i * t.done + t.state end
assert(sum == 3384154, sum)
