-- A page of what is selected.
local after, to, most_events, most_bytes = number(), number(), number(), number()
local selectors = selection()
most_events, most_bytes = math.min(most_events, MOST_ENTRIES), math.min(most_bytes, MOST_BYTES)
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

-- Gets the next events of a topic, about as many as are its part of the page.
local function fill(of)
  local first = id_of(math.max(after, of.known.dropped, of.last or 0) + 1)
  of.entries = redis.call('XRANGE', EVENTS .. of.known.name, first, id_of(to), 'COUNT', of.count)
  of.index, of.is_over = 0, #of.entries < of.count
end

-- Goes on to the next event of a topic, or leaves it without one. Answers how many were loaded.
local function advance(of)
  local loaded = 0
  if not of.entries or (of.index == #of.entries and not of.is_over) then
    fill(of)
    loaded = #of.entries
  end
  of.index = of.index + 1
  local entry = of.entries[of.index]
  of.next = entry and event(entry)
  of.last = of.next and of.next.position
  return loaded
end

-- Of topics by their names, the one whose next event comes first, and where it is among them.
local function first_of(all)
  local first
  for _, of in ipairs(all) do
    if of.next and (not first or of.next.position < first.next.position) then
      first = of
    end
  end
  return first
end

local function by_name()
  local all, loaded = {}, 0
  for _, selector in ipairs(selectors) do
    local known = topic(selector.text)
    if known and known.newest > after then
      local part = math.ceil((most_events + 1) / #selectors)
      local of = { known = known, count = count_of(known, part, math.ceil((most_bytes + 1) / #selectors) + 1) }
      all[#all + 1] = of
      advance(of)
    end
  end
  while loaded < 2 * MOST_ENTRIES do
    local first = first_of(all)
    if not first then
      through = to
      return
    end
    if not take(first.known.name, first.next) then
      return
    end
    loaded = loaded + advance(first)
  end
end

local function in_order()
  local dropped = {}
  local entries = redis.call('XRANGE', ORDER, id_of(after + 1), id_of(to), 'COUNT', 2 * MOST_ENTRIES)
  for _, entry in ipairs(entries) do
    local position, kind, name = position_of(entry[1]), entry[2][1], entry[2][2]
    if kind == 'e' and is_selected(selectors, name) then
      dropped[name] = dropped[name] or tonumber(redis.call('HGET', TOPIC .. name, 'dropped') or math.huge)
      local found = position > dropped[name] and at(name, entry[1])
      if found and not take(name, found) then
        return
      end
    end
    through = position
  end
  if #entries < 2 * MOST_ENTRIES then
    through = to
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
