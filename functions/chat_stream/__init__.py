"""The streaming function: calls the model first, relays its tokens, and sees that the turn is stored."""
