import "./scene.css";

/** Parts of one drawing: evening, a hill, a house, a cat that looks like the lead. */
const CROPS = {
  all: "0 0 360 300",
  cat: "130 168 150 118",
  sky: "170 0 190 150",
  house: "20 150 140 110",
  wires: "230 40 130 150",
};

type SceneProps = { crop?: keyof typeof CROPS; /** A grey halftone photo, the coloured drawing, or half of each. */ look?: "photo" | "drawn" | "leaking" };

export function Scene({ crop = "all", look = "drawn" }: SceneProps) {
  return (
    <span className={`scene scene-${look}`}>
      {look !== "drawn" && <Drawing box={CROPS[crop]} className="scene-photo" />}
      {look !== "drawn" && <span className="scene-tone" />}
      {look === "leaking" && (
        <svg className="scene-edge" aria-hidden="true" focusable="false">
          <clipPath id="leak-edge" clipPathUnits="objectBoundingBox">
            <path d="M0 0H1V.5C.97 .5.97 .62.94 .62S.91 .52.88 .52 .85 .9.815 .9 .78 .55.75 .55 .72 .7.69 .7 .66 .5.63 .5 .6 .8.56 .8 .52 .52.49 .52 .46 .6.43 .6 .41 .5.38 .5 .35 .97.31 .97 .27 .54.24 .54 .21 .66.18 .66 .15 .48.12 .48 .09 .74.06 .74 .03 .5 0 .5Z" />
          </clipPath>
        </svg>
      )}
      {look !== "photo" && <Drawing box={CROPS[crop]} className="scene-drawn" />}
    </span>
  );
}

function Drawing({ box, className }: { box: string; className: string }) {
  return (
    <svg className={className} viewBox={box} preserveAspectRatio="xMidYMid slice" aria-hidden="true" focusable="false">
      <rect className="sky" width="360" height="300" />
      <path className="rays" d="M286 74 60-60h90ZM286 74 220-80h60ZM286 74 330-80h70ZM286 74 420 0v60ZM286 74-60 0v70ZM286 74 420 110v60Z" />
      <circle className="sun s" cx="286" cy="74" r="38" />
      <path className="cloud s" d="M-20 226c-6-40 26-58 48-50 2-40 44-56 68-32 10-50 72-58 92-18 34-16 66 10 58 42 24-4 44 18 38 44v40H-20Z" />
      <path className="shade" d="M-20 226c40-16 60 4 92-10s56 12 90-4 60 8 122-2v40H-20Z" />
      <path className="far s" d="M-10 232c50-40 92-44 140-14s96 18 240-8v100H-10Z" />
      <path className="house s" d="M56 226v-34h58v34Z" />
      <path className="roof s" d="m46 196 39-27 39 27Z" />
      <path className="pane s" d="M68 202h13v12H68zM90 202h13v12H90z" />
      <path className="near s" d="M-10 262c70-34 130-26 190-8s120 14 200-12v70H-10Z" />
      <path className="pole s" d="M300 70h9v190h-9ZM276 84h57v7h-57ZM282 102h45v6h-45Z" />
      <path className="wire" d="M-10 60q170 74 292 26M-10 96q170 56 296 10M330 86q20 10 50 4M326 106q22 8 50 4" />
      <path className="cat s" d="M196 262c-10 0-14-8-12-18 2-12 10-16 10-28l-6-20 14 9h14l13-9-4 20c2 14 14 18 14 34 14 2 18-8 14-18-2-6 6-9 9-3 7 17-4 34-26 33Z" />
      <path className="face" d="M201 211a3.500 4.500 0 1 1-.1 0M216 211a3.500 4.500 0 1 1-.1 0" />
      <path className="whisker" d="M206 220q2.500 3 5 0M194 219l-9-2M194 222l-9 2M222 219l9-2M222 222l9 2" />
      <path className="grass" d="m20 272 4-12 4 12m42-2 4-11 4 11m60 2 4-12 4 12m126-2 4-11 4 11m44-4 4-11 4 11" />
    </svg>
  );
}
