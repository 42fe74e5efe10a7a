"""Speed, measured: one command a question, `python -m benchmarks.NAME`; each prints a table and writes JSON."""
