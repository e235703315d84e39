// Small words for building elements and for the page's recurring phrases.
// Invariant: text from the server is only ever set as text, never as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, className, properties = {}, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  const { dataset = {}, ...rest } = properties;
  Object.assign(node.dataset, dataset);
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith("aria-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

export function sprite() {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("class", "sprite");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(namespace, "use");
  use.setAttribute("href", "#sprite");
  svg.append(use);
  return svg;
}

const moment = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" });

export const when = (milliseconds) => moment.format(new Date(milliseconds));

/** The same file on the address this page came from: the policy lets the page reach no other. */
export function sameOrigin(url) {
  if (!url) return "";
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

export function ratioOf(image) {
  const ratio = image.originalWidth / image.originalHeight;
  // A panorama or a receipt would make a row of its own; such a picture is cropped to these shapes.
  return Number.isFinite(ratio) && ratio > 0 ? Math.min(Math.max(ratio, 0.5), 2.4) : 1;
}

export const placeholderOf = (image) =>
  image.placeholderBlurDataUrl?.startsWith("data:image/") ? image.placeholderBlurDataUrl : "";
