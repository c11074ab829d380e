"""The compatibility matrix: what the probes found, for every environment on every set of versions.

`results.json` is the one source; `results` reads and writes it, `staleness` says what of it is out
of date, and `summary`, `markdown`, `page` and `badges` show it. The probing itself is part of the
repository's tests, because it compares with the suites' own functions.
"""

from envhub.matrix.results import Results, load

__all__ = ["Results", "load"]
