-- apply: what came from outside (top-ups, limits, subscribers), in each account's own order.
--
-- keys[1]  partition prefix
-- args     now, then one MessagePack array per movement:
--          { account, sequence, 'open', currency, limit or '', minimum }
--          { account, sequence, 'post', micros }               (signed)
--          { account, sequence, 'limits', limit or '', minimum }
--          { account, sequence, 'status', flags }              (SUSPENDED, CLOSED)
--          { account, sequence, 'subscriber', user name, plan, login (opaque) }
--          { account, sequence, 'drop', user name }
--          { account, sequence, 'pool', part (opaque), the pool of an account without one }
-- returns  { now, { applied sequence of the account per movement } }
--
-- Only the account's applied sequence + 1 is applied; an earlier one was applied before, a later one
-- has to wait for what is missing. The caller goes on from the sequence returned. A movement whose
-- account cannot be (not opened, or a balance beyond 2^53) raises an error, and nothing is applied.
--
-- The rating version moves with what rating reads (status, subscriber, pool), never with money. A part
-- is appended to the account's pool; who rates next folds it in. When money
-- may end a cut or must begin one, the account's sessions are to be granted anew.

local function set_limits(a, id, limit, minimum)
  local bounded = limit == '' or (limit >= 0 and limit <= MAX)
  if not bounded or minimum < 0 or minimum > MAX then
    error({ err = 'REFUSED account ' .. id .. ': limits are 0 to ' .. string.format('%.0f', MAX) })
  end
  local flags = a.flags - (has(a.flags, UNLIMITED) and UNLIMITED or 0)
  if limit == '' then
    a.flags, a.limit = flags + UNLIMITED, 0
  else
    a.flags, a.limit = flags, limit
  end
  a.minimum = minimum
end

-- A currency has its totals from its first account on, be they zero.
local function open_totals(j, p, currency)
  local key, field = p .. ':meta', 'total:' .. currency .. ':'
  local balance, reserved, limit = field .. 'balance', field .. 'reserved', field .. 'limit'
  if redis.call('HEXISTS', key, balance) == 0 then
    j:write({ 'HDEL', key, balance, reserved, limit },
      'HSET', key, balance, 0, reserved, 0, limit, 0)
  end
end

-- Apply one movement to the account (nil if it is not open). Returns the account, and which of its
-- sessions to wake (ALL, CUTTING_ONES), or nil.
local function apply_one(j, p, a, m, totals)
  local kind = m[3]
  if kind == 'open' then
    if a then error({ err = 'REFUSED account ' .. m[1] .. ' is open already' }) end
    if not string.find(m[4], '^[A-Z][A-Z][A-Z]$') then
      error({ err = 'REFUSED account ' .. m[1] .. ': currency is three letters A to Z' })
    end
    a = { flags = 0, balance = 0, reserved = 0, limit = 0, minimum = 0, rating = 1, charged = 0,
      moved = 0, currency = m[4] }
    set_limits(a, m[1], m[5], m[6])
    j:write({ 'HINCRBY', p .. ':meta', 'accounts', -1 }, 'HINCRBY', p .. ':meta', 'accounts', 1)
    open_totals(j, p, a.currency)
    count(totals, a.currency, 'limit', a.limit)
    count(totals, a.currency, 'limit', -a.minimum)
    return a, nil
  end
  if not a then error({ err = 'REFUSED account ' .. m[1] .. ' is not open' }) end
  if kind == 'post' then
    if math.abs(a.balance + m[4]) > MAX then
      error({ err = 'REFUSED account ' .. m[1] .. ': balance beyond ' .. string.format('%.0f', MAX) })
    end
    a.balance = a.balance + m[4]
    count(totals, a.currency, 'balance', m[4])
    if m[4] > 0 then return a, CUTTING_ONES end
    return a, available(a) < 0 and ALL or nil
  elseif kind == 'limits' then
    count(totals, a.currency, 'limit', -a.limit)
    count(totals, a.currency, 'limit', a.minimum)
    set_limits(a, m[1], m[4], m[5])
    count(totals, a.currency, 'limit', a.limit)
    count(totals, a.currency, 'limit', -a.minimum)
    return a, ALL
  elseif kind == 'status' then
    a.flags = (has(a.flags, UNLIMITED) and UNLIMITED or 0) + (has(a.flags, POOLED) and POOLED or 0)
      + m[4]
    a.rating = a.rating + 1
    return a, ALL
  elseif kind == 'pool' then
    local key = p .. ':p:' .. m[1]
    local before = redis.call('GET', key)
    j:write(before and { 'SET', key, before } or { 'DEL', key }, 'SET', key, (before or m[5]) .. m[4])
    a.rating = a.rating + 1
    if not has(a.flags, POOLED) then a.flags = a.flags + POOLED end
    return a, ALL
  elseif kind == 'subscriber' or kind == 'drop' then
    local key = p .. ':u:' .. m[4]
    local before = redis.call('GET', key)
    local back = before and { 'SET', key, before } or { 'DEL', key }
    if kind == 'subscriber' then
      j:write(back, 'SET', key, cmsgpack.pack({ m[1], m[5], m[6] }))
    elseif before and cmsgpack.unpack(before)[1] == m[1] then
      -- It may have gone over to another account, whose movements are in an order of their own.
      j:write(back, 'DEL', key)
    end
    a.rating = a.rating + 1
    return a, nil
  end
  error({ err = 'REFUSED movement kind ' .. tostring(kind) .. ' is not known' })
end

local function apply(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  local books = open_books(p)
  local applied, totals, woken = {}, {}, false
  atomically(function(j)
    for i = 2, #args do
      local m = cmsgpack.unpack(args[i])
      local key = p .. ':a:' .. m[1]
      local value = redis.call('GET', key)
      local a = value and account_of(value)
      local moved = a and a.moved or 0
      if m[2] == moved + 1 then
        local wake
        a, wake = apply_one(j, p, a, m, totals)
        a.moved = m[2]
        moved = m[2]
        j:write(value and { 'SET', key, value } or { 'DEL', key }, 'SET', key, account_value(a))
        if wake then
          wake_account(j, p, m[1], wake)
          woken = true
        end
      end
      applied[i - 1] = moved
    end
    add_totals(j, p, totals)
    j:settle(p, books, {}, 0)
  end)
  if woken then notify(p) end
  return { now, applied }
end

redis.register_function('ratewire_1_apply', apply)
