"""See what a convolutional network has learned."""
