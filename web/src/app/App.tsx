import { lazy, type ReactNode, Suspense } from "react";
import { EmptyState, Spinner } from "../design";
import { ErrorBoundary } from "./ErrorBoundary";
import { routeOf, usePath } from "./router";
import { Shell } from "./Shell";

const Admin = lazy(() => import("../admin"));

export function App() {
  const path = usePath();
  return (
    <Shell>
      <ErrorBoundary resetOn={path}>
        <Suspense fallback={<div className="page"><Spinner label="Loading" size={32} /></div>}>{pageAt(path)}</Suspense>
      </ErrorBoundary>
    </Shell>
  );
}

function pageAt(path: string): ReactNode {
  const route = routeOf(path);
  switch (route.name) {
    case "admin":
      return <Admin />;
    default:
      return <div className="page"><EmptyState title="Nothing is drawn here" /></div>;
  }
}
