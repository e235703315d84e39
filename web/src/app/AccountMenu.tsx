import { useQuery } from "convex/react";
import { api } from "../_generated/api.js";
import { useSession } from "../auth/session";
import { Icon, Menu, MenuItem } from "../design";
import { useEnrolled } from "./Enrolment";

/** Behind the member's name: credits, the administrators' rooms for those who have the role, and the way out. */
export function AccountMenu() {
  const { name, signOut } = useSession();
  const enrolled = useEnrolled();
  const isAdmin = useQuery(api.admin.getAdminStatus, enrolled ? {} : "skip") ?? false;
  return (
    <Menu label="Account" testid="account" trigger={<><Icon name="user" /><span className="head-name">{name}</span><Icon name="down" size={16} /></>}>
      <MenuItem href="/credits"><Icon name="credit" /> Credits and payments</MenuItem>
      {isAdmin && <MenuItem href="/admin" testid="to-admin"><Icon name="shield" /> Administration</MenuItem>}
      <MenuItem onSelect={signOut} testid="sign-out"><Icon name="out" /> Sign out</MenuItem>
    </Menu>
  );
}
