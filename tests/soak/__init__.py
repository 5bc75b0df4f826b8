"""The soak: mixed traffic against the whole local system with faults at random, then a list of things that must hold."""
