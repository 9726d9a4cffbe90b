"""From a Keras model to a self-describing `.tflite` file."""
