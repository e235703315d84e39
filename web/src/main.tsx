// First of all: the order of the layers is that in which they are named.
import "./design/tokens.css";
import "./design/base.css";
import { ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { followLinks } from "./app/router";
import { AuthProvider } from "./auth/AuthProvider";
import { ToastProvider } from "./design";

const root = document.getElementById("root");
if (!root) throw new Error("The page has no root.");
const client = new ConvexReactClient(window.location.origin);
followLinks();
createRoot(root).render(
  <StrictMode>
    <AuthProvider client={client}>
      <ToastProvider>
        <App />
      </ToastProvider>
    </AuthProvider>
  </StrictMode>,
);
