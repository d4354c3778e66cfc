"""Arrays -> Pillow images. Results hold raw values; all scaling for the eye happens here."""
