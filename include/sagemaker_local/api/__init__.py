"""SageMaker's API by botocore's service model: from a call to its operation, and the check of its request."""
