"""How a process becomes a container: isolation, launch, logs, transfers, the model server and its programs."""
