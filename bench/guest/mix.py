# What scripts do: dictionaries, strings, objects, sorting, recursion. The number of rounds is the argument.
import sys


class Account:
    def __init__(self, name):
        self.name, self.total, self.moves = name, 0, []

    def move(self, amount):
        self.total += amount
        self.moves.append(amount)


def words(n):
    x = 12345
    for _ in range(n):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        yield "w%d" % (x >> 16 & 1023)


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def one_round():
    count = {}
    for word in words(12000):
        count[word] = count.get(word, 0) + 1
    common = sorted(count.items(), key=lambda item: (-item[1], item[0]))[:10]
    accounts = {word: Account(word) for word in count}
    for i, word in enumerate(words(8000)):
        accounts.get(word, accounts[common[0][0]]).move(i % 97 - 48)
    text = " ".join("%s=%d" % (a.name, a.total) for a in sorted(accounts.values(), key=lambda a: (a.total, a.name)))
    return [common, len(text), sum(map(ord, text)), text.upper().split()[:3], fib(17)]


for number in range(int(sys.argv[1])):
    print(number, one_round())
