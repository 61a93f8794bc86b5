-- The books of a partition as a whole: initialise, fence, inspect, restore.

-- The first session version of a generation. Versions are counted from there, by less than 2^40, and
-- have to stay exact; a session of version 0 is one that is not there.
local function first_version(generation)
  local number = tonumber(generation)
  if not number or number < 1 or number > 8191 then
    error({ err = 'REFUSED generation ' .. generation .. ': generations are 1 to 8191' })
  end
  return number * 2 ^ 40
end

-- initialise: begin the books of an empty store. Does nothing if there are books.
--
-- args     generation
-- returns  { generation, sequence } that hold
local function initialise(keys, args)
  local p = keys[1]
  if redis.call('HEXISTS', p .. ':meta', 'generation') == 0 then
    redis.call('HSET', p .. ':meta', 'generation', args[1], 'sequence', 0,
      'version', first_version(args[1]), 'accounts', 0)
  end
  local m = redis.call('HMGET', p .. ':meta', 'generation', 'sequence')
  return { tonumber(m[1]), tonumber(m[2]) }
end

-- fence: refuse all writing to the books until they are restored or the fence is lifted.
--
-- args     the reason, as every refused caller will read it; '' lifts the fence
-- returns  { generation, sequence }; 0, 0 for a store without books
local function fence(keys, args)
  local p = keys[1]
  if args[1] == '' then
    redis.call('HDEL', p .. ':meta', 'fence')
  else
    redis.call('HSET', p .. ':meta', 'fence', args[1])
  end
  local m = redis.call('HMGET', p .. ':meta', 'generation', 'sequence')
  return { tonumber(m[1] or '0'), tonumber(m[2] or '0') }
end

-- inspect: accounts as they are at one moment each.
--
-- args     account ids
-- returns  { account value or false, sum of what its sessions and grants hold, number of open sessions } per id
-- What is not understood is not there: it shows as drift, and does not hide the other accounts.
local function inspect(keys, args)
  local p = keys[1]
  local out = {}
  local accounts, n = {}, #args
  for i = 1, n do accounts[i] = p .. ':a:' .. args[i] end
  accounts = get_many(accounts, n)
  for i, id in ipairs(args) do
    local members = redis.call('SMEMBERS', p .. ':as:' .. id)
    local count = #members
    for k = 1, count do members[k] = p .. ':s:' .. members[k] end
    local held, open = 0, 0
    for _, value in ipairs(get_many(members, count)) do
      local _, s = session_or_false(value)
      if s then
        held = held + s.held
        open = open + 1
      end
    end
    out[i] = { account_or_false(accounts[i]), held + held_by_grants(p, id), open }
  end
  return out
end

-- restore_accounts, restore_sessions: write the books anew behind a fence, from Postgres.
--
-- args     (accounts) per account a MessagePack array: id, flags, balance, limit, minimum, rating
--          version, charge sequence, movement sequence, currency, pool ('' for none)
--          (sessions) now, then per session: fixed part RESTORED, session key, account, NAS, state
-- returns  how many were written
-- Restored sessions hold nothing and are woken at once, to be granted anew.
local RESTORED = '>BI4c16'  -- open, quiet (s), uid

local function must_be_fenced(p)
  if redis.call('HEXISTS', p .. ':meta', 'fence') == 0 then
    error({ err = 'REFUSED books are restored behind a fence only' })
  end
end

