// A small menu of actions behind a button, operable by keyboard as ARIA's menu button pattern has it.

import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Icon } from "./icons";
import { keyOf } from "./keys";

export interface MenuItem {
  label: string;
  act: () => void;
  grave?: boolean;
}

export function Menu({ label, items }: { label: string; items: MenuItem[] }) {
  const [open, setOpen] = useState(false);
  const [above, setAbove] = useState(false);
  const root = useRef<HTMLSpanElement>(null);
  const list = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = (focus: boolean) => {
    setOpen(false);
    if (focus) button.current?.focus();
  };
  useLayoutEffect(() => {
    // Near the end of what scrolls it would be cut: it opens upwards where there is more room. Below, at least, it can be scrolled to.
    const at = button.current?.getBoundingClientRect();
    const frame = root.current?.closest(".chats")?.getBoundingClientRect();
    if (!open || !at || !frame) return;
    const below = frame.bottom - at.bottom;
    setAbove(below < (list.current?.offsetHeight ?? 0) && at.top - frame.top > below);
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const items = root.current?.querySelectorAll<HTMLElement>("[role=menuitem]");
    items?.[0]?.focus();
    const outside = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    const all = [...(root.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const key = keyOf(event);
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (key === "Escape" || key === "Tab") {
      if (key === "Escape") event.preventDefault();
      close(key === "Escape");
    } else if (step) {
      event.preventDefault();
      all[(at + step + all.length) % all.length]?.focus();
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the menu inside
    <span className="menu" ref={root} onKeyDown={onKeyDown}>
      <button
        ref={button}
        type="button"
        className="quiet"
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      {open && (
        <span ref={list} className={above ? "menu-items above" : "menu-items"} role="menu" aria-label={label}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className={item.grave ? "grave" : undefined}
              onClick={() => {
                close(true);
                item.act();
              }}
            >
              {item.label}
            </button>
          ))}
        </span>
      )}
    </span>
  );
}
