-- images: what images.c compares with: a table as text, by a plain serializer, and back by load().
-- One pass, no cycles, no metatables, no functions: it does less than an image, not more.

local function find_entities()
  for i = 1, 99 do
    local name, value = debug.getupvalue(grow, i)
    if name == "entities" then return value end
  end
end

local format, concat = string.format, table.concat

function serialize()
  local out, n = { "return " }, 1
  local function write(v)
    local kind = type(v)
    if kind == "table" then
      n = n + 1
      out[n] = "{"
      for k, e in next, v do
        if type(k) == "string" then
          out[n + 1], out[n + 2], out[n + 3] = "[", format("%q", k), "]="
        else
          out[n + 1], out[n + 2], out[n + 3] = "[", k, "]="
        end
        n = n + 3
        write(e)
        n = n + 1
        out[n] = ","
      end
      n = n + 1
      out[n] = "}"
    else
      n = n + 1
      out[n] = kind == "string" and format("%q", v) or tostring(v)
    end
  end
  write(find_entities())
  return concat(out)
end

function deserialize(text)
  return load(text)()
end
