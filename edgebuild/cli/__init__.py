"""The command line: words in, one verb called, an exit code out."""
