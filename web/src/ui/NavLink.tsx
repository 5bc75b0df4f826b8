// A link that says when it leads to where the reader is.

import type { ComponentProps } from "react";
import { Link, useLocation } from "wouter";

export function NavLink(props: Extract<ComponentProps<typeof Link>, { to: string }>) {
  const [pathname] = useLocation();
  return <Link {...props} aria-current={pathname === props.to ? "page" : undefined} />;
}
