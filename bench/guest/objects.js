// Objects, closures, maps, strings and regular expressions.
class Account {
    constructor(name) {
        this.name = name;
        this.total = 0;
    }
    move(amount) {
        this.total += amount;
    }
}

function* words(n) {
    let x = 12345;
    for (let i = 0; i < n; i++) {
        x = Math.imul(x, 1103515245) + 12345 & 0x7fffffff;
        yield 'w' + (x >> 16 & 1023);
    }
}

for (let round = 0; round < 6; round++) {
    const accounts = new Map();
    let i = 0;
    for (const word of words(20000)) {
        if (!accounts.has(word))
            accounts.set(word, new Account(word));
        accounts.get(word).move(i++ % 97 - 48);
    }
    const order = [...accounts.values()].sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
    const text = order.map(a => `${a.name}=${a.total}`).join(',');
    const round_trip = JSON.parse(JSON.stringify(order));
    console.log(round, text.length, (text.match(/w\d*7=-?\d+/g) || []).length, round_trip[3].name,
                text.replace(/(\d+)=(-?\d+)/g, '$2:$1').slice(0, 40));
}
