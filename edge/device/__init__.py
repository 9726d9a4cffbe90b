"""Raspberry Pis and other devices: deploying to them, checking them."""
