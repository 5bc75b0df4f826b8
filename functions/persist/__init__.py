"""The persist function: stores what the queue holds, once, in any order, and publishes the conversation's id."""
