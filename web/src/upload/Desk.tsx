import { useRef } from "react";
import { Drop } from "../app/Wordmark";
import { Button } from "../design";
import { usePurchase } from "../credits/PurchaseProvider";
import { JobCard } from "./JobCard";
import { uploadStateOf } from "./machine";
import { useTaking } from "./UploadsProvider";
import { Webcam } from "./Webcam";
import "./desk.css";

const ACCEPT = "image/*,.heic,.heif";

/** Where photos come in, and where those on their way are seen. */
export function Desk() {
  const taking = useTaking();
  const { open } = usePurchase();
  const picker = useRef<HTMLInputElement>(null);
  const phone = useRef<HTMLInputElement>(null);
  if (!taking) return null;
  const { uploads, dispatch, dismiss, take } = taking;
  const { isCapturing } = uploadStateOf(uploads);
  const isDry = uploads.credits === 0;
  const files = (event: React.ChangeEvent<HTMLInputElement>) => {
    take([...(event.target.files ?? [])]);
    event.target.value = "";
  };
  function camera() {
    // A phone's own camera beats any of ours.
    if (matchMedia("(pointer: coarse)").matches) phone.current?.click();
    else dispatch({ type: "cameraOpened" });
  }
  return (
    <div className="desk" data-testid="desk" data-desk={uploads.desk}>
      <div className="feed" data-dry={isDry || undefined}>
        <Drop size={92} />
        <div className="feed-words">
          <h2 className="feed-title">{isDry ? "Out of ink" : "Feed me a photo"}</h2>
          <p className="feed-ways">
            {isDry ? "Your credits are used up. What you drop now waits here until there are new ones." : "Drop it anywhere, paste it, or"}
          </p>
        </div>
        <div className="feed-row">
          {isDry && <Button look="hot" size="l" onClick={open} data-testid="get-credits">Get credits</Button>}
          <Button look={isDry ? "plain" : "hot"} size="l" icon="picture" onClick={() => picker.current?.click()} data-testid="pick">Pick photos</Button>
          <Button size="l" icon="camera" onClick={camera} data-testid="camera">Camera</Button>
        </div>
        <input ref={picker} className="unseen" type="file" multiple accept={ACCEPT} tabIndex={-1} aria-label="Photos to draw" data-testid="file-input" onChange={files} />
        <input ref={phone} className="unseen" type="file" accept="image/*" capture="environment" tabIndex={-1} aria-label="A photo from the camera" onChange={files} />
      </div>
      {uploads.jobs.length > 0 && (
        <ul className="jobs" role="list" aria-label="Photos on their way" data-testid="tray">
          {uploads.jobs.map((job) => (
            <JobCard
              key={job.id}
              job={job}
              onRetry={() => dispatch({ type: "retried", id: job.id })}
              onDismiss={() => dismiss(job)}
              onBuy={open}
            />
          ))}
        </ul>
      )}
      {isCapturing && <Webcam onShot={(file) => take([file])} onClose={() => dispatch({ type: "cameraClosed" })} />}
    </div>
  );
}
