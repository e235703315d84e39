import { useMutation, usePaginatedQuery } from "convex/react";
import { useEffect, useRef, useState } from "react";
import { api } from "../_generated/api";
import type { ImageWithUrl } from "../_generated/api";
import { Badge, Button, ButtonLink, Dialog, IconButton } from "../design";
import { AllWell, Ident, Listing, Moment, ReasonDialog, RoomHead, useDeed } from "./parts";
import { carried, type Deed, deedOf, KEYS, stepped } from "./queue";
import { Pair } from "./Overview";

const PAGE = 30;
const NEAR_THE_END = 5;
const OFTEN = ["Shows somebody who did not agree", "Not for everybody's eyes", "Somebody else's work", "Spam"];
const ROOMS = {
  pending: {
    query: api.admin.getPendingFeaturedImages,
    title: "Review",
    says: "Pictures whose owners want them on the wall, the latest first.",
    empty: "All looked at",
    emptySays: "What somebody features next appears here by itself.",
  },
  wall: {
    query: api.admin.getAdminFeaturedImages,
    title: "The wall",
    says: "Everything that is featured; what was disabled comes first.",
    empty: "Nothing is featured",
    emptySays: "",
  },
} as const;

/** Pictures one by one, by mouse or by keys. The list is live: what somebody else decided leaves it under one's hands. */
export function Review({ of }: { of: "pending" | "wall" }) {
  const room = ROOMS[of];
  const paginated = usePaginatedQuery(room.query, {}, { initialNumItems: PAGE });
  return (
    <>
      <RoomHead title={room.title} says={room.says} />
      <Listing paginated={paginated} empty={<AllWell title={room.empty}>{room.emptySays && <p>{room.emptySays}</p>}</AllWell>}>
        {(images) => (
          <Desk
            images={images}
            onNearTheEnd={() => {
              if (paginated.status === "CanLoadMore") paginated.loadMore(PAGE);
            }}
          />
        )}
      </Listing>
    </>
  );
}

function Desk({ images, onNearTheEnd }: { images: ImageWithUrl[]; onNearTheEnd: () => void }) {
  const [selected, select] = useSelection(images.map((image) => image._id));
  const [asks, setAsks] = useState<"reject" | "disable" | null>(null);
  const [showsKeys, setShowsKeys] = useState(false);
  const approve = useMutation(api.admin.approveFeaturedImage);
  const reject = useMutation(api.admin.rejectFeaturedImage);
  const disable = useMutation(api.admin.disableFeaturedImage);
  const enable = useMutation(api.admin.enableFeaturedImage);
  const { busy, run } = useDeed();
  const at = images.findIndex((image) => image._id === selected);
  const image = images[at];
  useEffect(() => {
    if (at >= images.length - NEAR_THE_END) onNearTheEnd();
  }, [at, images.length, onNearTheEnd]);

  function act(deed: Deed) {
    if (deed === "keys") return setShowsKeys(true);
    if (!image) return;
    const imageId = image._id;
    if (deed === "next" || deed === "before") select(stepped(images.map((each) => each._id), imageId, deed === "next" ? 1 : -1));
    if (deed === "approve" && image.featureApprovedAt === undefined) void run(() => approve({ imageId }), "Approved: it is on the wall.");
    if (deed === "enable" && image.isDisabledByAdmin) void run(() => enable({ imageId }), "Enabled: it shows again.");
    if (deed === "reject") setAsks("reject");
    if (deed === "disable" && !image.isDisabledByAdmin) setAsks("disable");
    if (deed === "open") open(`/share/${imageId}`, "_blank", "noopener");
  }
  useKeys(act);

  return (
    <div className="admin-desk">
      <ul className="admin-strip" aria-label="Pictures" data-testid="strip">
        {images.map((each) => (
          <Thumb key={each._id} image={each} selected={each._id === selected} onSelect={() => select(each._id)} />
        ))}
      </ul>
      {image && (
        <section className="admin-stage" aria-label="The selected picture" data-testid="stage" data-image-id={image._id}>
          <div className="admin-stage-picture">
            <img
              src={image.url}
              alt="The picture under review"
              width={image.originalWidth}
              height={image.originalHeight}
            />
          </div>
          <div className="admin-stage-acts">
            {image.isDisabledByAdmin ? (
              <Button look="hot" icon="check" busy={busy} onClick={() => act("enable")} data-testid="enable">Enable <Key of="e" /></Button>
            ) : image.featureApprovedAt === undefined ? (
              <Button look="hot" icon="check" busy={busy} onClick={() => act("approve")} data-testid="approve">Approve <Key of="a" /></Button>
            ) : null}
            <Button icon="close" onClick={() => act("reject")} data-testid="reject">Reject <Key of="r" /></Button>
            {!image.isDisabledByAdmin && (
              <Button look="danger" icon="warning" onClick={() => act("disable")} data-testid="disable">Disable <Key of="d" /></Button>
            )}
            <span className="admin-stage-steps">
              <IconButton icon="up" label="The one before (k)" onClick={() => act("before")} disabled={at === 0} />
              <IconButton icon="down" label="The next picture (j)" onClick={() => act("next")} disabled={at === images.length - 1} />
              <Button size="s" look="quiet" onClick={() => setShowsKeys(true)}>Keys <Key of="?" /></Button>
            </span>
          </div>
          <Facts image={image} place={`${at + 1} of ${images.length}`} />
        </section>
      )}
      {image && asks === "reject" && (
        <ReasonDialog
          title="Reject this picture"
          says="It leaves the wall. Its owner reads the reason and may feature it again."
          verb="Reject"
          often={OFTEN}
          onClose={() => setAsks(null)}
          onGiven={(reason) => run(() => reject({ imageId: image._id, reason }), "Rejected. Its owner reads why.")}
        />
      )}
      {image && asks === "disable" && (
        <ReasonDialog
          title="Disable this picture"
          says="Nobody but its owner sees it any more, not even by its link. Its owner reads the reason."
          verb="Disable"
          danger
          often={OFTEN}
          onClose={() => setAsks(null)}
          onGiven={(reason) => run(() => disable({ imageId: image._id, reason }), "Disabled. Nobody but its owner sees it.")}
        />
      )}
      {showsKeys && <KeysDialog onClose={() => setShowsKeys(false)} />}
    </div>
  );
}

