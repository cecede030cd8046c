"""Every other AWS service: moto, with what it lacks answered in front of it, and its state kept on disk."""
