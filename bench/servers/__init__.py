"""The other ends of the wire: an upstream and an AWS whose times can be set, each a process of its own."""
