"""One module per verb of the command line; each turns frozen options into an exit code."""
