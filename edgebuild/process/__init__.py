"""Other processes: start, watch, log and end them."""
