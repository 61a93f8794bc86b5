-- Grants of logins: what an Access-Accept promised and no session has begun to use yet.
--
-- A grant is <prefix>:g:<uid in hex>, MessagePack:
--   { account, held (micros), expires (Unix ms), user name, pointers }
-- Its uid becomes that of the session whose first commit takes it over. Until then what it holds is
-- part of the account's reserved, and it stands in <prefix>:ag:<account>, in <prefix>:grants by the
-- time it expires, and in <prefix>:lu:<user name>. Its pointers are keys that hold its uid, by which
-- a Start finds it when the NAS does not bring Class back; they expire by themselves.
--
-- <prefix>:lu:<user name> is a hash: uid -> '' for a grant, or the key of the session that took it
-- over. It is looked at by logins only, which clear what has ended.

local POINTER_SLACK_MS = 3600 * 1000

-- After so long what is not understood is looked at again: somebody else may know it.
local NOT_UNDERSTOOD_MS = 60 * 1000

-- A grant as a table and its value; nil for the table if it is not understood, for both if there is
-- none.
local function grant_of(p, uid)
  local value = redis.call('GET', p .. ':g:' .. uid)
  if not value then return nil, nil end
  local ok, g = pcall(cmsgpack.unpack, value)
  if not ok or type(g) ~= 'table' then return nil, value end
  return { account = g[1], held = g[2], expires = g[3], user = g[4], pointers = g[5] }, value
end

-- Take a grant away with all that points to it; what it held is the caller's to book.
local function drop_grant(j, p, uid, g, value)
  j:write({ 'SET', p .. ':g:' .. uid, value }, 'DEL', p .. ':g:' .. uid)
  j:zrem(p .. ':grants', uid)
  j:srem(p .. ':ag:' .. g.account, uid)
  for _, pointer in ipairs(g.pointers) do
    local key = p .. pointer
    if redis.call('GET', key) == uid then
      local left = redis.call('PTTL', key)
      j:write({ 'SET', key, uid, 'PX', math.max(left, 1) }, 'DEL', key)
    end
  end
end

local function set_user_index(j, p, user, uid, member)
  local key = p .. ':lu:' .. user
  local before = redis.call('HGET', key, uid)
  j:write(before and { 'HSET', key, uid, before } or { 'HDEL', key, uid }, 'HSET', key, uid, member)
  redis.call('PEXPIRE', key, LATE_WINDOW_MS)  -- nothing to take back: it only lives longer
end

local function clear_user_index(j, p, user, uid)
  local key = p .. ':lu:' .. user
  local before = redis.call('HGET', key, uid)
  if not before then return end
  j:write(function()
    redis.call('HSET', key, uid, before)
    redis.call('PEXPIRE', key, LATE_WINDOW_MS)
  end, 'HDEL', key, uid)
end

-- A session has begun with the grant: what it held is booked by the commit.
local function take_grant_over(j, p, uid, g, value, member)
  drop_grant(j, p, uid, g, value)
  set_user_index(j, p, g.user, uid, member)
end

-- Give back what grants hold (uids in hex); those that are gone are passed over, and those that are
-- not understood, or whose account is not. Returns how many were given back. The accounts are written one after the other: a uid may come with others of its own.
local function release_grants(j, p, uids)
  local released, totals = 0, {}
  for _, uid in ipairs(uids) do
    local g, value = grant_of(p, uid)
    local key = g and p .. ':a:' .. g.account
    local before = g and account_or_false(redis.call('GET', key))
    if before then
      local a = account_of(before)
      a.reserved = a.reserved - g.held
      count(totals, a.currency, 'reserved', -g.held)
      j:write({ 'SET', key, before }, 'SET', key, account_value(a))
      drop_grant(j, p, uid, g, value)
      clear_user_index(j, p, g.user, uid)
      released = released + 1
    elseif not value then
      j:zrem(p .. ':grants', uid)
    end
  end
  add_totals(j, p, totals)
  return released
end

-- Whether a session is open under this uid and nobody has asked for its end.
local function is_occupied(p, uid, member)
  local value = redis.call('GET', p .. ':s:' .. member)
  local _, s = session_or_false(value)
  if not s or not has(s.flags, OPEN) or hex(s.uid) ~= uid then return false end
  return redis.call('HGET', p .. ':j:' .. uid, 'cause') ~= 'operator'
end

