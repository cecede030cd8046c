"""What moto holds in memory, on disk: written before a request is answered, so that no kill loses it."""
