"""The compatibility matrix: the probes' results for every environment on every set of versions.

`matrix/results.json` in the repository is the only source, and the package has what it shows of it.
`results` and `files` read and write both, `fingerprints` and `staleness` find the cells that are
out of date, and `summary`, `markdown`, `page` and `badges` show the results. The probing itself is
part of the repository's tests, because it compares with the suites' own functions.
"""

from envhub.matrix.results import Results, load

__all__ = ["Results", "load"]
