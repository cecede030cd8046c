"""The control API: what people and tests see and steer under `/_local/`."""
