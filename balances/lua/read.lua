-- read: what a batch of records needs to be rated.
--
-- keys[1]  partition prefix, "rw:{0}"
-- args     now ('' = the store's clock), count of NASes, their names,
--          then session key and user name, alternating ('' = no user name)
-- returns  { now, revision of the plans, { boot mark or false per NAS },
--            { { session value or false, index of its account or 0,
--                subscriber value or false, index of its account or 0 } per record },
--            { account value or false, ... } }
-- A record of a session that is open gets no subscriber: its state says all. A value that is not
-- understood is not there; a commit that is computed from that is FAULTY. Reads only.

local function read(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  -- An emptied store must not look like one without subscribers, nor one that is half restored: what
  -- such a record is taken for (a stranger's) would be booked once the fence is lifted.
  local meta = redis.call('HMGET', p .. ':meta', 'generation', 'revision:plans', 'fence')
  if not meta[1] then error({ err = EMPTY }) end
  if meta[3] then error({ err = 'FENCED ' .. meta[3] }) end
  local nas_count = tonumber(args[2])
  local boots = {}
  if nas_count > 0 then boots = redis.call('HMGET', p .. ':boots', unpack(args, 3, 2 + nas_count)) end
  local first = 3 + nas_count
  local n = (#args - first + 1) / 2
  local session_keys = {}
  for i = 1, n do session_keys[i] = p .. ':s:' .. args[first + 2 * i - 2] end
  local sessions = get_many(session_keys, n)

  local account_keys, account_at, accounts = {}, {}, 0
  local function account_index(id)
    if not account_at[id] then
      accounts = accounts + 1
      account_at[id] = accounts
      account_keys[accounts] = p .. ':a:' .. id
    end
    return account_at[id]
  end

  local records = {}
  local subscriber_keys, asked_by, asked = {}, {}, 0
  for i = 1, n do
    local value, s = session_or_false(sessions[i])
    local record = { value, 0, false, 0 }
    if s then record[2] = account_index(s.account) end
    local user = args[first + 2 * i - 1]
    if user ~= '' and not (s and has(s.flags, OPEN)) then
      asked = asked + 1
      subscriber_keys[asked] = p .. ':u:' .. user
      asked_by[asked] = record
    end
    records[i] = record
  end
  local subscribers = get_many(subscriber_keys, asked)
  for k = 1, asked do
    local ok, subscriber = pcall(cmsgpack.unpack, subscribers[k])
    if ok and type(subscriber) == 'table' and type(subscriber[1]) == 'string' then
      asked_by[k][3] = subscribers[k]
      asked_by[k][4] = account_index(subscriber[1])
    end
  end
  local values = get_many(account_keys, accounts)
  for i = 1, accounts do values[i] = account_or_false(values[i]) end
  return { now, meta[2] or '0', boots, records, values }
end

redis.register_function({ function_name = 'ratewire_1_read', callback = read, flags = { 'no-writes' } })
