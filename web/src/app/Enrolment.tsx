import { useConvexAuth, useMutation } from "convex/react";
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { api } from "../_generated/api.js";
import { useSession } from "../auth/session";

const RETRY_MS = 3_000;
const EnrolmentContext = createContext(false);

/** Is a member signed in whose account exists? Before that a balance reads zero, and would look like an empty one. */
export function useEnrolled(): boolean {
  return useContext(EnrolmentContext);
}

/** Opens the member's account when they come for the first time. */
export function Enrolment({ children }: { children: ReactNode }) {
  const { isAuthenticated } = useConvexAuth();
  const { subject } = useSession();
  const ensure = useMutation(api.users.ensureUser);
  const [enrolled, setEnrolled] = useState<string | null>(null);
  useEffect(() => {
    if (!isAuthenticated || subject === null) return setEnrolled(null);
    let timer: ReturnType<typeof setTimeout>;
    let gone = false;
    const enrol = () => {
      ensure({}).then(
        () => !gone && setEnrolled(subject),
        () => {
          if (!gone) timer = setTimeout(enrol, RETRY_MS);
        },
      );
    };
    enrol();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [isAuthenticated, subject, ensure]);
  return <EnrolmentContext value={isAuthenticated && enrolled !== null && enrolled === subject}>{children}</EnrolmentContext>;
}
