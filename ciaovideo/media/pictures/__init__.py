"""Single pictures: as WebP files for pages, and as MD5 sums of a video's pictures."""
