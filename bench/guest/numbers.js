// Arithmetic in loops, over plain and typed arrays.
function mandel(side, limit) {
    let sum = 0;
    for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
            const cr = column * 3 / side - 2.2, ci = row * 2.5 / side - 1.25;
            let zr = 0, zi = 0, n = 0;
            for (; n < limit && zr * zr + zi * zi < 4; n++) {
                const t = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = t;
            }
            sum += n;
        }
    }
    return sum;
}

function sieve(size) {
    const composite = new Uint8Array(size + 1);
    let primes = 0;
    for (let i = 2; i <= size; i++) {
        if (composite[i])
            continue;
        primes++;
        for (let j = i * i; j <= size; j += i)
            composite[j] = 1;
    }
    return primes;
}

function checksum(size) {
    const words = new Int32Array(size);
    let x = 1, sum = 0;
    for (let pass = 0; pass < 8; pass++)
        for (let i = 0; i < size; i++) {
            x = Math.imul(x, 1103515245) + 12345 | 0;
            words[i] ^= x >>> 3;
            sum = sum + words[i] | 0;
        }
    return sum;
}

console.log(mandel(200, 200), sieve(1000000), checksum(200000));
