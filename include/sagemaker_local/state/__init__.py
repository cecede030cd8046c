"""What is stored about SageMaker: its resources, its capacity, and the contents of objects."""
