import type { AnchorHTMLAttributes, ButtonHTMLAttributes, Ref } from "react";
import { Icon, type IconName } from "./Icon";
import { Spinner } from "./Spinner";
import "./button.css";

type Look = {
  /** `hot` is for the one thing a view is about; `plain` for the rest; `quiet` has no box; `danger` destroys. */
  look?: "hot" | "solid" | "plain" | "quiet" | "danger";
  size?: "s" | "m" | "l";
  icon?: IconName;
};

type ButtonProps = Look & ButtonHTMLAttributes<HTMLButtonElement> & { busy?: boolean; ref?: Ref<HTMLButtonElement> };

function classOf({ look = "plain", size = "m" }: Look, extra = "") {
  return `button button-${look} button-${size} ${extra}`;
}

/** A button with words. While `busy` it keeps its size and its focus, and cannot be pressed again. */
export function Button({ look, size, icon, busy = false, className, children, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={classOf({ ...(look && { look }), ...(size && { size }) }, className)}
      aria-busy={busy || undefined}
      aria-disabled={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      {...rest}
    >
      {busy ? <Spinner size={size === "s" ? 16 : 20} /> : icon && <Icon name={icon} size={size === "s" ? 17 : 20} />}
      <span>{children}</span>
    </button>
  );
}

/** A link that looks like a button. */
export function ButtonLink({
  look,
  size,
  icon,
  className,
  children,
  ...rest
}: Look & AnchorHTMLAttributes<HTMLAnchorElement> & { ref?: Ref<HTMLAnchorElement> }) {
  return (
    <a className={classOf({ ...(look && { look }), ...(size && { size }) }, className)} {...rest}>
      {icon && <Icon name={icon} size={size === "s" ? 17 : 20} />}
      <span>{children}</span>
    </a>
  );
}

/** A round button that shows only a drawing; `label` is what it is called. */
export function IconButton({
  label,
  icon,
  className = "",
  size = 20,
  ...rest
}: {
  label: string;
  icon: IconName;
  size?: number;
  ref?: Ref<HTMLButtonElement>;
} & Omit<ButtonHTMLAttributes<HTMLButtonElement>, "children">) {
  return (
    <button type="button" className={`icon-button ${className}`} aria-label={label} title={label} {...rest}>
      <Icon name={icon} size={size} />
    </button>
  );
}
