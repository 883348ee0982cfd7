#!lua name=chargehost_core
-- SPDX-License-Identifier: LGPL-2.1-or-later
-- version 1
-- (to be raised with each change: instances of an older version leave a newer one alone)
-- What sessions and the command queue need to happen in one piece. Every key comes in
-- by KEYS, whole; no function makes a key. Times are wall-clock milliseconds.

local function text(value)
  if value == false or value == nil or value == cjson.null then
    return ''
  end
  return tostring(value)
end

local function parse(value)
  if not value then
    return nil
  end
  local ok, object = pcall(cjson.decode, value)
  if ok and type(object) == 'table' then
    return object
  end
  return nil
end

-- KEYS: generation, session, connection, server's connections, on-line index,
--       waiting commands, ready list, commands in flight
-- ARGV: device, connection id, server id, session JSON, connection JSON, now, life (s),
--       newest generation that the server knows, 1 when this connection was bound before
--       and is registered again
-- Returns: generation, old server, old connection ('none': released), number of waiting
--          commands, then id and JSON of each command in flight; or 'stale': meanwhile a
--          newer connection was bound
local function session_bind(keys, args)
  local stored = redis.call('GET', keys[2])
  local old = parse(stored) or {}
  local session = cjson.decode(args[4])
  local known = tonumber(args[8])
  local before = text(old.conn_id)
  if args[9] == '1' and before ~= '' and before ~= args[2]
      and (tonumber(old.gen) or 0) > known then
    return { 'stale' }
  end
  if stored and before == '' then
    before = 'none'
  end
  local generation = tonumber(redis.call('GET', keys[1])) or 0
  if text(old.conn_id) ~= args[2] then
    generation = math.max(generation + 1, known)
  else
    generation = math.max(generation, known, 1)
  end
  redis.call('SET', keys[1], string.format('%.0f', generation), 'EX', 2592000)
  session.gen = generation
  redis.call('SET', keys[2], cjson.encode(session), 'EX', args[7])
  redis.call('SET', keys[3], args[5], 'EX', args[7])
  redis.call('SADD', keys[4], args[2])
  redis.call('ZADD', keys[5], args[6], args[1])
  local waiting = redis.call('ZCARD', keys[6])
  if waiting > 0 then
    redis.call('ZADD', keys[7], args[6], args[1])
  end
  local reply = { generation, text(old.server_id), before, waiting }
  local flight = redis.call('HGETALL', keys[8])
  for i = 1, #flight do
    reply[#reply + 1] = flight[i]
  end
  return reply
end

-- KEYS: session, connection, server's connections, on-line index
-- ARGV: device, connection id, time of the loss as text, what is left of the connection
--       (JSON, '' = nothing), life (s)
-- Returns: 1 released, 0 another connection has taken over
local function session_unbind(keys, args)
  if args[4] == '' then
    redis.call('DEL', keys[2])
    redis.call('SREM', keys[3], args[2])
  else
    redis.call('SET', keys[2], args[4], 'EX', args[5])
  end
  local session = parse(redis.call('GET', keys[1]))
  if not session or text(session.conn_id) ~= args[2] then
    return 0
  end
  session.conn_id = ''
  session.server_id = ''
  session.last_tcp_down = args[3]
  redis.call('SET', keys[1], cjson.encode(session), 'EX', args[5])
  redis.call('ZREM', keys[4], args[1])
  return 1
end

-- KEYS: on-line index, then session and connection of each device
-- ARGV: per device: device, connection id, last seen (text), last seen (ms), last
--       acknowledgement time-out (text or ''), life (s)
-- Returns: per device 1 done, 0 bound to another connection, -1 unknown
local function session_touch(keys, args)
  local reply = {}
  for i = 1, #args / 6 do
    local a = (i - 1) * 6
    local session_key, conn_key = keys[2 * i], keys[2 * i + 1]
    local session = parse(redis.call('GET', session_key))
    if not session then
      reply[i] = -1
    elseif text(session.conn_id) ~= args[a + 2] then
      reply[i] = text(session.conn_id) == '' and -1 or 0
    else
      session.last_seen = args[a + 3]
      if args[a + 5] ~= '' then
        session.last_ack_timeout = args[a + 5]
      end
      redis.call('SET', session_key, cjson.encode(session), 'EX', args[a + 6])
      redis.call('EXPIRE', conn_key, args[a + 6])
      redis.call('ZADD', keys[1], args[a + 4], args[a + 1])
      reply[i] = 1
    end
  end
  return reply
end

-- KEYS: queue, device's queue, ready list, message, delayed, result, duplicate guard
-- ARGV: id, device, score, message JSON, life of the message (s), ready at ('' = nobody
--       serves the device), life of the guard (s, 0 = none)
-- Returns: word, depth of the queue, first command of the device, id of the twin
local function outbound_push(keys, args)
  local id = args[1]
  if redis.call('EXISTS', keys[6]) == 1 then
    return { 'final', redis.call('ZCARD', keys[1]), '', '' }
  end
  if args[7] ~= '0' then
    local twin = redis.call('GET', keys[7])
    if twin and twin ~= id then
      return { 'twin', redis.call('ZCARD', keys[1]), '', twin }
    end
    redis.call('SET', keys[7], id, 'EX', args[7])
  end
  redis.call('SET', keys[4], args[4], 'EX', args[5])
  redis.call('ZADD', keys[1], args[3], id)
  redis.call('ZADD', keys[2], args[3], id)
  redis.call('ZREM', keys[5], id)
  if args[6] ~= '' then
    redis.call('ZADD', keys[3], args[6], args[2])
  end
  local first = redis.call('ZRANGE', keys[2], 0, 0)
  return { 'ok', redis.call('ZCARD', keys[1]), first[1] or '', '' }
end

-- KEYS: queue, device's queue, ready list, processing, in flight, number's index,
--       session, result
-- ARGV: id, device, server id, acknowledgement due (ms), attempt JSON, next ready (ms),
--       life of the index (s; 0 = no number), score of the command
-- Returns: word and what belongs to it: taken, left; better, id; final, result;
--          owner, server; gone
local function outbound_take(keys, args)
  local id = args[1]
  local session = parse(redis.call('GET', keys[7]))
  if session and text(session.server_id) ~= '' and session.server_id ~= args[3] then
    return { 'owner', session.server_id }
  end
  local score = redis.call('ZSCORE', keys[2], id)
  if not score then
    local result = redis.call('GET', keys[8])
    if result then
      return { 'final', result }
    end
    return { 'gone', '' }
  end
  local first = redis.call('ZRANGE', keys[2], 0, 0, 'WITHSCORES')
  if first[1] ~= id and tonumber(first[2]) < tonumber(args[8]) then
    return { 'better', first[1] }
  end
  redis.call('ZREM', keys[1], id)
  redis.call('ZREM', keys[2], id)
  redis.call('HSET', keys[4], id, args[5])
  redis.call('ZADD', keys[5], args[4], id)
  if args[7] ~= '0' then
    redis.call('SET', keys[6], id, 'EX', args[7])
  end
  local left = redis.call('ZCARD', keys[2])
  if left > 0 then
    redis.call('ZADD', keys[3], args[6], args[2])
  else
    redis.call('ZREM', keys[3], args[2])
  end
  return { 'taken', left }
end

-- KEYS: queue, device's queue, ready list, message, delayed, processing, in flight,
--       number's index, result, duplicate guard, dead letters
-- ARGV: id, device, result JSON, life of the result (s), ready at, dead letter or '',
--       longest list of dead letters
-- Returns: how many commands of the device wait
local function outbound_finish(keys, args)
  local id = args[1]
  redis.call('ZREM', keys[1], id)
  redis.call('ZREM', keys[2], id)
  redis.call('ZREM', keys[5], id)
  redis.call('HDEL', keys[6], id)
  redis.call('ZREM', keys[7], id)
  if redis.call('GET', keys[8]) == id then
    redis.call('DEL', keys[8])
  end
  if redis.call('GET', keys[10]) == id then
    redis.call('DEL', keys[10])
  end
  redis.call('DEL', keys[4])
  if args[3] ~= '' then
    redis.call('SET', keys[9], args[3], 'EX', args[4])
  end
  if args[6] ~= '' then
    redis.call('LPUSH', keys[11], args[6])
    redis.call('LTRIM', keys[11], 0, tonumber(args[7]) - 1)
  end
  local left = redis.call('ZCARD', keys[2])
  if left == 0 then
    redis.call('ZREM', keys[3], args[2])
  elseif args[5] ~= '' then
    redis.call('ZADD', keys[3], args[5], args[2])
  end
  return left
end

-- KEYS: queue, device's queue, ready list, message, delayed, processing, in flight
-- ARGV: id, device, score, message JSON, life of the message (s), where (queue, delayed,
--       kept: outcome unknown, flight), due (ms), attempt JSON
-- Returns: how many commands of the device wait
local function outbound_requeue(keys, args)
  local id, where = args[1], args[6]
  redis.call('SET', keys[4], args[4], 'EX', args[5])
  redis.call('ZREM', keys[1], id)
  redis.call('ZREM', keys[2], id)
  redis.call('ZREM', keys[5], id)
  redis.call('HDEL', keys[6], id)
  redis.call('ZREM', keys[7], id)
  if where == 'queue' then
    redis.call('ZADD', keys[1], args[3], id)
    redis.call('ZADD', keys[2], args[3], id)
    if args[7] ~= '' then
      redis.call('ZADD', keys[3], args[7], args[2])
    end
  elseif where == 'delayed' then
    redis.call('ZADD', keys[5], args[7], id)
  else
    redis.call('HSET', keys[6], id, args[8])
    if where == 'flight' then
      redis.call('ZADD', keys[7], args[7], id)
    end
  end
  return redis.call('ZCARD', keys[2])
end

-- KEYS: queue, device's queue, ready list, message, delayed, processing, result, guard
-- ARGV: id, device, result JSON, life of the result (s)
-- Returns: 1 taken back, 0 it is being sent, was sent or is not known
local function outbound_remove(keys, args)
  local id = args[1]
  if redis.call('HEXISTS', keys[6], id) == 1 then
    return 0
  end
  local waited = redis.call('ZREM', keys[2], id) + redis.call('ZREM', keys[5], id)
  redis.call('ZREM', keys[1], id)
  if waited == 0 then
    return 0
  end
  redis.call('DEL', keys[4])
  redis.call('SET', keys[7], args[3], 'EX', args[4])
  if redis.call('GET', keys[8]) == id then
    redis.call('DEL', keys[8])
  end
  if redis.call('ZCARD', keys[2]) == 0 then
    redis.call('ZREM', keys[3], args[2])
  end
  return 1
end

-- Takes a command that a dead server had in flight; only one caller gets it. Until that
-- one has said what becomes of it, it counts as in flight there: it may die, too.
-- KEYS: in flight of the dead server, processing, message, in flight of the caller
-- ARGV: id, server id of the caller, due (ms)
-- Returns: message and attempt as JSON, or nothing
local function outbound_reap(keys, args)
  if redis.call('ZREM', keys[1], args[1]) == 0 then
    return {}
  end
  local attempt = redis.call('HGET', keys[2], args[1])
  local message = redis.call('GET', keys[3])
  if not message then
    redis.call('HDEL', keys[2], args[1])
    return {}
  end
  local mine = parse(attempt) or {}
  mine.server_id = args[2]
  redis.call('HSET', keys[2], args[1], cjson.encode(mine))
  redis.call('ZADD', keys[4], args[3], args[1])
  return { message, attempt or '' }
end

-- Takes or renews the lease of a server id.
-- KEYS: server, servers
-- ARGV: id, token of the process, token of the holder that it may replace or '', now,
--       life (s), then fields and values of the server
-- Returns: 'made' nobody (or that holder) had it, 'kept', or 'taken' and the holder's
--          token, address, process id, place and newest sign of life
local function server_beat(keys, args)
  local token = redis.call('HGET', keys[1], 'token')
  if token and token ~= args[2] and token ~= args[3] then
    local holder = redis.call('HMGET', keys[1], 'address', 'pid', 'place')
    return { 'taken', token, text(holder[1]), text(holder[2]), text(holder[3]),
      text(redis.call('ZSCORE', keys[2], args[1])) }
  end
  redis.call('HSET', keys[1], 'token', args[2], unpack(args, 6))
  redis.call('EXPIRE', keys[1], args[5])
  redis.call('ZADD', keys[2], args[4], args[1])
  return { token == args[2] and 'kept' or 'made' }
end

-- KEYS: server, servers
-- ARGV: id, token of the process
-- Returns: 1 given back, 0 another has it
local function server_leave(keys, args)
  if redis.call('HGET', keys[1], 'token') ~= args[2] then
    return 0
  end
  redis.call('DEL', keys[1])
  redis.call('ZREM', keys[2], args[1])
  return 1
end

redis.register_function('server_beat', server_beat)
redis.register_function('server_leave', server_leave)
redis.register_function('session_bind', session_bind)
redis.register_function('session_unbind', session_unbind)
redis.register_function('session_touch', session_touch)
redis.register_function('outbound_push', outbound_push)
redis.register_function('outbound_take', outbound_take)
redis.register_function('outbound_finish', outbound_finish)
redis.register_function('outbound_requeue', outbound_requeue)
redis.register_function('outbound_remove', outbound_remove)
redis.register_function('outbound_reap', outbound_reap)
