"""The same photos through Keras and every `.tflite`, timed and counted."""
