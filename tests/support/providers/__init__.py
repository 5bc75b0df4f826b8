"""How providers answer, fail and refuse: one row for each thing that one of them does (tests/faults/test_providers.py).

`source` says where that is known from: a provider's documentation, or a thread about its server.
"""
