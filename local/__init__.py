"""`make run`: the whole system on one machine, with an embedded AWS and an embedded model, for as long as the process lives."""
