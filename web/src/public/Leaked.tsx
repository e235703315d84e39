import { PublicGallery } from "./PublicGallery";
import "./landing.css";

/** The public gallery on its dark sheet, under running ink. */
export function Leaked({ level = 2 }: { level?: 1 | 2 }) {
  const Title = level === 1 ? "h1" : "h2";
  return (
    <section className="leaked" aria-labelledby="leaked-title">
      <svg className="drips" aria-hidden="true" focusable="false" width="100%" height="96">
        <defs>
          <pattern id="drips" width="780" height="96" patternUnits="userSpaceOnUse">
            <path d="M-10-10H790V14H776C754 14 752 46 732 46S712 20 690 20 668 70 646 70 628 16 604 16 580 34 556 34 532 14 508 14 496 90 472 90 452 18 430 18 406 40 384 40 362 16 338 16 316 62 294 62 274 20 250 20 230 38 206 38 186 14 160 14 144 80 122 80 102 18 78 18 54 14 34 14H-10Z" />
          </pattern>
        </defs>
        <rect width="100%" height="96" fill="url(#drips)" />
      </svg>
      <div className="leaked-page">
        <div className="leaked-head">
          <Title id="leaked-title">Already leaked</Title>
          <p>Live. New pictures appear while you look.</p>
        </div>
        <PublicGallery />
      </div>
    </section>
  );
}
