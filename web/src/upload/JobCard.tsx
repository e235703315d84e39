import type { CSSProperties } from "react";
import { Button, IconButton, Spinner } from "../design";
import { isRunning, type Job } from "./machine";
import { isHeic } from "./photo";

const WORDS = {
  queued: "In line",
  waiting: "Waits for credits",
  preparing: "Preparing…",
  uploading: "Uploading…",
  scheduling: "Handing it to the ink…",
};

/** One photo on its way: how far it is, and what to do when it got stuck. */
export function JobCard({ job, onRetry, onDismiss, onBuy }: { job: Job; onRetry: () => void; onDismiss: () => void; onBuy: () => void }) {
  const { file, phase, progress, preview, problem } = job;
  const percent = progress === null ? null : Math.round(progress * 100);
  const style: CSSProperties & Record<"--filled", string> = { "--filled": `${percent ?? (phase === "scheduling" ? 100 : 0)}%` };
  return (
    <li className="job" data-testid="upload" data-state={phase} style={style}>
      <span className="job-thumb">
        {preview ? <img src={preview} alt="" /> : isHeic(file) ? <HeicThumb /> : isRunning(job) && <Spinner size={22} />}
      </span>
      <div className="job-text">
        <p className="job-name">{file.name}</p>
        <p className="job-state" data-testid="upload-state">
          {/* Only the words are spoken; the numbers would never stop talking. */}
          <span role="status">{phase === "failed" ? problem?.sentence : WORDS[phase]}</span>
          {percent !== null && <span> {percent} %</span>}
        </p>
        {isRunning(job) && <progress className="job-bar" max={100} value={percent ?? undefined} aria-label={`Upload of ${file.name}`} />}
      </div>
      {phase === "failed" && problem?.canRetry && <Button size="s" look="solid" icon="retry" onClick={onRetry} data-testid="retry">Retry</Button>}
      {phase === "waiting" && <Button size="s" look="hot" onClick={onBuy}>Get credits</Button>}
      <IconButton label={`Dismiss ${file.name}`} icon="close" size={18} onClick={onDismiss} data-testid="dismiss" />
    </li>
  );
}

/** iPhones' own format: the server reads it, most browsers cannot show it. */
function HeicThumb() {
  return <span className="job-heic" title="A photo from an iPhone; it shows once it is drawn">HEIC</span>;
}
