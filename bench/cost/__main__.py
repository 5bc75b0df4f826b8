"""`make cost`: prints what a turn costs, and writes docs/cost.md and its plots."""

from bench.cost import report
from bench.document import DOCS, publish

if __name__ == "__main__":
    publish(DOCS / "cost.md", report.tables(), report.plots())
