"""From photos in folders to a Keras model."""
