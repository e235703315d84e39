import { useQuery } from "convex/react";
import { type CSSProperties, useState } from "react";
import { api } from "../_generated/api.js";
import type { Id } from "../_generated/dataModel.js";
import { Picture } from "./Picture";
import type { Showable } from "./types";

/** The drawing over the photo it came from; an edge in between that can be dragged, or moved with the arrow keys. */
export function Compare({ image, originalImageId }: { image: Showable; originalImageId: Id<"images"> }) {
  const original = useQuery(api.images.getImageById, { imageId: originalImageId });
  const [cut, setCut] = useState(50);
  const style: CSSProperties & Record<"--cut", string> = { "--cut": `${cut}%` };
  if (original === null) return <p className="stage-note">The photo is not there any more.</p>;
  return (
    <span className="compare" style={style}>
      {original && <Picture image={original} alt="The photo" eager fit="contain" />}
      <span className="compare-top"><Picture image={image} alt="The drawing" eager fit="contain" /></span>
      <span className="compare-edge" aria-hidden="true" />
      <input
        type="range"
        min={0}
        max={100}
        value={cut}
        aria-label="How much of the photo shows"
        onChange={(event) => setCut(Number(event.target.value))}
        onKeyDown={(event) => event.stopPropagation()}
      />
    </span>
  );
}
