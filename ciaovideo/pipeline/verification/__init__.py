"""The output held against its source: times, packets, tags, pictures."""
