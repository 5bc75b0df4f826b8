"""One module per figure: how it is measured, in which order, and what comes out."""
