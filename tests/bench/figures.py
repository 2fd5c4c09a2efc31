# SPDX-License-Identifier: Apache-2.0
"""figures: what a benchmark reports, and how it is shown."""

import statistics


def percentile(values, p):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(p / 100 * len(ordered)))]


class Case:
    """Pairs of a baseline and ours, in the same unit.

    `better` says what a good figure is: "more" (rates) or "less" (times). The
    ratio is always made so that more than 1 means that ours is better.
    """

    def __init__(self, bench, name, unit, better, baseline, target=None):
        self.bench, self.name, self.unit = bench, name, unit
        self.better, self.baseline, self.target = better, baseline, target
        self.pairs = []
        self.notes = []

    def add(self, theirs, ours):
        self.pairs.append((theirs, ours))

    def ratios(self):
        return [o / t if self.better == "more" else t / o
                for t, o in self.pairs]

    def added(self):
        """Median of what ours is above the baseline, pair by pair."""
        return statistics.median(o - t for t, o in self.pairs)

    def ratio(self):
        return statistics.median(self.ratios())

    def met(self):
        if self.target is None:
            return None
        kind, bound = self.target
        return self.added() <= bound if kind == "added" \
            else self.ratio() >= bound

    def target_text(self):
        if self.target is None:
            return ""
        kind, bound = self.target
        return f"added <= {bound:g} {self.unit}" if kind == "added" \
            else f"ratio >= {bound:.2f}"

    def row(self):
        theirs = statistics.median(t for t, _ in self.pairs)
        ours = statistics.median(o for _, o in self.pairs)
        return (self.bench, self.name, self.unit,
                f"{number(theirs)} ({self.baseline})", number(ours),
                f"{self.ratio():.2f}",
                f"{min(self.ratios()):.2f}..{max(self.ratios()):.2f}",
                number(self.added()) if self.better == "less" else "",
                self.target_text(), answer(self.met()))

    def json(self):
        return {
            "bench": self.bench, "case": self.name, "unit": self.unit,
            "better": self.better, "baseline": self.baseline,
            "pairs": [{"baseline": t, "ours": o} for t, o in self.pairs],
            "baseline_median": statistics.median(t for t, _ in self.pairs),
            "ours_median": statistics.median(o for _, o in self.pairs),
            "ratio_median": self.ratio(), "added_median": self.added(),
            "target": self.target_text() or None, "met": self.met(),
            "notes": self.notes,
        }


class Value:
    """One figure of ours alone."""

    def __init__(self, bench, name, unit, value, limit=None):
        self.bench, self.name, self.unit = bench, name, unit
        self.value, self.limit = value, limit
        self.notes = []

    def met(self):
        return None if self.limit is None else self.value <= self.limit

    def target_text(self):
        return "" if self.limit is None else f"<= {self.limit:g}"

    def row(self):
        return (self.bench, self.name, self.unit, "", number(self.value), "",
                "", "", self.target_text(), answer(self.met()))

    def json(self):
        return {"bench": self.bench, "case": self.name, "unit": self.unit,
                "value": self.value, "target": self.target_text() or None,
                "met": self.met(), "notes": self.notes}


def number(n):
    if abs(n) >= 100:
        return f"{n:.0f}"
    return f"{n:.2f}" if abs(n) < 10 else f"{n:.1f}"


def answer(met):
    return {None: "", True: "yes", False: "NO"}[met]


HEAD = ("bench", "case", "unit", "baseline", "ours", "ratio", "range",
        "added", "target", "met")


def table(results):
    """Aligned text; notes below."""
    rows = [HEAD] + [r.row() for r in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip()
             for row in rows]
    for r in results:
        lines += [f"  {r.bench}, {r.name}: {note}" for note in r.notes]
    return "\n".join(lines)
