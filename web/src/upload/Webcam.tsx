import { useEffect, useRef, useState } from "react";
import { Button, Dialog, IconButton, Spinner } from "../design";
import "./webcam.css";

type WebcamProps = { onShot: (file: File) => void; onClose: () => void };
type Facing = "user" | "environment";
type State = "asking" | "live" | "shot" | "refused";

const QUALITY = 0.92;
const LARGEST = 1920;

/** The camera of a desktop: look, press, and keep it or try again. */
export function Webcam({ onShot, onClose }: WebcamProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [facing, setFacing] = useState<Facing>("user");
  const [state, setState] = useState<State>("asking");
  const [problem, setProblem] = useState("");
  const [cameras, setCameras] = useState(1);
  const [shot, setShot] = useState<{ file: File; url: string } | null>(null);

  useEffect(() => {
    let stream: MediaStream | null = null;
    let gone = false;
    setState("asking");
    openCamera(facing)
      .then(async (opened) => {
        stream = opened;
        if (gone || !video.current) return stop(opened);
        video.current.srcObject = opened;
        await video.current.play().catch(() => {});
        setState("live");
        const devices = await navigator.mediaDevices.enumerateDevices();
        setCameras(devices.filter(({ kind }) => kind === "videoinput").length);
      })
      .catch((error: unknown) => {
        if (gone) return;
        setProblem(whyNot(error));
        setState("refused");
      });
    return () => {
      gone = true;
      if (stream) stop(stream);
    };
  }, [facing]);
  useEffect(() => () => {
    if (shot) URL.revokeObjectURL(shot.url);
  }, [shot]);

  async function press() {
    const file = video.current && (await photograph(video.current, facing === "user"));
    if (!file) return;
    setShot({ file, url: URL.createObjectURL(file) });
    setState("shot");
  }
  function again() {
    setShot(null);
    setState("live");
  }
  return (
    <Dialog title="Smile" onClose={onClose} className="webcam" testid="webcam">
      <div className="webcam-view" data-state={state}>
        <video ref={video} className={facing === "user" ? "is-mirrored" : ""} playsInline muted hidden={state !== "live"} />
        {state === "asking" && <Spinner label="Opening the camera" size={40} />}
        {state === "refused" && <p role="alert">{problem}</p>}
        {shot && state === "shot" && <img src={shot.url} alt="What you just took" />}
      </div>
      <div className="webcam-row">
        {state === "shot" && shot ? (
          <>
            <Button onClick={again} icon="retry">Again</Button>
            <Button
              look="hot"
              icon="check"
              autoFocus
              onClick={() => {
                onShot(shot.file);
                onClose();
              }}
              data-testid="use-shot"
            >
              Draw this one
            </Button>
          </>
        ) : (
          <>
            <button type="button" className="shutter" aria-label="Take the picture" disabled={state !== "live"} onClick={press} data-testid="shutter" />
            {cameras > 1 && <IconButton label="Other camera" icon="flip" onClick={() => setFacing(facing === "user" ? "environment" : "user")} />}
          </>
        )}
      </div>
    </Dialog>
  );
}

async function openCamera(facing: Facing): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException("insecure", "SecurityError");
  return navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: LARGEST } }, audio: false });
}

function stop(stream: MediaStream) {
  for (const track of stream.getTracks()) track.stop();
}

function whyNot(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
      return "The camera stays closed, because this page may not use it. You can allow it beside the address above.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "There is no camera here. Pick a photo instead.";
    case "NotReadableError":
      return "Another program holds the camera. Close it and try again.";
    case "SecurityError":
      return "Browsers open the camera only on secure pages (https).";
    default:
      return "The camera did not open. Pick a photo instead.";
  }
}

/** As it was seen: mirrored where the preview was. */
async function photograph(video: HTMLVideoElement, mirrored: boolean): Promise<File | null> {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  if (!context || canvas.width === 0) return null;
  if (mirrored) {
    context.translate(canvas.width, 0);
    context.scale(-1, 1);
  }
  context.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  return blob && new File([blob], "camera.jpg", { type: "image/jpeg" });
}
