"""What is answered or checked before moto is asked, because moto does it not at all or not as AWS does."""
