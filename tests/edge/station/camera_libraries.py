"""Stand in for the two libraries that a camera is read with, where no camera is."""

PICAMERA2 = '''
"""Stands in for picamera2, which exists on a Raspberry Pi alone, in what is used of it."""
import os, time
import numpy as np

class Picamera2:
    @staticmethod
    def global_camera_info():
        return [{"Model": "imx708", "Num": 0}]
    def __init__(self, camera_num=0):
        if os.environ.get("EDGEBEE_TEST_BUSY"):
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
    def create_video_configuration(self, main, queue=True):
        assert main["format"] == "BGR888" and not queue
        return {"main": main}
    def configure(self, configuration):
        self.size = configuration["main"]["size"]
    def camera_configuration(self):
        return {"main": {"format": os.environ.get("EDGEBEE_TEST_FORMAT", "BGR888")}}
    def close(self):
        Picamera2.closed = True
    def start(self):
        self.frames = 0
    def capture_array(self, name):
        self.frames += 1
        if self.frames == 3 and os.environ.get("EDGEBEE_TEST_HANGS"):
            time.sleep(3600)  # as it does when the sensor falls silent: picamera2 issue 1004
        frame = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        frame[..., 0] = 200  # red comes first
        return frame
'''

CV2 = """
import os, sys
CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT, COLOR_BGR2RGB = 3, 4, 4
class VideoCapture:
    def __init__(self, place):
        if picamera2 := sys.modules.get("picamera2"):
            assert picamera2.Picamera2.closed, "it is held by another library"
        self.left = int(os.environ.get("EDGEBEE_TEST_FRAMES", "1"))
    def isOpened(self):
        return True
    def set(self, which, value):
        pass
    def grab(self):
        self.left -= 1
        return self.left >= 0
    def retrieve(self):
        import numpy as np
        return True, np.zeros((48, 64, 3), np.uint8)
def cvtColor(frame, how):
    return frame
"""
