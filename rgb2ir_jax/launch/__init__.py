"""What the commands share before any work: the command line, and where compiled programs are kept."""
