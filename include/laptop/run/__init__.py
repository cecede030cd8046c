"""`make run`: one retraining from nothing to a prediction."""
