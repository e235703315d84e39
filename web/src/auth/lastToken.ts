let token: string | null = null;

/** The token that the live connection was last given, for what has to be sent while the page goes away. */
export const lastToken = (): string | null => token;

export function keepToken(next: string | null): string | null {
  token = next;
  return next;
}
