-- Before the newest events of the selection; without a count, before the oldest that is kept.
local count, oldest, newest = number(), nil, {}
each_selected(selection(), function(known)
  if not count then
    if known.oldest then
      oldest = math.min(oldest or known.oldest, known.oldest)
    end
    return
  end
  local first = digits(known.dropped + 1) .. '-0'
  -- Of no entries at all Redis answers nothing.
  local entries = redis.call('XREVRANGE', EVENTS .. known.name, '+', first, 'COUNT', count) or {}
  for _, entry in ipairs(entries) do
    newest[#newest + 1] = tonumber(string.match(entry[1], '^%d+'))
  end
end)
if count then
  table.sort(newest, function(one, other)
    return one > other
  end)
  oldest = newest[math.min(count, #newest)]
end
return answer(digits(oldest and oldest - 1 or log.newest))
