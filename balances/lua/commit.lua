-- book: book what a batch of records did to their sessions, all or nothing per step.
--
-- keys[1]  partition prefix
-- args     now, count of NASes, then name and expected boot mark ('' = none) of each,
--          count of loose entries, the entries,
--          then for each step: fixed part (STEP), session key, account, session state, its entries
-- returns  { now, { outcome per step }, version that the sessions written have, 0 for none }: an
--          outcome is 0 when committed, else { status, session value or false,
--          account value or false } with what is there after the call, and nothing of the step is
--          written
--
-- A step is committed if the session still has the version that was read (0: none), the account its
-- rating version, the NAS its boot mark, and if the grant that was expected is just what is
-- available now. A step may take over the grant of a login, whose uid its session then has: without
-- that grant it is stale. A step may bring a new pool for its account (what its sessions share for
-- rating; opaque), as its last entry: it takes the place of the old one, and the rating version moves,
-- so that whatever was rated from the old one is stale. Balance and reserved move by difference, so a top-up or a sibling session does not
-- make a step stale unless it changes the grant.
--
-- All sessions and accounts are read in two commands and written in one; the rest is written only
-- when a session opens, closes or is to be cut. See docs/decisions for the measurements.

-- entries, nas, flags, expected version, rating version, charge, want, grant (micros),
-- cut after (ms, -1 = not), cause, least (micros), quiet (s), uid
local STEP = '>BI2BI8I8i8i8i8i8Bi8I4c16'
local STEP_OPEN, STEP_REGRANT_ONLY, STEP_TAKES_GRANT, STEP_POOL, STEP_CHANGE = 1, 2, 4, 8, 16

-- What one command can take: Lua passes some 8,000 values. layout.py knows these bounds too.
local MAX_STEPS, MAX_ENTRIES = 1000, 2500

-- Which of the batch's NASes have had an Accounting-On or -Off since they were read.
local function changed_boots(p, args, count)
  local names, changed = {}, {}
  for i = 1, count do names[i] = args[1 + 2 * i] end
  if count > 0 then
    local marks = redis.call('HMGET', p .. ':boots', unpack(names))
    for i = 1, count do changed[i] = (marks[i] or '') ~= args[2 + 2 * i] end
  end
  return names, changed
end

-- Find the steps in args and the keys they need.
local function layout_steps(p, args, at)
  local steps, n = {}, 0
  local session_keys, account_keys, accounts, account_at = {}, {}, 0, {}
  local last = #args
  while at <= last do
    n = n + 1
    local id = args[at + 2]
    if not account_at[id] then
      accounts = accounts + 1
      account_at[id] = accounts
      account_keys[accounts] = p .. ':a:' .. id
    end
    steps[n] = at
    session_keys[n] = p .. ':s:' .. args[at + 1]
    at = at + 4 + string.byte(args[at])
  end
  return steps, n, session_keys, account_keys, accounts, account_at
end

local Batch = {}
Batch.__index = Batch

-- The account of a step, read once per batch; nil if there is none.
function Batch:account(id)
  local at = self.account_at[id]
  local a = self.accounts[at]
  if a == nil then
    local value = self.account_values[at]
    if not value then return nil end
    a = account_of(value)
    a.id, a.key, a.value = id, self.account_keys[at], value
    self.accounts[at] = a
  end
  return a
end

