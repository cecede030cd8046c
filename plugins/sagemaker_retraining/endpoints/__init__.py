"""What operators and tasks that change an endpoint share: what it serves, what guards an update, requests to it."""
