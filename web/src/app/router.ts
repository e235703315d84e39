import { useSyncExternalStore } from "react";

/** Where somebody can be. Everything that is not one of these is `lost`. */
export type Route =
  | { name: "home" }
  | { name: "gallery" }
  | { name: "credits" }
  | { name: "admin"; rest: string }
  | { name: "share"; imageId: string }
  | { name: "lost" };

export function routeOf(pathname: string): Route {
  const [first = "", second = "", ...more] = pathname.split("/").filter(Boolean);
  if (first === "admin") return { name: "admin", rest: [second, ...more].filter(Boolean).join("/") };
  if (first === "share" && second && more.length === 0) return { name: "share", imageId: second };
  if (second) return { name: "lost" };
  if (first === "") return { name: "home" };
  if (first === "gallery" || first === "credits") return { name: first };
  return { name: "lost" };
}

const MOVED = "anime-leak:moved";

/** Go to a path of ours without loading the page anew. */
export function go(path: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  dispatchEvent(new Event(MOVED));
  if (!replace) scrollTo(0, 0);
}

function subscribe(listener: () => void) {
  addEventListener("popstate", listener);
  addEventListener(MOVED, listener);
  return () => {
    removeEventListener("popstate", listener);
    removeEventListener(MOVED, listener);
  };
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** Plain links to our own pages are followed without loading anew; to be called once. */
export function followLinks(): void {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hash || routeOf(link.pathname).name === "lost") return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
