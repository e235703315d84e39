import { lazy, type ReactNode, Suspense } from "react";
import { useSession } from "../auth/session";
import { CreditBalance } from "../credits/CreditBalance";
import { PurchaseProvider, usePurchase } from "../credits/PurchaseProvider";
import { ButtonLink, EmptyState, Spinner } from "../design";
import Studio from "../gallery/Studio";
import { DeletionsProvider } from "../image/Deletions";
import Landing from "../public/Landing";
import { UploadsProvider } from "../upload/UploadsProvider";
import { Enrolment, useEnrolled } from "./Enrolment";
import { ErrorBoundary } from "./ErrorBoundary";
import { routeOf, usePath } from "./router";
import { Shell } from "./Shell";

const Admin = lazy(() => import("../admin"));
const CreditsPage = lazy(() => import("../credits/CreditsPage"));
const GalleryPage = lazy(() => import("../public/GalleryPage"));
const SharePage = lazy(() => import("../share/SharePage"));

/** What goes on whichever page is looked at, around the page that is. */
export function App() {
  return (
    <Enrolment>
      <PurchaseProvider>
        <DeletionsProvider>
          <UploadsProvider>
            <Pages />
          </UploadsProvider>
        </DeletionsProvider>
      </PurchaseProvider>
    </Enrolment>
  );
}

function Pages() {
  const path = usePath();
  const { open } = usePurchase();
  return (
    <Shell corner={<CreditBalance onClick={open} />}>
      <ErrorBoundary resetOn={path}>
        <Suspense fallback={<Waiting />}>{pageAt(path)}</Suspense>
      </ErrorBoundary>
    </Shell>
  );
}

function pageAt(path: string): ReactNode {
  const route = routeOf(path);
  switch (route.name) {
    case "home":
      return <Home />;
    case "gallery":
      return <GalleryPage />;
    case "credits":
      return <CreditsPage />;
    case "share":
      return <SharePage key={route.imageId} imageId={route.imageId} />;
    case "admin":
      return <Admin />;
    case "lost":
      return (
        <div className="page">
          <EmptyState title="Nothing is drawn here">
            <p>The address leads nowhere. It may have been mistyped.</p>
            <ButtonLink look="hot" href="/">To the first page</ButtonLink>
          </EmptyState>
        </div>
      );
  }
}

function Home() {
  const { isSignedIn } = useSession();
  const enrolled = useEnrolled();
  if (!isSignedIn) return <Landing />;
  return enrolled ? <Studio /> : <Waiting />;
}

function Waiting() {
  return <div className="page page-waiting"><Spinner label="Loading" size={36} /></div>;
}
