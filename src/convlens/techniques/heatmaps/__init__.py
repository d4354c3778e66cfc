"""Class activation maps: a table of the methods, a module a family, and what makes heatmaps of them."""
