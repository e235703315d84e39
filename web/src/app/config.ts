/** What the server tells the page about itself before anybody signs in. */
export type SiteConfig = { clerkPublishableKey: string | null; isDevelopment: boolean; version: string };

const DEADLINE_MS = 10_000;
const PLAIN: SiteConfig = { clerkPublishableKey: null, isDevelopment: true, version: "" };

/** Read `/config.json`; a server without one is a development server. Rejects when the network is away. */
export async function readConfig(): Promise<SiteConfig> {
  const response = await fetch("/config.json", { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (response.status === 404) return PLAIN;
  if (!response.ok) throw new Error("The server does not answer just now.");
  return { ...PLAIN, ...((await response.json()) as Partial<SiteConfig>) };
}
