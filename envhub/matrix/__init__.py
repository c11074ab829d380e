"""The compatibility matrix: the probes' results for every environment on every set of versions.

`results.json` is the only source. `results` reads and writes it, `staleness` finds the rows that
are out of date, and `summary`, `markdown`, `page` and `badges` show it. The probing itself is part
of the repository's tests, because it compares with the suites' own functions.
"""

from envhub.matrix.results import Results, load

__all__ = ["Results", "load"]
