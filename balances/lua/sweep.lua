-- Sessions that need a look without having reported: silent ones, ones to be granted anew, and those
-- of a NAS that restarted. What is done about them is a commit like any other.

-- Wake sessions of accounts that are to be granted anew, about `limit` of them; one that is looked at
-- and not meant costs a sixteenth. The score of an account is the cursor among its sessions. Waking
-- some twice, after a failure, does no harm.
local function wake_waiting(p, now, limit)
  local key = p .. ':regrants'
  while limit > 0 do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if not first[1] then return end
    local which, id = string.sub(first[1], 1, 1), string.sub(first[1], 2)
    local part = redis.call('SSCAN', p .. ':as:' .. id, first[2], 'COUNT', math.ceil(limit))
    limit = limit - 1 / 16
    for _, member in ipairs(part[2]) do
      local woken = wake_session(journal(), p, member, now, which)
      limit = limit - (woken and 1 or 1 / 16)
    end
    if part[1] == '0' then
      redis.call('ZREM', key, first[1])
    else
      redis.call('ZADD', key, part[1], first[1])
    end
  end
end

-- due: the sessions whose time has come, for a lease.
--
-- args     now, most sessions, lease (ms)
-- returns  { now, time of the next or -1, { session key, session value } alternating }
-- The wake index is lazy: a report does not move a session's entry, so most that come up have
-- reported since; those are put back to when they would be silent for too long.
--
-- Nothing is undone after a failure, for no prefix of the writes does harm: at worst a session is
-- looked at once more, or a lease late.
local function due(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  open_books(p)
  wake_waiting(p, now, tonumber(args[2]))
  local out, n = {}, 0
  local members = redis.call('ZRANGEBYSCORE', p .. ':wake', '-inf', now, 'LIMIT', 0, args[2])
  for _, member in ipairs(members) do
    local key = p .. ':s:' .. member
    local value, s = session_at(key)
    if s == false then
      -- Not understood: looked at again later, so that it does not keep others waiting.
      redis.call('ZADD', p .. ':wake', now + tonumber(args[3]), member)
    elseif not s or not has(s.flags, OPEN) then
      redis.call('ZREM', p .. ':wake', member)
    elseif has(s.flags, REGRANT) or s.seen + s.quiet * 1000 <= now then
      redis.call('ZADD', p .. ':wake', now + tonumber(args[3]), member)
      out[n + 1], out[n + 2] = member, value
      n = n + 2
    else
      local wake = s.seen + s.quiet * 1000
      redis.call('SET', key, session_value(s.flags, s.version, s.held, s.seen, wake, s.quiet, s.uid,
        s.account, string.sub(value, s.state_at)))
      redis.call('ZADD', p .. ':wake', wake, member)
    end
  end
  local nearest = redis.call('ZRANGE', p .. ':wake', 0, 0, 'WITHSCORES')
  local waiting = redis.call('EXISTS', p .. ':regrants') == 1
  return { now, waiting and now or tonumber(nearest[2] or -1), out }
end

-- Forget some boot marks that are older than any session that is remembered: a client may name a new
-- NAS in each request. More are looked at than are written, so that the old ones stay few. A mark
-- that is still to be swept for stays.
local function forget_boots(p, now)
  local some = redis.call('HRANDFIELD', p .. ':boots', 16, 'WITHVALUES')
  for i = 1, #some, 2 do
    local mark = tonumber(some[i + 1])
    if mark and mark * 1000 < now - LATE_WINDOW_MS
      and redis.call('SISMEMBER', p .. ':sweeps', some[i]) == 0 then
      redis.call('HDEL', p .. ':boots', some[i])
    end
  end
end

-- boot: a NAS restarted or shuts down (Accounting-On, Accounting-Off). One mark, whatever the number
-- of its sessions; commits honour it at once, and the sweeper closes the sessions in chunks.
--
-- args     now, then NAS name, event time (Unix s), seconds within which a later one repeats it
-- returns  1 if the mark moved, 0 for a repetition or an older one
local function boot(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  open_books(p)
  local mark = tonumber(redis.call('HGET', p .. ':boots', args[2]) or '-1')
  local at = tonumber(args[3])
  if mark >= 0 and at <= mark + tonumber(args[4]) then return 0 end
  redis.call('SADD', p .. ':sweeps', args[2])
  redis.call('HSET', p .. ':boots', args[2], args[3])
  if mark < 0 then forget_boots(p, now) end
  return 1
end

-- swept: all sessions of before a NAS's mark are closed.
--
-- args     NAS name, the mark that was swept for
-- returns  1, or 0 if the NAS restarted once more meanwhile
local function swept(keys, args)
  local p = keys[1]
  if redis.call('HGET', p .. ':boots', args[1]) ~= args[2] then return 0 end
  redis.call('SREM', p .. ':sweeps', args[1])
  return 1
end

redis.register_function({ function_name = 'ratewire_1_due', callback = due, flags = { 'allow-oom' } })
redis.register_function('ratewire_1_boot', boot)
redis.register_function('ratewire_1_swept', swept)
