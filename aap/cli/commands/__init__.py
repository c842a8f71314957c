"""The command tree, one module per command or group."""
