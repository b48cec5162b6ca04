-- How much is kept.
return answer(digits(log.events), digits(log.bytes), digits(redis.call('ZCARD', TOPICS)))
