import { useState } from "react";
import { placeholderOf, sameOrigin } from "./derived";
import "./picture.css";

const RETRY_MS = 2_500;

type PictureProps = {
  image: { url?: string; placeholderBlurDataUrl?: string };
  alt?: string;
  /** For what is in sight at once. */
  eager?: boolean;
  fit?: "cover" | "contain";
};

/** A blurred stand-in, the real picture fading in over it; a picture with another address leaks over the one before. */
export function Picture({ image, alt = "", eager = false, fit = "cover" }: PictureProps) {
  const url = sameOrigin(image.url);
  const blur = placeholderOf(image);
  const [shown, setShown] = useState<{ under: string | null; top: string | null }>({ under: null, top: null });
  const [settled, setSettled] = useState<string | null>(null);
  const [attempt, setAttempt] = useState({ url, count: 0 });
  const count = attempt.url === url ? attempt.count : 0;
  const isIn = shown.top === url && url !== null;
  const isBroken = count > 1;
  const under = isIn ? shown.under : shown.top;
  return (
    <span className={`picture picture-${fit}`} data-loaded={isIn} data-broken={isBroken || undefined}>
      {blur && settled !== url && <img className="picture-blur" src={blur} alt="" />}
      {under && <img className="picture-under" src={under} alt="" />}
      {url && !isBroken && (
        <img
          key={`${url} ${count}`}
          className={`picture-real ${isIn ? "is-in" : ""} ${isIn && under ? "is-leaking" : ""}`}
          src={url}
          alt={alt}
          loading={eager ? "eager" : "lazy"}
          decoding="async"
          onLoad={() => setShown((before) => (before.top === url ? before : { under: before.top, top: url }))}
          onTransitionEnd={() => setSettled(url)}
          onError={() => setTimeout(() => setAttempt({ url, count: count + 1 }), count === 0 ? RETRY_MS : 0)}
        />
      )}
      {isBroken && <span className="picture-broken">This picture did not arrive.</span>}
    </span>
  );
}
