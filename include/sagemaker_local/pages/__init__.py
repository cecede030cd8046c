"""Pages for people, under `/_local/`."""
