"""Endpoints: model servers, blue/green updates, invocations with data capture, metrics."""
