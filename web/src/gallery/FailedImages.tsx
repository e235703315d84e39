import { useMutation, useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../_generated/api.js";
import { refusalOf, sentence } from "../app/errors";
import { ago } from "../app/time";
import { useNow } from "../app/useNow";
import { usePurchase } from "../credits/PurchaseProvider";
import { Button, useToast } from "../design";
import { useDeletions, useKept } from "../image/Deletions";
import { Picture } from "../image/Picture";
import type { FailedImage } from "../image/types";
import "./failed.css";

const NONE: FailedImage[] = [];

/** Photos that could not be drawn, each with its reason and what can be done about it. */
export function FailedImages() {
  const failed = useKept(useQuery(api.images.getFailedImages, {}) ?? NONE);
  const now = useNow();
  if (failed.length === 0) return null;
  return (
    <section className="failed" aria-labelledby="failed-title" data-testid="failed">
      <h3 id="failed-title">{failed.length === 1 ? "This one would not dry" : "These would not dry"}</h3>
      <ul className="failed-list" role="list">
        {failed.map((image) => <FailedCard key={image._id} image={image} now={now} />)}
      </ul>
    </section>
  );
}

function FailedCard({ image, now }: { image: FailedImage; now: number }) {
  const retry = useMutation(api.images.retryOriginal);
  const { remove } = useDeletions();
  const { open } = usePurchase();
  const { say } = useToast();
  const [busy, setBusy] = useState(false);
  async function again() {
    setBusy(true);
    try {
      await retry({ imageId: image._id });
    } catch (error) {
      if (refusalOf(error)?.code === "INSUFFICIENT_CREDITS") open();
      else say({ text: sentence(error), kind: "problem" });
    } finally {
      setBusy(false);
    }
  }
  return (
    <li className="failed-card" data-testid="failed-image" data-image-id={image._id}>
      <div className="failed-thumb"><Picture image={image} /></div>
      <div>
        <p>{image.generationError || "The drawing did not work out."}</p>
        <p className="failed-when">Photo from {ago(image.createdAt, now)}</p>
        <div className="failed-row">
          <Button size="s" look="solid" icon="retry" busy={busy} onClick={again} data-testid="retry-original">Try again</Button>
          <Button size="s" look="quiet" icon="trash" onClick={() => remove(image._id, "Photo")} data-testid="delete">Delete</Button>
        </div>
      </div>
    </li>
  );
}
