-- The newest event of the selection that was dropped.
local newest = 0
local has_all = each_selected(selection(), function(known)
  newest = math.max(newest, known.dropped)
end)
return answer(digits(has_all and newest or math.max(newest, log.forgotten)))
