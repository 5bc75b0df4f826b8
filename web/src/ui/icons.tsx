// The icons, drawn on one 20-pixel grid with one stroke. They say nothing to screen readers: their buttons do.

const paths = {
  plus: "M10 4v12M4 10h12",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h8",
  close: "M5 5l10 10M15 5L5 15",
  up: "M10 16V4.5M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  copy: "M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3",
  check: "M4.5 10.5l3.5 3.5 7.5-8",
  edit: "M4.5 15.5l.8-3.2 8-8 2.4 2.4-8 8zM11.5 6l2.4 2.4",
  again: "M15.5 10a5.5 5.5 0 1 1-1.7-4M15.5 3.5V7h-3.5",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  down: "M10 4v11.5M5 11l5 5 5-5",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l4 4",
  alert: "M10 6.5v4.5M10 13.8v.1M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15z",
} as const;

export function Icon({ name }: { name: keyof typeof paths }) {
  return (
    <svg className={`icon icon-${name}`} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
