import { useMutation } from "convex/react";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { api } from "../_generated/api.js";
import type { Id } from "../_generated/dataModel.js";
import { sentence } from "../app/errors";
import { lastToken } from "../auth/lastToken";
import { useToast } from "../design";

/** How long a deletion can be taken back. */
const UNDO_MS = 6_000;

type Deletions = {
  /** What is on its way out, and shown nowhere any more. */
  hidden: ReadonlySet<Id<"images">>;
  remove: (imageId: Id<"images">, what: string) => void;
};

const DeletionsContext = createContext<Deletions | null>(null);

export function useDeletions(): Deletions {
  const deletions = useContext(DeletionsContext);
  if (!deletions) throw new Error("useDeletions needs a DeletionsProvider around it.");
  return deletions;
}

/** Without what is on its way out. */
export function useKept<T extends { _id: Id<"images"> }>(images: readonly T[]): readonly T[] {
  const { hidden } = useDeletions();
  return useMemo(() => (hidden.size === 0 ? images : images.filter(({ _id }) => !hidden.has(_id))), [images, hidden]);
}

/** Deletes after a few seconds in which it can be taken back; at once when the page is left. */
export function DeletionsProvider({ children }: { children: ReactNode }) {
  const [hidden, setHidden] = useState<ReadonlySet<Id<"images">>>(new Set());
  const waiting = useRef(new Map<Id<"images">, ReturnType<typeof setTimeout>>());
  const deleteImage = useMutation(api.images.deleteImage);
  const { say } = useToast();

  const show = useCallback((imageId: Id<"images">) => {
    setHidden((before) => new Set([...before].filter((each) => each !== imageId)));
  }, []);

  const remove = useCallback(
    (imageId: Id<"images">, what: string) => {
      if (waiting.current.has(imageId)) return;
      setHidden((before) => new Set(before).add(imageId));
      const commit = () => {
        waiting.current.delete(imageId);
        // What is gone stays hidden: its id never comes back.
        deleteImage({ imageId, includeGenerated: true }).catch((error: unknown) => {
          show(imageId);
          say({ text: sentence(error), kind: "problem" });
        });
      };
      waiting.current.set(imageId, setTimeout(commit, UNDO_MS));
      const undo = () => {
        const timer = waiting.current.get(imageId);
        if (timer === undefined) return;
        clearTimeout(timer);
        waiting.current.delete(imageId);
        show(imageId);
      };
      say({ text: `${what} deleted.`, action: { label: "Undo", onPress: undo }, staysMs: UNDO_MS });
    },
    [deleteImage, say, show],
  );

  useEffect(() => {
    const leave = () => {
      const token = lastToken();
      for (const [imageId, timer] of waiting.current) {
        clearTimeout(timer);
        if (token) deleteOnLeaving(imageId, token);
      }
      waiting.current.clear();
    };
    addEventListener("pagehide", leave);
    return () => removeEventListener("pagehide", leave);
  }, []);

  const deletions = useMemo(() => ({ hidden, remove }), [hidden, remove]);
  return <DeletionsContext value={deletions}>{children}</DeletionsContext>;
}

/** A socket dies with its page; a request that is kept alive does not. */
function deleteOnLeaving(imageId: Id<"images">, token: string) {
  void fetch("/api/mutation", {
    method: "POST",
    keepalive: true,
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ path: "images:deleteImage", args: { imageId, includeGenerated: true }, format: "json" }),
  });
}