local function restore_accounts(keys, args)
  local p = keys[1]
  must_be_fenced(p)
  atomically(function(j)
    local totals = {}
    for _, packed in ipairs(args) do
      local m = cmsgpack.unpack(packed)
      local key = p .. ':a:' .. m[1]
      j:write({ 'DEL', key }, 'SET', key, account_value({ flags = m[2], balance = m[3], reserved = 0,
        limit = m[4], minimum = m[5], rating = m[6], charged = m[7], moved = m[8], currency = m[9] }))
      if m[10] and m[10] ~= '' then redis.call('SET', p .. ':p:' .. m[1], m[10]) end
      open_totals(j, p, m[9])
      count(totals, m[9], 'balance', m[3])
      count(totals, m[9], 'limit', m[4])
      count(totals, m[9], 'limit', -m[5])
    end
    j:write({ 'HINCRBY', p .. ':meta', 'accounts', -#args }, 'HINCRBY', p .. ':meta', 'accounts', #args)
    add_totals(j, p, totals)
  end)
  return #args
end

local function restore_sessions(keys, args)
  local p = keys[1]
  must_be_fenced(p)
  local now = clock(args[1])
  local version = tonumber(redis.call('HGET', p .. ':meta', 'version'))
  local n = 0
  for at = 2, #args, 5 do
    local open, quiet, uid = struct.unpack(RESTORED, args[at])
    local member, account, nas, state = args[at + 1], args[at + 2], args[at + 3], args[at + 4]
    local key = p .. ':s:' .. member
    local flags = open == 1 and OPEN + REGRANT or 0
    redis.call('SET', key, session_value(flags, version, 0, now, now, quiet, uid, account, state))
    if open == 1 then
      redis.call('ZADD', p .. ':wake', now, member)
      redis.call('SADD', p .. ':as:' .. account, member)
      redis.call('SADD', p .. ':ns:' .. nas, member)
    else
      redis.call('PEXPIRE', key, LATE_WINDOW_MS)
    end
    n = n + 1
  end
  return n
end

-- restart: begin a new generation of the books, behind the fence. The old accounts, sessions, grants
-- and jobs have been deleted by the caller; what is published (plans, NASes) and the boot marks stay.
--
-- args     generation
-- returns  1
local function restart(keys, args)
  local p = keys[1]
  must_be_fenced(p)
  local version = first_version(args[1])
  local m = redis.call('HMGET', p .. ':meta', 'fence', 'revision:plans', 'revision:nas')
  redis.call('DEL', p .. ':meta', p .. ':wake', p .. ':jobs', p .. ':settle', p .. ':regrants',
    p .. ':grants')
  redis.call('HSET', p .. ':meta', 'generation', args[1], 'sequence', 0, 'accounts', 0,
    'version', version, 'fence', m[1], 'revision:plans', m[2] or 0,
    'revision:nas', m[3] or 0)
  return 1
end

-- publish: replace what listeners read of the plans or the NASes, unless this revision or a newer one
-- is there.
--
-- args     what ('plans' or 'nas'), revision, then field and value, alternating
-- returns  the revision that is there now
local PUBLISHED = { plans = true, nas = true }

-- HSET of any number of fields: unpack() has a limit.
local function set_fields(write, key, flat, first)
  for at = first, #flat, 4000 do
    write('HSET', key, unpack(flat, at, math.min(at + 3999, #flat)))
  end
end

local function publish(keys, args)
  local p, what = keys[1], args[1]
  if not PUBLISHED[what] then
    error({ err = 'REFUSED ' .. what .. ' cannot be published: plans and nas can' })
  end
  local meta, field, key = p .. ':meta', 'revision:' .. what, p .. ':' .. what
  local there = redis.call('HGET', meta, field)
  if there and tonumber(there) >= tonumber(args[2]) then return tonumber(there) end
  local before = redis.call('HGETALL', key)
  atomically(function(j)
    j:write(function() set_fields(redis.call, key, before, 1) end, 'DEL', key)
    set_fields(function(...) j:write({ 'DEL', key }, ...) end, key, args, 3)
    j:write(there and { 'HSET', meta, field, there } or { 'HDEL', meta, field },
      'HSET', meta, field, args[2])
  end)
  return tonumber(args[2])
end

redis.register_function('ratewire_1_initialise', initialise)
redis.register_function('ratewire_1_fence', fence)
redis.register_function({ function_name = 'ratewire_1_inspect', callback = inspect, flags = { 'no-writes' } })
redis.register_function('ratewire_1_restore_accounts', restore_accounts)
redis.register_function('ratewire_1_restore_sessions', restore_sessions)
redis.register_function('ratewire_1_restart', restart)
redis.register_function('ratewire_1_publish', publish)
