-- Enforcement jobs: one live job per session epoch, a hash under <prefix>:j:<uid in hex>, due in the
-- sorted set <prefix>:jobs. A job begins in the commit that causes it and ends in the one that proves
-- it, so it survives any crash; its events reach Postgres through the settlement stream (field 'j').
--
--   state    scheduled, sending, acknowledged, gone, refused, unanswered
--   noted    when a report last changed the state
--   cause    exhausted: ends when there is credit again; suspended: when the account is active again;
--            operator: only when the session ends
--   least    how much credit ends a job that is exhausted (micros; 0: any, MAX: none does)
--   gardened whether the session was, or may have been, put into a walled garden instead of being cut
--
-- Beside it a session epoch may have one change, a job of the uid '<uid in hex>-change'.

local CAUSES = { 'exhausted', 'suspended', 'operator' }

-- What a change may ask for.
local ACTIONS = { throttle = true, redirect = true, restore = true, quota = true, plan = true }

-- The job of a session as a table, or nil.
local function job_of(p, uid_hex)
  local flat = redis.call('HGETALL', p .. ':j:' .. uid_hex)
  if #flat == 0 then return nil end
  local job = {}
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  return job, flat
end

-- What is kept of a job when something happened to it: MessagePack, read by balances/entries.py.
local function job_event(job, event, now)
  return cmsgpack.pack({
    uid = string.sub(job.uid, 1, 32), session = job.session, account = job.account,
    cause = job.cause, event = event, at_ms = now, due_ms = tonumber(job.due),
    attempts = tonumber(job.attempts), result = job.result,
    error_cause = tonumber(job.error_cause), action = job.action,
  })
end

-- The uid of the change of a session epoch.
local function change_uid(uid)
  return hex(uid) .. '-change'
end

-- Ask for a change of a session on its NAS: throttle, redirect, restore, quota or plan.
--
-- change   uid, session, account, action, wanted, cause, now; gardened if the session may be in a
--          walled garden of which no change tells
-- There is one change a session epoch. What a newer one asks for takes the place of the older, or
-- is added where they do not touch: 'treatment' is what the session is to be under ('' for its
-- plan), with 'wanted' as its argument; 'pending' are the actions that no answer has settled;
-- 'applied' the treatments that the NAS may have been told and not been told to end.
local function schedule_change(j, p, change)
  local id = change_uid(change.uid)
  local key = p .. ':j:' .. id
  local before, flat = job_of(p, id)
  local action = change.action
  local treatment, wanted, applied, pending = '', '', '', action
  local created, attempts = change.now, 0
  if before then
    treatment, wanted, applied = before.treatment, before.wanted, before.applied
    if before.state ~= 'in_force' then
      created, attempts = before.created, before.attempts
      if not string.find(',' .. before.pending .. ',', ',' .. action .. ',', 1, true) then
        pending = before.pending .. ',' .. action
      else
        pending = before.pending
      end
    end
  end
  if action == 'throttle' or action == 'redirect' then
    treatment, wanted = action, change.wanted
  elseif action == 'restore' then
    treatment, wanted = '', ''
  end
  if change.gardened and not string.find(applied, 'redirect', 1, true) then
    applied = applied == '' and 'redirect' or applied .. ',redirect'
  end
  j:write(before and { 'HSET', key, unpack(flat) } or { 'DEL', key },
    'HSET', key, 'uid', id, 'session', change.session, 'account', change.account,
    'cause', change.cause, 'state', 'scheduled', 'due', change.now, 'created', created,
    'noted', change.now, 'attempts', attempts, 'result', '', 'error_cause', 0, 'least', 0,
    'action', action, 'treatment', treatment, 'wanted', wanted, 'pending', pending,
    'applied', applied)
  j:zadd(p .. ':jobs', change.now, id)
end

