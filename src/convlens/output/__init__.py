"""Where results go: a `Sink` takes what a result writes of itself, and a manifest says what there is."""
