"""Replays a recording of the real SageMaker (`make aws-smoke`) here, and prints where the answers differ."""
