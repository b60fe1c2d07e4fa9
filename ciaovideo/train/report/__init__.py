"""What a run reports: loss and speed on the way, PSNR, logs, and a picture at the end."""
