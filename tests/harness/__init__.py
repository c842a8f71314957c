"""What the tests stand on: a real systemd, ordinary users, and patience with a limit."""
