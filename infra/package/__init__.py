"""Packaging without Docker: each function's locked wheels for Lambda, less what no import reaches, as a folder and a zip.

    python -m infra.package [--arch arm64|x86_64] [--out DIR] [FUNCTION…]

boto3 is left to the managed runtime; docs/operations.md ("What is in a zip") has the figures behind that.
"""
