"""The operators: jobs that survive retries, registration, deployment, verification."""
