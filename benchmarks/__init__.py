"""How fast convlens is: against other tools and against the machine's own limit, in one interleaved run."""
