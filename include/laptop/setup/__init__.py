"""Set-up of the environments, and the arguments of make; the standard library only."""
