import { type FormEvent, useId, useState } from "react";
import { sentence } from "../app/errors";
import { useSession } from "../auth/session";
import { Button } from "../design";
import { offeredName } from "./names";
import "./signin.css";

/** Signing in, as a speech bubble: by name where the development issuer asks for one, elsewhere with Clerk. */
export function SignIn({ why }: { why?: string }) {
  const { asks, isLoading, signIn } = useSession();
  const id = useId();
  const [name, setName] = useState(offeredName);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  async function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await signIn(name.trim());
    } catch (error) {
      setProblem(sentence(error));
    } finally {
      setBusy(false);
    }
  }
  return (
    <form className="bubble" onSubmit={submit} data-testid="sign-in-form">
      {why && <p>{why}</p>}
      {asks === "name" && <label htmlFor={id}>They call me</label>}
      <div className="bubble-row">
        {asks === "name" && (
          <input
            id={id}
            className="bubble-name"
            name="name"
            value={name}
            onChange={(event) => setName(event.target.value)}
            autoComplete="nickname"
            maxLength={60}
            required
            spellCheck={false}
            data-testid="sign-in-name"
            aria-describedby={`${id}-note`}
          />
        )}
        <Button look="hot" size="l" type="submit" busy={busy || isLoading} data-testid="sign-in">Sign in</Button>
      </div>
      <p id={`${id}-note`} className="bubble-note" role="status" data-problem={problem !== null || undefined}>
        {problem ?? (asks === "name" ? "No password, no e-mail. The name is the whole account." : "Your first drawings are on the house.")}
      </p>
    </form>
  );
}
