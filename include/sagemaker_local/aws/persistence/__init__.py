"""What moto holds in memory, kept on disk: written before a request is answered, so that no kill loses it."""
