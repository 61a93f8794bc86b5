"""What people are shown of the running system, by the command line and over HTTP alike."""
