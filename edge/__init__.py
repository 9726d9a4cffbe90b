"""What runs on the device: `classify.py`, one file, and what stands around it."""
