"""One module a suite, each the description of that suite: its facts, its quirks, its translation.

Importable only as `envhub.adapters`. To add a suite, read the shortest one (`craftax.py`) and
`envhub.suite.Suite`.
"""