-- Create the job of a session, or move its deadline. A job that was begun keeps the time of its next
-- try, whatever reports come in, unless they brought a grant (job.grant): that is the session's to
-- use, until the new deadline. Credit does not move a person's job.
local function schedule_job(j, p, job)
  local uid = hex(job.uid)
  local key = p .. ':j:' .. uid
  local before = redis.call('HMGET', key, 'state', 'due', 'cause', 'least', 'gardened')
  local state, due, cause, least, gardened = before[1], before[2], before[3], before[4], before[5]
  if not state then
    j:write({ 'DEL', key }, 'HSET', key, 'uid', uid, 'session', job.session, 'account', job.account,
      'cause', job.cause, 'state', 'scheduled', 'due', job.due, 'created', job.now, 'noted', job.now,
      'attempts', 0, 'result', '', 'error_cause', 0, 'least', job.least)
    j:zadd(p .. ':jobs', job.due, uid)
  elseif cause == 'operator' then
    return
  elseif job.grant > 0 and gardened == '1' then
    -- It may go on until the new deadline, and not in the walled garden.
    j:write({ 'HSET', key, 'state', state, 'due', due, 'cause', cause, 'least', least, 'gardened', 1 },
      'HSET', key, 'state', 'scheduled', 'due', job.due, 'cause', job.cause, 'least', job.least,
      'gardened', 0)
    j:zadd(p .. ':jobs', job.due, uid)
    schedule_change(j, p, { uid = job.uid, session = job.session, account = job.account,
      action = 'restore', wanted = '', cause = cause, now = job.now, gardened = true })
  elseif state == 'scheduled' or job.grant > 0 then
    j:write({ 'HSET', key, 'state', state, 'due', due, 'cause', cause, 'least', least },
      'HSET', key, 'state', 'scheduled', 'due', job.due, 'cause', job.cause, 'least', job.least)
    j:zadd(p .. ':jobs', job.due, uid)
  elseif cause ~= job.cause then
    j:write({ 'HSET', key, 'cause', cause, 'least', least },
      'HSET', key, 'cause', job.cause, 'least', job.least)
  end
end

-- End the live job of a session. Returns its event for the stream, or nil if there was none.
local function finish_job(j, p, uid, outcome, now)
  local key = p .. ':j:' .. uid
  local job, flat = job_of(p, uid)
  if not job then return nil end
  j:write({ 'HSET', key, unpack(flat) }, 'DEL', key)
  j:zrem(p .. ':jobs', uid)
  return job_event(job, outcome, now)
end

-- What a change asks for, as one text; balances/messages.py has the same.
local function asked_of(job)
  return job.pending .. '=' .. job.treatment .. '=' .. job.wanted
end

-- Whether a deadline lies ahead that a commit set since the job was begun, if it ever was.
local function is_later(job, now)
  return job.state == 'scheduled' and now < tonumber(job.due)
end

-- Whether the cause of a job holds: 'hold', or why not: 'ended' (the session is over), 'credit'
-- (there is credit again, or the account is active again), 'later' (what is granted lasts longer).
-- A change has what it asks for as its cause: a newer one takes its place.
local function cause_holds(p, job, now)
  local value = redis.call('GET', p .. ':s:' .. job.session)
  local s = value and session_of(value)
  if not s or not has(s.flags, OPEN) or hex(s.uid) ~= string.sub(job.uid, 1, 32) then
    return 'ended'
  end
  if job.action or job.cause == 'operator' then return 'hold', value end
  local a = account_of(redis.call('GET', p .. ':a:' .. s.account))
  local free, least = available(a), tonumber(job.least)
  if not (has(a.flags, SUSPENDED) or has(a.flags, CLOSED))
    and (job.cause == 'suspended' or (least < MAX and free > 0 and free >= least)) then
    return 'credit', value
  end
  return is_later(job, now) and 'later' or 'hold', value
end

-- The session under a key, as its value and a table; nil if it is not there, false for the table if
-- it is not understood (or no session at all).
local function session_at(key)
  local ok, value = pcall(redis.call, 'GET', key)
  if not ok then return nil, false end
  if not value then return nil, nil end
  local understood, s = session_or_false(value)
  if not understood then return nil, false end
  return value, s
