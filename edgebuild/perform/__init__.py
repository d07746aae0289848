"""One action, start to end: look up, or execute, check and record; and why."""
