"""Long work, cut into units: each is a request, and what is finished is kept where the rest is not made."""
