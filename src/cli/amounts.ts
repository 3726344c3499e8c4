const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Bytes for people, in IEC units: `0 B`, `1.5 MiB`, `512 GiB`. */
export function formatBytes(bytes: number): string {
  const amount = Math.max(0, bytes);
  let power = 0;
  // 1023.95 and more would be shown as 1024.0 of the unit below.
  while (power < units.length - 1 && amount / 1024 ** power >= 1023.95) power++;
  const scaled = amount / 1024 ** power;
  return `${power === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[power]}`;
}

/** A time span for people: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.floor(whole / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** `1 file`, `2 files`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
