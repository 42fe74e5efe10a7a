"""The report: one page about trained networks, from the files that their runs left."""
