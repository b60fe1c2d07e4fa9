"""The objective of a run: its losses, and the discriminator of a second stage."""
