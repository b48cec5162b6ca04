-- Counts events of a selection back from an id. Says how many are left to be counted, and the last id and its position;
-- nothing when there are no more.
local before, count = text(), number()
local selectors = selection()

local function of_topic(name)
  local known = topic(name)
  if not known then
    return nil
  end
  local most, first = count_of(known, math.min(count, MOST_ENTRIES), MOST_BYTES), id_of(known.dropped + 1)
  -- Of no entries at all Redis answers nothing.
  local entries = redis.call('XREVRANGE', EVENTS .. name, '(' .. before, first, 'COUNT', most) or {}
  count = count - #entries
  return entries[#entries]
end

local function of_all()
  local dropped, last = {}, nil
  for _, entry in ipairs(redis.call('XREVRANGE', ORDER, '(' .. before, '-', 'COUNT', MOST_ENTRIES) or {}) do
    local kind, name = entry[2][1], entry[2][2]
    if kind == 'e' and is_selected(selectors, name) then
      dropped[name] = dropped[name] or tonumber(redis.call('HGET', TOPIC .. name, 'dropped') or math.huge)
      count = count - (position_of(entry[1]) > dropped[name] and 1 or 0)
    end
    last = entry
    if count == 0 then
      break
    end
  end
  return last
end

local last
if #selectors == 1 and selectors[1].kind == 'topic' then
  last = of_topic(selectors[1].text)
else
  last = of_all()
end
return answer(digits(count), last and last[1] or '', last and digits(position_of(last[1])) or '')
