"""What the techniques give: NumPy arrays, channels last, with where they came from and how they are drawn and saved."""
