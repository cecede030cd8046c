"""Not run: a second processing job would show nothing that the first does not."""
