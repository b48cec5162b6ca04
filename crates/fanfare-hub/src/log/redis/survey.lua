-- What is known of a page of the topics of a selection, taken together. Says up to which name that is, or nothing when
-- these were the last.
local after, has_name, name = number(), number(), text()
local selectors = selection()
local names, through = page_of(selectors, has_name == 1 and name or nil)
local dropped, drops, events, oldest = 0, 0, 0, nil
for _, one in ipairs(names) do
  local known = topic(one)
  if known then
    dropped, events = math.max(dropped, known.dropped), events + known.events
    if known.dropped > after then
      drops = math.max(drops, known.drops)
    end
    oldest = known.oldest and math.min(oldest or known.oldest, known.oldest) or oldest
  end
end
-- Topics that are not known may be forgotten ones.
local has_all = true
for _, selector in ipairs(selectors) do
  has_all = has_all and selector.kind == 'topic' and redis.call('EXISTS', TOPIC .. selector.text) == 1
end
if not has_all then
  dropped = math.max(dropped, log.forgotten)
  drops = log.forgotten > after and math.max(drops, log.forgotten_drops) or drops
end
return answer(through or '', digits(log.newest), digits(log.drops), digits(dropped), digits(drops), digits(events),
  oldest and digits(oldest) or '')
