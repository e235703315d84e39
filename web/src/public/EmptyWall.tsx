import { useSession } from "../auth/session";
import { ButtonLink } from "../design";
import { Scene } from "./Scene";
import { shapeOf } from "./shapes";

const STRIP = [
  { crop: "cat", look: "photo", words: "A photo. Nice, but.", points: [[0, 0], [34, 0], [30, 100], [0, 100]] },
  { crop: "sky", look: "leaking", words: "Something leaks.", points: [[35.500, 0], [68, 0], [64, 100], [31.500, 100]] },
  { crop: "cat", look: "drawn", words: "There it is.", points: [[69.500, 0], [100, 0], [100, 100], [65.500, 100]] },
] as const;

/** While nobody has shown anything yet: the story in three panels, and an invitation to be the first. */
export function EmptyWall() {
  const { isSignedIn } = useSession();
  return (
    <div className="blank" data-testid="public-empty">
      <div className="blank-strip" aria-hidden="true">
        {STRIP.map(({ crop, look, words, points }) => (
          <div key={words} className="cell" style={shapeOf(points)}>
            <div className="cell-inside">
              <Scene crop={crop} look={look} />
              <span className="caption">{words}</span>
            </div>
          </div>
        ))}
      </div>
      <div className="blank-words">
        <h3>Nothing has leaked yet</h3>
        <p>The first page is blank, and it could be yours: draw something, open it, and put it “In the public gallery”. It shows here at once, for everybody who looks.</p>
        <ButtonLink look="hot" href="/">{isSignedIn ? "To my studio" : "Be the first"}</ButtonLink>
      </div>
    </div>
  );
}
