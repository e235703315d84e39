const HEIC_NAME = /\.(heic|heif)$/i;
const HEIC_TYPE = /^image\/(heic|heif)/i;

type Named = { name: string; type: string };

/** Few browsers can show these; the server can read them. */
export const isHeic = ({ name, type }: Named): boolean => HEIC_NAME.test(name) || HEIC_TYPE.test(type);

export const looksLikePicture = (file: Named): boolean => file.type.startsWith("image/") || isHeic(file);

export function contentTypeOf(file: Named): string {
  return file.type || (isHeic(file) ? "image/heic" : "application/octet-stream");
}

/** The file itself is the trouble: sending it again cannot help. */
export class Unusable extends Error {}

/** Look at a photo before it is sent. Resolves to an address that shows it, or null where the browser cannot. */
export async function lookAt(file: File): Promise<string | null> {
  if (file.size === 0) throw new Unusable("That file is empty.");
  if (!looksLikePicture(file)) throw new Unusable("That is not a photo. JPEG, PNG, WebP, HEIC and AVIF work.");
  if (isHeic(file)) return null;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new Unusable("That photo cannot be opened. It may be damaged.");
  bitmap.close();
  return URL.createObjectURL(file);
}
