import { useCallback } from "react";
import { useToast } from "../design";
import { hold } from "../upload/held";
import { DropVeil } from "../upload/DropVeil";
import { useIncoming } from "../upload/useIncoming";
import { Hero } from "./Hero";
import { Leaked } from "./Leaked";
import { SignIn } from "./SignIn";
import "./landing.css";

/** What visitors see first. A photo they drop waits for them to sign in. */
export default function Landing() {
  const { say } = useToast();
  const take = useCallback(
    (files: File[]) => {
      const kept = hold(files);
      say(kept > 0 ? "Got it. Sign in, and it goes straight to the ink." : "That is not a photo. JPEG, PNG, WebP, HEIC and AVIF work.");
      document.querySelector<HTMLElement>(".landing .bubble input, .landing .bubble button")?.focus();
    },
    [say],
  );
  const isOver = useIncoming(take);
  return (
    <div className="landing">
      <section className="hero" aria-labelledby="hero-title">
        <div className="hero-words">
          <h1 id="hero-title" className="shout"><span>Your photo</span> <span>is leaking</span> <em>anime</em></h1>
          <p className="lede">Drop in the picture from your phone. The sky gets bigger, the lines turn to ink, and your cat finally looks like the lead.</p>
          <SignIn />
        </div>
        <Hero />
      </section>
      <Leaked />
      {isOver && <DropVeil />}
    </div>
  );
}
