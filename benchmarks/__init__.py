"""The same photos through Keras and every `.tflite`."""
