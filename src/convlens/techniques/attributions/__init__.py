"""Pixel attributions: a table of the methods, a module a family, and what makes attributions of them."""
