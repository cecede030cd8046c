"""HTTP: connections, messages, errors, and who may ask."""
