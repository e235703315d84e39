// A page without a browser: a DOM, a React root on it, and a memory of every screen that was ever on it.
// It is imported before anything of React, which looks for a DOM when it is loaded.
import { Window } from "happy-dom";

const window = new Window();
for (const name of ["document", "HTMLElement", "HTMLIFrameElement", "Node"]) globalThis[name] = window[name];
globalThis.window = window;
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });

const { Component, createElement, useLayoutEffect } = await import("react");
const { createRoot } = await import("react-dom/client");
const { looked, until } = await import("./harness.mjs");

export const h = createElement;

/** Put something on the page: `screens` are all that were on it, each as what its component said of itself. */
export function mount(element) {
  const place = window.document.createElement("main");
  window.document.body.append(place);
  new window.MutationObserver(looked).observe(place, { childList: true, characterData: true, subtree: true });
  const root = createRoot(place, { onCaughtError: () => {}, onUncaughtError: looked });
  root.render(element);
  return {
    text: () => place.textContent,
    render: (next) => root.render(next),
    until: (holds) => until(() => holds(place.textContent)),
    leave: () => root.unmount(),
  };
}

/** Remember what is on the page each time it has changed there. */
export function useScreens(screens, screen) {
  useLayoutEffect(() => {
    screens.push(screen);
    looked();
  });
}

/** Shows an error instead of what failed; with another `attempt` it tries again. */
export class Boundary extends Component {
  state = { attempt: undefined, error: undefined };

  static getDerivedStateFromError(error) {
    return { error };
  }

  static getDerivedStateFromProps({ attempt }, state) {
    return attempt === state.attempt ? null : { attempt, error: undefined };
  }

  componentDidCatch(error) {
    this.props.caught.push(error);
    looked();
  }

  render() {
    return this.state.error === undefined ? this.props.children : h("p", null, `failed: ${this.state.error.message}`);
  }
}
