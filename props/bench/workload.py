# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A program of strings, dictionaries, objects and closures, for ci/bench: run with PYTHONMALLOC=malloc."""

import json
import re


class Account:
    def __init__(self, number, name):
        self.number = number
        self.name = name
        self.entries = []

    def book(self, amount, text):
        self.entries.append((amount, text))


def main():
    accounts = {}
    total = 0
    state = 12345
    for step in range(60000):
        state = (state * 1103515245 + 12345) % 2147483648
        number = state % 3000
        account = accounts.get(number)
        if account is None:
            account = accounts[number] = Account(number, f"account number {number}")
        account.book(state % 1000, f"step {step}: {'x' * (state % 40)}")
        if len(account.entries) > 30:
            total += sum(amount for amount, _ in account.entries)
            del accounts[number]
    text = json.dumps({a.name: a.entries for a in accounts.values()})
    back = json.loads(text)
    words = re.findall(r"[a-z]+ \d+", text)
    lengths = sorted((len(entries), name) for name, entries in back.items())
    table = [[row * column for column in range(60)] for row in range(2000)]
    print(total, len(text), len(words), lengths[len(lengths) // 2], sum(map(sum, table)))


main()
