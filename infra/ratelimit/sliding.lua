-- Counts one caller in several sliding windows at once, each by the rule and keys of @upstash/ratelimit.
-- KEYS: current and previous key of each window. ARGV: now (ms), n, then limit and length (ms) of each window.
-- Answers {1 or 0 (refused, nothing counted), current 1, previous 1, current 2, …}, current after counting.
local now, n = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = {1}
for i = 1, #KEYS / 2 do
  local limit, per = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local current = tonumber(redis.call("GET", KEYS[2 * i - 1]) or 0)
  local previous = tonumber(redis.call("GET", KEYS[2 * i]) or 0)
  if math.floor((1 - (now % per) / per) * previous) + current + math.max(n, 1) > limit then
    answer[1] = 0
  end
  answer[2 * i], answer[2 * i + 1] = current, previous
end
if answer[1] == 1 and n > 0 then
  for i = 1, #KEYS / 2 do
    local value = redis.call("INCRBY", KEYS[2 * i - 1], n)
    if value == n then
      redis.call("PEXPIRE", KEYS[2 * i - 1], 2 * tonumber(ARGV[2 * i + 2]) + 1000)
    end
    answer[2 * i] = value
  end
end
return answer
