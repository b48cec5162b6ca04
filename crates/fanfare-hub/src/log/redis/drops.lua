-- How often events had been dropped when it was last one of the selection behind a place.
local after, drops = number(), 0
local has_all = each_selected(selection(), function(known)
  if known.dropped > after then
    drops = math.max(drops, known.drops)
  end
end)
if not has_all and log.forgotten > after then
  drops = math.max(drops, log.forgotten_drops)
end
return answer(digits(drops))