-- What takes a place of a user's limit: { uid, session key or '' } of each, besides those of `except`.
local function occupants(p, user, counted, except)
  local found, seen, gone = {}, {}, {}
  local function add(uid, member)
    if seen[uid] or except[uid] then return end
    seen[uid] = true
    local there
    if member == '' then
      there = redis.call('EXISTS', p .. ':g:' .. uid) == 1
    else
      there = is_occupied(p, uid, member)
    end
    if there then found[#found + 1] = { uid, member } else gone[#gone + 1] = uid end
  end
  local flat = redis.call('HGETALL', p .. ':lu:' .. user)
  for i = 1, #flat, 2 do add(flat[i], flat[i + 1]) end
  for i = 1, #counted, 2 do add(counted[i], counted[i + 1]) end
  return found, gone
end

-- Grants that the same device was given before, by the pointers of this login; not of others.
local function earlier_grants(p, account, pointers)
  local uids, held = {}, 0
  local seen = {}
  for _, pointer in ipairs(pointers) do
    local uid = redis.call('GET', p .. pointer)
    if uid and not seen[uid] then
      seen[uid] = true
      local g = grant_of(p, uid)
      if g and g.account == account then
        uids[#uids + 1] = uid
        held = held + g.held
      end
    end
  end
  return uids, held
end

-- login: reserve for a session that is going to begin, and count the user's sessions.
--
-- args     now, MessagePack { uid (hex), account, user name, pointers, rating version, want, grant
--          (micros), lifetime (ms), most sessions or 0, { uid, session key, alternating } of the
--          sessions that the caller counted }
-- returns  { now, status, occupants }: 0 when granted; NO_ACCOUNT, STALE_RATING, STALE_CREDIT, BOUND
--          or FULL otherwise, and nothing is written. Occupants as { uid, session key or '' }
-- The grant is given if it is just min(want, what is available) there and then, as in a commit. What
-- the same device was granted by an earlier login is given back in the same step.
local FULL = 8

local function login(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  open_books(p)
  local l = cmsgpack.unpack(args[2])
  local uid, account, user, pointers = l[1], l[2], l[3], l[4]
  local rating, want, grant, lifetime, most, counted = l[5], l[6], l[7], l[8], l[9], l[10]
  local key = p .. ':a:' .. account
  local value = redis.call('GET', key)
  if not value then return { now, NO_ACCOUNT, {} } end
  local a = account_of(value)
  if a.rating ~= rating then return { now, STALE_RATING, {} } end
  if want < 0 or want > MAX or lifetime < 1 then return { now, BOUND, {} } end
  local earlier, given_back = earlier_grants(p, account, pointers)
  local except = {}
  for _, each in ipairs(earlier) do except[each] = true end
  local there, gone = occupants(p, user, counted, except)
  if most > 0 and #there >= most then return { now, FULL, there } end
  local reserved = a.reserved - given_back
  local free = math.huge
  if not has(a.flags, UNLIMITED) then free = (a.balance - reserved) + (a.limit - a.minimum) end
  if math.min(want, math.max(free, 0)) ~= grant then return { now, STALE_CREDIT, {} } end
  if reserved + grant > MAX then return { now, BOUND, {} } end
  atomically(function(j)
    release_grants(j, p, earlier)
    for _, each in ipairs(gone) do clear_user_index(j, p, user, each) end
    local before = redis.call('GET', key)
    a = account_of(before)
    a.reserved = a.reserved + grant
    j:write({ 'SET', key, before }, 'SET', key, account_value(a))
    local totals = {}
    count(totals, a.currency, 'reserved', grant)
    add_totals(j, p, totals)
    local packed = cmsgpack.pack({ account, grant, now + lifetime, user, pointers })
    j:write({ 'DEL', p .. ':g:' .. uid }, 'SET', p .. ':g:' .. uid, packed)
    j:zadd(p .. ':grants', now + lifetime, uid)
    j:sadd(p .. ':ag:' .. account, uid)
    for _, pointer in ipairs(pointers) do
      local old = redis.call('GET', p .. pointer)
      j:write(old and { 'SET', p .. pointer, old, 'PX', POINTER_SLACK_MS } or { 'DEL', p .. pointer },
        'SET', p .. pointer, uid, 'PX', lifetime + POINTER_SLACK_MS)
    end
    set_user_index(j, p, user, uid, '')
  end)
  return { now, 0, there }
end

-- grants_release: give back what grants hold that will not be used.
--
-- args     uids (hex)
-- returns  how many of them there were
local function grants_release(keys, args)
  local p = keys[1]
  open_books(p)
  return atomically(function(j) return release_grants(j, p, args) end)
end

-- grants_expire: give back what grants hold that nobody has begun to use in time.
--
-- args     now, most grants
-- returns  { how many, when the next expires or -1 }
local function grants_expire(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  open_books(p)
  local uids = redis.call('ZRANGEBYSCORE', p .. ':grants', '-inf', now, 'LIMIT', 0, args[2])
  local released = 0
  if #uids > 0 then
    released = atomically(function(j)
      local given_back = release_grants(j, p, uids)
      for _, uid in ipairs(uids) do
        if redis.call('EXISTS', p .. ':g:' .. uid) == 1 then
          j:zadd(p .. ':grants', now + NOT_UNDERSTOOD_MS, uid)
        end
      end
      return given_back
    end)
  end
  local nearest = redis.call('ZRANGE', p .. ':grants', 0, 0, 'WITHSCORES')
  return { released, tonumber(nearest[2] or -1) }
end

-- What the grants of an account hold together.
local function held_by_grants(p, account)
  local held = 0
  for _, uid in ipairs(redis.call('SMEMBERS', p .. ':ag:' .. account)) do
    local g = grant_of(p, uid)
    if g then held = held + g.held end
  end
  return held
end

redis.register_function('ratewire_1_login', login)
redis.register_function({ function_name = 'ratewire_1_grants_release', callback = grants_release, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_grants_expire', callback = grants_expire, flags = { 'allow-oom' } })
