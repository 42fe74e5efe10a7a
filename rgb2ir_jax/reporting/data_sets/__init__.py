"""The page that `inspect_data` writes about a built data set."""
