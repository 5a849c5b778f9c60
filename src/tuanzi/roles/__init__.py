"""What a process can be: the command line and the HTTP API."""
