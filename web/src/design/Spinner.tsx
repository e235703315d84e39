import "./spinner.css";

/** Something is on its way. Give it a `label` when no words beside it say so. */
export function Spinner({ size = 20, label }: { size?: number; label?: string }) {
  return (
    <span className="spinner" role={label ? "status" : undefined}>
      <svg width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
        <path d="M12 2C14 7 20 10.500 20 15.500a8 6.500 0 0 1-16 0C4 10.500 10 7 12 2Z" />
      </svg>
      {label && <span className="unseen">{label}</span>}
    </span>
  );
}
