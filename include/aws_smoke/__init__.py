"""`make aws-smoke ENV=…`: the smallest full chain on the real Amazon SageMaker, every request and answer on record."""
