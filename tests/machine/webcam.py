"""A USB camera without the hardware: speaks UVC through Linux's gadgetfs, by bulk transfers.

`python3 webcam.py` as root, after `modprobe dummy_hcd gadgetfs` and with gadgetfs mounted at
/dev/gadget. The kernel's own `uvcvideo` then finds a camera on its USB, of 320x240 YUYV in
one colour, brighter with each picture. It is pulled out when this ends.

libcamera lists only cameras on a controller that the firmware names. QEMU's own is one: start
QEMU with `-device qemu-xhci -chardev socket,id=usb,host=127.0.0.1,port=14000,reconnect=2 -device
usb-redir,chardev=usb` and port 14000 forwarded to 4000 there, and run there `usbredirect --device
1d6b:0102 --as 0.0.0.0:4000`. picamera2 wants /dev/dma_heap/linux,cma, which a link to `system` is.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path

GADGET = Path("/dev/gadget")
WIDTH, HEIGHT = 320, 240
FRAME_BYTES = WIDTH * HEIGHT * 2
INTERVAL = 1_000_000  # between pictures, in 100 ns
HEADER = 12
EP_IN = 0x81
SETUP = 3  # of usb_gadgetfs_event
YUY2 = b"YUY2" + bytes.fromhex("0000 1000 8000 00aa 0038 9b71")
SET_CUR, GET_LEN, GET_INFO = 0x01, 0x85, 0x86

# What is negotiated (UVC 1.0, 4.3.1.1); there is nothing to choose. A picture is one payload.
PROBE = struct.pack(
    "<HBBIHHHHHII", 0, 1, 1, INTERVAL, 0, 0, 0, 0, 0, FRAME_BYTES, FRAME_BYTES + HEADER
)


def endpoint(packet: int) -> bytes:
    """A bulk endpoint; its packets are 64 bytes at full speed and 512 at high."""
    return struct.pack("<BBBBHB", 7, 5, EP_IN, 2, packet, 0)


def configuration(packet: int) -> bytes:
    """A camera terminal, an output terminal, and a stream (UVC 1.0, chapter 3)."""
    camera = struct.pack("<BBBBHBBHHHB3x", 18, 0x24, 2, 1, 0x0201, 0, 0, 0, 0, 0, 3)
    output = struct.pack("<BBBBHBBB", 9, 0x24, 3, 2, 0x0101, 0, 1, 0)
    control = struct.pack(
        "<BBBHHIBB", 13, 0x24, 1, 0x0100, 13 + len(camera + output), 48_000_000, 1, 1
    )
    rate = FRAME_BYTES * 8 * 10
    formats = struct.pack("<BBBBB16sBBBBBB", 27, 0x24, 4, 1, 1, YUY2, 16, 1, 0, 0, 0, 0)
    formats += struct.pack(
        "<BBBBBHHIIIIBI", 30, 0x24, 5, 1, 0, WIDTH, HEIGHT, rate, rate, FRAME_BYTES,
        INTERVAL, 1, INTERVAL,
    )  # fmt: skip
    formats += struct.pack("<BBBBBB", 6, 0x24, 0x0D, 1, 1, 4)
    stream = struct.pack(
        "<BBBBHBBBBBBBB", 14, 0x24, 1, 1, 14 + len(formats), EP_IN, 0, 2, 0, 0, 0, 1, 0
    )
    body = struct.pack("<8B", 8, 0x0B, 0, 2, 0x0E, 3, 0, 0)
    body += struct.pack("<9B", 9, 4, 0, 0, 0, 0x0E, 1, 0, 0) + control + camera + output
    body += struct.pack("<9B", 9, 4, 1, 0, 1, 0x0E, 2, 0, 0) + stream + formats
    body += endpoint(packet)
    return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 2, 1, 0, 0xC0, 1) + body


def stream(file: int) -> None:
    """Give pictures for ever; each write waits until somebody looks."""
    number = 0
    while True:
        number += 1
        picture = bytes([min(60 + number, 235), 128]) * (WIDTH * HEIGHT)
        try:
            # Bit 0 changes with each picture, bit 1 says that it is whole.
            os.write(file, struct.pack("<BB10x", HEADER, 0x82 | number & 1) + picture)
        except OSError:
            time.sleep(0.05)
        time.sleep(INTERVAL / 10_000_000)


def answer(control: int, request: tuple[int, int, int, int, int]) -> None:
    """Answer one control request; one that is unknown is stalled, by going the wrong way."""
    kind, what, value, _, length = request
    if kind == 0xA1 and value >> 8 in (1, 2):
        said = {GET_LEN: struct.pack("<H", len(PROBE)), GET_INFO: b"\x03"}.get(what, PROBE)
        os.write(control, said[:length])
    elif kind == 0x21 and what == SET_CUR:
        os.read(control, length)
    elif kind & 0x80:
        os.read(control, 0)
    else:
        os.read(control, length)


def main() -> None:
    """Plug it in, and be a camera until killed."""
    control = os.open(next(GADGET.glob("dummy_udc*")), os.O_RDWR)
    device = struct.pack(
        "<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0xEF, 2, 1, 64, 0x1D6B, 0x0102, 1, 0, 0, 0, 1
    )
    os.write(control, struct.pack("<I", 0) + configuration(64) + configuration(512) + device)
    streaming = False
    while True:
        try:
            events = os.read(control, 12)
        except OSError:
            continue  # the request was stalled, or given up for another
        *request, event = struct.unpack("<BBHHHI", events[:12])
        if event != SETUP:
            continue
        if request[:2] == [0, 9] and not streaming:  # SET_CONFIGURATION
            streaming = True
            file = os.open(next(GADGET.glob("ep1in*")), os.O_RDWR)
            os.write(file, struct.pack("<I", 1) + endpoint(64) + endpoint(512))
            threading.Thread(target=stream, args=(file,), daemon=True).start()
        try:
            answer(control, tuple(request))
        except OSError:
            continue  # stalled


if __name__ == "__main__":
    main()
