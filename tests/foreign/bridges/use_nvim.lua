-- Neovim itself: its RPC channels, in C, under its Lua. Its calls block.
local socket = vim.env.SANDBOX_SOCKET

local function with_bytes(value)
  if type(value) ~= "table" then return value end
  if value.hex then
    return (value.hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
  end
  local table = next(value) == nil and value or {}
  for key, item in pairs(value) do table[key] = with_bytes(item) end
  return table
end

local function plain(value)
  if type(value) == "string" then -- text and bytes alike
    return { hex = (value:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)) }
  end
  if type(value) ~= "table" or next(value) == nil then return value end
  local table = {}
  for key, item in pairs(value) do table[key] = plain(item) end
  return table
end

local channel = vim.fn.sockconnect("pipe", socket, { rpc = true })
for line in io.open("/dev/fd/3"):lines() do
  local call = vim.json.decode(line)
  local params = with_bytes(call.params)
  if next(params) == nil then params = vim.empty_dict() end
  local is_fine, result = pcall(vim.rpcrequest, channel, call.method, params)
  local outcome = { number = call.number, error = vim.NIL, result = vim.NIL }
  if is_fine then outcome.result = plain(result) else outcome.error = plain(result) end
  io.stdout:write(vim.json.encode(outcome), "\n")
  io.stdout:flush()
end
vim.cmd("qall!")
