-- Erases the events of a topic, and its end.
local known = topic(text())
if not known then
  return answer(0)
end
if known.events > 0 then
  log.drops = log.drops + 1
  known.drops = log.drops
end
log.events, log.bytes = log.events - known.events, log.bytes - known.bytes
local first = digits(known.dropped + 1) .. '-0'
known.dropped = math.max(known.newest, known.dropped)
known.events, known.bytes, known.oldest, known.ended = 0, 0, nil, nil
while true do
  local entries = redis.call('XRANGE', EVENTS .. known.name, first, '+', 'COUNT', STEPS)
  if #entries == 0 then
    break
  end
  for _, entry in ipairs(entries) do
    local found = event(entry)
    bury(found.id, #found.data, known.name)
  end
  first = '(' .. entries[#entries][1]
end
save_topic(known)
happened('erased', known.name)
prune()
save()
return answer(1)
