"""A packaged function in an execution environment of its own: Lambda's APIs, the processes, the world around them."""
