-- What scripts do: tables, strings, closures, sorting. The number of rounds is the argument.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end

local Account = {}
Account.__index = Account
function Account.new(name) return setmetatable({name = name, total = 0}, Account) end
function Account:move(amount) self.total = self.total + amount end

for round = 1, tonumber(arg[1]) do
    local x, count, names, accounts = 12345, {}, {}, {}
    for i = 1, 12000 do
        x = (x * 16807) % 2147483647
        local word = "w" .. math.floor(x / 65536) % 1024
        if not count[word] then
            count[word] = 0
            names[#names + 1] = word
            accounts[word] = Account.new(word)
        end
        count[word] = count[word] + 1
        accounts[word]:move(i % 97 - 48)
    end
    table.sort(names, function(a, b) return count[a] > count[b] or (count[a] == count[b] and a < b) end)
    local parts = {}
    for i, name in ipairs(names) do parts[i] = name .. "=" .. accounts[name].total end
    local text = table.concat(parts, ",")
    local ones = 0
    for _ in text:gmatch("1%d") do ones = ones + 1 end
    print(round, #text, ones, names[1], names[2], fib(20))
end
