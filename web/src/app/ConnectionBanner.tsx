import { useConvexConnectionState } from "convex/react";
import { useEffect, useState } from "react";
import { Icon } from "../design";
import "./connection.css";

const PATIENCE_MS = 1_200;
const IS_LOCAL = /^(localhost|127\.|\[::1\])/.test(location.hostname);

export type Connection = "open" | "connecting" | "reconnecting" | "offline";

/** A short hiccup is nobody's business; a longer one is said calmly, and goes away by itself. */
export function ConnectionBanner() {
  const { isWebSocketConnected, hasEverConnected } = useConvexConnectionState();
  const online = useOnline();
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (isWebSocketConnected) return;
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isWebSocketConnected]);
  let state: Connection = "open";
  // A socket notices late that the network went; a server on this machine is reached without one.
  if (!online && (!isWebSocketConnected || !IS_LOCAL)) state = "offline";
  else if (!isWebSocketConnected) state = hasEverConnected ? "reconnecting" : "connecting";
  const words = {
    open: "",
    connecting: "Connecting…",
    reconnecting: "Reconnecting… What you see stays, and what you do is kept.",
    offline: "You are offline. What you see stays, and what you do is sent when the network is back.",
  }[state];
  const visible = state !== "open" && (late || state === "offline");
  return (
    <div className="connection" role="status" data-testid="connection" data-state={state} data-visible={visible}>
      {visible && (
        <p>
          <Icon name="offline" size={17} />
          {words}
        </p>
      )}
    </div>
  );
}

function useOnline() {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener("online", look);
    addEventListener("offline", look);
    return () => {
      removeEventListener("online", look);
      removeEventListener("offline", look);
    };
  }, []);
  return online;
}