end

-- Which of an account's open sessions to wake: all, those to be cut, those that hold something.
local ALL, CUTTING_ONES, HOLDING_ONES = 'a', 'c', 'h'

-- Mark a session to be given a new grant, now, if it is open and one of those that are meant. Returns
-- whether it is.
local function wake_session(j, p, member, now, which)
  local key = p .. ':s:' .. member
  local value, s = session_at(key)
  if not s or not has(s.flags, OPEN) then return false end
  if which == CUTTING_ONES and not has(s.flags, CUTTING) then return false end
  if which == HOLDING_ONES and s.held == 0 then return false end
  local flags = has(s.flags, REGRANT) and s.flags or s.flags + REGRANT
  j:write({ 'SET', key, value }, 'SET', key, session_value(flags, s.version, s.held, s.seen, now,
    s.quiet, s.uid, s.account, string.sub(value, s.state_at)))
  j:zadd(p .. ':wake', now, member)
  return true
end

-- Ask for an account's sessions to be woken. The sweep does it in parts (sweep.lua), so that no account
-- has too many sessions for one function.
local function wake_account(j, p, id, which)
  j:zadd(p .. ':regrants', 0, which .. id)
end

-- The verdict on a job (see cause_holds; 'ended' also if there is no such job), the job, and the value
-- of its session.
local function job_verdict(p, uid, now)
  local job = job_of(p, uid)
  if not job then return 'ended' end
  local verdict, value = cause_holds(p, job, now)
  return verdict, job, value
end

