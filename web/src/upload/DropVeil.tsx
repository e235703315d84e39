import "./desk.css";

/** Over everything while photos hang over the page. */
export function DropVeil() {
  return (
    <div className="drop-veil" data-testid="drop-veil">
      <p>Let go,<br />I’ll catch it!</p>
    </div>
  );
}
