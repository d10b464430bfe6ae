"""A forge's webhooks: whether they are the forge's, what they say, and what follows from it."""
