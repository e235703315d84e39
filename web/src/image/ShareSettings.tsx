import { useState } from "react";
import { sentence } from "../app/errors";
import { fromNow } from "../app/time";
import { useNow } from "../app/useNow";
import { Button, Icon, SelectField, Switch, useToast } from "../design";
import { shareUrlOf } from "./derived";
import type { GalleryImageType } from "./types";
import { useShareSettings } from "./useFeature";

const LIFETIMES = [
  { hours: 0, words: "until I turn it off" },
  { hours: 1, words: "for an hour" },
  { hours: 24, words: "for a day" },
  { hours: 24 * 7, words: "for a week" },
  { hours: 24 * 30, words: "for a month" },
];

/** Whether the link works, and until when; the link itself. */
export function ShareSettings({ image }: { image: GalleryImageType }) {
  const share = useShareSettings();
  const { say } = useToast();
  const now = useNow();
  const [copied, setCopied] = useState(false);
  const isShared = image.sharingEnabled !== false;
  const endsAt = isShared ? image.shareExpiresAt : undefined;
  const isOver = endsAt !== undefined && endsAt <= now;
  const url = shareUrlOf(image);

  function change(sharingEnabled: boolean, expirationHours: number) {
    share({ imageId: image._id, sharingEnabled, expirationHours }).catch((error: unknown) =>
      say({ text: sentence(error), kind: "problem" }),
    );
  }
  async function copy() {
    try {
      await navigator.clipboard.writeText(url);
      setCopied(true);
      setTimeout(() => setCopied(false), 2_500);
    } catch {
      say({ text: "Your browser did not let us copy. The link is in the field, ready to be picked up.", kind: "problem" });
    }
  }

  return (
    <section className="side-part" data-testid="share-settings">
      <Switch
        label="Share by link"
        hint={isShared ? "Whoever has the link sees the drawing." : "The link leads nowhere."}
        checked={isShared}
        onChange={(on) => change(on, 0)}
        testid="sharing"
      />
      {isShared && (
        <>
          <div className="link-row">
            <input className="input" readOnly value={url} aria-label="Link to this drawing" data-testid="share-url" onFocus={(event) => event.target.select()} />
            <Button look="solid" icon={copied ? "check" : "link"} onClick={copy} data-testid="copy-link">
              {copied ? "Copied" : "Copy"}
            </Button>
          </div>
          {"share" in navigator && (
            <Button size="s" icon="share" onClick={() => navigator.share({ url, title: "Anime Leak" }).catch(() => {})}>
              Send it to somebody
            </Button>
          )}
          <SelectField
            label="The link works"
            value="now"
            data-testid="share-lifetime"
            onChange={(event) => change(true, Number(event.target.value))}
          >
            <option value="now" hidden>
              {endsAt === undefined ? LIFETIMES[0]?.words : isOver ? "no longer" : `for now, and ends ${fromNow(endsAt, now)}`}
            </option>
            {LIFETIMES.map(({ hours, words }) => (
              <option key={hours} value={hours}>{words}</option>
            ))}
          </SelectField>
          {endsAt !== undefined && (
            <p className="side-note" role="status" data-testid="share-ends">
              <Icon name="clock" size={17} /> {isOver ? "The link has expired. Choose a new time to open it again." : `Ends ${fromNow(endsAt, now)}.`}
            </p>
          )}
        </>
      )}
    </section>
  );
}
