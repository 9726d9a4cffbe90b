"""Reading `.tflite` files, without a runtime."""
