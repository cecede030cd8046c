"""Waits without a worker slot: triggers that poll SageMaker from the triggerer."""
