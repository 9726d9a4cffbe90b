"""The page that runs the same `.tflite` file in a browser."""