/** The selected picture's id, which stays sensible while the list changes. */
function useSelection(ids: string[]) {
  const [state, setState] = useState<{ ids: string[]; selected: string | null }>({ ids: [], selected: null });
  const selected = carried(state.ids, ids, state.selected);
  if (selected !== state.selected || ids.join() !== state.ids.join()) setState({ ids, selected });
  return [selected, (id: string | null) => setState({ ids, selected: id })] as const;
}

/** Listens on the whole page, except where somebody writes or a dialog asks something. */
function useKeys(act: (deed: Deed) => void) {
  const latest = useRef(act);
  useEffect(() => {
    latest.current = act;
  });
  useEffect(() => {
    function press(event: KeyboardEvent) {
      const target = event.target as HTMLElement;
      const isWriting = target.matches("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]") !== null;
      const deed = event.defaultPrevented || event.repeat ? null : deedOf(event, isWriting);
      if (!deed) return;
      event.preventDefault();
      latest.current(deed);
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function Thumb({ image, selected, onSelect }: { image: ImageWithUrl; selected: boolean; onSelect: () => void }) {
  const ref = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!selected) return;
    ref.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
    // The focus walks with the selection once it is in the strip, and is never taken from elsewhere.
    const focused = document.activeElement;
    if (focused?.classList.contains("admin-thumb") || focused === document.body) ref.current?.focus({ preventScroll: true });
  }, [selected]);
  const state = image.isDisabledByAdmin ? "disabled" : image.featureApprovedAt === undefined ? "not reviewed" : "approved";
  return (
    <li>
      <button
        ref={ref}
        type="button"
        className="admin-thumb"
        aria-current={selected ? "true" : undefined}
        tabIndex={selected ? 0 : -1}
        data-image-id={image._id}
        data-state={state}
        onClick={onSelect}
      >
        <img src={image.url} alt={`Picture, ${state}`} loading="lazy" />
      </button>
    </li>
  );
}

function Facts({ image, place }: { image: ImageWithUrl; place: string }) {
  return (
    <dl className="admin-pairs admin-stage-facts">
      <Pair name="In the list">{place}</Pair>
      <Pair name="State">
        {image.isDisabledByAdmin ? <Badge variant="destructive">Disabled</Badge> : image.featureApprovedAt === undefined ? <Badge variant="outline">Not reviewed</Badge> : <Badge>Approved</Badge>}
      </Pair>
      {image.disabledByAdminReason && <Pair name="Disabled because">{image.disabledByAdminReason}</Pair>}
      {image.featureRejectionReason && <Pair name="Rejected before because">{image.featureRejectionReason}</Pair>}
      {image.featuredAt !== undefined && <Pair name="Featured"><Moment at={image.featuredAt} /></Pair>}
      <Pair name="Drawn"><Moment at={image.createdAt} /></Pair>
      {image.userId && <Pair name="Owner"><Ident>{image.userId}</Ident></Pair>}
      <Pair name="By its link"><ButtonLink size="s" look="quiet" icon="external" href={`/share/${image._id}`} target="_blank" rel="noopener">Open</ButtonLink></Pair>
    </dl>
  );
}

function Key({ of }: { of: string }) {
  return <kbd aria-hidden="true">{of}</kbd>;
}

function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose} testid="keys">
      <dl className="admin-keys">
        {KEYS.map(({ key, says }) => (
          <div key={key}>
            <dt><kbd>{key}</kbd></dt>
            <dd>{says}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
