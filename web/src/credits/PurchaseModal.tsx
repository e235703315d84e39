import { Drop } from "../app/Wordmark";
import { Button, ButtonLink, Dialog, Spinner } from "../design";
import { counted } from "./badge";
import type { Purchase } from "./usePurchase";
import "./credits.css";

/** Where credits are bought: says how far the purchase is, and stays honest about money. */
export function PurchaseModal({ purchase, onClose }: { purchase: Purchase; onClose: () => void }) {
  const { state, credits } = purchase;
  return (
    <Dialog title={TITLES[state]} onClose={onClose} testid="purchase">
      <div className="shop" data-state={state} data-testid="shop">
        <div className="shop-art" aria-hidden="true">
          <Drop size={64} /><Drop size={96} /><Drop size={52} />
        </div>
        <p role="status">{words(purchase)}</p>
        <div className="shop-row"><Act purchase={purchase} onClose={onClose} /></div>
        {credits !== null && state !== "completed" && <p className="shop-now">You have {counted(credits)}.</p>}
      </div>
    </Dialog>
  );
}

const TITLES = {
  idle: "More ink, please",
  preparing: "More ink, please",
  open: "Over to the payment page",
  completed: "Paid. Thank you!",
  failed: "That did not work",
};

function words({ state, problem, credits }: Purchase): string {
  switch (state) {
    case "idle":
      return "Each drawing costs one credit, and one that fails gives it back. The payment page names the pack and its price before anything is paid.";
    case "preparing":
      return "Preparing your payment page…";
    case "open":
      return "Your payment page is open in another tab. Stay here: the credits arrive by themselves, and photos that wait for them go on.";
    case "completed":
      return `The credits are on your account. You have ${counted(credits ?? 0)} now.`;
    case "failed":
      return problem ?? "";
  }
}

function Act({ purchase, onClose }: { purchase: Purchase; onClose: () => void }) {
  const { state, url, start } = purchase;
  switch (state) {
    case "idle":
      return <Button look="hot" size="l" onClick={start} autoFocus data-testid="buy">Buy credits</Button>;
    case "preparing":
      return <Spinner size={36} />;
    case "open":
      return (
        <>
          <ButtonLink look="hot" icon="external" href={url ?? ""} target="_blank" rel="noopener" data-testid="to-payment">Go to the payment page</ButtonLink>
          <Button look="quiet" onClick={start} data-testid="buy-again">Start over</Button>
        </>
      );
    case "completed":
      return (
        <>
          <Button look="hot" onClick={onClose}>Back to drawing</Button>
          <Button look="quiet" onClick={start} data-testid="buy-again">Buy more</Button>
        </>
      );
    case "failed":
      return <Button look="hot" icon="retry" onClick={start} data-testid="buy-again">Try again</Button>;
  }
}
