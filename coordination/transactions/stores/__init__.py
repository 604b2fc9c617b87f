"""Where the rows of transactions live."""
