"""`make scale`: prints where the deployment breaks first, and writes docs/scale.md and its plots."""

from bench.document import DOCS, publish
from bench.scale import report

if __name__ == "__main__":
    publish(DOCS / "scale.md", report.tables(), report.plots())
