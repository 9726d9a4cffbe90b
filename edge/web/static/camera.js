/** The camera: started, stopped, exchanged for another one. */

/** What to do about each reason that a browser gives, by its name. */
const REMEDIES = {
  NotAllowedError:
    "The camera was denied; allow it in the settings of this page (beside the address), or choose a photo.",
  NotFoundError: "This device has no camera that the browser knows of; choose a photo.",
  NotReadableError: "Another program holds the camera; close it and try again, or choose a photo.",
};
const NO_CAMERA_HERE =
  "Browsers give a camera only to https:// pages and to those of this machine; choose a photo, or " +
  "open the page by https.";

/** A camera that cannot be had; its message says why and what to do. */
export class CameraError extends Error {}

export class Camera {
  /**
   * @param {HTMLVideoElement} video  that shows it
   * @param {() => void} onLost  called when it is unplugged, or taken away
   */
  constructor(video, onLost) {
    this.video = video;
    this.onLost = onLost;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.facing = "environment"; // away from the person, on a phone
  }

  get isOn() {
    return this.stream !== null;
  }

  async start() {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) throw new CameraError(NO_CAMERA_HERE);
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: this.facing, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      this.stream.getVideoTracks()[0].addEventListener("ended", this.onLost);
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.stop();
      const { name, message } = /** @type {Error} */ (error);
      const known = REMEDIES[/** @type {keyof typeof REMEDIES} */ (name)];
      throw new CameraError(known ?? `The camera does not start (${message}); choose a photo.`);
    }
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Take the one on the other side. */
  async exchange() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    await this.start();
  }

  /** @returns {Promise<boolean>}  whether there is more than one */
  async hasOthers() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").length > 1;
  }

  /** Wait for a frame that has not been seen. @returns {Promise<void>} */
  nextFrame() {
    return new Promise((resolve) => {
      if ("requestVideoFrameCallback" in this.video) {
        this.video.requestVideoFrameCallback(() => resolve());
      } else {
        requestAnimationFrame(() => resolve());
      }
    });
  }
}