-- Check one step and stage it. Returns its status; changes nothing unless that is 0.
function Batch:stage(i)
  local args, at = self.args, self.steps[i]
  local entries, nas, flags, expected, rating, charge, want, grant, cut_after, cause, least, quiet,
    uid = struct.unpack(STEP, args[at])
  local key = self.session_keys[i]
  local value = self.sessions[i]
  local old = value and session_of(value)
  if (old and old.version or 0) ~= expected or self.staged[key] then return STALE_SESSION end
  if self.boot_changed[nas] then return STALE_BOOT end
  local a = self:account(args[at + 2])
  if not a then return NO_ACCOUNT end
  if a.rating ~= rating then return STALE_RATING end

  local was_open = old and has(old.flags, OPEN)
  local is_open = has(flags, STEP_OPEN)
  -- What no state of the books could make right. An open session does not change its account: what
  -- it holds, and its place in that account's index, would be left behind.
  if charge < 0 or want < 0 or not CAUSES[cause] or (want > 0 and not is_open)
    or (was_open and old.account ~= args[at + 2])
    or entries < (has(flags, STEP_POOL) and 1 or 0) + (has(flags, STEP_CHANGE) and 1 or 0) then
    return FAULTY
  end
  local change
  if has(flags, STEP_CHANGE) then
    change = cmsgpack.unpack(args[at + 3 + entries - (has(flags, STEP_POOL) and 1 or 0)])
    if not is_open or type(change) ~= 'table' or not ACTIONS[change[1]] then return FAULTY end
  end
  -- Beyond MAX the number is not the one that was meant any more.
  if charge > MAX or want > MAX then return BOUND end

  local held = old and old.held or 0
  local taken, taken_value
  if has(flags, STEP_TAKES_GRANT) then
    taken, taken_value = grant_of(self.p, hex(uid))
    if not taken or taken.account ~= args[at + 2] or self.taken[uid] then return STALE_SESSION end
    held = held + taken.held
  end
  local balance = a.balance - charge
  local reserved = a.reserved - held
  local free = math.huge
  if not has(a.flags, UNLIMITED) then free = (balance - reserved) + (a.limit - a.minimum) end
  if math.min(want, math.max(free, 0)) ~= grant then return STALE_CREDIT end
  if math.abs(balance) > MAX or reserved + grant > MAX then return BOUND end

  local seen = self.now
  if old and has(flags, STEP_REGRANT_ONLY) then seen = old.seen end
  local due = seen + quiet * 1000
  local wake = due
  if was_open and is_open and old.wake < due then wake = old.wake end
  local goes_on = was_open and is_open and old.uid == uid
  local job_cause, gardened
  if goes_on and has(old.flags, CUTTING) then job_cause, gardened = self:live_cut(uid) end
  local cutting = cut_after >= 0 or job_cause == 'operator'
  -- What may be in a walled garden and may go on is let out, by a change.
  local leaves = gardened and (not cutting or (grant > 0 and job_cause ~= 'operator'))
  local step = {
    key = key, member = args[at + 1], account = a, old = old, value = value, uid = uid, wake = wake,
    was_open = was_open, is_open = is_open, nas = self.nas[nas], cut_after = cut_after, cause = cause,
    least = least, grant = grant, taken = taken, taken_value = taken_value, change = change,
    leaves = leaves,
    rewake = was_open and is_open and wake ~= old.wake,
  }
  local changed = is_open and (change or leaves or (goes_on and has(old.flags, CHANGED)))
  step.flags = (is_open and OPEN or 0) + (is_open and cutting and CUTTING or 0)
    + (changed and CHANGED or 0)
  step.written = session_value(step.flags, self.books.version + 1, grant, seen, wake, quiet, uid,
    args[at + 2], args[at + 3])

  if has(flags, STEP_POOL) then
    entries = entries - 1
    a.pool = args[at + 4 + entries]
    a.rating = a.rating + 1
    if not has(a.flags, POOLED) then a.flags = a.flags + POOLED end
  end
  if change then entries = entries - 1 end
  a.balance, a.reserved = balance, reserved + grant
  a.touched = true
  count(self.totals, a.currency, 'balance', -charge)
  count(self.totals, a.currency, 'reserved', grant - held)
  for e = at + 4, at + 3 + entries do
    a.charged = a.charged + 1
    self:append(a.charged, args[e])
  end
  self.staged[key] = step.written
  if taken then self.taken[uid] = true end
  self.writes = self.writes + 1
  self[self.writes] = step
  return 0
end

-- The outcome of a step that was not booked. A sibling's step of the same call may have been: what
-- that one left is returned, so that rating again from it is not stale once more.
function Batch:refused(i, status)
  local key, at = self.session_keys[i], self.account_at[self.args[self.steps[i] + 2]]
  local a = self.accounts[at]
  return { status, self.staged[key] or session_or_false(self.sessions[i]) or false,
    a and a.touched and account_value(a) or account_or_false(self.account_values[at]) }
end

function Batch:append(field, entry)
  self.entries[self.entry_count + 1] = field
  self.entries[self.entry_count + 2] = entry
  self.entry_count = self.entry_count + 2
end

-- Where charges went beyond all there was, siblings hold money that is gone: they are to be granted
-- anew at once, not only when they report.
function Batch:wake_overdrawn(j)
  for i = 1, self.account_count do
    local a = self.accounts[i]
    if a and a.touched and a.reserved > 0 and available(a) < 0
      and available(account_of(a.value)) >= 0 then
      wake_account(j, self.p, a.id, HOLDING_ONES)
      self.soon = true
    end
  end
end

-- The cause of the session's live cut (a person's is not ended by credit), and whether the session may
-- be in a walled garden for it.
function Batch:live_cut(uid)
  local job = redis.call('HMGET', self.p .. ':j:' .. hex(uid), 'cause', 'gardened')
  return job[1], job[2] == '1'
end

