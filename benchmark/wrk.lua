-- For wrk: says at the end what it measured, as JSON. Arguments after `--`:
--   counter PREFIX [FROM]   a new URL for each request: PREFIX0, PREFIX1, ..., or from another number on
--   random PREFIX COUNT     one of COUNT URLs: PREFIX0 to PREFIX(COUNT - 1)
--   list PATH...            these, one after the other
--   mix PREFIX              of all kinds, see below; new URLs begin with PREFIX
-- Without any, the URL of the command line.

-- A request is put together here: wrk.format costs more than a hit does.
local function tail()
  local lines = " HTTP/1.1\r\n"
  if not wrk.headers["Host"] then
    lines = lines .. "Host: " .. wrk.host .. ":" .. wrk.port .. "\r\n"
  end
  for name, value in pairs(wrk.headers) do
    lines = lines .. name .. ": " .. value .. "\r\n"
  end
  return lines .. "\r\n"
end

-- Out of a hundred: how many, method and path, further lines. N is a number that is new, H one of a thousand, V one of 40.
local kinds = {
  { 50, "GET /stored/1024/hot-H", "" },
  { 10, "GET /stored/1024/PREFIXN", "" },
  { 2, "GET /stored/65536/PREFIXN", "" },
  { 10, "GET /passing/1024/page", "" },
  { 10, "GET /stored/1024/hot-H", "If-None-Match: \"a1b2c3d4\"\r\n" },
  { 8, "GET /stored/10240/part-H", "Range: bytes=100-1123\r\n" },
  { 6, "GET /varying/1024/hot-H", "X-Variant: V\r\n" },
  { 2, "GET /failing/N", "" },
  { 2, "GET /broken/N", "" }
}

local function mix(prefix)
  local drawn = {}
  for _, kind in ipairs(kinds) do
    for _ = 1, kind[1] do drawn[#drawn + 1] = kind end
  end
  local rest = tail()
  local n = 0
  math.randomseed(os.time())
  return function()
    n = n + 1
    local kind = drawn[math.random(#drawn)]
    local target = kind[2]:gsub("PREFIX", prefix):gsub("N$", n):gsub("H$", math.random(0, 999))
    return target .. rest:sub(1, -3) .. kind[3]:gsub("V\r", math.random(40) .. "\r") .. "\r\n"
  end
end

function init(args)
  local mode, prefix = args[1], args[2]
  if mode == nil then return end
  local rest = tail()
  local head = "GET " .. prefix
  local n = -1
  if mode == "counter" then
    n = (tonumber(args[3]) or 0) - 1
    request = function()
      n = n + 1
      return head .. n .. rest
    end
  elseif mode == "mix" then
    request = mix(prefix)
  elseif mode == "random" then
    local count = tonumber(args[3])
    math.randomseed(os.time())
    request = function()
      return head .. math.random(0, count - 1) .. rest
    end
  else
    local requests = {}
    for i = 2, #args do requests[i - 1] = "GET " .. args[i] .. rest end
    request = function()
      n = (n + 1) % #requests
      return requests[n + 1]
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50Us":%f,"p99Us":%f,"refused":%d,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
