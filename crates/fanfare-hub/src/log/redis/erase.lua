-- Erases the events of a topic, and its end. What they take is given back later. That and dropping is done without
-- room too: it makes some.
local known = topic(text())
if not known then
  return answer(0)
end
begin({ known })
if known.events > 0 then
  log.drops = log.drops + 1
  known.drops = log.drops
  local range = digits(known.dropped + 1) .. ' ' .. digits(known.newest)
  redis.call('RPUSH', ERASED, range .. ' ' .. known.name)
end
log.events, log.bytes = log.events - known.events, log.bytes - known.bytes
known.dropped = math.max(known.newest, known.dropped)
known.events, known.bytes, known.oldest, known.ended = 0, 0, nil, nil
save_topic(known)
happened('erased', known.name)
save()
return answer(1)
