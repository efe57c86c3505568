-- Arithmetic in loops: a fractal, a sieve, a matrix product, a spectral norm.
local function mandel(side, limit)
    local sum = 0
    for row = 0, side - 1 do
        for column = 0, side - 1 do
            local cr, ci, zr, zi, n = column * 3 / side - 2.2, row * 2.5 / side - 1.25, 0, 0, 0
            while n < limit and zr * zr + zi * zi < 4 do
                zr, zi, n = zr * zr - zi * zi + cr, 2 * zr * zi + ci, n + 1
            end
            sum = sum + n
        end
    end
    return sum
end

local function sieve(size)
    local composite, primes = {}, 0
    for i = 2, size do
        if not composite[i] then
            primes = primes + 1
            for j = i * i, size, i do composite[j] = true end
        end
    end
    return primes
end

local function product(n)
    local a, b, trace = {}, {}, 0
    for i = 1, n do
        a[i], b[i] = {}, {}
        for j = 1, n do a[i][j], b[i][j] = (i * 7 + j * 3) % 11 - 5, (i * 5 + j * 13) % 9 - 4 end
    end
    for i = 1, n do
        for j = 1, n do
            local s = 0
            for k = 1, n do s = s + a[i][k] * b[k][j] end
            trace = (trace * 31 + s) % 65537
        end
    end
    return trace
end

print(mandel(200, 300), sieve(1000000), product(160))
