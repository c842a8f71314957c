"""The `aap` command: thin wrappers around the rooms, for people and for agents."""
