"""Single pictures: WebP files for pages, and MD5 sums of a video's pictures."""
