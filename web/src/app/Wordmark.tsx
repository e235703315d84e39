/** The drop with eyes, and the name. */
export function Wordmark() {
  return (
    <span className="wordmark">
      <Drop />
      <span>Anime Leak</span>
    </span>
  );
}

export function Drop({ size = 34 }: { size?: number }) {
  return (
    <svg className="drop" width={size} height={size} viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <path className="drop-body" d="M32 3c4 14 24 25 24 41a24 19 0 0 1-48 0C8 28 28 17 32 3Z" />
      <ellipse className="drop-eye" cx="23" cy="43" rx="6" ry="7.500" />
      <ellipse className="drop-eye" cx="41" cy="43" rx="6" ry="7.500" />
      <circle className="drop-glint" cx="25" cy="40" r="2.200" />
      <circle className="drop-glint" cx="43" cy="40" r="2.200" />
    </svg>
  );
}
