import { usePaginatedQuery } from "convex/react";
import { useCallback, useState } from "react";
import { api } from "../_generated/api.js";
import { ago } from "../app/time";
import { useNow } from "../app/useNow";
import { useSession } from "../auth/session";
import { ButtonLink } from "../design";
import { Wall } from "../gallery/Wall";
import { useKept } from "../image/Deletions";
import { describe, keyOf } from "../image/derived";
import { Stage } from "../image/Stage";
import type { PublicGalleryImage } from "../image/types";
import { EmptyWall } from "./EmptyWall";

const FIRST = { initialNumItems: 16 };
const MORE = 48;

/** What members show to everybody, the latest first, live and without end. */
export function PublicGallery() {
  const { results, status, loadMore } = usePaginatedQuery(api.images.getPublicGallery, {}, FIRST);
  const images = useKept(results);
  const [openKey, setOpenKey] = useState<string | null>(null);
  const more = useCallback(() => loadMore(MORE), [loadMore]);
  const at = openKey === null ? -1 : images.findIndex((image) => keyOf(image) === openKey);
  const open = images[at];
  return (
    <>
      <Wall
        images={images}
        label="Public gallery"
        testid="public-gallery"
        onOpen={(image) => setOpenKey(keyOf(image))}
        isLoading={status === "LoadingFirstPage" || status === "LoadingMore"}
        hasMore={status === "CanLoadMore"}
        onLoadMore={more}
        empty={<EmptyWall />}
        end={<p className="fin">To be continued…</p>}
      />
      {open && (
        <PublicModal
          image={open}
          onClose={() => setOpenKey(null)}
          hasPrevious={at > 0}
          hasNext={at < images.length - 1}
          onStep={(by) => {
            const next = images[at + by];
            if (next) setOpenKey(keyOf(next));
            if (at + by > images.length - 3 && status === "CanLoadMore") more();
          }}
        />
      )}
    </>
  );
}

type ModalProps = { image: PublicGalleryImage; onClose: () => void; onStep: (by: 1 | -1) => void; hasPrevious: boolean; hasNext: boolean };

function PublicModal({ image, ...stepping }: ModalProps) {
  const now = useNow();
  const { isSignedIn } = useSession();
  return (
    <Stage image={image} title={describe(image, now)} {...stepping}>
      <div>
        <p className="stage-title" aria-hidden="true">Leaked</p>
        <p className="side-when">{ago(image.featuredAt ?? image.createdAt, now)}, by somebody who keeps their name to themselves.</p>
      </div>
      <div className="side-part">
        <p>It was a photo once. Yours can leak, too: it takes about as long as reading this.</p>
        <div className="side-tools">
          <ButtonLink look="hot" href="/" icon="picture">{isSignedIn ? "Draw one of mine" : "Draw my photo"}</ButtonLink>
        </div>
      </div>
    </Stage>
  );
}
