// Whether what is shown for a while is looked at or used: under the pointer, focused by a keyboard, or in a tab nobody sees.

import { type FocusEvent, useEffect, useState } from "react";

export function useHeld() {
  const [over, setOver] = useState(false);
  const [focused, setFocused] = useState(false);
  const [hidden, setHidden] = useState(document.hidden);
  useEffect(() => {
    const look = () => setHidden(document.hidden);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return {
    held: over || focused || hidden,
    on: {
      onPointerEnter: () => setOver(true),
      onPointerLeave: () => setOver(false),
      // A focus that came by a pointer is there by chance, and would hold until the next press elsewhere.
      onFocus: (event: FocusEvent) => setFocused(event.target.matches(":focus-visible")),
      onBlur: () => setFocused(false),
    },
  };
}
