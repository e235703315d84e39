import { useConvexAuth, useQuery } from "convex/react";
import { type ReactNode, useEffect, useRef } from "react";
import { api } from "../_generated/api";
import { ErrorBoundary } from "../app/ErrorBoundary";
import { routeOf, usePath } from "../app/router";
import { ButtonLink, EmptyState, Icon, type IconName, Spinner } from "../design";
import { AuditLog } from "./AuditLog";
import { Jobs } from "./Jobs";
import { Members } from "./Members";
import { Operations } from "./Operations";
import { Orders } from "./Orders";
import { Overview } from "./Overview";
import { Review } from "./Review";
import { Settings } from "./Settings";
import "./admin.css";

type Room = { at: string; name: string; icon: IconName; shows: () => ReactNode };

const ROOMS: Room[] = [
  { at: "", name: "Overview", icon: "compare", shows: () => <Overview /> },
  { at: "review", name: "Review", icon: "shield", shows: () => <Review key="pending" of="pending" /> },
  { at: "wall", name: "The wall", icon: "picture", shows: () => <Review key="wall" of="wall" /> },
  { at: "members", name: "Members", icon: "user", shows: () => <Members /> },
  { at: "orders", name: "Orders", icon: "credit", shows: () => <Orders /> },
  { at: "jobs", name: "Stuck work", icon: "clock", shows: () => <Jobs /> },
  { at: "operations", name: "Operations", icon: "pulse", shows: () => <Operations /> },
  { at: "audit", name: "Audit log", icon: "search", shows: () => <AuditLog /> },
  { at: "settings", name: "Settings", icon: "menu", shows: () => <Settings /> },
];

/** The administrators' pages; loaded only when somebody goes to `/admin`. Nobody else is shown anything. */
export default function Admin() {
  const { isLoading, isAuthenticated } = useConvexAuth();
  const isAdmin = useQuery(api.admin.getAdminStatus, isAuthenticated ? {} : "skip");
  if (isLoading || (isAuthenticated && isAdmin === undefined)) {
    return <div className="page"><Spinner label="Looking who you are" size={32} /></div>;
  }
  if (!isAuthenticated) {
    return (
      <Outside title="Who is there?">
        <p>This is where the house is kept. Sign in first, and come back.</p>
        <ButtonLink look="solid" href="/">To the front door</ButtonLink>
      </Outside>
    );
  }
  if (!isAdmin) {
    return (
      <Outside title="Staff only">
        <p>You are signed in, and you are not an administrator. If that should change, ask one; this page opens by itself.</p>
        <ButtonLink look="solid" href="/">Back to your studio</ButtonLink>
      </Outside>
    );
  }
  return <Rooms />;
}

function Outside({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="page" data-testid="admin-outside">
      <EmptyState title={title}>{children}</EmptyState>
    </div>
  );
}

function Rooms() {
  const path = usePath();
  const route = routeOf(path);
  const at = route.name === "admin" ? route.rest : "";
  const room = ROOMS.find((each) => each.at === at);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // Where the rooms stand side by side, not all of them fit.
    nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    const before = document.title;
    document.title = `${room?.name ?? "Nothing here"} · Admin · Anime Leak`;
    return () => {
      document.title = before;
    };
  }, [room]);
  return (
    <div className="admin" data-testid="admin">
      <nav ref={nav} className="admin-nav" aria-label="Administration">
        <ul>
          {ROOMS.map(({ at: place, name, icon }) => (
            <li key={place}>
              <a href={place ? `/admin/${place}` : "/admin"} aria-current={place === at ? "page" : undefined}>
                <Icon name={icon} size={19} />
                <span>{name}</span>
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div className="admin-room">
        <ErrorBoundary resetOn={path}>
          {room ? room.shows() : <EmptyState title="There is no such room" />}
        </ErrorBoundary>
      </div>
    </div>
  );
}
