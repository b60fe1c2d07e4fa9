"""Files looked at without being changed: packets, times, thumbnails, borders, truncation."""
