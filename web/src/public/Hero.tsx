import { useQuery } from "convex/react";
import { api } from "../_generated/api.js";
import { Picture } from "../image/Picture";
import { Scene } from "./Scene";
import { type Point, shapeOf } from "./shapes";

const LATEST = { paginationOpts: { numItems: 5, cursor: null } };

/** A page of five panels; what is not a member's picture yet is a part of our own drawing. */
const CELLS: readonly { points: readonly Point[]; crop: "all" | "cat" | "sky" | "house" | "wires"; look: "photo" | "drawn" | "leaking" }[] = [
  { points: [[0, 0], [60, 0], [51, 51], [0, 45]], crop: "all", look: "leaking" },
  { points: [[62, 0], [100, 0], [100, 57], [53, 51.200]], crop: "sky", look: "drawn" },
  { points: [[0, 47], [36, 51.200], [29, 100], [0, 100]], crop: "house", look: "photo" },
  { points: [[38, 51.500], [70, 55.200], [77, 100], [31, 100]], crop: "cat", look: "drawn" },
  { points: [[72, 55.500], [100, 58.900], [100, 100], [79, 100]], crop: "wires", look: "photo" },
];

/** The latest pictures as a page of manga, live; decoration beside the gallery that lists the same. */
export function Hero() {
  const latest = useQuery(api.images.getPublicGallery, LATEST)?.page ?? [];
  return (
    <div className="hero-page" aria-hidden="true">
      {CELLS.map(({ points, crop, look }, index) => (
        <div key={crop} className="cell" style={shapeOf(points)}>
          <div className="cell-inside">
            {latest[index] ? <Picture image={latest[index]} eager /> : <Scene crop={crop} look={look} />}
          </div>
        </div>
      ))}
      <span className="hero-burst">Live</span>
    </div>
  );
}