-- Sessions and accounts, in one command; undone by writing back what was there.
function Batch:write_values(j)
  local set, back, fresh, closed = {}, {}, {}, {}
  local n, m = 0, 0
  local function put(key, value, before)
    set[n + 1], set[n + 2] = key, value
    n = n + 2
    if before then
      back[m + 1], back[m + 2] = key, before
      m = m + 2
    else
      fresh[#fresh + 1] = key
    end
  end
  for i = 1, self.writes do
    local step = self[i]
    put(step.key, step.written, step.value)
    if step.old and not step.was_open then closed[#closed + 1] = step.key end
  end
  for i = 1, self.account_count do
    local a = self.accounts[i]
    if a and a.touched then
      put(a.key, account_value(a), a.value)
      if a.pool then
        local key = self.p .. ':p:' .. a.id
        put(key, a.pool, redis.call('GET', key))
      end
    end
  end
  if n == 0 then return end
  j:write(function()
    if m > 0 then redis.call('MSET', unpack(back, 1, m)) end
    if #fresh > 0 then redis.call('DEL', unpack(fresh)) end
    for _, key in ipairs(closed) do redis.call('PEXPIRE', key, LATE_WINDOW_MS) end
  end, 'MSET', unpack(set, 1, n))
end

-- The indexes and the job of one step, where it opened, closed or is to be cut.
function Batch:write_indexes(j, step)
  local p, member = self.p, step.member
  if step.is_open and not step.was_open then
    j:zadd(p .. ':wake', step.wake, member)
    j:sadd(p .. ':as:' .. step.account.id, member)
    j:sadd(p .. ':ns:' .. step.nas, member)
  elseif step.rewake then
    j:zadd(p .. ':wake', step.wake, member)
  elseif step.was_open and not step.is_open then
    j:zrem(p .. ':wake', member)
    j:srem(p .. ':as:' .. step.account.id, member)
    j:srem(p .. ':ns:' .. step.nas, member)
  end
  if step.taken then
    take_grant_over(j, p, hex(step.uid), step.taken, step.taken_value, member)
  end
  if not step.is_open then
    j:write({ 'PERSIST', step.key }, 'PEXPIRE', step.key, LATE_WINDOW_MS)
  end
  self:write_job(j, step)
end

-- The change of a step's session, with its event.
function Batch:write_change(j, step, change, gardened)
  schedule_change(j, self.p, { uid = step.uid, session = step.member, account = step.account.id,
    action = change[1], wanted = change[2], cause = change[3], now = self.now, gardened = gardened })
  self:append('j', job_event(job_of(self.p, change_uid(step.uid)), 'requested', self.now))
  self.soon = true
end

function Batch:write_job(j, step)
  local old = step.old
  if old and has(old.flags, CUTTING) then
    if not step.is_open or old.uid ~= step.uid then
      local event = finish_job(j, self.p, hex(old.uid), 'proven', self.now)
      if event then self:append('j', event) end
    elseif not has(step.flags, CUTTING) then
      local event = finish_job(j, self.p, hex(old.uid), 'cancelled', self.now)
      if event then self:append('j', event) end
      if step.leaves then self:write_change(j, step, { 'restore', '', CAUSES[step.cause] }, true) end
    end
  end
  if old and has(old.flags, CHANGED) and not (step.is_open and old.uid == step.uid) then
    local event = finish_job(j, self.p, change_uid(old.uid), 'ended', self.now)
    if event then self:append('j', event) end
  end
  if step.change then self:write_change(j, step, step.change, false) end
  if step.is_open and step.cut_after >= 0 then
    local due = self.now + step.cut_after
    schedule_job(j, self.p, {
      uid = step.uid, session = step.member, account = step.account.id,
      cause = CAUSES[step.cause], least = step.least, due = due, now = self.now, grant = step.grant,
    })
    if step.cut_after < 1000 then self.soon = true end
  end
end

local function book(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  local books = open_books(p)
  local nas_count = tonumber(args[2])
  local nas, boot_changed = changed_boots(p, args, nas_count)
  local at = 3 + 2 * nas_count
  local loose = tonumber(args[at])
  local batch = setmetatable({
    p = p, args = args, now = now, books = books, nas = nas, boot_changed = boot_changed,
    accounts = {}, totals = {}, staged = {}, taken = {}, entries = {}, entry_count = 0, writes = 0,
  }, Batch)
  local n
  batch.steps, n, batch.session_keys, batch.account_keys, batch.account_count, batch.account_at =
    layout_steps(p, args, at + 1 + loose)
  local entries = #args - at - 4 * n
  if n > MAX_STEPS or entries > MAX_ENTRIES then
    error({ err = string.format('REFUSED a commit of %d steps and %d entries: at most %d and %d',
      n, entries, MAX_STEPS, MAX_ENTRIES) })
  end
  batch.sessions = get_many(batch.session_keys, n)
  batch.account_values = get_many(batch.account_keys, batch.account_count)

  local outcomes = {}
  for i = 1, n do
    local ok, status = pcall(batch.stage, batch, i)
    outcomes[i] = ok and status or FAULTY
  end
  for i = 1, n do
    if outcomes[i] ~= 0 then outcomes[i] = batch:refused(i, outcomes[i]) end
  end
  for i = 1, loose do batch:append('0', args[at + i]) end
  if batch.writes == 0 and loose == 0 then return { now, outcomes, 0 } end
  atomically(function(j)
    batch:write_values(j)
    for i = 1, batch.writes do batch:write_indexes(j, batch[i]) end
    batch:wake_overdrawn(j)
    add_totals(j, p, batch.totals)
    j:settle(p, books, batch.entries, batch.entry_count)
  end)
  if batch.soon then notify(p) end
  return { now, outcomes, batch.writes > 0 and books.version + 1 or 0 }
end

-- commit: the same for processes that do not know book, and take two values.
local function commit(keys, args)
  local booked = book(keys, args)
  return { booked[1], booked[2] }
end

redis.register_function('ratewire_1_book', book)
redis.register_function('ratewire_1_commit', commit)
