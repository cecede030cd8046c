"""What is known of the real SageMaker, and what stands up to it here."""
