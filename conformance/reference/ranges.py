"""A set of integers as sorted disjoint half-open ranges."""

from bisect import bisect_right


class Ranges:
    def __init__(self):
        self.list: list[tuple[int, int]] = []

    def add(self, a: int, b: int) -> list[tuple[int, int]]:
        """Adds a .. b-1; gives back the parts that are new."""
        new = self.missing(a, b)
        if a < b:
            touching = [r for r in self.list if r[0] <= b and a <= r[1]]
            rest = [r for r in self.list if not (r[0] <= b and a <= r[1])]
            merged = min([a] + [r[0] for r in touching]), max([b] + [r[1] for r in touching])
            self.list = sorted(rest + [merged])
        return new

    def missing(self, a: int, b: int) -> list[tuple[int, int]]:
        out = []
        for x, y in self.list:
            if y > a and x < b:
                if x > a:
                    out.append((a, x))
                a = max(a, y)
        if a < b:
            out.append((a, b))
        return out

    def remove(self, a: int, b: int):
        out = []
        for x, y in self.list:
            out += [r for r in ((x, min(y, a)), (max(x, b), y)) if r[0] < r[1]]
        self.list = out

    def __contains__(self, n: int) -> bool:
        i = bisect_right(self.list, (n, float("inf")))
        return i > 0 and n < self.list[i - 1][1]

    def end_from(self, a: int) -> int:
        """The end of the range that contains `a`, or `a`."""
        return next((y for x, y in self.list if x <= a < y), a)

    def total(self) -> int:
        return sum(y - x for x, y in self.list)
