"""What tries to break the promises: short in `scripts/test`, long in `scripts/torture`."""