-- jobs_take: take the jobs that are due, for a lease.
--
-- args     now, most jobs, lease (ms)
-- returns  { now, due time of the next job or -1, { uid, attempts, cause, session key,
--            session value, job state, noted, and of a change action, treatment, wanted, pending,
--            applied } per job to transmit }
-- A job whose cause is gone is not returned: its session is given a new grant, which ends the job.
-- One that is not understood is put off, so that it does not keep others waiting.
local function jobs_take(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  local lease = tonumber(args[3])
  local books = open_books(p)
  local claimed = {}
  local events, n = {}, 0
  atomically(function(j)
    local due = redis.call('ZRANGEBYSCORE', p .. ':jobs', '-inf', now, 'LIMIT', 0, args[2])
    for _, uid in ipairs(due) do
      local ok, verdict, job, value = pcall(job_verdict, p, uid, now)
      if not ok then
        j:zadd(p .. ':jobs', now + lease, uid)
      elseif verdict == 'hold' then
        j:zadd(p .. ':jobs', now + lease, uid)
        claimed[#claimed + 1] = { uid, tonumber(job.attempts), job.cause, job.session, value, job.state,
          tonumber(job.noted), job.action or 'cut', job.treatment or '', job.wanted or '',
          job.pending or '', job.applied or '' }
      elseif verdict == 'credit' then
        wake_session(j, p, job.session, now, ALL)
        j:zadd(p .. ':jobs', now + lease, uid)
      elseif verdict == 'later' then
        j:zadd(p .. ':jobs', job.due, uid)
      else
        local event = finish_job(j, p, uid, job and job.action and 'ended' or 'proven', now)
        if event then
          n = n + 2
          events[n - 1], events[n] = 'j', event
        else
          j:zrem(p .. ':jobs', uid)
        end
      end
    end
    if n > 0 then j:settle(p, books, events, n) end
  end)
  local nearest = redis.call('ZRANGE', p .. ':jobs', 0, 0, 'WITHSCORES')
  return { now, tonumber(nearest[2] or -1), claimed }
end

-- jobs_claim: the same for processes that know cuts alone.
local function jobs_claim(keys, args)
  local taken = jobs_take(keys, args)
  local cuts = {}
  for _, job in ipairs(taken[3]) do
    if job[8] == 'cut' then cuts[#cuts + 1] = { unpack(job, 1, 7) } end
  end
  taken[3] = cuts
  return taken
end

-- jobs_put_off: give back jobs that were claimed and not begun.
--
-- args     now, then for each: uid (hex), milliseconds until it is due again
-- returns  nothing of meaning
-- A job that has ended stays so. One that is not due after all is found out when it is claimed.
local function jobs_put_off(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  open_books(p)
  atomically(function(j)
    for i = 2, #args, 2 do
      if redis.call('ZSCORE', p .. ':jobs', args[i]) then
        j:zadd(p .. ':jobs', now + tonumber(args[i + 1]), args[i])
      end
    end
  end)
end

-- job_transmit: ask leave for one transmission of a job, right before it is sent.
--
-- args     now, uid (hex), lease (ms), what is sent: '' or 'redirect' for a cut that is to be a
--          walled garden; for a change what it asked for when the request was made
-- returns  1 if the cause still holds (noted as one more attempt), else 0
local function job_transmit(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  open_books(p)
  local uid = args[2]
  local job = job_of(p, uid)
  if not job then return 0 end
  local verdict = cause_holds(p, job, now)
  local key = p .. ':j:' .. uid
  return atomically(function(j)
    if verdict == 'credit' then wake_session(j, p, job.session, now, ALL) end
    if verdict ~= 'hold' then
      -- Whoever claims it next finds out the same and ends it.
      j:zadd(p .. ':jobs', verdict == 'later' and job.due or now, uid)
      return 0
    end
    if job.action and args[4] ~= asked_of(job) then
      j:zadd(p .. ':jobs', now, uid)  -- something else is asked for meanwhile
      return 0
    end
    local back = { 'HSET', key, 'state', job.state, 'attempts', job.attempts }
    local set = { 'HSET', key, 'state', 'sending', 'attempts', tonumber(job.attempts) + 1 }
    if job.action then
      local applied = job.applied
      if job.treatment ~= '' and not string.find(applied, job.treatment, 1, true) then
        applied = applied == '' and job.treatment or applied .. ',' .. job.treatment
      end
      back[7], back[8], set[7], set[8] = 'applied', job.applied, 'applied', applied
    elseif args[4] == 'redirect' then
      back[7], back[8], set[7], set[8] = 'gardened', job.gardened or 0, 'gardened', 1
    end
    j:write(back, unpack(set))
    j:zadd(p .. ':jobs', now + tonumber(args[3]), uid)
    return 1
  end)
end

-- Note that the NAS has taken a change.
local function settle_change(p, books, key, job, args, now)
  local _, flat = job_of(p, job.uid)
  atomically(function(j)
    j:zrem(p .. ':jobs', job.uid)
    j:write({ 'HSET', key, unpack(flat) }, 'HSET', key, 'state', 'in_force', 'noted', now,
      'result', args[4], 'error_cause', args[5], 'pending', '', 'applied', job.treatment)
    if job.treatment == '' then j:write({ 'HSET', key, unpack(flat) }, 'DEL', key) end
    job.result, job.error_cause = args[4], args[5]
    j:settle(p, books, { 'j', job_event(job, 'in_force', now) }, 2)
  end)
end

-- job_report: note what a transmission came to, and when to look at the job again.
--
-- args     now, uid (hex), state (acknowledged, gone, refused, unanswered, gardened; in_force for a
--          change), result (text), Error-Cause or 0, milliseconds until it is due again, what a change asked for
-- returns  1, or 0 if the job has ended meanwhile
-- A deadline that a commit set meanwhile stands: what was sent belonged to the one before it. So does
-- a newer change. One that is in force is not due any more; it is kept as long as the session is
-- under a treatment, so that the next one knows of it.
local function job_report(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  local books = open_books(p)
  local uid = args[2]
  local job = job_of(p, uid)
  if not job then return 0 end
  local key = p .. ':j:' .. uid
  local state, due = args[3], now + tonumber(args[6])
  if is_later(job, now) or (job.action and args[7] ~= asked_of(job)) then
    state, due = job.state, job.due
  end
  if state == 'in_force' then
    settle_change(p, books, key, job, args, now)
    return 1
  end
  local noted = state == job.state and job.noted or now
  atomically(function(j)
    j:write({ 'HSET', key, 'state', job.state, 'due', job.due, 'noted', job.noted,
      'result', job.result, 'error_cause', job.error_cause },
      'HSET', key, 'state', state, 'due', due, 'noted', noted,
      'result', args[4], 'error_cause', args[5])
    j:zadd(p .. ':jobs', due, uid)
    job.due, job.result, job.error_cause = due, args[4], args[5]
    j:settle(p, books, { 'j', job_event(job, args[3], now) }, 2)
  end)
  return 1
end

-- job_request: a person asks for a session to be disconnected.
--
-- args     now, session key
-- returns  the job's uid (hex), or '' if there is no such open session
local function job_request(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  local books = open_books(p)
  local key = p .. ':s:' .. args[2]
  local value = redis.call('GET', key)
  local s = value and session_of(value)
  if not s or not has(s.flags, OPEN) then return '' end
  local uid = hex(s.uid)
  local job_key = p .. ':j:' .. uid
  atomically(function(j)
    local before = redis.call('HMGET', job_key, 'cause', 'due')
    if before[1] then
      j:write({ 'HSET', job_key, 'cause', before[1], 'due', before[2] },
        'HSET', job_key, 'cause', 'operator', 'due', now)
      j:zadd(p .. ':jobs', now, uid)
    else
      schedule_job(j, p, { uid = s.uid, session = args[2], account = s.account, cause = 'operator',
        least = 0, due = now, now = now })
      local flags = has(s.flags, CUTTING) and s.flags or s.flags + CUTTING
      j:write({ 'SET', key, value }, 'SET', key, session_value(flags, s.version, s.held, s.seen, s.wake,
        s.quiet, s.uid, s.account, string.sub(value, s.state_at)))
    end
    j:settle(p, books, { 'j', job_event(job_of(p, uid), 'requested', now) }, 2)
  end)
  notify(p)
  return uid
end

-- job_change: a person, or an event outside of any commit, asks for a change of a session.
--
-- args     now, session key, action, wanted (text), cause
-- returns  the job's uid, or '' if there is no such open session
local function job_change(keys, args)
  local p = keys[1]
  local now = clock(args[1])
  local books = open_books(p)
  local key = p .. ':s:' .. args[2]
  local value = redis.call('GET', key)
  local s = value and session_of(value)
  if not s or not has(s.flags, OPEN) then return '' end
  local id = change_uid(s.uid)
  atomically(function(j)
    schedule_change(j, p, { uid = s.uid, session = args[2], account = s.account, action = args[3],
      wanted = args[4], cause = args[5], now = now })
    if not has(s.flags, CHANGED) then
      j:write({ 'SET', key, value }, 'SET', key, session_value(s.flags + CHANGED, s.version, s.held,
        s.seen, s.wake, s.quiet, s.uid, s.account, string.sub(value, s.state_at)))
    end
    j:settle(p, books, { 'j', job_event(job_of(p, id), 'requested', now) }, 2)
  end)
  notify(p)
  return id
end

-- jobs_live: the live jobs, soonest first.
--
-- args     most jobs
-- returns  { HGETALL of each }
local function jobs_live(keys, args)
  local p = keys[1]
  local out = {}
  for i, uid in ipairs(redis.call('ZRANGE', p .. ':jobs', 0, tonumber(args[1]) - 1)) do
    out[i] = redis.call('HGETALL', p .. ':j:' .. uid)
  end
  return out
end

-- A store that is full takes no more records; sessions are cut all the same.
redis.register_function({ function_name = 'ratewire_1_jobs_take', callback = jobs_take, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_jobs_claim', callback = jobs_claim, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_jobs_put_off', callback = jobs_put_off, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_job_transmit', callback = job_transmit, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_job_report', callback = job_report, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_job_request', callback = job_request, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_job_change', callback = job_change, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'ratewire_1_jobs_live', callback = jobs_live, flags = { 'no-writes' } })
