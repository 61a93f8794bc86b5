-- What every function of the library shares: how values are laid out, the clock, the fence, and
-- writing all or nothing.
--
-- Numbers here are doubles: exact up to 2^53, which bounds every sum of money (MAX). Counters never
-- come here as numbers; they are inside the session's state, which is opaque octets.
--
-- Layouts (big-endian; the first octet is the layout's version). `balances/layout.py` reads them too.
--   account  flags, balance, reserved, limit, minimum (micros), rating version,
--            charge sequence, movement sequence, currency
--   session  flags, version, held (micros), seen and wake (Unix ms), quiet (s), uid, account; state

local MAX = 9007199254740991
local ACCOUNT = '>BBi8i8i8i8I8I8I8c3'
local ACCOUNT_SIZE = 61  -- octets
local SESSION = '>BBI8i8I8I8I4c16I2c0'
local SESSION_FIXED = 56  -- octets before the account's name

-- What became of a step or a login; 0 is booked. balances/messages.py has the same.
local STALE_SESSION, NO_ACCOUNT, STALE_RATING, STALE_CREDIT, STALE_BOOT, BOUND, FAULTY =
  1, 2, 3, 4, 5, 6, 7

-- How long a closed session keeps its marks, for records that come late.
local LATE_WINDOW_MS = 7 * 24 * 3600 * 1000

local UNLIMITED, SUSPENDED, CLOSED, POOLED = 1, 2, 4, 8  -- account flags; POOLED: it has a pool
local OPEN, CUTTING, REGRANT, CHANGED = 1, 2, 4, 8  -- session flags; CHANGED: it has had a change

-- Whether a set of flags (an integer below 256) has one of them.
local function has(flags, flag)
  return flags % (flag + flag) >= flag
end

local function account_of(value)
  local a = {}
  local layout
  layout, a.flags, a.balance, a.reserved, a.limit, a.minimum, a.rating, a.charged, a.moved, a.currency =
    struct.unpack(ACCOUNT, value)
  if layout ~= 1 or #value ~= ACCOUNT_SIZE then error('account layout is not known') end
  return a
end

local function account_value(a)
  return struct.pack(ACCOUNT, 1, a.flags, a.balance, a.reserved, a.limit, a.minimum, a.rating,
    a.charged, a.moved, a.currency)
end

local function session_of(value)
  local s = {}
  local layout, at
  layout, s.flags, s.version, s.held, s.seen, s.wake, s.quiet, s.uid, s.account, at =
    struct.unpack(SESSION, value)
  if layout ~= 1 then error('session layout is not known') end
  s.state_at = at
  return s
end

-- Values as they are, or false for what this library does not understand: of another layout, or
-- damaged. One such value must not fail a whole batch; what is done about it is refused at the commit.
local function account_or_false(value)
  return value and #value == ACCOUNT_SIZE and string.byte(value) == 1 and value
end

local function session_or_false(value)
  if not value then return false end
  local high, low = string.byte(value, SESSION_FIXED - 1, SESSION_FIXED)  -- the account's length
  if not low or string.byte(value) ~= 1 or #value < SESSION_FIXED + high * 256 + low then
    return false
  end
  return value, session_of(value)
end

local function session_value(flags, version, held, seen, wake, quiet, uid, account, state)
  return struct.pack(SESSION, 1, flags, version, held, seen, wake, quiet, uid, #account, account)
    .. state
end

-- Micros that may be granted beyond all reservations; math.huge for unlimited credit.
-- Paired like this the sum is exact wherever it decides: each pair is of amounts of up to MAX, and
-- where one of them or the whole is beyond it, it is so far beyond that no grant depends on it.
local function available(a)
  if has(a.flags, UNLIMITED) then return math.huge end
  return (a.balance - a.reserved) + (a.limit - a.minimum)
end

-- The store's clock in Unix ms, unless the caller brings its own (a simulated world).
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function hex(octets)
  return (string.gsub(octets, '.', function(c) return string.format('%02x', string.byte(c)) end))
end

local EMPTY = 'EMPTY the store holds no books: initialise or rebuild it'

-- The partition's books, or an error: FENCED while balances are being rebuilt, EMPTY when nobody
-- has initialised this store (so that an emptied store is never taken for a new one).
local function open_books(p)
  local m = redis.call('HMGET', p .. ':meta', 'generation', 'sequence', 'version', 'fence')
  if not m[1] then error({ err = EMPTY }) end
  if m[4] then error({ err = 'FENCED ' .. m[4] }) end
  return { generation = m[1], sequence = tonumber(m[2]), version = tonumber(m[3]) }
end

-- MGET of any number of keys: unpack() has a limit.
local function get_many(keys, n)
  if n == 0 then return {} end
  if n <= 4000 then return redis.call('MGET', unpack(keys, 1, n)) end
  local out = {}
  for first = 1, n, 4000 do
    local last = math.min(first + 3999, n)
    local part = redis.call('MGET', unpack(keys, first, last))
    for i = 1, last - first + 1 do out[first + i - 1] = part[i] end
  end
  return out
end

-- A journal of writes. A failed function keeps what it wrote, so each write is noted with what
-- undoes it; `undo` then takes all of them back, newest first.
local Journal = {}
Journal.__index = Journal

local function journal()
  return setmetatable({ n = 0 }, Journal)
end

function Journal:write(back, ...)
  local reply = redis.call(...)
  self.n = self.n + 1
  self[self.n] = back
  return reply
end

-- Take back what was written. What cannot be is left, and the rest taken back all the same.
function Journal:undo()
  for i = self.n, 1, -1 do
    local back = self[i]
    if type(back) == 'function' then pcall(back) else redis.pcall(unpack(back)) end
  end
end

-- Add a member to a set or sorted set, or take one away, unless that is so already.
function Journal:zadd(key, score, member)
  local before = redis.call('ZSCORE', key, member)
  self:write(before and { 'ZADD', key, before, member } or { 'ZREM', key, member },
    'ZADD', key, score, member)
end

function Journal:zrem(key, member)
  local before = redis.call('ZSCORE', key, member)
  if before then self:write({ 'ZADD', key, before, member }, 'ZREM', key, member) end
end

function Journal:sadd(key, member)
  if redis.call('SISMEMBER', key, member) == 0 then
    self:write({ 'SREM', key, member }, 'SADD', key, member)
  end
end

function Journal:srem(key, member)
  if redis.call('SISMEMBER', key, member) == 1 then
    self:write({ 'SADD', key, member }, 'SREM', key, member)
  end
end

-- Append entries (alternating field and value) to the settlement stream under the next sequence.
-- The last write of a function: a stream id cannot be given twice, so it cannot be undone.
function Journal:settle(p, books, entries, n)
  local back = { 'HSET', p .. ':meta', 'sequence', books.sequence, 'version', books.version }
  local sequence = n > 0 and books.sequence + 1 or books.sequence
  self:write(back, 'HSET', p .. ':meta', 'sequence', sequence, 'version', books.version + 1)
  if n > 0 then
    redis.call('XADD', p .. ':settle', books.generation .. '-' .. sequence, unpack(entries, 1, n))
  end
end

-- Run `body(journal)`; on any error take every write back and raise it again.
local function atomically(body)
  local j = journal()
  local ok, result = pcall(body, j)
  if not ok then
    j:undo()
    -- pcall gives a text; raised as it is, it would be prefixed with a line number, and the code
    -- that callers go by (REFUSED, OOM) would no longer stand first.
    error(type(result) == 'table' and result or { err = result })
  end
  return result
end

-- Tell those who wait that something became due at once. What was booked stays booked if that fails:
-- they look by themselves, only later.
local function notify(p)
  redis.pcall('PUBLISH', p .. ':soon', '')
end

-- Totals over all accounts of a currency, kept beside the books for operations to see: a field
-- total:<currency>:<balance, reserved or limit> each. What a function adds to them is collected in
-- parts, for a sum of amounts may be beyond what a number here can tell.
local function count(totals, currency, name, amount)
  local t = totals[currency]
  if not t then
    t = { balance = 0, reserved = 0, limit = 0, parts = {} }
    totals[currency] = t
  end
  local sum = t[name] + amount
  if sum > MAX or sum < -MAX then
    t.parts[#t.parts + 1] = { name, t[name] }
    sum = amount
  end
  t[name] = sum
end

-- A field of the store holds less than 2^63; what goes beyond half of that is carried over to the
-- field <name>:high, which counts multiples of 2^62. (A text: numbers beyond 2^53 do not cross.)
local CARRY, CARRIED = 4611686018427387904, '4611686018427387904'

local function add_total(j, key, field, amount)
  if amount == 0 then return end
  local sum = j:write({ 'HINCRBY', key, field, -amount }, 'HINCRBY', key, field, amount)
  if sum < CARRY and sum > -CARRY then return end
  local down, up, high = '-' .. CARRIED, CARRIED, 1
  if sum < 0 then down, up, high = up, down, -1 end
  j:write({ 'HINCRBY', key, field, up }, 'HINCRBY', key, field, down)
  local before = redis.call('HGET', key, field .. ':high')
  j:write(before and { 'HSET', key, field .. ':high', before } or { 'HDEL', key, field .. ':high' },
    'HINCRBY', key, field .. ':high', high)
end

local function add_totals(j, p, totals)
  local key = p .. ':meta'
  for currency, t in pairs(totals) do
    local field = 'total:' .. currency .. ':'
    for _, part in ipairs(t.parts) do add_total(j, key, field .. part[1], part[2]) end
    add_total(j, key, field .. 'balance', t.balance)
    add_total(j, key, field .. 'reserved', t.reserved)
    add_total(j, key, field .. 'limit', t.limit)
  end
end
