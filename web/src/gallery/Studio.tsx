import { usePaginatedQuery, useQuery } from "convex/react";
import { useCallback, useState } from "react";
import { api } from "../_generated/api.js";
import { Drop } from "../app/Wordmark";
import { useSession } from "../auth/session";
import { EmptyState } from "../design";
import { useKept } from "../image/Deletions";
import { Desk } from "../upload/Desk";
import { FailedImages } from "./FailedImages";
import { ImagePreview } from "./ImagePreview";
import "./studio.css";

const FIRST = { initialNumItems: 12 };
const MORE = 48;

/** The member's own page: where photos go in and drawings come out. */
export default function Studio() {
  const { name } = useSession();
  const { results, status, loadMore } = usePaginatedQuery(api.images.getGalleryImagesPaginated, {}, FIRST);
  const images = useKept(results);
  const total = (useQuery(api.images.getGalleryImagesCount, {}) ?? images.length) - (results.length - images.length);
  const isDrawing = useQuery(api.images.hasActiveGenerations, {}) ?? false;
  const more = useCallback(() => loadMore(MORE), [loadMore]);
  const [said, setSaid] = useState("");
  return (
    <div className="page studio">
      <div className="studio-top">
        <h1 className="shout"><span>Ready when</span> <span>you are,</span> <em data-length={lengthOf(name)}>{name}</em></h1>
        <Desk />
      </div>
      <FailedImages />
      <section aria-labelledby="mine-title">
        <div className="studio-head">
          <h2 id="mine-title">My drawings</h2>
          <span className="studio-count" data-testid="count">{total}</span>
          <span className="studio-activity" role="status" data-testid="activity" data-active={isDrawing}>
            {isDrawing && <><Drop size={24} /> Drawing…</>}
          </span>
        </div>
        <ImagePreview
          images={images}
          totalImages={total}
          onLoadMore={more}
          hasMore={status === "CanLoadMore"}
          isLoading={status === "LoadingFirstPage" || status === "LoadingMore"}
          onDeleted={() => setSaid("Deleted. It can be undone for a few seconds.")}
          empty={
            <EmptyState title="The page is blank">
              <p>Your first photo turns up here the moment you drop it, and turns into a drawing while you look.</p>
            </EmptyState>
          }
        />
        <p className="unseen" role="status">{said}</p>
      </section>
    </div>
  );
}

/** Long names are set smaller. */
function lengthOf(name: string | null): "short" | "long" | "endless" {
  const length = name?.length ?? 0;
  if (length < 10) return "short";
  return length < 18 ? "long" : "endless";
}
