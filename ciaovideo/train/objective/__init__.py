"""What a run minimises: the losses, and the network that judges pictures in a second stage."""
