"""What is answered, or prepared, in front of moto because moto does it not at all or not as AWS does."""
