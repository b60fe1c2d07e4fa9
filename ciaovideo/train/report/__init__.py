"""Reports of a run: loss, speed and PSNR, logs, and a chart at the end."""
