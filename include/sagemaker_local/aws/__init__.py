"""Every other AWS service: moto, with overrides for what it lacks, and with its state on disk."""
