/** How the balance looks (data model, section 3.3). */
export type CreditBadgeState = {
  variant: "destructive" | "outline" | "secondary";
  /** Without credits the badge leads to buying some. */
  isClickable: boolean;
  title: string;
};

export const LOW = 5;

export const counted = (credits: number): string => `${credits} ${credits === 1 ? "credit" : "credits"}`;

export function creditBadgeState(credits: number): CreditBadgeState {
  if (credits === 0) return { variant: "destructive", isClickable: true, title: "Your credits are used up. Get more." };
  const title = `${counted(credits)} left. One drawing costs one.`;
  return { variant: credits <= LOW ? "outline" : "secondary", isClickable: false, title };
}
