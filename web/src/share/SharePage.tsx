import { useQuery } from "convex/react";
import type { CSSProperties } from "react";
import { api } from "../_generated/api.js";
import type { Id } from "../_generated/dataModel.js";
import { fromNow } from "../app/time";
import { useNow } from "../app/useNow";
import { useSession } from "../auth/session";
import { ButtonLink, EmptyState, Icon, Spinner } from "../design";
import { describe } from "../image/derived";
import { Picture } from "../image/Picture";
import type { SharedImage } from "../image/types";
import "./share.css";

/** A picture by its link; goes dark by itself at the moment the link ends. */
export default function SharePage({ imageId }: { imageId: string }) {
  const image = useQuery(api.images.getImageById, { imageId: imageId as Id<"images"> });
  if (image === undefined) return <div className="share"><Spinner label="Loading the picture" size={40} /></div>;
  if (image === null) {
    return (
      <div className="share">
        <EmptyState title="This picture has dried up">
          <p>Its link has ended, or it never led anywhere. Whoever sent it to you can open it again.</p>
          <ButtonLink look="hot" href="/gallery">See what others drew</ButtonLink>
        </EmptyState>
      </div>
    );
  }
  return <Shared image={image} />;
}

function Shared({ image }: { image: SharedImage }) {
  const now = useNow();
  const { isSignedIn } = useSession();
  const ratio = (image.originalWidth ?? 1) / (image.originalHeight ?? 1);
  const style: CSSProperties & Record<"--ratio", number> = { "--ratio": ratio > 0 && Number.isFinite(ratio) ? ratio : 1 };
  return (
    <article className="share" data-testid="shared-image">
      <h1 className="unseen">{describe(image, now)}</h1>
      <div className="share-frame" style={style}><Picture image={image} alt={describe(image, now)} eager fit="contain" /></div>
      <div className="share-words">
        <p className="share-title">Somebody leaked this to you.</p>
        {image.shareExpiresAt !== undefined && <p className="share-ends"><Icon name="clock" size={17} /> The link ends {fromNow(image.shareExpiresAt, now)}.</p>}
        <ButtonLink look="hot" size="l" href="/">{isSignedIn ? "Draw one of mine" : "Draw my photo"}</ButtonLink>
      </div>
    </article>
  );
}
