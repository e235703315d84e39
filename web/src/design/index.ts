export { Badge, type BadgeVariant } from "./Badge";
export { Button, ButtonLink, IconButton } from "./Button";
export { Dialog } from "./Dialog";
export { EmptyState } from "./EmptyState";
export { SelectField, Switch, TextField } from "./Field";
export { Icon, type IconName } from "./Icon";
export { Menu, MenuItem } from "./Menu";
export { Spinner } from "./Spinner";
export { ToastProvider, useToast } from "./Toast";
