import { useMutation, useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../_generated/api";
import type { BillingView } from "../_generated/api";
import { Button, Spinner, Switch, TextField } from "../design";
import { Moment, RoomHead, useDeed } from "./parts";
import { centsOf, dollars, each, money, wholeOf } from "./words";

/** What credits cost and whether featuring needs approval; both hold from the moment they are changed. */
export function Settings() {
  const billing = useQuery(api.admin.getBillingSettings);
  const moderation = useQuery(api.admin.getModerationSettings);
  if (!billing || !moderation) return <Spinner label="Loading" size={28} />;
  return (
    <>
      <RoomHead title="Settings" says="They hold from the moment they are saved, for everybody at once." />
      <div className="admin-settings">
        <Moderation requireApproval={moderation.requireApproval} />
        <Billing saved={billing} />
      </div>
    </>
  );
}

function Moderation({ requireApproval }: { requireApproval: boolean }) {
  const update = useMutation(api.admin.updateModerationSettings);
  const normalize = useMutation(api.admin.normalizeFeaturedFlags);
  const { busy, run } = useDeed();
  const tidy = useDeed();
  const [tidied, setTidied] = useState<number | null>(null);
  return (
    <section className="admin-sheet" aria-labelledby="moderation">
      <h2 id="moderation">Moderation</h2>
      <Switch
        label="Featuring needs approval"
        hint={requireApproval
          ? "A featured picture shows on the public wall only after somebody approved it."
          : "A featured picture shows at once; administrators disable what should not be there."}
        checked={requireApproval}
        disabled={busy}
        testid="require-approval"
        onChange={(next) => void run(() => update({ requireApproval: next }), next ? "From now on somebody looks first." : "From now on pictures show at once.")}
      />
      <div className="switch-row">
        <div>
          <strong>Old pictures</strong>
          <p className="field-hint">
            {tidied === null ? "Write out flags that pictures from before moderation lack. Harmless to press." : tidied === 0 ? "All pictures have their flags." : `${tidied} pictures were tidied; press again until there are none.`}
          </p>
        </div>
        <Button size="s" busy={tidy.busy} onClick={() => tidy.run(async () => setTidied(await normalize({})))}>Tidy</Button>
      </div>
    </section>
  );
}

type Draft = { price: string; pack: string; trial: string; refund: boolean };

function draftOf(saved: BillingView): Draft {
  return {
    price: dollars(saved.packPriceCents), pack: String(saved.creditsPerPack), trial: String(saved.freeTrialCredits), refund: saved.refundOnFailure,
  };
}

/** A draft is kept while somebody else saves; what they saved is said, and can be taken over. */
function Billing({ saved }: { saved: BillingView }) {
  const update = useMutation(api.admin.updateBillingSettings);
  const { busy, run } = useDeed();
  const [draft, setDraft] = useState<Draft | null>(null);
  const [base, setBase] = useState(saved.updatedAt);
  const shown = draft ?? draftOf(saved);
  const price = centsOf(shown.price);
  const pack = wholeOf(shown.pack, 1, 1_000_000);
  const trial = wholeOf(shown.trial, 0, 10_000);
  const priceIsGood = price !== null && price >= 50 && price <= 1_000_000;
  const isChanged = draft !== null && JSON.stringify(draft) !== JSON.stringify(draftOf(saved));
  const isOvertaken = isChanged && base !== saved.updatedAt;
  function edit(change: Partial<Draft>) {
    if (draft === null) setBase(saved.updatedAt);
    setDraft({ ...shown, ...change });
  }
  async function save() {
    if (!priceIsGood || pack === null || trial === null) return;
    const settings = { packPriceCents: price, creditsPerPack: pack, refundOnFailure: shown.refund, freeTrialCredits: trial };
    if (await run(() => update(settings), "Saved. It holds from now on.")) setDraft(null);
  }
  return (
    <form
      className="admin-sheet"
      aria-labelledby="billing"
      data-testid="billing"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <h2 id="billing">Billing</h2>
      <div className="admin-fields">
        <TextField label="Price of a pack, in US dollars" inputMode="decimal" value={shown.price} data-testid="price"
          problem={priceIsGood ? null : "From 0.50 to 10000.00."} onChange={(event) => edit({ price: event.target.value })} />
        <TextField label="Credits in a pack" inputMode="numeric" value={shown.pack} data-testid="pack-size"
          problem={pack === null ? "A whole number from 1 to 1,000,000." : null} onChange={(event) => edit({ pack: event.target.value })} />
        <TextField label="Credits for newcomers" inputMode="numeric" value={shown.trial} data-testid="trial"
          problem={trial === null ? "A whole number from 0 to 10,000." : null} onChange={(event) => edit({ trial: event.target.value })} />
      </div>
      <Switch label="A drawing that fails gives its credit back" checked={shown.refund} onChange={(refund) => edit({ refund })} />
      {isOvertaken && (
        <p className="admin-warning" role="status">
          {saved.updatedBy} saved something else meanwhile: {money(saved.packPriceCents)} for {saved.creditsPerPack} credits.{" "}
          <Button size="s" onClick={() => setDraft(null)}>Take theirs</Button>
        </p>
      )}
      <div className="admin-ask-end">
        <p className="admin-quiet">
          {priceIsGood && pack !== null && `${each(price, pack)} a drawing. `}
          {saved.updatedAt === null ? "These are the defaults." : <>Saved by {saved.updatedBy} <Moment at={saved.updatedAt} />.</>}
        </p>
        {isChanged && <Button onClick={() => setDraft(null)}>Discard</Button>}
        <Button type="submit" look="hot" busy={busy} disabled={!isChanged || !priceIsGood || pack === null || trial === null} data-testid="save-billing">Save</Button>
      </div>
    </form>
  );
}
