"""What every builder of paired footage shares: search, records, report, local and Beam runs."""
