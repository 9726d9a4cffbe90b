"""Photos in class folders: found, split, checked."""
