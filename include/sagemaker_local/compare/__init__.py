"""Replays a recording of the real SageMaker (`make aws-smoke`) here, and says where the answers differ."""
