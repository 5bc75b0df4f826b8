"""What several suites stand on: the streaming function over real sockets, and a reader of its events."""
