"""Readers of what people already have: each gives what it could take and a report of what it could not."""
