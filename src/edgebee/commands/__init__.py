"""The commands: options in, one call into a room, a few lines out."""
