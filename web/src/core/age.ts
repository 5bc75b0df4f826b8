// How long ago by the calendar: a day is from midnight to midnight, and has 23 or 25 hours when the clocks change.

export type Age = "today" | "yesterday" | "week" | "older";

/** Of what happened at `time`; "week" is the seven days before today. A time that cannot be read is old. */
export function ageOf(time: string, now = new Date()): Age {
  const at = Date.parse(time);
  const midnight = (daysAgo: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo).getTime();
  if (at >= midnight(0)) return "today";
  if (at >= midnight(1)) return "yesterday";
  return at >= midnight(7) ? "week" : "older";
}
