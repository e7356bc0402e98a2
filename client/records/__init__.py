"""Where a hospital's records lie: one module for each kind of them, all giving what `contract` describes."""
