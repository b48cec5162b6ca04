-- Names the log, when it is empty, by a seed that was drawn. Says whether it still has the event that a hub
-- has seen last. If it has not, it gets another name, once, and all hubs are woken to see it.
local drawn, own, seen, nonce = text(), text(), number(), text()
if not seed then
  seed = drawn
  redis.call('HSET', META, 'seed', seed)
end
if seed == own and seen > 0 then
  local entry = redis.call('XRANGE', ORDER, id_of(seen), id_of(seen))[1]
  if seen > log.newest or (nonce ~= '' and entry and entry[2][4] ~= nonce) then
    begin({})
    happened('renamed', '')
    save()
    seed = drawn
    redis.call('HSET', META, 'seed', seed)
  end
end
return answer()
