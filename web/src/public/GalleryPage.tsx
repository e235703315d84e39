import { Leaked } from "./Leaked";

/** The public gallery for everybody, members too. */
export default function GalleryPage() {
  return <Leaked level={1} />;
}
