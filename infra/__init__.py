"""The AWS stack, and the definitions of its tables and queue that the local run makes its own from."""
