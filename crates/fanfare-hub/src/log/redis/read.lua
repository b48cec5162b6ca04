-- A page of what is selected.
local after, to, most_events, most_bytes = number(), number(), number(), number()
local selectors = selection()
to = math.min(to, log.newest)
if after >= to then
  return answer(digits(to), {})
end

local page, bytes, through = {}, 0, after
-- Tells whether it has room.
local function take(name, found)
  local size = #found.data
  if #page >= most_events * 6 or (#page > 0 and bytes + size > most_bytes) then
    return false
  end
  bytes, through = bytes + size, found.position
  for _, value in ipairs({ digits(found.position), name, found.time, found.name or '', found.retry or '', found.data }) do
    page[#page + 1] = value
  end
  return true
end

local function by_name()
  local candidates = {}
  local last = digits(to) .. '-0'
  for _, selector in ipairs(selectors) do
    local known = topic(selector.text)
    local first = digits(math.max(after, known and known.dropped or to) + 1) .. '-0'
    local entries = redis.call('XRANGE', EVENTS .. selector.text, first, last, 'COUNT', most_events + 1)
    for _, entry in ipairs(entries) do
      candidates[#candidates + 1] = { name = selector.text, event = event(entry) }
    end
  end
  if #selectors > 1 then
    table.sort(candidates, function(one, other)
      return one.event.position < other.event.position
    end)
  end
  for _, one in ipairs(candidates) do
    if not take(one.name, one.event) then
      return
    end
  end
  through = to
end

-- Looks at so many entries at most.
local MOST_LOOKED_AT = 10000
local function in_order()
  local first, last, looked_at = digits(after + 1) .. '-0', digits(to) .. '-0', 0
  while looked_at < MOST_LOOKED_AT do
    local entries = redis.call('XRANGE', ORDER, first, last, 'COUNT', STEPS)
    for _, entry in ipairs(entries) do
      local position = tonumber(string.match(entry[1], '^%d+'))
      if entry[2][1] == 'e' and is_selected(selectors, entry[2][2]) then
        local known = topic(entry[2][2])
        local found = known and position > known.dropped and at(entry[2][2], entry[1])
        if found and not take(entry[2][2], found) then
          return
        end
      end
      through = position
    end
    if #entries < STEPS then
      through = to
      return
    end
    first = '(' .. entries[#entries][1]
    looked_at = looked_at + #entries
  end
end

local is_by_name = true
for _, selector in ipairs(selectors) do
  is_by_name = is_by_name and selector.kind == 'topic'
end
if is_by_name then
  by_name()
else
  in_order()
end
return answer(digits(through), page)
