import { useState } from "react";
import { sentence } from "../app/errors";
import { Icon, Switch, useToast } from "../design";
import { standingOf } from "./derived";
import type { GalleryImageType } from "./types";
import { useFeature } from "./useFeature";

/** Asks for a place in the public gallery, and tells what a moderator said. */
export function FeatureRequest({ image }: { image: GalleryImageType }) {
  const feature = useFeature();
  const { say } = useToast();
  const [busy, setBusy] = useState(false);
  const standing = standingOf(image);
  async function change(isFeatured: boolean) {
    setBusy(true);
    try {
      await feature({ imageId: image._id, isFeatured });
    } catch (error) {
      say({ text: sentence(error), kind: "problem" });
    } finally {
      setBusy(false);
    }
  }
  return (
    <section className="side-part" data-testid="feature-request" data-standing={standing.name}>
      <Switch
        label="In the public gallery"
        hint={HINTS[standing.name]}
        checked={image.isFeatured}
        disabled={busy || (standing.name === "hidden" && !image.isFeatured)}
        onChange={change}
        testid="feature"
      />
      {(standing.name === "hidden" || standing.name === "rejected") && (
        <p className="verdict">
          <Icon name="shield" />
          <span>
            <strong>{standing.name === "hidden" ? "A moderator hid this drawing." : "A moderator took it down."}</strong>{" "}
            {standing.reason}
          </span>
        </p>
      )}
    </section>
  );
}

const HINTS = {
  private: "Everybody may look, nobody learns whose it is.",
  featured: "Asked for. It shows there at once, or as soon as a moderator has seen it.",
  rejected: "You may ask again.",
  hidden: "Only you can see it.",
};
